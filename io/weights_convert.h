/* A frozen tensor as another storage type. Part of io/weights_cache.c.
 *
 * First the rows as the type has them, then a tail: of I8, at a multiple of 64, the scale of each row as float32; of
 * NF4 what follows the codes (src/quant/nf4.h); of BF16 nothing.
 */
#ifndef ENT_IO_WEIGHTS_CONVERT_H
#define ENT_IO_WEIGHTS_CONVERT_H

#include "src/base/status.h"
#include "src/tensor/tensor.h"

typedef struct ent_conversion {
    const ent_tensor *from;
    ent_dtype to; /* BF16; I8, of W F^-1 with F = column_factors, 1 where NULL; NF4, of a matrix */
    size_t rows, row_bytes;
    size_t row_scales; /* floats of a row that the tail is made of */
    size_t tail_at, tail_bytes;
    size_t bytes; /* of all, up to a multiple of 64 */
} ent_conversion;

ent_conversion ent_conversion_of(const ent_tensor *from, ent_dtype to);

/* Rows [first, first + n), and their scales, (n, row_scales). Shared by the threads of the rank. I8 and NF4:
 * ENT_ENUMERIC, naming row and column, for a number that isn't finite, of NF4 for one above 2^126 too. */
ent_status ent_conversion_rows(void *to, float *scales, const ent_conversion *c, size_t first, size_t n);

/* The tail, from the scales of all rows. */
void ent_conversion_tail(void *to, const ent_conversion *c, const float *scales);

#endif
