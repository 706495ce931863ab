/* Matrix products: the only way to multiply. A product is cut into fixed tiles that the threads of a rank share; each
 * tile is one single-threaded call of the backend, so bits don't depend on the number of threads. Weights stored as
 * bf16 or f16 are converted a panel at a time, never as a whole.
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
} ent_matrix;

/* A matrix of the core's numbers. */
static inline ent_matrix ent_matrix_of(const ent_real *data, size_t stride, bool transposed)
{
    return (ent_matrix){data, ENT_REAL_DTYPE, stride, transposed};
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

/* C = A op(W) + beta C with the weight W (rows, columns), in its compute type; op(W) is W^T where `transposed`. A and C
 * have `m` rows and no gaps. Shared by the threads of the rank.
 *
 *   FP32: as ent_gemm does, W of any storage type
 *   BF16: A is rounded to bf16, W is stored so; products of the two are exact in fp32, in which they are added up
 *
 * `scratch`: as many bytes as ent_gemm_weight_plan said for at least m rows, 64-byte aligned. */
void ent_gemm_weight(ent_real *c, size_t m, const ent_real *a, const ent_tensor *w, bool transposed, ent_real beta,
                     void *scratch);

/* Makes ready for products with `w` of up to `m` rows, both ways: what a backend takes it takes here, and at most at
 * the first call for each shape. *scratch: bytes that ent_gemm_weight needs. ENT_EINVAL if w is not stored as its
 * compute type asks; ENT_ENOMEM. */
ent_status ent_gemm_weight_plan(size_t *scratch, const ent_tensor *w, size_t m);

/* Takes the panels that conversion needs, for up to `threads` threads; ENT_ENOMEM. Call before the first product with
 * weights of another storage type; further calls keep what is there. */
ent_status ent_gemm_prepare(int threads);

/* The backend and the kernel it chose for this CPU: "OpenBLAS 0.3.21 Haswell". Part of what decides bits. */
const char *ent_gemm_kernel(void);

/* The same where products with frozen weights are of this type: "bf16 values by OpenBLAS 0.3.21 Haswell". */
const char *ent_gemm_kernel_for(ent_compute compute);

#endif
