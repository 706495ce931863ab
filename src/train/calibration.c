#include "src/train/calibration.h"

#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"
#include "src/base/tiles.h"

void ent_calibration_free(ent_calibration *c)
{
    if (c == NULL)
        return;
    for (size_t i = 0; i < c->count && c->items; i++) {
        ent_tensor *w = c->items[i].weight;
        ent_int8_rounding *r = &c->items[i].rounding;
        w->column_factors = NULL;
        w->rounding = NULL;
        free(c->items[i].factors), free((float *)r->scales), free((float *)r->inverses), free((float *)r->reciprocals);
    }
    free(c->items);
    free(c);
}

/* Forward and backward over the beginning of a unit. */
static ent_status run_unit(ent_decoder *decoder, ent_tape *tape, const ent_unit *unit)
{
    int32_t targets[ENT_CALIBRATION_TOKENS];
    const size_t n = unit->n < ENT_CALIBRATION_TOKENS ? unit->n : ENT_CALIBRATION_TOKENS;
    const ent_tokens tokens = {n, unit->ids, unit->doc_start};
    ent_tensor *loss;
    for (size_t i = 0; i < n; i++)
        targets[i] = i + 1 < n && unit->doc_start[i + 1] == unit->doc_start[i] ? unit->ids[i + 1] : -100;
    ent_tape_rewind(tape);
    ent_tape_record(tape, true);
    ENT_TRY(ent_decoder_loss(&loss, tape, decoder, &tokens, targets, NULL));
    return ent_tape_backward(tape, loss, 1);
}

static ent_status observe(ent_calibration *c, ent_observer *observers, ent_decoder *decoder, size_t count,
                          ent_unit_source source, void *context)
{
    ent_status st;
    ent_tape *tape = NULL;
    const size_t units = count < ENT_CALIBRATION_UNITS ? count : ENT_CALIBRATION_UNITS;
    for (size_t i = 0; i < c->count; i++)
        c->items[i].weight->observer = &observers[i];
    ENT_GO(ent_tape_new(&tape, false));
    for (size_t i = 0; i < units; i++) {
        ent_unit unit;
        ENT_GO(source(&unit, context, i));
        ENT_GO(run_unit(decoder, tape, &unit));
    }
done:
    ent_tape_free(tape);
    for (size_t i = 0; i < c->count; i++)
        c->items[i].weight->observer = NULL;
    return st;
}

static ent_status take_observer(ent_observer *o, const ent_tensor *w)
{
    *o = (ent_observer){.in = w->shape[1], .out = w->shape[0]};
    ENT_TRY(ent_calloc(&o->largest, o->in, sizeof *o->largest, "calibration"));
    ENT_TRY(ent_calloc(&o->x, ENT_OBSERVED_ROWS * o->in, sizeof *o->x, "calibration"));
    return ent_calloc(&o->dy, ENT_OBSERVED_ROWS * o->out, sizeof *o->dy, "calibration");
}

typedef struct scaling {
    const ent_calibrated *item;
    float *scales, *inverses;
} scaling;

static void scale_rows(void *context, size_t begin, size_t end)
{
    const scaling *s = context;
    for (size_t i = begin; i < end; i++)
        s->scales[i] = ent_int8_row_scale(&s->inverses[i], s->item->weight, s->item->factors, i);
}

/* How products round a weight that isn't stored as they multiply it. */
static ent_status plan_rounding(ent_calibrated *item)
{
    ent_tensor *w = item->weight;
    scaling s = {.item = item};
    float *reciprocals;
    ENT_TRY(ent_calloc(&s.scales, w->shape[0], sizeof *s.scales, "calibration"));
    item->rounding.scales = s.scales;
    ENT_TRY(ent_calloc(&s.inverses, w->shape[0], sizeof *s.inverses, "calibration"));
    item->rounding.inverses = s.inverses;
    ent_tiles(w->shape[0], 16, scale_rows, &s);
    if (item->choice.way == ENT_INT8_SMOOTHED) {
        ENT_TRY(ent_calloc(&reciprocals, w->shape[1], sizeof *reciprocals, "calibration"));
        for (size_t j = 0; j < w->shape[1]; j++)
            reciprocals[j] = 1 / item->factors[j];
        item->rounding.reciprocals = reciprocals;
    }
    w->rounding = &item->rounding;
    return ENT_OK;
}

static ent_status choose(ent_calibration *c, const ent_observer *observers)
{
    for (size_t i = 0; i < c->count; i++) {
        ent_calibrated *item = &c->items[i];
        ent_tensor *w = item->weight;
        ENT_TRY(ent_calloc(&item->factors, w->shape[1], sizeof *item->factors, "calibration"));
        ENT_TRY(ent_int8_choose(&item->choice, item->factors, w, &observers[i]));
        const ent_int8_way way = item->choice.way;
        c->ways[way]++;
        if ((w->dtype == ENT_DTYPE_NF4 && way != ENT_INT8_NOT) ||
            (w->dtype == ENT_DTYPE_I8 && way == ENT_INT8_SMOOTHED))
            ENT_TRY(plan_rounding(item));
        w->column_factors = item->factors;
    }
    return ENT_OK;
}

ent_status ent_calibration_new(ent_calibration **out, ent_decoder *decoder, size_t count, ent_unit_source source,
                               void *context)
{
    ent_status st;
    ent_observer *observers = NULL;
    ent_calibration *c = *out = NULL;
    const size_t n = ent_decoder_projections(decoder);
    ENT_GO(ent_calloc(&c, 1, sizeof *c, "calibration"));
    ENT_GO(ent_calloc(&c->items, n, sizeof *c->items, "calibration"));
    ENT_GO(ent_calloc(&observers, n, sizeof *observers, "calibration"));
    for (; c->count < n; c->count++) {
        c->items[c->count].weight = ent_decoder_projection(decoder, c->count);
        ENT_GO(take_observer(&observers[c->count], c->items[c->count].weight));
    }
    ENT_GO(observe(c, observers, decoder, count, source, context));
    ENT_GO(choose(c, observers));
    ent_decoder_set_compute(decoder, ENT_COMPUTE_BF16);
    for (size_t i = 0; i < n; i++)
        if (c->items[i].choice.way != ENT_INT8_NOT)
            c->items[i].weight->compute = ENT_COMPUTE_INT8;
    *out = c;
    c = NULL;
done:
    for (size_t i = 0; observers && i < n; i++)
        free(observers[i].largest), free(observers[i].x), free(observers[i].dy);
    free(observers);
    ent_calibration_free(c);
    return st;
}
