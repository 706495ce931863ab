#include "src/quant/parts.h"

#include <math.h>

ent_status ent_quant_refuse(const float *x, size_t n, const char *format, float limit)
{
    size_t i = 0;
    while (i + 1 < n && fabsf(x[i]) <= limit)
        i++;
    return ent_fail(ENT_ENUMERIC, "element %zu is %g, expected a finite number of size at most %g for %s", i,
                    (double)x[i], (double)limit, format);
}
