/* Matrices for tests of products, and what src/kernel/product.h promises of an element. */
#ifndef ENT_TESTS_MATRIX_HELPERS_H
#define ENT_TESTS_MATRIX_HELPERS_H

#include <math.h>
#include <stdlib.h>

#include "src/base/philox.h"
#include "src/kernel/product.h"
#include "src/tensor/gemm.h"

/* n numbers, uniform in [-1, 1). */
static inline float *random_matrix(size_t n, uint32_t unit)
{
    const ent_rng rng = {.seed = 1, .stream = ENT_STREAM_INIT, .unit = unit};
    float *x = malloc(n * sizeof *x);
    uint32_t words[4];
    for (size_t i = 0; i < n; i++) {
        if (i % 4 == 0)
            ent_philox(words, &rng, (uint32_t)(i / 4));
        x[i] = (float)(words[i % 4] >> 8) * 0x1p-23f - 1;
    }
    return x;
}

static inline double element(ent_matrix m, size_t i, size_t j)
{
    const size_t at = m.transposed ? j * m.stride + i : i * m.stride + j;
    switch (m.dtype) {
    case ENT_DTYPE_BF16:
        return (double)ent_bf16_to_f32(((const uint16_t *)m.data)[at]);
    case ENT_DTYPE_F16:
        return (double)ent_f16_to_f32(((const uint16_t *)m.data)[at]);
    default:
        return (double)((const float *)m.data)[at];
    }
}

/* An element of alpha A B + beta C, operation by operation. */
static inline float promised(ent_matrix a, ent_matrix b, size_t i, size_t j, size_t k, float alpha, float beta, float c)
{
    for (size_t l = 0; l == 0 || l < k; l += ENT_PRODUCT_DEPTH) {
        float sum = 0;
        for (size_t t = l; t < k && t < l + ENT_PRODUCT_DEPTH; t++)
            sum = fmaf((float)element(a, i, t), (float)element(b, t, j), sum);
        const float of_c = l == 0 ? beta : 1;
        c = of_c == 0 ? alpha * sum : fmaf(alpha, sum, of_c * c);
    }
    return c;
}

#endif
