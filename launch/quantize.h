/* Writes a model in fewer bits, reads it back, and tells what that costs: the error of each tensor, bytes, perplexity.
 */
#ifndef ENT_LAUNCH_QUANTIZE_H
#define ENT_LAUNCH_QUANTIZE_H

#include "io/quantized_config.h"
#include "io/text.h"
#include "launch/eval_data.h"

/* Static activations: one scale for the input of each projection, found over the first units of the data. A unit is a
 * batch: MIN_MAX is over all, PERCENTILE the mean of the units', MOVING_AVERAGE what PyTorch's observer makes of them.
 */
typedef struct ent_quantize_inputs {
    bool on;
    ent_ptq_observer observer;
    double percentile, averaging;
    bool asymmetric;
    int64_t units; /* most that are looked at */
} ent_quantize_inputs;

typedef struct ent_quantize_options {
    const char *model;       /* a Hugging Face folder */
    const char *out;         /* must not be there yet */
    ent_quantized_kind kind; /* a model folder, its projections quantised; NOT: a GGUF file */
    ent_ptq how;             /* of int8 */
    ent_quantize_inputs inputs;
    const char *type;      /* of GGUF: "Q8_0" and others, as ent_export_options has it */
    ent_eval_options eval; /* data NULL: perplexity isn't measured */
} ent_quantize_options;

/* A tensor of the model beside what was written, read back: errors are |x' - x| / |x|, root of the mean squares; 0 / 0
 * is 0. Rows of a vector: one. */
typedef struct ent_quantize_row {
    const char *name; /* borrowed from the model, or what it stands in */
    const char *type; /* as it is stored now */
    double error, worst_error;
    size_t worst; /* the row of the largest error, the first of equals */
} ent_quantize_row;

typedef struct ent_quantize_result {
    ent_model model; /* as it was */
    ent_quantize_row *rows;
    size_t count;
    double bytes_before, bytes_after; /* of all tensors in the files, scales too */
    ent_eval_data data;
    size_t calibrated;              /* units that static activations were found over; 0: none */
    double loss_before, loss_after; /* with data */
    ent_text report;                /* of GGUF: what its export says, lines for people */
} ent_quantize_result;

/* ENT_ECONFIG and others before anything is written; a signal (launch/signals.h), or a tensor that can't be held,
 * leaves nothing. ent_quantize_free also after a failure. */
ent_status ent_quantize_run(ent_quantize_result *out, const ent_quantize_options *options, ent_comm *comm);
void ent_quantize_free(ent_quantize_result *result);

/* For ent_quantize_run: fills the errors of *row from the tensors of both, which have the same shape. */
ent_status ent_quantize_compare(ent_quantize_row *row, const ent_tensor *before, const ent_tensor *after);

/* For ent_quantize_run: scales[i] of what projection i of the decoder is given. ENT_ENUMERIC naming it. */
ent_status ent_quantize_watch(ent_ptq_scale *scales, ent_decoder *decoder, const ent_quantize_inputs *how,
                              ent_eval_data *data, ent_comm *comm);

/* e^loss after over before, less 1, in per cent. */
double ent_quantize_change(const ent_quantize_result *result);

#endif
