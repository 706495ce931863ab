#include "launch/merge_fits.h"

#include <string.h>

#include "io/number.h"

typedef enum { SIZE, NUMBER, FLAG, SCALING } kind;

/* All of ent_model_config but model_type and max_position_embeddings, as config.json names it. */
static const struct {
    const char *key;
    size_t offset;
    kind kind;
} settings[] = {
#define SETTING(key, field, kind)                    \
    {                                                \
        key, offsetof(ent_model_config, field), kind \
    }
    SETTING("vocab_size", vocab_size, SIZE),
    SETTING("hidden_size", hidden_size, SIZE),
    SETTING("intermediate_size", intermediate_size, SIZE),
    SETTING("num_hidden_layers", n_layers, SIZE),
    SETTING("num_attention_heads", n_heads, SIZE),
    SETTING("num_key_value_heads", n_kv_heads, SIZE),
    SETTING("head_dim", head_dim, SIZE),
    SETTING("rms_norm_eps", rms_norm_eps, NUMBER),
    SETTING("tie_word_embeddings", tie_word_embeddings, FLAG),
    SETTING("attention_bias", qkv_bias, FLAG),
    SETTING("attention_bias", o_bias, FLAG),
    SETTING("mlp_bias", mlp_bias, FLAG),
    SETTING("sliding_window", sliding_window, SIZE),
    SETTING("max_window_layers", first_window_layer, SIZE),
    SETTING("rope_theta", rope_theta, NUMBER),
    SETTING("rope_scaling", rope_scaling, SCALING),
    SETTING("rope_scaling.factor", rope_factor, NUMBER),
    SETTING("rope_scaling.low_freq_factor", rope_low_freq_factor, NUMBER),
    SETTING("rope_scaling.high_freq_factor", rope_high_freq_factor, NUMBER),
    SETTING("rope_scaling.original_max_position_embeddings", rope_original_max_positions, SIZE),
#undef SETTING
};

static double value(const ent_model_config *c, size_t i)
{
    const char *at = (const char *)c + settings[i].offset;
    switch (settings[i].kind) {
    case SIZE:
        return (double)*(const size_t *)(const void *)at;
    case NUMBER:
        return *(const double *)(const void *)at;
    case FLAG:
        return *(const bool *)(const void *)at;
    default:
        return (double)*(const ent_rope_scaling *)(const void *)at;
    }
}

/* The value as a reader of config.json knows it. */
static const char *format(ent_number_text *buffer, double x, kind k)
{
    static const char *const scalings[] = {
        [ENT_ROPE_DEFAULT] = "none", [ENT_ROPE_LINEAR] = "linear", [ENT_ROPE_LLAMA3] = "llama3"};
    if (k == FLAG)
        return x != 0 ? "true" : "false";
    return k == SCALING ? scalings[(size_t)x] : ent_number_format(buffer, x);
}

ent_status ent_merge_fits(const ent_model_config *a, const char *a_folder, const ent_model_config *b,
                          const char *b_folder)
{
    if (strcmp(a->model_type, b->model_type) != 0)
        return ent_fail(ENT_ECONFIG, "%s/config.json: model_type: expected %s as in %s, found %s", b_folder,
                        a->model_type, a_folder, b->model_type);
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        const double x = value(a, i), y = value(b, i);
        ent_number_text text[2];
        if (x != y)
            return ent_fail(ENT_ECONFIG, "%s/config.json: %s: expected %s as in %s, found %s", b_folder,
                            settings[i].key, format(&text[0], x, settings[i].kind), a_folder,
                            format(&text[1], y, settings[i].kind));
    }
    return ENT_OK;
}
