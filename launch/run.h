/* A training run: what a config says, done. launch/cmd_train.c reads the command line and calls these. */
#ifndef ENT_LAUNCH_RUN_H
#define ENT_LAUNCH_RUN_H

#include <stdbool.h>

#include "io/config.h"
#include "io/dataset.h"
#include "io/metrics.h"
#include "io/numeric_trace.h"
#include "launch/model.h"
#include "launch/placement.h"
#include "src/train/trainer.h"

typedef struct ent_run_options {
    bool resume, overwrite, dry_run, quiet;
    const char *trace; /* file of a numeric trace; NULL: none */
} ent_run_options;

typedef struct ent_run {
    const ent_config *config;
    ent_run_options options;
    ent_comm *comm;
    ent_placement place;
    bool speaks; /* rank 0, not quiet */
    ent_model model;
    ent_dataset *train, *val; /* val may be NULL */
    ent_trainer *trainer;
    ent_metrics *metrics;     /* of rank 0 */
    ent_numeric_trace *trace; /* of rank 0, if wanted */
    char config_hash[65];
    uint32_t *order;      /* of the units of order_epoch */
    int64_t order_epoch;  /* -1: none yet */
    int64_t steps;        /* of the whole run */
    int64_t first;        /* step of this step's first unit, while units are dealt */
    int64_t done;         /* steps done */
    double best_val_loss; /* and the step it was reached after; NaN: no evaluation yet */
    int64_t best_step, evals_since_best;
} ent_run;

/* Loads and checks all of it; the run folder is written only after everything else is right. Collective; the caller
 * frees with ent_run_close also after a failure. */
ent_status ent_run_open(ent_run *run, const ent_config *config, ent_comm *comm, const ent_run_options *options);

/* Units consumed since the start of the run: the position in the data. */
int64_t ent_run_position(const ent_run *run);

/* Trains to the end; leaves the adapter, the checkpoint and the metrics in the run folder. Collective. */
ent_status ent_run_train(ent_run *run);

void ent_run_close(ent_run *run);

#endif
