/* The roof: how fast this process multiplies matrices, with the threads it has and through src/tensor/gemm.h, as
 * training does. */
#ifndef ENT_LAUNCH_BENCH_ROOF_H
#define ENT_LAUNCH_BENCH_ROOF_H

#include "src/base/profile.h"
#include "src/nn/params.h"

/* out[kind] = operations a second of products of that kind: the best, over several shapes (the model's own frozen
 * weights forward and backward, with `rows` tokens; in fp32 a square one for each thread too), of the median of
 * repeated products, each repeated for about `seconds`. 0 for a kind that the weights don't ask for. ENT_ENOMEM. */
ent_status ent_roof_measure(double out[ENT_N_FLOPS], const ent_params *params, size_t rows, double seconds);

/* Runs products of every kind once on all threads, so that what the backend takes for itself is taken. */
ent_status ent_roof_warm(void);

#endif
