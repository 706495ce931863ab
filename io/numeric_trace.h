/* Numeric traces: what a training run computed, a line a step, exact.
 *
 * {"format": "entrenar-numeric-v1", "kernel": "...", "trainable": 1056}, then of each step
 * {"step": 1, "loss": "0x1.8p+1", "grad_norm": "0x1p-2", "lr": "0x1.0624dd2f1a9fcp-10", "params": "9f86..."}: numbers
 * as hexadecimal floats (C's %a, of doubles), and the SHA-256 of the trainable parameters after the step, as
 * little-endian floats in the order of their declaration. Nothing in it depends on time, ranks or threads.
 */
#ifndef ENT_IO_NUMERIC_TRACE_H
#define ENT_IO_NUMERIC_TRACE_H

#include <stddef.h>
#include <stdint.h>

#include "io/text.h"
#include "src/base/status.h"

typedef struct ent_numeric_step {
    int64_t step; /* counted from 1 */
    double loss, grad_norm, lr;
} ent_numeric_step;

typedef struct ent_numeric_trace ent_numeric_trace;

/* A trace that will be written to `path` (copied). `kernel` names what computes (ent_gemm_kernel()); equal bits are
 * expected only under the same. ENT_EIO if no file can be made there (ent_path_check_place); ENT_ENOMEM. */
ent_status ent_numeric_trace_new(ent_numeric_trace **out, const char *path, const char *kernel, size_t trainable);

/* Adds a step, with its n trainable parameters. ENT_ENOMEM. */
ent_status ent_numeric_trace_step(ent_numeric_trace *trace, const ent_numeric_step *step, const float *params,
                                  size_t n);

/* Writes the file as a whole, through io/atomic_file.h. Call once. */
ent_status ent_numeric_trace_commit(ent_numeric_trace *trace);

/* Frees; what was not committed is lost. */
void ent_numeric_trace_free(ent_numeric_trace *trace);

#endif
