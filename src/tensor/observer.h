/* What products with a weight W (out, in) are given: x in y = x W^T, dy in dx = dy W. From it is decided how the weight
 * may be rounded (src/quant/int8_choice.h). */
#ifndef ENT_TENSOR_OBSERVER_H
#define ENT_TENSOR_OBSERVER_H

#include <stdbool.h>
#include <stddef.h>

#include "src/base/real.h"

/* Rows that are kept of each operand: ENT_OBSERVED_AT_ONCE of each product, evenly over its rows. */
enum { ENT_OBSERVED_ROWS = 16, ENT_OBSERVED_AT_ONCE = 4 };

typedef struct ent_observer {
    size_t in, out;
    ent_real *largest; /* of |x| in each column: (in) */
    ent_real *x, *dy;  /* (ENT_OBSERVED_ROWS, in), (ENT_OBSERVED_ROWS, out) */
    size_t n_x, n_dy;  /* rows kept so far */

    /* NULL, or what gets x (m, in) of each product instead; then nothing is kept. */
    void (*see)(void *context, const ent_real *x, size_t m);
    void *context;
} ent_observer;

/* Takes in an operand of m rows: x if `forward`, else dy. */
void ent_observe(ent_observer *observer, const ent_real *a, size_t m, bool forward);

#endif
