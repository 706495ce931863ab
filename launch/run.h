/* A training run: what a config says, done. launch/cmd_train.c reads the command line and calls these. */
#ifndef ENT_LAUNCH_RUN_H
#define ENT_LAUNCH_RUN_H

#include <stdbool.h>

#include "io/config.h"
#include "io/checkpoint.h"
#include "io/dataset.h"
#include "io/lock_file.h"
#include "io/metrics.h"
#include "io/numeric_trace.h"
#include "launch/model.h"
#include "launch/placement.h"
#include "launch/teachers.h"
#include "src/train/trainer.h"

typedef struct ent_run_options {
    bool resume, overwrite, dry_run, quiet;
    const char *trace; /* file of a numeric trace; NULL: none */
} ent_run_options;

/* How far a run has come; equal on all ranks. */
typedef struct ent_run_progress {
    int64_t done;     /* steps */
    int64_t position; /* units consumed since the start of the run: the position in the data */
    ent_ckpt_evals evals;
    ent_step_result last; /* what the last step did */
} ent_run_progress;

typedef struct ent_run {
    const ent_config *config;
    ent_run_options options;
    ent_comm *comm;
    ent_placement place;
    bool speaks; /* rank 0, not quiet */
    ent_model model;
    ent_teachers teachers;
    ent_dataset *train, *val; /* val may be NULL */
    ent_trainer *trainer;
    ent_lock_file *lock;      /* of rank 0: on the run folder */
    bool made_folder;         /* which was not there before */
    ent_metrics *metrics;     /* of rank 0 */
    ent_numeric_trace *trace; /* of rank 0, if wanted */
    ent_json *identity;       /* launch/run_identity.h */
    const char *kernel;       /* what computes the numbers */
    char config_hash[65];     /* of its text */
    uint32_t *order;          /* of the units of order_epoch */
    int64_t order_epoch;      /* -1: none yet */
    int64_t steps;            /* of the whole run */
    ent_run_progress at;
    int64_t saved;    /* steps that were done when it was saved last */
    int64_t *digests; /* 4 * world_size, for comparing parameters */
} ent_run;

/* Loads and checks all of it; the run folder is written (but for its lock and the cache of the data) only
 * after everything else is right. Collective; the caller
 * frees with ent_run_close also after a failure. */
ent_status ent_run_open(ent_run *run, const ent_config *config, ent_comm *comm, const ent_run_options *options);

/* Steps of the whole run: max_steps, or what epochs leave from where it is. */
int64_t ent_run_length(const ent_run *run);

/* Epochs done, in parts. */
double ent_run_epoch(const ent_run *run);

/* Unit i of the step that begins at at.position in the endless row of epochs; context: the run. */
ent_status ent_run_train_unit(ent_unit *out, void *context, size_t i);

/* Trains to the end; leaves the adapter, the checkpoint and the metrics in the run folder. ENT_ESTOPPED: a signal has
 * come, the state is saved, and the message says so. Collective. */
ent_status ent_run_train(ent_run *run);

void ent_run_close(ent_run *run);

#endif
