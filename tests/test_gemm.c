/* Products against a triple loop: all transpositions, storage types, sizes around the tiles; the same bits for any
 * number of threads; calls from several threads at once. */
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

static void check(size_t m, size_t n, size_t k, bool ta, bool tb, ent_dtype dtype, float alpha, float beta)
{
    float *a = random_matrix(m * k, 0), *b = random_matrix(k * n, 1), *c = random_matrix(m * n, 2);
    float *start = malloc(m * n * sizeof *c), *again = malloc(m * n * sizeof *c);
    memcpy(start, c, m * n * sizeof *c);
    memcpy(again, c, m * n * sizeof *c);
    uint16_t *half = malloc(k * n * sizeof *half);
    for (size_t i = 0; i < k * n; i++) {
        uint32_t bits;
        memcpy(&bits, &b[i], sizeof bits);
        half[i] = dtype == ENT_DTYPE_BF16 ? (uint16_t)(bits >> 16) : (uint16_t)(0x3800 + i % 0x400);
    }
    const ent_matrix ma = ent_matrix_of(a, ta ? m : k, ta);
    const ent_matrix mb = {dtype == ENT_DTYPE_F32 ? (void *)b : half, dtype, tb ? k : n, tb};
    ent_set_threads(1);
    ent_gemm(c, n, m, n, k, alpha, ma, mb, beta);
    for (size_t i = 0; i < m; i += 1 + m / 7) {
        for (size_t j = 0; j < n; j++) {
            double sum = 0;
            for (size_t l = 0; l < k; l++)
                sum += element(ma, i, l) * element(mb, l, j);
            const double want = (double)alpha * sum + (double)beta * (double)start[i * n + j];
            if (fabs((double)c[i * n + j] - want) > 1e-4 * (1 + fabs(want)))
                fail_msg("%zux%zux%zu %d%d dtype %d at %zu,%zu: %g, expected %g", m, n, k, ta, tb, (int)dtype, i, j,
                         (double)c[i * n + j], want);
        }
    }
    ent_set_threads(3);
    ent_gemm(again, n, m, n, k, alpha, ma, mb, beta);
    assert_memory_equal(c, again, m * n * sizeof *c);
    ent_set_threads(1);
    free(a), free(b), free(c), free(start), free(again), free(half);
}

static void products_are_right(void **state)
{
    (void)state;
    static const size_t sizes[][3] = {{1, 1, 1},     {3, 5, 7},     {48, 300, 64},
                                      {520, 20, 33}, {5, 600, 700}, {64, 256, 512}};
    assert_int_equal(ent_gemm_prepare(3), ENT_OK);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int t = 0; t < 4; t++)
            for (ent_dtype d = ENT_DTYPE_F32; d <= ENT_DTYPE_F16; d++)
                check(sizes[i][0], sizes[i][1], sizes[i][2], t & 1, t >> 1, d, 1.5f, (t & 1) ? 0 : 0.5f);
}

typedef struct crowd {
    const float *a, *b, *want;
    float *out;
} crowd;

enum { M = 48, N = 48, K = 16, CALLS = 4000 };

static void one_call(void *context, size_t begin, size_t end)
{
    const crowd *c = context;
    for (size_t i = begin; i < end; i++)
        ent_gemm_serial(c->out + i * M * N, N, M, N, K, 1, ent_matrix_of(c->a, K, false), ent_matrix_of(c->b, K, true),
                        0);
}

/* OpenBLAS's serial build fails this one: see cmake/Dependencies.cmake. */
static void threads_may_multiply_at_once(void **state)
{
    (void)state;
    crowd c = {.a = random_matrix(M * K, 0), .b = random_matrix(N * K, 1), .out = calloc(CALLS * M * N, sizeof(float))};
    ent_set_threads(1);
    one_call(&c, 0, 1);
    float *want = malloc(M * N * sizeof *want);
    memcpy(want, c.out, M * N * sizeof *want);
    ent_set_threads(4);
    ent_tiles(CALLS, 1, one_call, &c);
    ent_set_threads(1);
    for (size_t i = 0; i < CALLS; i++)
        assert_memory_equal(c.out + i * M * N, want, M * N * sizeof *want);
    free((void *)c.a), free((void *)c.b), free(c.out), free(want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_are_right),
        cmocka_unit_test(threads_may_multiply_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
