/* A benchmark: the real training step, of a model or a shape, on random tokens. */
#ifndef ENT_LAUNCH_BENCH_H
#define ENT_LAUNCH_BENCH_H

#include "io/json.h"
#include "launch/bench_options.h"
#include "launch/bench_roof.h"
#include "launch/bench_shape.h"
#include "launch/model.h"
#include "launch/placement.h"
#include "launch/plan_memory.h"
#include "src/base/profile.h"
#include "src/train/trainer.h"

typedef struct ent_bench {
    const ent_bench_options *options;
    ent_comm *comm;
    ent_placement place;
    const char *kernel; /* what computes the products */
    ent_model model;
    ent_bench_weights weights;
    ent_trainer *trainer;
    int32_t *ids, *targets, *doc_start; /* of all units; doc_start of one */
    ent_roof roof;
    /* Operations a second of the whole world, before the first step and after each: what else the machine does changes
     * with time. 0: none of that kind run. */
    double (*roofs)[ENT_N_FLOPS];
    ent_memory_plan plan;
    double *seconds; /* of each measured step */
    double peak;     /* bytes of memory in steps, of this rank; 0: not told */
    int64_t steps;   /* measured */
    int64_t done;    /* all steps */
    ent_profile sum; /* over the measured steps: this rank's seconds, the world's operations */
    double loss;     /* of the last step */
} ent_bench;

/* Opens the model, measures the roof and runs one step to warm up. Collective. The caller frees with ent_bench_close
 * also after a failure; `options` and `comm` are borrowed. */
ent_status ent_bench_open(ent_bench *out, const ent_bench_options *options, ent_comm *comm);
void ent_bench_close(ent_bench *bench);

/* One measured step, and the roof again. Collective. */
ent_status ent_bench_step(ent_bench *bench);

/* The numbers as JSON members of `to`; as a table. `peak`: of memory, the largest of all ranks; 0: not told. */
void ent_bench_add(ent_json *to, const ent_bench *bench, double peak);
void ent_bench_print(const ent_bench *bench, double peak);

double ent_bench_rate(const ent_bench *bench, int64_t step); /* tokens/s of a measured step; -1: the median */

/* The roof of a kind of operations: the median of what was measured. */
double ent_bench_roof(const ent_bench *bench, ent_flop_kind kind);

/* The median of n >= 1 numbers. */
double ent_median(const double *x, size_t n);

#endif
