/* The decoders of the Llama family, as data: one struct, read from a model's config.json (io/model_config.h). */
#ifndef ENT_NN_MODEL_CONFIG_H
#define ENT_NN_MODEL_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

typedef enum { ENT_ROPE_DEFAULT, ENT_ROPE_LINEAR, ENT_ROPE_LLAMA3 } ent_rope_scaling;

typedef struct ent_model_config {
    char model_type[32];            /* llama, mistral, qwen2, qwen3 */
    size_t vocab_size;              /* V */
    size_t hidden_size;             /* C */
    size_t intermediate_size;       /* of the MLP */
    size_t n_layers;                /* num_hidden_layers */
    size_t n_heads, n_kv_heads;     /* n_heads is a multiple of n_kv_heads */
    size_t head_dim;                /* even */
    size_t max_position_embeddings; /* longest sequence the model is made for; 0: not said */
    double rms_norm_eps;
    bool tie_word_embeddings;        /* lm_head is embed_tokens */
    bool qkv_bias, o_bias, mlp_bias; /* biases on q/k/v_proj, o_proj, gate/up/down_proj */
    bool qk_norm;                    /* RMSNorm over head_dim on q and k, before RoPE (Qwen3) */
    size_t sliding_window;           /* a position sees this many positions, itself included; 0: all before it */
    size_t first_window_layer; /* layers from this one on have the window (Qwen's max_window_layers; Mistral: 0) */
    double rope_theta;
    ent_rope_scaling rope_scaling;
    double rope_factor;                                 /* linear, llama3 */
    double rope_low_freq_factor, rope_high_freq_factor; /* llama3 */
    size_t rope_original_max_positions;                 /* llama3 */
} ent_model_config;

/* Positions that a sequence may have: max_position_embeddings, of the scaled ones where RoPE is scaled linearly (the
 * others say it of the scaled ones themselves). 0: not said. */
static inline size_t ent_model_positions(const ent_model_config *config)
{
    const double factor = config->rope_scaling == ENT_ROPE_LINEAR ? config->rope_factor : 1;
    const double positions = (double)config->max_position_embeddings * factor;
    return positions < 0x1p53 ? (size_t)positions : (size_t)1 << 53;
}

#endif
