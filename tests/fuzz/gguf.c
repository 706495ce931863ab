/* GGUF files: every byte of every tensor and value is where it is said to be; settings and numbers of models and
 * adapters, as a decoder gets them. */
#include <string.h>

#include "io/gguf_model.h"
#include "io/model_weights.h"
#include "io/peft.h"
#include "src/nn/decoder.h"
#include "tests/fuzz/fuzz.h"

static void look(const ent_gguf *file, size_t n)
{
    size_t bytes = 0;
    for (size_t i = 0; i < ent_gguf_count(file); i++) {
        const ent_gguf_tensor *t = ent_gguf_at(file, i);
        FUZZ_CHECK(ent_gguf_find(file, t->name) == t);
        FUZZ_CHECK((uintptr_t)t->data % ENT_GGUF_ALIGNMENT == 0);
        fuzz_look(t->data, t->bytes);
        bytes += t->bytes;
    }
    FUZZ_CHECK(bytes <= n);
    for (size_t i = 0; i < ent_gguf_pairs(file); i++) {
        const ent_gguf_pair *p = ent_gguf_pair_at(file, i);
        const unsigned char *at = p->data;
        FUZZ_CHECK(p->count <= n);
        for (uint64_t k = 0; p->type == ENT_GGUF_TEXT && k < p->count; k++) {
            const ent_gguf_text text = ent_gguf_next_text(&at);
            fuzz_look(text.data, text.n);
        }
        fuzz_look(p->data, (size_t)p->count * ent_gguf_type_size(p->type));
    }
}

/* A decoder of these settings with these numbers. */
static void bind(const ent_gguf *file, const ent_model_config *config)
{
    ent_gguf_weights weights;
    ent_decoder *decoder;
    if (!fuzz_ok(ent_gguf_weights_new(&weights, file, config, fuzz_folder())))
        return;
    for (size_t i = 0; i < weights.count; i++) {
        const ent_st_tensor *t = &weights.tensors[i];
        FUZZ_CHECK((uintptr_t)t->data % ent_dtype_size(t->dtype) == 0);
        fuzz_look(t->data, t->bytes);
    }
    if (fuzz_ok(ent_decoder_new(&decoder, config, NULL, false, 4))) {
        fuzz_ok(ent_bind_tensors(ent_decoder_params(decoder), weights.tensors, weights.count, false, "x.gguf"));
        ent_decoder_free(decoder);
    }
    ent_lora_config lora;
    if (fuzz_ok(ent_adapter_describe(&lora, weights.tensors, weights.count, "x.gguf")))
        ent_lora_config_clear(&lora);
    ent_gguf_weights_free(&weights);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const ent_model_config other = {
        .model_type = "llama", .n_layers = 1, .n_heads = 2, .n_kv_heads = 1, .head_dim = 2, .hidden_size = 4};
    ent_gguf *file;
    ent_model_config config;
    double alpha;
    if (!fuzz_ok(ent_gguf_open(&file, fuzz_file("x.gguf", data, n))))
        return 0;
    look(file, n);
    if (fuzz_ok(ent_gguf_read_model(&config, file)))
        bind(file, &config);
    else if (fuzz_ok(ent_gguf_read_adapter(&alpha, file, &other)))
        bind(file, &other);
    ent_gguf_close(file);
    return 0;
}
