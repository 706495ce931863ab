/* Sums in double over fixed tiles, which are added in order: so they don't depend on the number of threads. */
#ifndef ENT_AUTOGRAD_OPS_REDUCE_H
#define ENT_AUTOGRAD_OPS_REDUCE_H

#include <stddef.h>

#include "src/base/real.h"

/* Bytes of the partial sums of n elements. */
size_t ent_reduce_scratch(size_t n);

/* The sum over 0 <= i < n, where sum(context, begin, end) is that of one tile; `partial` is scratch. */
double ent_reduce(double *partial, size_t n, double (*sum)(const void *context, size_t begin, size_t end),
                  const void *context);

/* The sum of n numbers. */
double ent_reduce_values(double *partial, const ent_real *x, size_t n);

/* y[i] += a for i < n, shared by threads. */
void ent_reduce_spread(ent_real *y, size_t n, ent_real a);

#endif
