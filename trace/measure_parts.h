/* What the files of trace/measure.h share. */
#ifndef ENT_TRACE_MEASURE_PARTS_H
#define ENT_TRACE_MEASURE_PARTS_H

#include "trace/measure.h"

/* a + b, or INT64_MAX where that is too large; both are at least 0. */
int64_t ent_measure_add(int64_t a, int64_t b);

/* The order of two ints, for qsort and bsearch. */
int ent_measure_order(const void *a, const void *b);

/* See ent_measure.allocated. ENT_ENOMEM. */
ent_status ent_measure_allocated(int64_t *out, const ent_trace *trace);

#endif
