/* Matrix products: the only way to multiply. The threads of a rank share a product; an element of it is the same
 * operations in the same order whatever thread and CPU computes it (src/kernel/product.h). Weights stored otherwise
 * than as the core's numbers are converted a panel at a time, never as a whole.
 */
#ifndef ENT_TENSOR_GEMM_H
#define ENT_TENSOR_GEMM_H

#include <stdbool.h>
#include <stddef.h>

#include "src/base/profile.h"
#include "src/base/real.h"
#include "src/base/status.h"
#include "src/tensor/tensor.h"

/* One matrix: element (i, j) is data[i * stride + j], or data[j * stride + i] where it is used transposed. */
typedef struct ent_matrix {
    const void *data;
    ent_dtype dtype;
    size_t stride; /* elements from one stored row to the next */
    bool transposed;
    const ent_tensor *stored; /* whose data it is, with the scales it may have; NULL: data says all */
    bool to_bf16;             /* converted numbers are rounded to bf16 */
} ent_matrix;

/* A matrix of the core's numbers. */
static inline ent_matrix ent_matrix_of(const ent_real *data, size_t stride, bool transposed)
{
    return (ent_matrix){.data = data, .dtype = ENT_REAL_DTYPE, .stride = stride, .transposed = transposed};
}

/* A matrix as it is stored, of any type. */
static inline ent_matrix ent_matrix_stored(const ent_tensor *t, bool transposed)
{
    return (ent_matrix){
        .data = t->data, .dtype = t->dtype, .stride = t->shape[1], .transposed = transposed, .stored = t};
}

/* C = alpha A B + beta C: (m, n) = (m, k) (k, n). A holds the core's numbers, B any storage type. C has `ldc` elements
 * a row. With beta = 0, C need not be initialised. Shared by the threads of the rank. */
void ent_gemm(ent_real *c, size_t ldc, size_t m, size_t n, size_t k, ent_real alpha, ent_matrix a, ent_matrix b,
              ent_real beta);

/* The same, whose operations count as `kind` in a profile. */
void ent_gemm_as(ent_flop_kind kind, ent_real *c, size_t ldc, size_t m, size_t n, size_t k, ent_real alpha,
                 ent_matrix a, ent_matrix b, ent_real beta);

/* ent_gemm by the calling thread alone: for use inside a parallel loop, on matrices of the core's numbers. */
void ent_gemm_serial(ent_real *c, size_t ldc, size_t m, size_t n, size_t k, ent_real alpha, ent_matrix a, ent_matrix b,
                     ent_real beta);

/* Which part of a causal product there is, where row i of one side sees the first i + diagonal + 1 of the other:
 * elements (i, j) of C with j <= i + diagonal, others being left as they are or not; or terms (i, l) of A, the others
 * being 0: l <= i + diagonal, or l + diagonal >= i. Tiles without such a part are left out. */
typedef enum ent_causal_part { ENT_SEEN_OF_C, ENT_SEEN_OF_A, ENT_SEEING_OF_A } ent_causal_part;

void ent_gemm_causal(ent_causal_part part, size_t diagonal, ent_real *c, size_t ldc, size_t m, size_t n, size_t k,
                     ent_real alpha, ent_matrix a, ent_matrix b, ent_real beta);

/* C = A op(W) + beta C with the weight W (rows, columns), in its compute type; op(W) is W^T where `transposed`. A and C
 * have `m` rows and no gaps. Shared by the threads of the rank.
 *
 *   FP32: as ent_gemm does, W of any storage type
 *   BF16: A is rounded to bf16, W is stored so, or as I8 or NF4, whose numbers are rounded to bf16 too; products of the
 *         two are exact in fp32, in which they are added up: by oneDNN where the CPU has the instructions
 *   INT8: W is stored as I8 with scales, or rounded to it while it is packed (src/tensor/gemm_int8.h); each row of A is
 *         rounded to int8 with a scale of its own
 *
 * With W of I8 or NF4 the bits in FP32 are those of the product with a W of F32 that holds its numbers, as
 * ent_tensor_read gives them; in BF16, where it isn't oneDNN's, those of that product with both factors rounded
 * beforehand; in INT8 those of the product with a W of I8 that is made of its numbers.
 *
 * `scratch`: as many bytes as ent_gemm_weight_plan said for at least m rows, 64-byte aligned. */
void ent_gemm_weight(ent_real *c, size_t m, const ent_real *a, const ent_tensor *w, bool transposed, ent_real beta,
                     void *scratch);

/* Y = x W^T for x (m, in), the same; in INT8 it takes the rows of x that are rounded already, if they are as W needs
 * them. */
void ent_gemm_weight_of(ent_real *y, const ent_tensor *x, const ent_tensor *w, void *scratch);

/* Makes ready for products with `w` of up to `m` rows, both ways: what a backend takes it takes here, and at most at
 * the first call for each shape. *scratch: bytes that ent_gemm_weight needs. ENT_EINVAL if w is not stored as its
 * compute type asks; ENT_ENOMEM. */
ent_status ent_gemm_weight_plan(size_t *scratch, const ent_tensor *w, size_t m);

/* What decides the bits of products in fp32, and of those with frozen weights of this type: "fused fp32"; "bf16 values,
 * fused fp32", where the CPU can't multiply bf16, or "bf16 by oneDNN 2.6.3 avx512_core_bf16, fused fp32". INT8: with
 * bf16 for the weights that need it. */
const char *ent_gemm_kernel(void);
const char *ent_gemm_kernel_for(ent_compute compute);

#endif
