#include "io/model_config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/json_value.h"
#include "io/model_config_rope.h"
#include "io/quantized_config.h"
#include "src/base/mem.h"

/* What the architectures don't share. Defaults are those of transformers' configuration classes. */
static const struct architecture {
    const char *model_type;
    size_t head_dim;        /* where the key is absent; 0: hidden_size / num_attention_heads */
    bool kv_heads_optional; /* absent num_key_value_heads: as many as num_attention_heads */
    bool always_qkv_bias;
    bool attention_bias_key; /* attention_bias: q, k, v and o_proj have biases */
    bool mlp_bias_key;
    bool qk_norm;
    bool window, window_from_layer; /* sliding_window; from max_window_layers on, with use_sliding_window */
} architectures[] = {
    {.model_type = "llama", .kv_heads_optional = true, .attention_bias_key = true, .mlp_bias_key = true},
    {.model_type = "mistral", .window = true},
    {.model_type = "qwen2", .always_qkv_bias = true, .window_from_layer = true},
    {.model_type = "qwen3", .head_dim = 128, .attention_bias_key = true, .qk_norm = true, .window_from_layer = true},
};

/* Keys that are read below. */
static const char *const read_keys[] = {
    "model_type",
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "head_dim",
    "rms_norm_eps",
    "num_key_value_heads",
    "tie_word_embeddings",
    "rope_theta",
    "rope_scaling",
    "hidden_act",
    "max_position_embeddings",
    "rope_parameters",
    "attention_dropout",
    "partial_rotary_factor",
    "quantization_config",
};
static const char *const window_keys[] = {"sliding_window", "use_sliding_window", "max_window_layers", "layer_types"};

/* Keys without effect on what the model computes: about files, tokens, generation, and how transformers runs it. */
static const char *const harmless_keys[] = {
    "_attn_implementation",
    "_attn_implementation_autoset",
    "_commit_hash",
    "_name_or_path",
    "architectures",
    "attn_implementation",
    "bos_token_id",
    "decoder_start_token_id",
    "diversity_penalty",
    "do_sample",
    "dtype",
    "early_stopping",
    "eos_token_id",
    "finetuning_task",
    "id2label",
    "initializer_range",
    "is_decoder",
    "is_llama_config",
    "keys_to_ignore_at_inference",
    "label2id",
    "length_penalty",
    "max_length",
    "min_length",
    "model_name",
    "num_beam_groups",
    "num_beams",
    "num_return_sequences",
    "pad_token_id",
    "prefix",
    "problem_type",
    "repetition_penalty",
    "return_dict",
    "sep_token_id",
    "task_specific_params",
    "temperature",
    "tokenizer_class",
    "top_k",
    "top_p",
    "torch_dtype",
    "transformers.js_config",
    "transformers_version",
    "typical_p",
    "unk_token_id",
    "unsloth_fixed",
    "unsloth_version",
    "use_bfloat16",
    "use_cache",
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

static ent_status read_size(size_t *out, const ent_json *json, const char *key, int64_t max, const char *path)
{
    int64_t n;
    ENT_TRY(ent_json_get_int(&n, json, key, path));
    if (n < 1 || n > max)
        return ent_fail(ENT_EFORMAT, "%s: %s: expected an integer from 1 to %lld, found %lld", path, key,
                        (long long)max, (long long)n);
    *out = (size_t)n;
    return ENT_OK;
}

/* Unless the key is absent or null. */
static ent_status read_size_or(size_t *out, const ent_json *json, const char *key, size_t otherwise, int64_t max,
                               const char *path)
{
    *out = otherwise;
    return ent_json_is_null(ent_json_member(json, key)) ? ENT_OK : read_size(out, json, key, max, path);
}

static ent_status find_architecture(const struct architecture **out, const ent_json *json, const char *path)
{
    const char *name;
    ENT_TRY(ent_json_get_string(&name, json, "model_type", path));
    for (size_t i = 0; i < COUNT(architectures); i++) {
        if (strcmp(name, architectures[i].model_type) == 0) {
            *out = &architectures[i];
            return ENT_OK;
        }
    }
    return ent_fail(ENT_EUNSUPPORTED, "%s: model_type: expected llama, mistral, qwen2 or qwen3, found \"%.60s\"", path,
                    name);
}

/* Every key is read, harmless or unused. */
static ent_status check_keys(const struct architecture *arch, const ent_json *json, const char *path)
{
    for (const ent_json *item = ent_json_first(json); item; item = ent_json_next(item)) {
        const char *key = ent_json_key(item);
        const bool read = ent_json_key_in(key, read_keys, COUNT(read_keys)) ||
                          (arch->attention_bias_key && strcmp(key, "attention_bias") == 0) ||
                          (arch->mlp_bias_key && strcmp(key, "mlp_bias") == 0) ||
                          (arch->window && strcmp(key, "sliding_window") == 0) ||
                          (arch->window_from_layer && ent_json_key_in(key, window_keys, COUNT(window_keys))) ||
                          (strcmp(key, "pretraining_tp") == 0 && ent_json_number(item) == 1);
        if (!read && !ent_json_key_in(key, harmless_keys, COUNT(harmless_keys)) && !ent_json_is_trivial(item))
            return ent_json_unsupported(path, key, item);
    }
    return ENT_OK;
}

/* Keys that are understood in one value only. */
static ent_status check_fixed(const ent_json *json, const char *path)
{
    const char *act;
    double dropout, rotary;
    ENT_TRY(ent_json_get_string_or(&act, json, "hidden_act", "silu", path));
    if (strcmp(act, "silu") != 0 && strcmp(act, "swish") != 0)
        return ent_json_unsupported(path, "hidden_act", ent_json_member(json, "hidden_act"));
    ENT_TRY(ent_json_get_double_or(&dropout, json, "attention_dropout", 0, path));
    if (dropout != 0)
        return ent_json_unsupported(path, "attention_dropout", ent_json_member(json, "attention_dropout"));
    ENT_TRY(ent_json_get_double_or(&rotary, json, "partial_rotary_factor", 1, path));
    if (rotary != 1)
        return ent_json_unsupported(path, "partial_rotary_factor", ent_json_member(json, "partial_rotary_factor"));
    return ENT_OK;
}

static ent_status read_dimensions(ent_model_config *c, const struct architecture *arch, const ent_json *json,
                                  const char *path)
{
    enum { MAX_WIDTH = 1 << 24, MAX_VOCAB = 1 << 27, MAX_LAYERS = 10000, MAX_HEADS = 1 << 16 };
    ENT_TRY(read_size(&c->vocab_size, json, "vocab_size", MAX_VOCAB, path));
    ENT_TRY(read_size(&c->hidden_size, json, "hidden_size", MAX_WIDTH, path));
    ENT_TRY(read_size(&c->intermediate_size, json, "intermediate_size", MAX_WIDTH, path));
    ENT_TRY(read_size(&c->n_layers, json, "num_hidden_layers", MAX_LAYERS, path));
    ENT_TRY(read_size(&c->n_heads, json, "num_attention_heads", MAX_HEADS, path));
    if (arch->kv_heads_optional)
        ENT_TRY(read_size_or(&c->n_kv_heads, json, "num_key_value_heads", c->n_heads, MAX_HEADS, path));
    else
        ENT_TRY(read_size(&c->n_kv_heads, json, "num_key_value_heads", MAX_HEADS, path));
    if (c->n_heads % c->n_kv_heads != 0)
        return ent_fail(ENT_EFORMAT,
                        "%s: num_key_value_heads: expected a divisor of num_attention_heads %zu, found %zu", path,
                        c->n_heads, c->n_kv_heads);
    ENT_TRY(read_size_or(&c->head_dim, json, "head_dim", arch->head_dim, MAX_HEADS, path));
    if (c->head_dim == 0 && c->hidden_size % c->n_heads != 0)
        return ent_fail(ENT_EFORMAT, "%s: num_attention_heads: expected a divisor of hidden_size %zu, found %zu", path,
                        c->hidden_size, c->n_heads);
    if (c->head_dim == 0)
        c->head_dim = c->hidden_size / c->n_heads;
    if (c->head_dim % 2 != 0)
        return ent_fail(ENT_EFORMAT, "%s: head_dim: expected an even number, found %zu", path, c->head_dim);
    if (c->n_heads * c->head_dim > MAX_WIDTH)
        return ent_fail(ENT_EFORMAT, "%s: num_attention_heads: expected at most %d / head_dim, found %zu", path,
                        MAX_WIDTH, c->n_heads);
    return read_size_or(&c->max_position_embeddings, json, "max_position_embeddings", 0, INT64_C(1) << 40, path);
}

/* transformers' list of what each layer attends to: here, full attention in the layers before first_window_layer and
 * the window in those from it on. */
static ent_status check_layer_types(const ent_model_config *c, const ent_json *json, const char *path)
{
    const ent_json *types = ent_json_member(json, "layer_types");
    size_t i = 0;
    if (ent_json_is_null(types))
        return ENT_OK;
    for (const ent_json *item = ent_json_first(types); item; item = ent_json_next(item), i++) {
        const char *type = ent_json_string(item);
        const bool window = c->sliding_window > 0 && i >= c->first_window_layer;
        if (type == NULL || strcmp(type, window ? "sliding_attention" : "full_attention") != 0)
            return ent_json_unsupported(path, "layer_types", types);
    }
    if (!ent_json_is_array(types) || i != c->n_layers)
        return ent_fail(ENT_EFORMAT, "%s: layer_types: expected a list of %zu, found %zu", path, c->n_layers, i);
    return ENT_OK;
}

static ent_status read_window(ent_model_config *c, const struct architecture *arch, const ent_json *json,
                              const char *path)
{
    const int64_t max = INT64_C(1) << 40;
    const ent_json *window = ent_json_member(json, "sliding_window");
    if (arch->window) /* absent: the default of transformers; null: none */
        return window == NULL ? (c->sliding_window = 4096, ENT_OK)
                              : read_size_or(&c->sliding_window, json, "sliding_window", 0, max, path);
    if (!arch->window_from_layer)
        return ENT_OK;
    bool use;
    int64_t first;
    ENT_TRY(ent_json_get_bool_or(&use, json, "use_sliding_window", false, path));
    if (use) {
        ENT_TRY(read_size_or(&c->sliding_window, json, "sliding_window", window ? 0 : 4096, max, path));
        ENT_TRY(ent_json_get_int_or(&first, json, "max_window_layers", 28, path));
        if (first < 0)
            return ent_fail(ENT_EFORMAT, "%s: max_window_layers: expected at least 0, found %lld", path,
                            (long long)first);
        c->first_window_layer = (size_t)first;
        if (c->first_window_layer >= c->n_layers)
            c->sliding_window = c->first_window_layer = 0;
    }
    return check_layer_types(c, json, path);
}

static ent_status read_all(ent_model_config *c, const ent_json *json, const char *path)
{
    const struct architecture *arch = NULL;
    ent_quantized_scheme scheme;
    bool bias = false;
    if (!ent_json_is_object(json))
        return ent_fail(ENT_EFORMAT, "%s: expected an object", path);
    ENT_TRY(find_architecture(&arch, json, path));
    ENT_TRY(check_keys(arch, json, path));
    ENT_TRY(check_fixed(json, path));
    ENT_TRY(ent_quantized_scheme_read(&scheme, json, path)); /* for those who read the weights */
    strcpy(c->model_type, arch->model_type);
    ENT_TRY(read_dimensions(c, arch, json, path));
    ENT_TRY(ent_json_get_double_or(&c->rms_norm_eps, json, "rms_norm_eps", 1e-6, path));
    if (!(c->rms_norm_eps > 0 && c->rms_norm_eps < 1))
        return ent_fail(ENT_EFORMAT, "%s: rms_norm_eps: expected a number between 0 and 1, found %g", path,
                        c->rms_norm_eps);
    ENT_TRY(ent_json_get_bool_or(&c->tie_word_embeddings, json, "tie_word_embeddings", false, path));
    if (arch->attention_bias_key)
        ENT_TRY(ent_json_get_bool_or(&bias, json, "attention_bias", false, path));
    c->qkv_bias = arch->always_qkv_bias || bias;
    c->o_bias = bias;
    if (arch->mlp_bias_key)
        ENT_TRY(ent_json_get_bool_or(&c->mlp_bias, json, "mlp_bias", false, path));
    c->qk_norm = arch->qk_norm;
    ENT_TRY(ent_model_config_read_rope(c, json, path));
    return read_window(c, arch, json, path);
}

ent_status ent_model_config_load(ent_model_config *out, const char *folder)
{
    char *path = NULL;
    ent_json *json = NULL;
    ent_model_config config = {0};
    ent_status st;
    ENT_GO(ent_format(&path, "%s/config.json", folder));
    ENT_GO(ent_json_read_file(&json, path));
    ENT_GO(read_all(&config, json, path));
    *out = config;
done:
    ent_json_free(json);
    free(path);
    return st;
}
