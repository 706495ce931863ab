/* The settings of models and adapters in GGUF files: see io/gguf_model.h. */
#include "io/gguf_model.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/nn/rope_table.h"

enum {
    QUANTIZATION_VERSION = 2, /* of ggml's block formats */
    MAX_WIDTH = 1 << 24,      /* of what is read */
    MAX_HEADS = 1 << 16,
    MAX_HEAD = 1 << 16
};

static const char *const own_keys[] = {"entrenar.rope_scaling.factor", "entrenar.rope_scaling.low_freq_factor",
                                       "entrenar.rope_scaling.high_freq_factor"};
static const char own_length[] = "entrenar.rope_scaling.original_max_position_embeddings";

/* --- writing --- */

static ent_status lacks(const char *folder, const char *key, const char *what, const char *architecture)
{
    return ent_fail(ENT_EUNSUPPORTED, "%s/config.json: %s: llama.cpp has no %s in its architecture %s", folder, key,
                    what, architecture);
}

ent_status ent_gguf_architecture(const char **out, const ent_model_config *c, const char *folder)
{
    const bool qwen = strncmp(c->model_type, "qwen", 4) == 0;
    *out = qwen ? c->model_type : "llama";
    if (!qwen)
        return ENT_OK;
    if (c->qkv_bias && c->qk_norm)
        return lacks(folder, "attention_bias", "biases", *out);
    if (c->o_bias || c->mlp_bias)
        return lacks(folder, c->o_bias ? "attention_bias" : "mlp_bias", "bias there", *out);
    if (c->rope_scaling == ENT_ROPE_LLAMA3)
        return lacks(folder, "rope_scaling", "scaling llama3", *out);
    return ENT_OK;
}

typedef struct key {
    char text[96];
} key;

static const char *key_of(key *buffer, const char *architecture, const char *name)
{
    snprintf(buffer->text, sizeof buffer->text, "%s.%s", architecture, name);
    return buffer->text;
}

static ent_status put_size(ent_gguf_writer *w, const char *architecture, const char *name, size_t value)
{
    key buffer;
    if (value == 0 || value > UINT32_MAX)
        return ent_fail(ENT_EUNSUPPORTED, "%s: expected a number from 1 to 2^32 - 1, the model has %zu",
                        key_of(&buffer, architecture, name), value);
    ent_gguf_put_u32(w, key_of(&buffer, architecture, name), (uint32_t)value);
    return ENT_OK;
}

static void put_number(ent_gguf_writer *w, const char *architecture, const char *name, double value)
{
    key buffer;
    ent_gguf_put_f32(w, key_of(&buffer, architecture, name), (float)value);
}

/* How the file's type is called in general.file_type (llama.h, enum llama_ftype). */
static uint32_t file_type(const ent_block_format *format)
{
    static const struct {
        uint32_t ggml_type, file_type;
    } types[] = {{1, 1}, {2, 2}, {3, 3}, {6, 8}, {8, 7}, {30, 32}};
    for (size_t i = 0; format && i < sizeof types / sizeof *types; i++)
        if (types[i].ggml_type == format->ggml_type)
            return types[i].file_type;
    return 0;
}

static void put_rope(ent_gguf_writer *w, const char *architecture, const ent_model_config *c)
{
    key buffer;
    put_number(w, architecture, "rope.freq_base", c->rope_theta);
    if (c->rope_scaling == ENT_ROPE_LINEAR) {
        ent_gguf_put_text(w, key_of(&buffer, architecture, "rope.scaling.type"), "linear");
        put_number(w, architecture, "rope.scaling.factor", c->rope_factor);
    } else if (c->rope_scaling == ENT_ROPE_LLAMA3) {
        ent_gguf_put_f32(w, own_keys[0], (float)c->rope_factor);
        ent_gguf_put_f32(w, own_keys[1], (float)c->rope_low_freq_factor);
        ent_gguf_put_f32(w, own_keys[2], (float)c->rope_high_freq_factor);
        ent_gguf_put_u32(w, own_length, (uint32_t)c->rope_original_max_positions);
    }
}

/* Up to which length llama.cpp computes what the model does: it has no window in these architectures. */
static size_t context_length(ent_text *notes, const ent_model_config *c)
{
    const size_t length = c->max_position_embeddings;
    if (c->sliding_window == 0 || c->sliding_window >= length)
        return length;
    ent_text_printf(notes,
                    "sliding_window: llama.cpp has none in this architecture, and computes the same up to %zu "
                    "tokens: that is the context length in the file\n",
                    c->sliding_window);
    return c->sliding_window;
}

ent_status ent_gguf_put_model(ent_gguf_writer *w, ent_text *notes, const ent_model_config *c, const char *folder,
                              const char *name, const ent_block_format *format)
{
    const char *a;
    ENT_TRY(ent_gguf_architecture(&a, c, folder));
    ent_gguf_put_text(w, "general.architecture", a);
    ent_gguf_put_text(w, "general.type", "model");
    ent_gguf_put_text(w, "general.name", name);
    ent_gguf_put_u32(w, "general.file_type", file_type(format));
    ent_gguf_put_u32(w, "general.quantization_version", QUANTIZATION_VERSION);
    const size_t sizes[] = {c->n_layers,    context_length(notes, c),
                            c->hidden_size, c->intermediate_size,
                            c->n_heads,     c->n_kv_heads,
                            c->head_dim,    c->head_dim,
                            c->head_dim,    c->vocab_size};
    static const char *const names[] = {"block_count",          "context_length",
                                        "embedding_length",     "feed_forward_length",
                                        "attention.head_count", "attention.head_count_kv",
                                        "attention.key_length", "attention.value_length",
                                        "rope.dimension_count", "vocab_size"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        ENT_TRY(put_size(w, a, names[i], sizes[i]));
    put_number(w, a, "attention.layer_norm_rms_epsilon", c->rms_norm_eps);
    put_rope(w, a, c);
    return ENT_OK;
}

/* llama.cpp divides one alpha by the rank of each module, whatever use_rslora says. */
static ent_status one_alpha(double *out, const ent_lora_config *lora, size_t n_layers)
{
    *out = lora->alpha * (lora->use_rslora ? sqrt((double)lora->r) : 1);
    bool first = true;
    for (size_t l = 0; lora->modules && l < n_layers; l++)
        for (ent_proj p = 0; p < ENT_N_PROJ; p++) {
            if (!ent_lora_adapts(lora, l, p))
                continue;
            const size_t r = ent_lora_rank(lora, l, p);
            const double plain = lora->modules[l * ENT_N_PROJ + p].alpha;
            const double alpha = (plain > 0 ? plain : lora->alpha) * (lora->use_rslora ? sqrt((double)r) : 1);
            if (!first && alpha != *out)
                return ent_fail(ENT_EUNSUPPORTED,
                                "%s: a GGUF adapter has one alpha / rank, this one differs from module to module: "
                                "export the model with it (--to gguf)",
                                lora->alphas.count ? "alpha_pattern" : "rank_pattern with use_rslora");
            *out = alpha;
            first = false;
        }
    return ENT_OK;
}

ent_status ent_gguf_put_adapter(ent_gguf_writer *w, const ent_model_config *c, const char *folder, const char *name,
                                const ent_lora_config *lora)
{
    const char *a;
    double alpha;
    if (lora->use_dora)
        return ent_fail(ENT_EUNSUPPORTED,
                        "%s: use_dora: llama.cpp has no DoRA adapters: export the model with it "
                        "(--to gguf)",
                        name);
    ENT_TRY(one_alpha(&alpha, lora, c->n_layers));
    if (lora->saved.count)
        return ent_fail(ENT_EUNSUPPORTED,
                        "%s: modules_to_save: \"%.100s\": llama.cpp's adapters have no whole modules; a model with it "
                        "folded in has",
                        name, lora->saved.items[0]);
    ENT_TRY(ent_gguf_architecture(&a, c, folder));
    ent_gguf_put_text(w, "general.architecture", a);
    ent_gguf_put_text(w, "general.type", "adapter");
    ent_gguf_put_text(w, "general.name", name);
    ent_gguf_put_text(w, "adapter.type", "lora");
    ent_gguf_put_f32(w, "adapter.lora.alpha", (float)alpha);
    ent_gguf_put_u32(w, "general.quantization_version", QUANTIZATION_VERSION);
    return ENT_OK;
}

float ent_gguf_rope_factor(const ent_model_config *c, size_t j)
{
    return (float)(ent_rope_frequency(c, ENT_ROPE_DEFAULT, j) / ent_rope_frequency(c, ENT_ROPE_LLAMA3, j));
}

/* --- reading --- */

static ent_status get_size(size_t *out, const ent_gguf *file, const char *architecture, const char *name, size_t most)
{
    key buffer;
    ENT_TRY(ent_gguf_get_size(out, file, key_of(&buffer, architecture, name)));
    if (*out < 1 || *out > most)
        return ent_fail(ENT_EFORMAT, "%s: %s: expected a number from 1 to %zu, found %zu", ent_gguf_path(file),
                        buffer.text, most, *out);
    return ENT_OK;
}

static ent_status get_number(double *out, const ent_gguf *file, const char *name, double most)
{
    ENT_TRY(ent_gguf_get_number(out, file, name));
    if (!(*out > 0 && *out <= most))
        return ent_fail(ENT_EFORMAT, "%s: %s: expected a number above 0, at most %g, found %g", ent_gguf_path(file),
                        name, most, *out);
    return ENT_OK;
}

/* The three sizes of a head are one here. */
static ent_status read_head(ent_model_config *c, const ent_gguf *file, const char *architecture)
{
    static const char *const names[] = {"attention.value_length", "rope.dimension_count"};
    const char *path = ent_gguf_path(file);
    if (c->n_heads % c->n_kv_heads != 0)
        return ent_fail(ENT_EFORMAT, "%s: %s.attention.head_count_kv: expected a divisor of %zu, found %zu", path,
                        architecture, c->n_heads, c->n_kv_heads);
    ENT_TRY(get_size(&c->head_dim, file, architecture, "attention.key_length", MAX_HEAD));
    if (c->head_dim % 2 != 0)
        return ent_fail(ENT_EFORMAT, "%s: %s.attention.key_length: expected an even number, found %zu", path,
                        architecture, c->head_dim);
    for (size_t i = 0; i < 2; i++) {
        size_t size;
        ENT_TRY(get_size(&size, file, architecture, names[i], MAX_HEAD));
        if (size != c->head_dim)
            return ent_fail(ENT_EUNSUPPORTED, "%s: %s.%s: expected attention.key_length, %zu, found %zu", path,
                            architecture, names[i], c->head_dim, size);
    }
    return ENT_OK;
}

/* The settings that the factors in the file follow from. */
static ent_status read_llama3(ent_model_config *c, const ent_gguf *file, const ent_gguf_tensor *freqs)
{
    double *const numbers[] = {&c->rope_factor, &c->rope_low_freq_factor, &c->rope_high_freq_factor};
    const float *found = (const void *)freqs->data;
    const size_t half = c->head_dim / 2;
    if (ent_gguf_pair_find(file, own_keys[0]) == NULL)
        return ent_fail(ENT_EUNSUPPORTED, "%s: %s: is read only with the keys %s and so on", ent_gguf_path(file),
                        freqs->name, own_keys[0]);
    for (size_t i = 0; i < 3; i++)
        ENT_TRY(get_number(numbers[i], file, own_keys[i], 1e6));
    ENT_TRY(ent_gguf_get_size(&c->rope_original_max_positions, file, own_length));
    if (c->rope_original_max_positions == 0 || !(c->rope_low_freq_factor < c->rope_high_freq_factor) || freqs->format ||
        freqs->n_dims != 1 || freqs->shape[0] != half)
        return ent_fail(ENT_EFORMAT, "%s: %s: expected F32 [%zu] and rising factors", ent_gguf_path(file), freqs->name,
                        half);
    c->rope_scaling = ENT_ROPE_LLAMA3;
    for (size_t j = 0; j < half; j++) {
        const float expected = ent_gguf_rope_factor(c, j);
        if (!(fabsf(found[j] - expected) <= 1e-5f * expected))
            return ent_fail(ENT_EFORMAT, "%s: %s: number %zu: expected %g, found %g", ent_gguf_path(file), freqs->name,
                            j, (double)expected, (double)found[j]);
    }
    return ENT_OK;
}

static ent_status read_rope(ent_model_config *c, const ent_gguf *file, const char *architecture)
{
    key buffer;
    ent_gguf_text type;
    const ent_gguf_tensor *freqs = ent_gguf_find(file, ENT_GGUF_ROPE_FREQS);
    ENT_TRY(get_number(&c->rope_theta, file, key_of(&buffer, architecture, "rope.freq_base"), 1e30));
    if (freqs)
        ENT_TRY(read_llama3(c, file, freqs));
    if (ent_gguf_pair_find(file, key_of(&buffer, architecture, "rope.scaling.type")) == NULL)
        return ENT_OK;
    ENT_TRY(ent_gguf_get_text(&type, file, buffer.text));
    if (!ent_gguf_text_is(type, "linear") || freqs)
        return ent_fail(ENT_EUNSUPPORTED, "%s: %s: only linear is supported, without rope_freqs", ent_gguf_path(file),
                        buffer.text);
    c->rope_scaling = ENT_ROPE_LINEAR;
    return get_number(&c->rope_factor, file, key_of(&buffer, architecture, "rope.scaling.factor"), 1e6);
}

/* *out = general.architecture, one of three. */
static ent_status read_architecture(const char **out, const ent_gguf *file, const char *kind)
{
    static const char *const known[] = {"llama", "qwen2", "qwen3"};
    ent_gguf_text text, type;
    ENT_TRY(ent_gguf_get_text(&text, file, "general.architecture"));
    ENT_TRY(ent_gguf_get_text(&type, file, "general.type"));
    if (!ent_gguf_text_is(type, kind))
        return ent_fail(ENT_EFORMAT, "%s: general.type: expected %s, found another", ent_gguf_path(file), kind);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        *out = known[i];
        if (ent_gguf_text_is(text, known[i]))
            return ENT_OK;
    }
    return ent_fail(ENT_EUNSUPPORTED, "%s: general.architecture: only llama, qwen2 and qwen3 are supported",
                    ent_gguf_path(file));
}

ent_status ent_gguf_read_model(ent_model_config *out, const ent_gguf *file)
{
    ent_model_config c = {0};
    const char *a;
    key buffer;
    const ent_gguf_tensor *embedding = ent_gguf_find(file, "token_embd.weight");
    ENT_TRY(read_architecture(&a, file, "model"));
    snprintf(c.model_type, sizeof c.model_type, "%s", a);
    if (embedding == NULL || embedding->n_dims != 2)
        return ent_fail(ENT_EFORMAT, "%s: token_embd.weight: expected a matrix, found %s", ent_gguf_path(file),
                        embedding ? "something else" : "nothing");
    c.vocab_size = embedding->shape[0];
    ENT_TRY(get_size(&c.n_layers, file, a, "block_count", ent_gguf_count(file)));
    ENT_TRY(get_size(&c.max_position_embeddings, file, a, "context_length", UINT32_MAX));
    ENT_TRY(get_size(&c.hidden_size, file, a, "embedding_length", MAX_WIDTH));
    ENT_TRY(get_size(&c.intermediate_size, file, a, "feed_forward_length", MAX_WIDTH));
    ENT_TRY(get_size(&c.n_heads, file, a, "attention.head_count", MAX_HEADS));
    ENT_TRY(get_size(&c.n_kv_heads, file, a, "attention.head_count_kv", MAX_HEADS));
    ENT_TRY(read_head(&c, file, a));
    ENT_TRY(get_number(&c.rms_norm_eps, file, key_of(&buffer, a, "attention.layer_norm_rms_epsilon"), 1));
    ENT_TRY(read_rope(&c, file, a));
    c.tie_word_embeddings = ent_gguf_find(file, "output.weight") == NULL;
    c.qkv_bias = ent_gguf_find(file, "blk.0.attn_q.bias") != NULL;
    c.o_bias = ent_gguf_find(file, "blk.0.attn_output.bias") != NULL;
    c.mlp_bias = ent_gguf_find(file, "blk.0.ffn_gate.bias") != NULL;
    c.qk_norm = strcmp(a, "qwen3") == 0;
    *out = c;
    return ENT_OK;
}

ent_status ent_gguf_read_adapter(double *alpha, const ent_gguf *file, const ent_model_config *config)
{
    const char *found, *expected;
    ent_gguf_text type;
    ENT_TRY(read_architecture(&found, file, "adapter"));
    ENT_TRY(ent_gguf_architecture(&expected, config, "the model"));
    if (strcmp(found, expected) != 0)
        return ent_fail(ENT_EFORMAT, "%s: general.architecture: expected %s, found %s", ent_gguf_path(file), expected,
                        found);
    ENT_TRY(ent_gguf_get_text(&type, file, "adapter.type"));
    if (!ent_gguf_text_is(type, "lora"))
        return ent_fail(ENT_EUNSUPPORTED, "%s: adapter.type: only lora is supported", ent_gguf_path(file));
    return get_number(alpha, file, "adapter.lora.alpha", 1e9);
}
