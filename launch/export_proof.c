#include "launch/export_proof.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/atomic_file.h"
#include "io/digest.h"
#include "io/path.h"
#include "src/base/mem.h"

void ent_proof_end(ent_proof *p)
{
    ent_model_close(&p->model);
    free(p->expected);
    *p = (ent_proof){0};
}

static ent_status compute(ent_tensor **logits, ent_tape *tape, const ent_proof *p, ent_decoder *decoder)
{
    const ent_tokens tokens = {p->n, p->ids, p->doc_start};
    ent_tape_record(tape, false);
    return ent_decoder_logits(logits, tape, decoder, &tokens);
}

/* How many tokens the model is made for, and sees at once: GGUF has no window. */
static size_t length_of(const ent_model_config *c)
{
    size_t n = ENT_PROBE_TOKENS;
    if (c->max_position_embeddings && c->max_position_embeddings < n)
        n = c->max_position_embeddings;
    return c->sliding_window && c->sliding_window < n ? c->sliding_window : n;
}

ent_status ent_proof_begin(ent_proof *p, const char *model, const char *adapter)
{
    const ent_model_options options = {.path = model, .adapter = adapter, .max_positions = ENT_PROBE_TOKENS};
    ent_tape *tape = NULL;
    ent_tensor *logits;
    ent_status st;
    *p = (ent_proof){0};
    ENT_GO(ent_model_open(&p->model, &options));
    p->n = length_of(&p->model.config);
    for (size_t i = 0; i < p->n; i++) /* spread over the vocabulary */
        p->ids[i] = (int32_t)((i + 1) * 2654435761u % p->model.config.vocab_size);
    ENT_GO(ent_tape_new(&tape, false));
    ENT_GO(compute(&logits, tape, p, p->model.decoder));
    ENT_GO(ent_calloc(&p->expected, ent_tensor_count(logits), sizeof *p->expected, "logits"));
    memcpy(p->expected, logits->data, ent_tensor_count(logits) * sizeof *p->expected);
done:
    ent_tape_free(tape);
    return st;
}

static size_t likeliest(const float *logits, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (logits[i] > logits[best])
            best = i;
    return best;
}

ent_status ent_proof_compare(ent_proof *p, ent_decoder *decoder, const char *out)
{
    const size_t v = p->model.config.vocab_size;
    ent_tape *tape = NULL;
    ent_tensor *logits;
    ent_status st;
    p->difference = p->largest = 0;
    p->same = 0;
    ENT_GO(ent_tape_new(&tape, false));
    ENT_GO(compute(&logits, tape, p, decoder));
    for (size_t i = 0; i < p->n; i++) {
        const float *found = ent_values(logits) + i * v, *expected = p->expected + i * v;
        for (size_t k = 0; k < v; k++) {
            const double difference = fabs((double)found[k] - (double)expected[k]), size = fabs((double)expected[k]);
            if (isnan(difference) || difference > p->difference) /* a NaN stays */
                p->difference = difference;
            p->largest = size <= p->largest ? p->largest : size;
        }
        p->same += likeliest(found, v) == likeliest(expected, v);
    }
    if (!(p->difference <= p->allowed * p->largest))
        ENT_GO(ent_fail(ENT_ENUMERIC,
                        "%s: was not written: read back, its logits differ from those of the model by up to %g (the "
                        "largest is %g, allowed are %g)",
                        out, p->difference, p->largest, p->allowed * p->largest));
done:
    ent_tape_free(tape);
    return st;
}

void ent_proof_report(ent_text *to, const ent_proof *p)
{
    ent_text_printf(to,
                    "proof  read back: logits differ by up to %.3g (the largest is %.3g), the likeliest token is the "
                    "same at %zu of %zu positions\n",
                    p->difference, p->largest, p->same, p->n);
}

ent_status ent_proof_add_file(ent_json *list, const char *path)
{
    char digest[ENT_SHA256_SIZE];
    ENT_TRY(ent_sha256_file(digest, path));
    ent_json *entry = ent_json_add_object(list, NULL);
    ent_json_add_string(entry, "file", ent_path_name(path));
    ent_json_add_string(entry, "sha256", digest);
    return ENT_OK;
}

/* FOLDER/NAME, if it is there. */
static ent_status add_named(ent_json *list, const char *folder, const char *name)
{
    char *path;
    ENT_TRY(ent_format(&path, "%s/%s", folder, name));
    const ent_status st = ent_path_is_file(path) ? ent_proof_add_file(list, path) : ENT_OK;
    free(path);
    return st;
}

ent_status ent_proof_add_model(ent_json *list, const char *folder, const ent_safetensors *weights)
{
    ENT_TRY(add_named(list, folder, "config.json"));
    for (size_t i = 0; i < ent_safetensors_count(weights); i++) {
        const char *file = ent_safetensors_at(weights, i)->file;
        bool seen = false;
        for (size_t k = 0; k < i && !seen; k++)
            seen = ent_safetensors_at(weights, k)->file == file;
        if (!seen)
            ENT_TRY(ent_proof_add_file(list, file));
    }
    return add_named(list, folder, "tokenizer.json");
}

ent_status ent_proof_add_adapter(ent_json *list, const char *path)
{
    if (ent_is_checkpoint(path))
        return ent_proof_add_file(list, path);
    ENT_TRY(add_named(list, path, "adapter_config.json"));
    return add_named(list, path, "adapter_model.safetensors");
}

ent_status ent_proof_json(ent_json **out, const ent_proof *p, const char *format, const char *type, const char *model,
                          const char *adapter)
{
    ent_json *root = *out = ent_json_new_object();
    ent_json_add_string(root, "format", format);
    if (type)
        ent_json_add_string(root, "type", type);
    ENT_TRY(ent_proof_add_model(ent_json_add_array(root, "model"), model, p->model.weights));
    if (adapter)
        ENT_TRY(ent_proof_add_adapter(ent_json_add_array(root, "adapter"), adapter));
    ent_json *ids = ent_json_add_array(root, "probe");
    for (size_t i = 0; i < p->n; i++)
        ent_json_add_int(ids, NULL, p->ids[i]);
    ent_json *logits = ent_json_add_object(root, "logits");
    ent_json_add_double(logits, "largest_difference", p->difference);
    ent_json_add_double(logits, "allowed_difference", p->allowed * p->largest);
    ent_json_add_double(logits, "largest", p->largest);
    ent_json_add_int(logits, "same_likeliest_token", (int64_t)p->same);
    return ENT_OK;
}

ent_status ent_proof_write(const char *path, ent_json *json)
{
    char *text = NULL;
    ent_status st = ent_json_print(&text, json, true);
    ent_json_free(json);
    if (st == ENT_OK)
        st = ent_atomic_write(path, text, strlen(text));
    free(text);
    return st;
}
