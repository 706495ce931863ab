/* What a decoder is made of: for src/nn/decoder.c, which computes, and src/nn/decoder_build.c, which makes it. */
#ifndef ENT_NN_DECODER_PARTS_H
#define ENT_NN_DECODER_PARTS_H

#include "src/nn/decoder.h"

typedef struct projection {
    ent_tensor *w, *bias;        /* (out, in), (out) or NULL */
    ent_tensor *lora_a, *lora_b; /* (r, in), (out, r); NULL: not adapted */
    ent_tensor *weight_scale;    /* (out): w is rounded with it in forward; NULL: it isn't */
    ent_real scale;              /* of the adapter */
    uint32_t number;             /* of its own dropout draws */
} projection;

typedef struct layer {
    projection proj[ENT_N_PROJ];
    ent_tensor *input_norm, *post_attention_norm; /* (C) */
    ent_tensor *q_norm, *k_norm;                  /* (head_dim), or NULL */
} layer;

struct ent_decoder {
    ent_model_config config;
    bool adapted, train, recompute;
    double dropout;
    ent_params params;
    ent_tensor *embed_tokens, *norm, *lm_head;
    layer *layers;
    float *cosines, *sines; /* (max_positions, head_dim / 2) */
    size_t max_positions;
};

#endif
