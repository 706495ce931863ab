/* Matrix products: the only way to multiply. A product is cut into fixed tiles that the threads of a rank share; each
 * tile is one single-threaded call of the backend, so bits don't depend on the number of threads. Weights stored as
 * bf16 or f16 are converted a panel at a time, never as a whole.
 */
#ifndef ENT_TENSOR_GEMM_H
#define ENT_TENSOR_GEMM_H

#include <stdbool.h>
#include <stddef.h>

#include "src/base/real.h"
#include "src/base/status.h"

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

/* The same by the calling thread alone: for use inside a parallel loop, on matrices of the core's numbers. */
void ent_gemm_serial(ent_real *c, size_t ldc, size_t m, size_t n, size_t k, ent_real alpha, ent_matrix a, ent_matrix b,
                     ent_real beta);

/* Takes the panels that conversion needs, for up to `threads` threads; ENT_ENOMEM. Call before the first product with
 * weights of another storage type; further calls keep what is there. */
ent_status ent_gemm_prepare(int threads);

/* The backend and the kernel it chose for this CPU: "OpenBLAS 0.3.21 Haswell". Part of what decides bits. */
const char *ent_gemm_kernel(void);

#endif
