/* A GGUF file: see launch/verify.h. */
#include <stdlib.h>
#include <string.h>

#include "io/digest.h"
#include "io/gguf_model.h"
#include "io/model_weights.h"
#include "io/path.h"
#include "launch/verify_parts.h"
#include "src/base/mem.h"
#include "src/nn/decoder.h"

/* The tensors under Hugging Face's names: those of the model that the keys describe. */
static ent_status check_tensors(const ent_gguf *file, const ent_model_config *config)
{
    const size_t count = ent_gguf_count(file);
    ent_st_tensor *tensors = NULL;
    ent_gguf_name *names = NULL;
    ent_decoder *decoder = NULL;
    ent_status st;
    size_t n = 0;
    ENT_GO(ent_calloc(&tensors, count, sizeof *tensors, "tensors"));
    ENT_GO(ent_calloc(&names, count, sizeof *names, "names"));
    for (size_t i = 0; i < count; i++) {
        const ent_gguf_tensor *t = ent_gguf_at(file, i);
        if (strcmp(t->name, ENT_GGUF_ROPE_FREQS) == 0)
            continue;
        const char *name = ent_gguf_name_to_hf(&names[i], t->name);
        if (name == NULL)
            ENT_GO(ent_fail(ENT_EFORMAT, "%s: unexpected tensor %s", ent_gguf_path(file), t->name));
        tensors[n] = (ent_st_tensor){.name = name, .n_dims = t->n_dims, .data = t->data, .file = ent_gguf_path(file)};
        memcpy(tensors[n++].shape, t->shape, t->n_dims * sizeof *t->shape);
    }
    ENT_GO(ent_decoder_new(&decoder, config, NULL, false, 1));
    ENT_GO(ent_bind_tensors(ent_decoder_params(decoder), tensors, n, false, ent_gguf_path(file)));
done:
    ent_decoder_free(decoder);
    free(names);
    free(tensors);
    return st;
}

static ent_status check_tokens(const ent_gguf *file, const ent_model_config *config)
{
    static const char key[] = "tokenizer.ggml.tokens";
    const ent_gguf_pair *tokens = ent_gguf_pair_find(file, key);
    if (tokens && (!tokens->is_array || tokens->type != ENT_GGUF_TEXT || tokens->count != config->vocab_size))
        return ent_fail(ENT_EFORMAT, "%s: %s: expected %zu texts, a row of token_embd.weight each, found %llu",
                        ent_gguf_path(file), key, config->vocab_size, (unsigned long long)tokens->count);
    return ENT_OK;
}

static void check_model(ent_verification *v, const ent_gguf *file)
{
    ent_model_config config;
    const char *path = ent_gguf_path(file);
    if (ent_gguf_read_model(&config, file) != ENT_OK) {
        ent_verify_good(v, "names and shapes are not compared: %s", ent_message());
        return;
    }
    if (ent_verify_take(v, check_tensors(file, &config)) && ent_verify_take(v, check_tokens(file, &config)))
        ent_verify_good(v, "%s: names and shapes as its keys ask: %s, %zu layers", path, config.model_type,
                        config.n_layers);
}

/* The proof that entrenar export leaves beside a file names one that was written: this. */
static ent_status check_digest(const char *path, const char *proof)
{
    ent_json *root;
    const char *expected;
    char found[ENT_SHA256_SIZE];
    ent_status st;
    ENT_TRY(ent_json_read_file(&root, proof));
    ENT_GO(ent_json_get_string(&expected, ent_json_first(ent_json_member(root, "written")), "sha256", proof));
    ENT_GO(ent_sha256_file(found, path));
    if (strcmp(found, expected) != 0)
        st = ent_fail(ENT_EFORMAT, "%s: has SHA-256 %.16s..., %s says %.16s...", path, found, proof, expected);
done:
    ent_json_free(root);
    return st;
}

static void check_proof(ent_verification *v, const char *path)
{
    char *proof;
    if (!ent_verify_take(v, ent_format(&proof, "%s.proof.json", path)))
        return;
    if (ent_path_is_file(proof) && ent_verify_take(v, check_digest(path, proof)))
        ent_verify_good(v, "%s: has the SHA-256 that %s says", path, proof);
    free(proof);
}

void ent_verify_gguf(ent_verification *v, const char *path)
{
    ent_contents *c;
    check_proof(v, path);
    if (!ent_verify_take(v, ent_contents_open(&c, path)))
        return;
    ent_verify_good(v, "%s: header, %zu keys, types and places", path, ent_gguf_pairs(c->gguf));
    check_model(v, c->gguf);
    ent_verify_numbers(v, c);
    ent_contents_close(c);
}
