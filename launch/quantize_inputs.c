/* Ranges of what the projections are given, over the first units of the data: see launch/quantize.h. */
#include <math.h>
#include <stdlib.h>

#include "launch/quantize.h"
#include "src/base/mem.h"
#include "src/tensor/observer.h"

/* The input of one projection so far. */
typedef struct watched {
    const ent_quantize_inputs *how;
    ent_observer observer;
    ent_ptq_range range;
    double low, high; /* percentiles: sums over the units */
    size_t units;
    float *work; /* a unit's input, for percentiles */
    size_t work_size;
    bool fails; /* out of memory */
} watched;

static void see(void *context, const ent_real *x, size_t m)
{
    watched *w = context;
    const size_t n = m * w->observer.in;
    const ent_ptq one = {
        .observer = w->how->observer, .percentile = w->how->percentile, .asymmetric = w->how->asymmetric};
    if (w->how->observer == ENT_PTQ_MOVING_AVERAGE) {
        ent_ptq_average(&w->range, &w->units, x, n, (float)w->how->averaging);
        return;
    }
    if (w->how->observer == ENT_PTQ_PERCENTILE && ent_grow(&w->work, &w->work_size, n, sizeof *w->work, "inputs")) {
        w->fails = true;
        return;
    }
    const ent_ptq_range r = ent_ptq_range_of(x, n, &one, w->work);
    const bool first = w->units++ == 0;
    if (w->how->observer == ENT_PTQ_MIN_MAX) {
        w->range.low = first || r.low < w->range.low || isnan(r.low) ? r.low : w->range.low;
        w->range.high = first || r.high > w->range.high || isnan(r.high) ? r.high : w->range.high;
        return;
    }
    w->low += (double)r.low;
    w->high += (double)r.high;
    w->range = (ent_ptq_range){(float)(w->low / (double)w->units), (float)(w->high / (double)w->units)};
}

ent_status ent_quantize_watch(ent_ptq_scale *scales, ent_decoder *decoder, const ent_quantize_inputs *how,
                              ent_eval_data *data, ent_comm *comm)
{
    const size_t n = ent_decoder_projections(decoder);
    watched *all;
    ent_status st;
    ENT_TRY(ent_calloc(&all, n, sizeof *all, "inputs"));
    for (size_t i = 0; i < n; i++) {
        ent_tensor *w = ent_decoder_projection(decoder, i);
        all[i].how = how;
        all[i].observer = (ent_observer){.in = w->shape[1], .out = w->shape[0], .see = see, .context = &all[i]};
        w->observer = &all[i].observer;
    }
    ENT_GO(ent_eval_data_run(data, decoder, comm, (size_t)how->units));
    for (size_t i = 0; i < n; i++) {
        const char *name = ent_decoder_projection(decoder, i)->name;
        if (all[i].fails)
            ENT_GO(ent_fail(ENT_ENOMEM, "out of memory: the input of %s", name));
        scales[i] = ent_ptq_scale_of(all[i].range, how->asymmetric);
        if (!isfinite(all[i].range.low) || !isfinite(all[i].range.high) || scales[i].scale <= 0)
            ENT_GO(ent_fail(ENT_ENUMERIC, "%s: its input ranges from %g to %g: expected finite numbers other than 0",
                            name, (double)all[i].range.low, (double)all[i].range.high));
    }
done:
    for (size_t i = 0; i < n; i++) {
        ent_decoder_projection(decoder, i)->observer = NULL;
        free(all[i].work);
    }
    free(all);
    return st;
}
