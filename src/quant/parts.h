/* What the quantisers share. Not for others. */
#ifndef ENT_QUANT_PARTS_H
#define ENT_QUANT_PARTS_H

#include <stddef.h>

#include "src/base/status.h"

/* ENT_ENUMERIC, naming the first element that is no number of |x| <= limit; only to be called if there is one. */
ent_status ent_quant_refuse(const float *x, size_t n, const char *format, float limit);

#endif
