/* The roof: how fast this process multiplies matrices, with the threads it has and through src/tensor/gemm.h, as
 * training does. */
#ifndef ENT_LAUNCH_BENCH_ROOF_H
#define ENT_LAUNCH_BENCH_ROOF_H

#include "src/base/profile.h"
#include "src/nn/params.h"

/* A product that shows it: of one of the model's frozen weights, forward or backward; or, without a weight, a square
 * one for each thread. */
typedef enum { ENT_ROOF_FORWARD, ENT_ROOF_BACKWARD, ENT_ROOF_SQUARES } ent_roof_direction;
typedef struct ent_roof_product {
    const ent_tensor *weight;
    ent_roof_direction direction;
    size_t rows; /* 0: none, of a kind that the weights don't ask for */
} ent_roof_product;
typedef struct ent_roof {
    ent_roof_product of[ENT_N_FLOPS];
} ent_roof;

/* The fastest product of each kind, over all shapes of the frozen weights with `rows` tokens, 512 at most, and in fp32
 * the square ones too: by the median of three looks, each the median of products repeated for about `seconds`. Its rate
 * is then measured by itself: the largest of several measurements would be what the luckiest one shows. ENT_ENOMEM. */
ent_status ent_roof_choose(ent_roof *out, const ent_params *params, size_t rows, double seconds);

/* out[kind] = operations a second of that product, the median of those repeated for about `seconds`; 0 where there is
 * none. ENT_ENOMEM. */
ent_status ent_roof_measure(double out[ENT_N_FLOPS], const ent_roof *roof, double seconds);

/* Runs products of every kind once on all threads, so that what the backend takes for itself is taken. */
ent_status ent_roof_warm(void);

#endif
