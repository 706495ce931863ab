/* The log of a run, read back: metrics.jsonl as io/metrics.h writes it. */
#ifndef ENT_IO_METRICS_READ_H
#define ENT_IO_METRICS_READ_H

#include <stdint.h>

#include "src/base/status.h"

typedef struct ent_metrics_summary {
    int64_t steps, evals;                 /* lines of each */
    int64_t last_step;                    /* 0: none */
    double last_loss, last_lr, last_norm; /* of it; NaN: none */
    int64_t at;                           /* the step that was asked for; -1: not in the log */
    double loss_at, lr_at, norm_at;       /* of it */
} ent_metrics_summary;

/* Reads all of a log. Every line is one object with the members of a step or of an evaluation, each once and a number;
 * steps are 1, 2, 3, ..., and an evaluation stands behind the step it came after, once. ENT_EFORMAT "metrics.jsonl:12:
 * step: expected 12, found 13"; ENT_EIO. `ask`: a step whose numbers the caller wants. */
ent_status ent_metrics_read(ent_metrics_summary *out, const char *path, int64_t ask);

#endif
