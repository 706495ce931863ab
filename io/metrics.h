/* The log of a run: metrics.jsonl, one object a line. Writing a line takes no memory. */
#ifndef ENT_IO_METRICS_H
#define ENT_IO_METRICS_H

#include <stdbool.h>
#include <stdint.h>

#include "src/base/status.h"

typedef struct ent_metrics ent_metrics;

/* Opens the log for appending. Lines of steps after `keep_steps` are cut off first: a run that resumes from that step
 * writes them again, and no step stands twice. */
ent_status ent_metrics_open(ent_metrics **out, const char *path, int64_t keep_steps);
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

#endif
