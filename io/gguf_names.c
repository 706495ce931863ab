/* The names of tensors, and the order of their rows: see io/gguf_model.h. */
#include <stdio.h>
#include <string.h>

#include "io/gguf_model.h"

/* Modules of Hugging Face's and of llama.cpp's; those of a layer without the layer. */
static const struct module {
    const char *hf, *gguf;
    bool layer;
} modules[] = {
    {"model.embed_tokens", "token_embd", false},
    {"model.norm", "output_norm", false},
    {"lm_head", "output", false},
    {"input_layernorm", "attn_norm", true},
    {"self_attn.q_proj", "attn_q", true},
    {"self_attn.k_proj", "attn_k", true},
    {"self_attn.v_proj", "attn_v", true},
    {"self_attn.o_proj", "attn_output", true},
    {"self_attn.q_norm", "attn_q_norm", true},
    {"self_attn.k_norm", "attn_k_norm", true},
    {"post_attention_layernorm", "ffn_norm", true},
    {"mlp.gate_proj", "ffn_gate", true},
    {"mlp.up_proj", "ffn_up", true},
    {"mlp.down_proj", "ffn_down", true},
};

/* What stands behind a module's name. */
static const struct ending {
    const char *hf, *gguf;
    bool adapter;
} endings[] = {
    {".weight", ".weight", false},
    {".bias", ".bias", false},
    {".lora_A.weight", ".weight.lora_a", true},
    {".lora_B.weight", ".weight.lora_b", true},
};

static const char adapter_prefix[] = "base_model.model.";

static const char *without(const char *s, const char *prefix)
{
    const size_t n = strlen(prefix);
    return strncmp(s, prefix, n) == 0 ? s + n : NULL;
}

/* Behind "PREFIX" and the number of a layer, without leading zeros, and a dot; NULL: it doesn't begin so. */
static const char *without_layer(const char *name, const char *prefix, size_t *layer)
{
    const char *digits = without(name, prefix);
    size_t n = 0;
    if (digits == NULL)
        return NULL;
    *layer = 0;
    for (; digits[n] >= '0' && digits[n] <= '9' && n < 6; n++)
        *layer = *layer * 10 + (size_t)(digits[n] - '0');
    return n > 0 && (n == 1 || digits[0] != '0') && digits[n] == '.' ? digits + n + 1 : NULL;
}

/* The module and the ending that `rest` consists of. */
static bool split(const struct module **module, const struct ending **ending, const char *rest, bool layer,
                  bool adapter, bool hf)
{
    for (size_t i = 0; i < sizeof modules / sizeof *modules; i++) {
        const char *end = without(rest, hf ? modules[i].hf : modules[i].gguf);
        for (size_t k = 0; end && modules[i].layer == layer && k < sizeof endings / sizeof *endings; k++) {
            if (endings[k].adapter != adapter || strcmp(end, hf ? endings[k].hf : endings[k].gguf) != 0)
                continue;
            *module = &modules[i];
            *ending = &endings[k];
            return true;
        }
    }
    return false;
}

const char *ent_gguf_name_from_hf(ent_gguf_name *out, const char *hf)
{
    const struct module *m;
    const struct ending *e;
    size_t layer;
    const char *inner = without(hf, adapter_prefix);
    const bool adapter = inner != NULL;
    inner = adapter ? inner : hf;
    const char *rest = without_layer(inner, "model.layers.", &layer);
    if (!split(&m, &e, rest ? rest : inner, rest != NULL, adapter, true))
        return NULL;
    if (rest)
        snprintf(out->text, sizeof out->text, "blk.%zu.%s%s", layer, m->gguf, e->gguf);
    else
        snprintf(out->text, sizeof out->text, "%s%s", m->gguf, e->gguf);
    return out->text;
}

const char *ent_gguf_name_to_hf(ent_gguf_name *out, const char *gguf)
{
    const struct module *m;
    const struct ending *e;
    size_t layer;
    const char *rest = without_layer(gguf, "blk.", &layer);
    const bool in_layer = rest != NULL;
    rest = in_layer ? rest : gguf;
    if (!split(&m, &e, rest, in_layer, false, false) && !split(&m, &e, rest, in_layer, true, false))
        return NULL;
    const char *prefix = e->adapter ? adapter_prefix : "";
    if (in_layer)
        snprintf(out->text, sizeof out->text, "%smodel.layers.%zu.%s%s", prefix, layer, m->hf, e->hf);
    else
        snprintf(out->text, sizeof out->text, "%s%s%s", prefix, m->hf, e->hf);
    return out->text;
}

size_t ent_gguf_reordered_heads(const ent_model_config *c, const char *hf)
{
    const bool rows = strstr(hf, ".lora_A.") == NULL; /* an adapter's A has no rows of heads */
    if ((strcmp(c->model_type, "llama") != 0 && strcmp(c->model_type, "mistral") != 0) || !rows)
        return 0;
    return strstr(hf, ".q_proj.") ? c->n_heads : strstr(hf, ".k_proj.") ? c->n_kv_heads : 0;
}

size_t ent_gguf_row(size_t head_dim, size_t row)
{
    const size_t i = row % head_dim;
    return row - i + i % 2 * (head_dim / 2) + i / 2;
}
