/* Models that are only a shape: random weights, made once on a machine and mapped by all of its ranks, so that they
 * count and share as the weights of a model file do. */
#ifndef ENT_LAUNCH_BENCH_SHAPE_H
#define ENT_LAUNCH_BENCH_SHAPE_H

#include "src/base/real.h"
#include "src/comm/comm.h"
#include "src/nn/decoder.h"
#include "src/nn/model_config.h"

/* *out = the named shape; ENT_ECONFIG listing the names that there are. */
ent_status ent_bench_shape(ent_model_config *out, const char *name);

typedef struct ent_bench_weights {
    void *memory; /* mapped, read-only */
    size_t size;
    int fd; /* of the rank that made it; -1: none */
} ent_bench_weights;

/* Gives the frozen parameters values of `dtype` (F32 or BF16): norms 1, all else uniform with deviation 0.02, from a
 * fixed seed. Collective: the lowest rank of a machine makes them in memory that no file names, the others map that.
 * ent_bench_weights_free, also after a failure, when the parameters are used no more. */
ent_status ent_bench_weights_make(ent_bench_weights *out, ent_params *params, ent_dtype dtype, ent_comm *comm);

/* Their pages leave this process until they are read again. */
void ent_bench_weights_release(const ent_bench_weights *weights);
void ent_bench_weights_free(ent_bench_weights *weights);

#endif
