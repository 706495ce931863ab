/* What a decoder is made of: for src/nn/decoder.c, which computes, and src/nn/decoder_build.c, which makes it. */
#ifndef ENT_NN_DECODER_PARTS_H
#define ENT_NN_DECODER_PARTS_H

#include "src/nn/decoder.h"

typedef struct projection {
    ent_tensor *w, *bias;          /* (out, in), (out) or NULL */
    ent_tensor *lora_a, *lora_b;   /* (r, in), (out, r); NULL: not adapted */
    ent_tensor *weight_scale;      /* (out): w is rounded with it in forward; NULL: it isn't */
    ent_real scale;                /* of the adapter */
    ent_tensor *magnitude;         /* (out), with DoRA; NULL: without */
    ent_real *norms;               /* (out): lengths of the rows of W + scale B A, as ent_decoder_refresh left them */
    double *squares;               /* (out): of the rows of W, */
    const void *squares_of;        /* whose data was this */
    ent_tensor *first_a, *first_b; /* with PiSSA: what is subtracted, as lora_a and lora_b began; NULL: nothing */
    uint32_t number;               /* of its own dropout draws */
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
    struct {
        ent_real *norms, *scratch; /* of all projections; what one takes */
        double *squares;
        size_t bytes;
    } dora;
    struct {
        ent_tensor *tensors; /* (projections, 2) */
        ent_real *values;
        size_t bytes;
    } first; /* adapters, as they began */
};

/* Projection i < ent_decoder_projections, layer by layer. */
static inline projection *projection_at(const ent_decoder *d, size_t i)
{
    return &d->layers[i / ENT_N_PROJ].proj[i % ENT_N_PROJ];
}

/* Take the memory of DoRA's norms, and of PiSSA's first adapters, once the parameters are declared. */
ent_status ent_decoder_take_norms(ent_decoder *decoder);
ent_status ent_decoder_take_first(ent_decoder *decoder);

#endif
