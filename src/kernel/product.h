/* The inner part of matrix products, of one level of the CPU: packing, and a tile of C that stays in registers.
 *
 * An element of C is always the same operations, whatever the level, the tile and the thread that computes it. In fp32:
 * over each stretch of ENT_PRODUCT_DEPTH terms, a sum that begins at 0 and takes one fused multiply-add a term, in
 * order; then one more that adds alpha times the sum to C. In int8: over each stretch of ENT_PRODUCT_DEPTH_INT8 terms,
 * a sum of whole numbers, which has no order and fits into a float; then one fused multiply-add with the scale of the
 * row times that of the column. So products have the same bits on every CPU.
 */
#ifndef ENT_KERNEL_PRODUCT_H
#define ENT_KERNEL_PRODUCT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/real.h"

/* ENT_PRODUCT_SLACK: words that packing may write behind the last line. 512 * 127 * 127 < 2^23. */
enum { ENT_PRODUCT_DEPTH = 256, ENT_PRODUCT_DEPTH_INT8 = 512, ENT_PRODUCT_SLACK = 16 };
enum { ENT_PRODUCT_COLUMNS = 32 }; /* of the widest tile */

typedef struct ent_product_kernels {
    size_t rows, columns; /* of a whole tile; divisors of 528 and 128 */

    /* Slivers of `width` (rows or columns) lines, one behind the other, of n lines of k numbers: to[l * width + j] =
     * x(j, l) in the first, any number where j >= n. x(j, l) is x[j * stride + l], or x[l * stride + j] if `across`. */
    void (*pack)(ent_real *to, const ent_real *x, size_t stride, bool across, size_t n, size_t k, size_t width);

    /* C = alpha A B + beta C for m <= rows, n <= columns; k <= ENT_PRODUCT_DEPTH. A and B are packed to the widths
     * `rows` and `columns`. Where beta is 0, C is not read. */
    void (*tile)(ent_real *c, size_t ldc, size_t m, size_t n, size_t k, const ent_real *a, const ent_real *b,
                 ent_real alpha, ent_real beta);

    /* The same for one row of C, from a row of A and from B as it is stored: B(l, j) = b[j * stride + l], or
     * b[l * stride + j] if `across`. Where there is one row, packing takes longer than the product. */
    void (*row)(ent_real *c, size_t n, size_t k, const ent_real *a, const ent_real *b, size_t stride, bool across,
                ent_real alpha, ent_real beta);

    /* One sliver of int8, n <= width, in words of this level: `width` words for each 2 terms or fewer words, and
     * `width` more behind them; k <= ENT_PRODUCT_DEPTH_INT8. No number is -128. `left`: for A, which is never across.
     */
    void (*pack_int8)(uint32_t *to, const int8_t *x, size_t stride, bool across, size_t n, size_t k, size_t width,
                      bool left);

    /* C = row_scale A B column_scale + beta C. */
    void (*tile_int8)(float *c, size_t ldc, size_t m, size_t n, size_t k, const uint32_t *a, const uint32_t *b,
                      const float *row_scales, const float *column_scales, float beta);
} ent_product_kernels;

#endif
