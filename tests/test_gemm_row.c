/* Products of one row, which use B as it is stored, have the bits of those that pack it: both are compared, operation
 * by operation, with what src/kernel/product.h promises. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/philox.h"
#include "src/base/tiles.h"
#include "src/kernel/product.h"
#include "src/tensor/gemm.h"

static float *random_matrix(size_t n, uint32_t unit)
{
    const ent_rng rng = {.seed = 1, .stream = ENT_STREAM_INIT, .unit = unit};
    float *x = malloc(n * sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = 2 * ent_random_uniform(&rng, i) - 1;
    return x;
}

static double element(ent_matrix m, size_t i, size_t j)
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

/* An element of alpha A B + beta C, operation by operation as src/kernel/product.h says. */
static float chain(ent_matrix a, ent_matrix b, size_t i, size_t j, size_t k, float alpha, float beta, float c)
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

static void check_bits(size_t m, size_t n, size_t k, bool ta, bool tb, ent_dtype dtype, float beta)
{
    const size_t stride = ta ? m + 2 : k; /* of A: its columns lie apart */
    float *a = random_matrix((m + 2) * k, 0), *b = random_matrix(k * n, 1), *start = random_matrix(m * n, 2);
    float *c = malloc(m * n * sizeof *c);
    uint16_t *half = malloc(k * n * sizeof *half);
    for (size_t i = 0; i < k * n; i++)
        half[i] = ent_f32_to_bf16(b[i]); /* read as f16: other numbers, up to 2.6 */
    const ent_matrix ma = ent_matrix_of(a, stride, ta);
    const ent_matrix mb = {dtype == ENT_DTYPE_F32 ? (void *)b : half, dtype, tb ? k : n, tb, NULL, false};
    for (int way = 0; way < 3; way++) { /* one thread, three, and the calling one */
        memcpy(c, start, m * n * sizeof *c);
        ent_set_threads(way == 1 ? 3 : 1);
        (way == 2 ? ent_gemm_serial : ent_gemm)(c, n, m, n, k, 0.75f, ma, mb, beta);
        for (size_t i = 0; i < m * n; i++) {
            const float want = chain(ma, mb, i / n, i % n, k, 0.75f, beta, start[i]);
            if (memcmp(&c[i], &want, sizeof want) != 0)
                fail_msg("%zux%zux%zu %d%d dtype %d at %zu: %a, expected %a", m, n, k, ta, tb, (int)dtype, i,
                         (double)c[i], (double)want);
        }
    }
    ent_set_threads(1);
    free(a), free(b), free(start), free(c), free(half);
}

static void a_row_has_the_bits_of_many(void **state)
{
    (void)state;
    static const size_t columns[] = {1, 7, 8, 15, 16, 17, 31, 32, 33, 500}, terms[] = {1, 7, 8, 9, 255, 256, 257, 600};
    for (size_t n = 0; n < sizeof columns / sizeof *columns; n++)
        for (size_t k = 0; k < sizeof terms / sizeof *terms; k++)
            for (int t = 0; t < 4; t++)
                for (size_t m = 1; m < 8; m += 6) {
                    const ent_dtype dtype = m == 1 ? (ent_dtype)(ENT_DTYPE_F32 + (n + k) % 3) : ENT_DTYPE_F32;
                    if (m == 1 || n % 3 == 0)
                        check_bits(m, columns[n], terms[k], t & 1, t >> 1, dtype, k % 2 ? 0.5f : 0);
                }
    check_bits(1, 3000, 70, false, true, ENT_DTYPE_F32, 0); /* enough for several threads */
    check_bits(1, 3000, 70, false, true, ENT_DTYPE_BF16, 1);
    check_bits(1, 3000, 70, false, false, ENT_DTYPE_F32, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_has_the_bits_of_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
