/* Products of int8 with scales, exact but for the scaling. */
#ifndef ENT_TENSOR_GEMM_INT8_H
#define ENT_TENSOR_GEMM_INT8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/tensor/tensor.h"

/* How a matrix that isn't stored as int8 is rounded to it: q(i, j) = w(i, j) reciprocals[j] inverses[i], to the
 * nearest, which stands for scales[i] q(i, j) / reciprocals[j]. */
typedef struct ent_int8_rounding {
    const float *scales, *inverses; /* of rows; see ent_int8_scale */
    const float *reciprocals;       /* of column_factors, which are powers of two; NULL: all 1 */
} ent_int8_rounding;

/* Row i of `to`, from n numbers x. */
void ent_round_row(const ent_rounded_rows *to, size_t i, const float *x, size_t n);

/* C = row_scale A op(B) column_scale + beta C: (m, n) = (m, k) (k, n). A has no gaps; B is the whole numbers of a
 * matrix: what is stored, I8, or what b->rounding makes of it, a stretch at a time while B is packed; op(B) is B^T
 * where `transposed`. No number is -128. Shared by the threads of the rank. */
void ent_gemm_int8(float *c, size_t m, size_t n, size_t k, const int8_t *a, const float *row_scales,
                   const ent_tensor *b, bool transposed, const float *column_scales, float beta);

#endif
