/* The log of a run: metrics.jsonl, one object a line. Writing a line takes no memory, and is one call of the system. */
#ifndef ENT_IO_METRICS_H
#define ENT_IO_METRICS_H

#include <stdbool.h>
#include <stdint.h>

#include "src/base/status.h"

typedef struct ent_metrics ent_metrics;

/* Opens the log for appending. A run that goes on after `step` writes what came later again: lines of later steps are
 * cut off first, with whatever isn't a whole line; of evaluations, all but those after steps up to `eval_step`. So
 * nothing stands twice. *missing = steps up to `step` that aren't in the log, though they should be. */
ent_status ent_metrics_open(ent_metrics **out, int64_t *missing, const char *path, int64_t step, int64_t eval_step);
void ent_metrics_close(ent_metrics *metrics);

typedef struct ent_metrics_step {
    int64_t step; /* counted from 1 */
    double epoch, loss, lr, grad_norm;
    int64_t tokens; /* target tokens */
    double tokens_per_s, seconds;
} ent_metrics_step;

ent_status ent_metrics_write_step(ent_metrics *metrics, const ent_metrics_step *step);
ent_status ent_metrics_write_eval(ent_metrics *metrics, int64_t step, double val_loss, double val_perplexity,
                                  int64_t val_tokens);

/* Makes the lines last. ENT_EIO also if the file isn't at its path any more: what is written to it would be lost. */
ent_status ent_metrics_sync(ent_metrics *metrics);

#endif
