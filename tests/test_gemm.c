/* Products against a triple loop: all transpositions, storage types, sizes around the tiles; the same bits for any
 * number of threads; calls from several threads at once. Products in bf16 and int8 against their own arithmetic. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/philox.h"
#include "src/base/tiles.h"
#include "src/kernel/product.h"
#include "src/tensor/gemm.h"
#include "src/tensor/gemm_int8.h"
#include "tests/matrix_helpers.h"

static void check(size_t m, size_t n, size_t k, bool ta, bool tb, ent_dtype dtype, float alpha, float beta)
{
    float *a = random_matrix(m * k, 0), *b = random_matrix(k * n, 1), *c = random_matrix(m * n, 2);
    float *start = malloc(m * n * sizeof *c), *again = malloc(m * n * sizeof *c);
    memcpy(start, c, m * n * sizeof *c);
    uint16_t *half = malloc(k * n * sizeof *half);
    for (size_t i = 0; i < k * n; i++) {
        uint32_t bits;
        memcpy(&bits, &b[i], sizeof bits);
        half[i] = dtype == ENT_DTYPE_BF16 ? (uint16_t)(bits >> 16) : (uint16_t)(0x3800 + i % 0x400);
    }
    const ent_matrix ma = ent_matrix_of(a, ta ? m : k, ta);
    const ent_matrix mb = {
        .data = dtype == ENT_DTYPE_F32 ? (void *)b : half, .dtype = dtype, .stride = tb ? k : n, .transposed = tb};
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
            const float exact = promised(ma, mb, i, j, k, alpha, beta, start[i * n + j]);
            if (c[i * n + j] != exact)
                fail_msg("%zux%zux%zu %d%d dtype %d at %zu,%zu: %a, expected %a", m, n, k, ta, tb, (int)dtype, i, j,
                         (double)c[i * n + j], (double)exact);
        }
    }
    for (int threads = dtype == ENT_DTYPE_F32 ? 2 : 3; threads <= 3; threads++) {
        memcpy(again, start, m * n * sizeof *c);
        ent_set_threads(threads);
        ent_gemm(again, n, m, n, k, alpha, ma, mb, beta);
        assert_memory_equal(c, again, m * n * sizeof *c);
    }
    ent_set_threads(1);
    free(a), free(b), free(c), free(start), free(again), free(half);
}

static void products_are_right(void **state)
{
    (void)state;
    static const size_t sizes[][3] = {{1, 1, 1},     {3, 5, 7},      {48, 300, 64},  {520, 20, 33},
                                      {5, 600, 700}, {64, 256, 512}, {535, 131, 257}};
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

/* The nearest of the two bf16 numbers around x, the even one if both are as near: by distances in double. */
static uint16_t nearest_bf16(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    const uint16_t below = (uint16_t)(u >> 16), above = (uint16_t)(below + 1); /* in size */
    const double down = fabs((double)x - (double)ent_bf16_to_f32(below));
    double up = (double)ent_bf16_to_f32(above); /* where that is infinite, the power of two in its place */
    up = fabs((isinf(up) ? copysign(0x1p128, up) : up) - (double)x);
    return down < up || (down == up && below % 2 == 0) ? below : above;
}

static void rounding_to_bf16_is_to_nearest_even(void **state)
{
    (void)state;
    const ent_rng rng = {.seed = 5};
    for (uint32_t i = 0; i < 300000; i++) { /* all patterns of the lower half that matter, random others */
        static const uint32_t low[] = {0, 1, 0x7fff, 0x8000, 0x8001, 0xffff};
        const uint32_t r = ent_random_u32(&rng, i), u = i % 2 ? r : (r & 0xffff0000u) | low[i / 2 % 6];
        float x;
        memcpy(&x, &u, sizeof x);
        if (isfinite(x) && ent_f32_to_bf16(x) != nearest_bf16(x))
            fail_msg("%a: %04x, expected %04x", (double)x, ent_f32_to_bf16(x), nearest_bf16(x));
    }
    const uint32_t nan_bits = 0x7f800001;
    float nan_value;
    memcpy(&nan_value, &nan_bits, sizeof nan_value);
    assert_true(isnan(ent_bf16_to_f32(ent_f32_to_bf16(nan_value))));
    assert_true(isnan(ent_bf16_to_f32(ent_f32_to_bf16(-nan_value))));
    assert_true(isinf(ent_bf16_to_f32(ent_f32_to_bf16(INFINITY))) && ent_bf16_to_f32(ent_f32_to_bf16(-INFINITY)) < 0);
}

/* A row of A times a column of op(W): factors rounded to bf16 have 8 bits, so their products are exact in fp32, and a
 * sum of k + 1 numbers in any order is off by at most k 2^-24 of the sum of their sizes (to first order). Twice that is
 * allowed for the second order, and for instructions that round twice. */
static void check_bf16(size_t m, ent_tensor *w, bool transposed, float beta)
{
    const size_t n = w->shape[transposed ? 0 : 1], k = w->shape[transposed ? 1 : 0];
    float *a = random_matrix(m * k, 3), *start = random_matrix(m * n, 4);
    float *c[3];
    size_t bytes;
    ent_set_threads(3); /* what is prepared does for so many */
    assert_int_equal(ent_gemm_weight_plan(&bytes, w, m), ENT_OK);
    void *scratch = aligned_alloc(64, (bytes + 63) / 64 * 64);
    for (int threads = 1; threads <= 3; threads++) {
        c[threads - 1] = malloc(m * n * sizeof *start);
        memcpy(c[threads - 1], start, m * n * sizeof *start);
        ent_set_threads(threads);
        ent_gemm_weight(c[threads - 1], m, a, w, transposed, beta, scratch);
        assert_memory_equal(c[threads - 1], c[0], m * n * sizeof *start);
    }
    ent_set_threads(1);
    const ent_matrix b = ent_matrix_stored(w, transposed);
    for (size_t i = 0; i < m; i += 1 + m / 7) {
        for (size_t j = 0; j < n; j++) {
            const double added = (double)beta * (double)start[i * n + j];
            double sum = added, sizes = fabs(added);
            for (size_t l = 0; l < k; l++) {
                const double term = (double)ent_bf16_to_f32(nearest_bf16(a[i * k + l])) * element(b, l, j);
                sum += term;
                sizes += fabs(term);
            }
            if (fabs((double)c[0][i * n + j] - sum) > 2 * (double)k * 0x1p-24 * sizes)
                fail_msg("%zux%zux%zu %d at %zu,%zu: %.9g, expected %.9g", m, n, k, transposed, i, j,
                         (double)c[0][i * n + j], sum);
        }
    }
    free(a), free(start), free(scratch), free(c[0]), free(c[1]), free(c[2]);
}

static void products_in_bf16_round_their_factors_only(void **state)
{
    (void)state;
    static const size_t sizes[][3] = {{1, 1, 1},       {3, 5, 7},     {48, 300, 64},
                                      {130, 257, 513}, {520, 20, 33}, {64, 256, 512}};
    print_message("%s\n", ent_gemm_kernel_for(ENT_COMPUTE_BF16));
    if (strstr(ent_gemm_kernel_for(ENT_COMPUTE_BF16), "oneDNN") == NULL)
        fprintf(stderr, "SKIPPED: oneDNN's products in bf16: this CPU has no AVX512-BF16, or libdnnl is not there\n");
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const size_t rows = sizes[i][1], columns = sizes[i][2];
        float *values = random_matrix(rows * columns, 5);
        uint16_t *stored = malloc(rows * columns * sizeof *stored);
        for (size_t j = 0; j < rows * columns; j++)
            stored[j] = ent_f32_to_bf16(values[j]);
        ent_tensor w = {.n_dims = 2,
                        .shape = {rows, columns},
                        .dtype = ENT_DTYPE_BF16,
                        .data = stored,
                        .compute = ENT_COMPUTE_BF16};
        check_bf16(sizes[i][0], &w, true, 0);
        check_bf16(sizes[i][0], &w, false, 1);
        free(values), free(stored);
    }
}

static int8_t *random_int8(size_t n, uint32_t unit)
{
    float *values = random_matrix(n, unit);
    int8_t *x = malloc(n);
    for (size_t i = 0; i < n; i++)
        x[i] = (int8_t)lrintf(127 * values[i]);
    free(values);
    return x;
}

/* Rows of k numbers times `factors`, each as int8 with a scale of its own. */
static void round_rows(int8_t *q, float *scales, const float *x, const float *factors, size_t rows, size_t k)
{
    for (size_t i = 0; i < rows; i++) {
        float largest = 0;
        for (size_t l = 0; l < k && isfinite(largest); l++)
            largest = fabsf(x[i * k + l] * factors[l]) <= largest ? largest : fabsf(x[i * k + l] * factors[l]);
        const bool counts = isfinite(largest) && largest >= 0x1p-100f;
        scales[i] = counts ? largest / 127 : isfinite(largest) ? 0 : NAN;
        for (size_t l = 0; l < k; l++)
            q[i * k + l] = counts ? (int8_t)lrintf(x[i * k + l] * factors[l] * (127 / largest)) : 0;
    }
}

/* Rows of A times columns of op(B): sums of stretches are whole numbers, and each adds one rounding. */
static void multiply_int8(float *c, size_t m, size_t n, size_t k, const int8_t *a, const float *row_scales,
                          const int8_t *b, size_t stride, bool transposed, const float *column_scales, float beta)
{
    int8_t *column = malloc(k);
    for (size_t j = 0; j < n; j++) {
        for (size_t l = 0; l < k; l++)
            column[l] = transposed ? b[j * stride + l] : b[l * stride + j];
        for (size_t i = 0; i < m; i++) {
            float *to = &c[i * n + j];
            for (size_t begin = 0; begin < k; begin += ENT_PRODUCT_DEPTH_INT8) {
                const size_t end = k - begin < ENT_PRODUCT_DEPTH_INT8 ? k : begin + ENT_PRODUCT_DEPTH_INT8;
                int32_t sum = 0;
                for (size_t l = begin; l < end; l++)
                    sum += a[i * k + l] * column[l];
                const float scale = row_scales[i] * column_scales[j], b_c = (begin ? 1 : beta) * *to;
                *to = begin == 0 && beta == 0 ? scale * (float)sum : fmaf(scale, (float)sum, b_c);
            }
        }
    }
    free(column);
}

static void same_bits(const float *found, const float *want, size_t m, size_t n, size_t k, const char *what)
{
    for (size_t i = 0; i < m * n; i++)
        if (memcmp(&found[i], &want[i], sizeof *want) != 0 && !(isnan(found[i]) && isnan(want[i])))
            fail_msg("%zux%zux%zu %s, %d threads, at %zu,%zu: %a, expected %a", m, n, k, what, ent_threads(), i / n,
                     i % n, (double)found[i], (double)want[i]);
}

/* Around what is packed at once (528 rows, 128 columns, 512 terms), and around the tiles. */
static const size_t int8_sizes[][3] = {{1, 1, 1},       {2, 3, 5},      {9, 33, 64},    {527, 20, 33},  {528, 127, 511},
                                       {529, 129, 512}, {61, 257, 513}, {5, 300, 1100}, {13, 64, 1025}, {540, 300, 40}};
enum { N_INT8_SIZES = sizeof int8_sizes / sizeof *int8_sizes };

static void products_in_int8_are_exact_but_for_the_scaling(void **state)
{
    (void)state;
    for (size_t s = 0; s < 2 * N_INT8_SIZES; s++) {
        const size_t m = int8_sizes[s / 2][0], n = int8_sizes[s / 2][1], k = int8_sizes[s / 2][2];
        const bool transposed = s % 2;
        const size_t stride = (transposed ? k : n) + 5; /* of a matrix that has more columns */
        const float beta = (float[]){0, 1, -0.3f}[s % 3];
        int8_t *a = random_int8(m * k, 6), *b = random_int8((transposed ? n : k) * stride - 5, 7);
        const ent_tensor matrix = {
            .n_dims = 2, .shape = {transposed ? n : k, stride}, .dtype = ENT_DTYPE_I8, .data = b};
        float *row_scales = random_matrix(m, 8), *column_scales = random_matrix(n, 9);
        float *start = random_matrix(m * n, 10), *want = random_matrix(m * n, 10), *c = malloc(m * n * sizeof *c);
        multiply_int8(want, m, n, k, a, row_scales, b, stride, transposed, column_scales, beta);
        for (int threads = 1; threads <= 3; threads++) {
            memcpy(c, start, m * n * sizeof *c);
            ent_set_threads(threads);
            ent_gemm_int8(c, m, n, k, a, row_scales, &matrix, transposed, column_scales, beta);
            same_bits(c, want, m, n, k, transposed ? "int8 transposed" : "int8");
        }
        free(a), free(b), free(row_scales), free(column_scales), free(start), free(want), free(c);
    }
    ent_set_threads(1);
}

/* A weight of int8, with scales of rows and powers of two for columns. */
static ent_tensor random_int8_weight(size_t rows, size_t columns)
{
    float *row_scales = random_matrix(rows, 11), *column_factors = random_matrix(columns, 12);
    for (size_t j = 0; j < columns; j++)
        column_factors[j] = ldexpf(1, (int)(10 * column_factors[j]) - 5);
    return (ent_tensor){.n_dims = 2,
                        .shape = {rows, columns},
                        .dtype = ENT_DTYPE_I8,
                        .data = random_int8(rows * columns, 13),
                        .compute = ENT_COMPUTE_INT8,
                        .row_scales = row_scales,
                        .column_factors = column_factors};
}

static void free_weight(ent_tensor *w)
{
    free((void *)w->data), free((void *)w->row_scales), free((void *)w->column_factors);
}

/* A row that has a number that is none, an infinite one, zeros alone, and numbers that are as good as that. */
static void spoil_rows(float *a, size_t m, size_t k)
{
    for (size_t l = 0; l < k && m > 10; l++)
        a[5 * k + l] = 0, a[7 * k + l] *= 0x1p-110f;
    if (m > 10) {
        a[k + k / 2] = NAN;
        a[3 * k + k - 1] = -INFINITY;
    }
}

/* What is promised of the product with rounded rows; in scratch of so many bytes, planned for more rows. */
static void check_weight_int8(size_t m, const ent_tensor *w, bool transposed, float beta)
{
    enum { GUARD = 256 };
    const size_t n = w->shape[transposed ? 0 : 1], k = w->shape[transposed ? 1 : 0];
    float *a = random_matrix(m * k, 14), *start = random_matrix(m * n, 15), *want = random_matrix(m * n, 15);
    float *c = malloc(m * n * sizeof *c), *scales = malloc(m * sizeof *scales);
    int8_t *q = malloc(m * k);
    size_t bytes;
    spoil_rows(a, m, k);
    round_rows(q, scales, a, transposed ? w->column_factors : w->row_scales, m, k);
    multiply_int8(want, m, n, k, q, scales, w->data, w->shape[1], transposed,
                  transposed ? w->row_scales : w->column_factors, beta);
    assert_int_equal(ent_gemm_weight_plan(&bytes, w, m), ENT_OK);
    unsigned char *scratch = aligned_alloc(64, (bytes + GUARD + 63) / 64 * 64);
    memset(scratch, 0x5a, bytes + GUARD);
    for (int threads = 1; threads <= 3; threads++) {
        memcpy(c, start, m * n * sizeof *c);
        ent_set_threads(threads);
        ent_gemm_weight(c, m, a, w, transposed, beta, scratch);
        same_bits(c, want, m, n, k, transposed ? "x W^T in int8" : "dy W in int8");
    }
    ent_set_threads(1);
    for (size_t i = bytes; i < bytes + GUARD; i++)
        assert_int_equal(scratch[i], 0x5a);
    if (m > 10) {
        ent_gemm_weight(c, m - 3, a, w, transposed, 0, scratch); /* fewer rows */
        for (size_t j = 0; j < n; j++) {
            assert_true(isnan(c[n + j]) && isnan(c[3 * n + j]));
            assert_true(c[5 * n + j] == 0 && c[7 * n + j] == 0 && isfinite(c[j]) && isfinite(c[4 * n + j]));
        }
    }
    free(a), free(start), free(want), free(c), free(scales), free(q), free(scratch);
}

static void products_in_int8_round_rows(void **state)
{
    (void)state;
    for (size_t s = 0; s < N_INT8_SIZES; s++) {
        ent_tensor w = random_int8_weight(int8_sizes[s][1], int8_sizes[s][2]);
        check_weight_int8(int8_sizes[s][0], &w, true, (float[]){0, 0.5f}[s % 2]);
        check_weight_int8(int8_sizes[s][0], &w, false, (float[]){1, 0}[s % 2]);
        free_weight(&w);
    }
}

/* Of a weight that has a number that is none: its output is lost, and every input gradient. */
static void a_lost_row_of_a_weight_is_seen(void **state)
{
    (void)state;
    enum { ROWS = 11, OUT = 37, IN = 70 };
    ent_tensor w = random_int8_weight(OUT, IN);
    ((float *)w.row_scales)[4] = NAN;
    float *a = random_matrix(ROWS * IN, 14), c[ROWS * IN];
    size_t bytes;
    assert_int_equal(ent_gemm_weight_plan(&bytes, &w, ROWS), ENT_OK);
    void *scratch = aligned_alloc(64, (bytes + 63) / 64 * 64);
    ent_gemm_weight(c, ROWS, a, &w, true, 0, scratch);
    for (size_t i = 0; i < ROWS * OUT; i++)
        assert_true(!isnan(c[i]) == (i % OUT != 4));
    ent_gemm_weight(c, ROWS, a, &w, false, 0, scratch);
    for (size_t i = 0; i < ROWS * IN; i++)
        assert_true(isnan(c[i]));
    free(a), free(scratch), free_weight(&w);
}

static void weights_of_another_type_are_refused(void **state)
{
    (void)state;
    static const struct {
        ent_compute compute;
        ent_dtype dtype;
        const char *message;
    } cases[] = {{ENT_COMPUTE_BF16, ENT_DTYPE_F32, "w: products in bf16 need a weight that is stored so, found F32"},
                 {ENT_COMPUTE_BF16, ENT_DTYPE_I8, "w: products in bf16 need a weight that is stored so, found I8"},
                 {ENT_COMPUTE_INT8, ENT_DTYPE_BF16, "w: products in int8 need a weight that is stored so, found BF16"},
                 {ENT_COMPUTE_FP32, ENT_DTYPE_I8, "w: products in fp32 need a weight that is stored so, found I8"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const ent_tensor w = {
            .n_dims = 2, .shape = {4, 4}, .dtype = cases[i].dtype, .compute = cases[i].compute, .name = "w"};
        size_t bytes;
        assert_int_equal(ent_gemm_weight_plan(&bytes, &w, 8), ENT_EINVAL);
        assert_string_equal(ent_message(), cases[i].message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_are_right),
        cmocka_unit_test(threads_may_multiply_at_once),
        cmocka_unit_test(rounding_to_bf16_is_to_nearest_even),
        cmocka_unit_test(products_in_bf16_round_their_factors_only),
        cmocka_unit_test(products_in_int8_are_exact_but_for_the_scaling),
        cmocka_unit_test(products_in_int8_round_rows),
        cmocka_unit_test(a_lost_row_of_a_weight_is_seen),
        cmocka_unit_test(weights_of_another_type_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
