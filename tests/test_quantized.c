/* Weights that are stored as I8 or NF4: reading stretches of them, products with them against products with the numbers
 * they stand for, bit for bit, and looking rows of them up. */
#include <math.h>

#include "src/autograd/ops_model.h"
#include "src/base/philox.h"
#include "src/base/tiles.h"
#include "src/kernel/kernels.h"
#include "src/quant/int8_choice.h"
#include "src/quant/nf4.h"
#include "src/tensor/gemm.h"
#include "src/tensor/gemm_int8.h"
#include "tests/file_helpers.h"

static float *random_numbers(size_t n, uint32_t unit)
{
    const ent_rng rng = {.seed = 21, .unit = unit};
    float *x = malloc((n + 1) * sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = ent_random_normal(&rng, i) * (0.1f + 0.02f * (float)(i % 11));
    return x;
}

/* A matrix in every way it can be stored, and the numbers that each stands for. */
typedef struct matrix {
    size_t rows, columns;
    ent_tensor f32, i8, nf4;
    float *values, *of_i8, *of_nf4, *scales;
    int8_t *q;
    uint8_t *bytes;
} matrix;

static ent_tensor stored(const matrix *m, ent_dtype dtype, const void *data)
{
    return (ent_tensor){.n_dims = 2, .shape = {m->rows, m->columns}, .dtype = dtype, .data = data, .name = "w"};
}

/* Of I8 by its definition. What NF4's bytes stand for is tested in test_nf4.c. */
static matrix make(size_t rows, size_t columns, uint32_t unit)
{
    matrix m = {.rows = rows, .columns = columns};
    ent_nf4 layout;
    const size_t n = rows * columns;
    m.values = random_numbers(n, unit);
    m.f32 = stored(&m, ENT_DTYPE_F32, m.values);
    m.q = malloc(n);
    m.scales = malloc(rows * sizeof *m.scales);
    ent_int8_rows(m.q, m.scales, &m.f32, NULL, 0, rows);
    m.i8 = stored(&m, ENT_DTYPE_I8, m.q);
    m.i8.row_scales = m.scales;
    assert_ok(ent_nf4_layout(&layout, rows, columns));
    m.bytes = aligned_alloc(64, (layout.bytes + 63) / 64 * 64);
    float *blocks = malloc(rows * layout.row_blocks * sizeof *blocks);
    for (size_t i = 0; i < rows; i++)
        assert_ok(ent_nf4_put(m.bytes + i * layout.row_codes, blocks + i * layout.row_blocks, m.values + i * columns,
                              columns));
    ent_nf4_put_scales(m.bytes + layout.scales_at, &layout, blocks);
    free(blocks);
    m.nf4 = stored(&m, ENT_DTYPE_NF4, m.bytes);
    m.of_i8 = malloc(n * sizeof *m.of_i8);
    m.of_nf4 = malloc(n * sizeof *m.of_nf4);
    for (size_t i = 0; i < n; i++)
        m.of_i8[i] = m.scales[i / columns] * (float)m.q[i];
    for (size_t i = 0; i < rows; i++)
        ent_nf4_dequantize(m.of_nf4 + i * columns, &layout, m.bytes, i, 0, columns);
    return m;
}

static void drop(matrix *m)
{
    free(m->values), free(m->of_i8), free(m->of_nf4), free(m->scales), free(m->q), free(m->bytes);
}

static void check_stretches(const ent_tensor *t, const float *want)
{
    enum { MOST = 200 };
    float part[MOST + 1];
    const size_t columns = t->shape[1];
    for (size_t row = 0; row < t->shape[0]; row++)
        for (size_t begin = 0; begin <= columns; begin += 1 + begin % 5)
            for (size_t n = 0; n <= columns - begin; n += 1 + n % 7) {
                part[n] = -77;
                ent_tensor_read(part, t, row, begin, n);
                assert_memory_equal(part, want + row * columns + begin, n * sizeof *part);
                assert_true(part[n] == -77);
            }
}

static void stretches_are_read(void **state)
{
    (void)state;
    static const size_t widths[] = {1, 7, 64, 129, 200};
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
        matrix m = make(3, widths[i], (uint32_t)i);
        const size_t n = 3 * widths[i];
        uint16_t *half = malloc(n * sizeof *half);
        double *wide = malloc(n * sizeof *wide);
        float *values = malloc(n * sizeof *values);
        check_stretches(&m.f32, m.values);
        check_stretches(&m.i8, m.of_i8);
        check_stretches(&m.nf4, m.of_nf4);
        for (size_t j = 0; j < n; j++)
            values[j] = ent_bf16_to_f32(half[j] = ent_f32_to_bf16(m.values[j]));
        const ent_tensor bf16 = stored(&m, ENT_DTYPE_BF16, half);
        check_stretches(&bf16, values);
        for (size_t j = 0; j < n; j++)
            values[j] = ent_f16_to_f32(half[j] = (uint16_t)(0x2c00 + 37 * j % 0x1000));
        const ent_tensor f16 = stored(&m, ENT_DTYPE_F16, half);
        check_stretches(&f16, values);
        for (size_t j = 0; j < n; j++)
            values[j] = (float)(wide[j] = (double)m.values[j] / 3);
        const ent_tensor f64 = stored(&m, ENT_DTYPE_F64, wide);
        check_stretches(&f64, values);
        free(half), free(wide), free(values);
        drop(&m);
    }
}

static void bytes_are_those_of_numbers_and_scales(void **state)
{
    (void)state;
    matrix m = make(10, 129, 1);
    assert_int_equal(ent_tensor_bytes(&m.f32), 4 * 10 * 129);
    assert_int_equal(ent_tensor_bytes(&m.i8), 10 * 129 + 4 * 10);
    assert_int_equal(ent_tensor_bytes(&m.nf4), 10 * 65 + 10 * 3 + 2 * 4); /* codes, scales; a group and the offset */
    const ent_tensor bf16 = stored(&m, ENT_DTYPE_BF16, NULL);
    assert_int_equal(ent_tensor_bytes(&bf16), 2 * 10 * 129);
    drop(&m);
}

/* ---- products ---- */

enum { ROWS = 530 }; /* more than are packed at a time */

typedef struct operands {
    size_t m;
    float *a, *start;
    bool transposed;
    float beta;
} operands;

static float *product(const operands *o, const ent_tensor *w, int threads)
{
    const size_t n = w->shape[o->transposed ? 0 : 1];
    size_t bytes;
    float *c = malloc(o->m * n * sizeof *c);
    memcpy(c, o->start, o->m * n * sizeof *c);
    ent_set_threads(threads);
    assert_ok(ent_gemm_weight_plan(&bytes, w, o->m));
    void *space = aligned_alloc(64, (bytes + 127) / 64 * 64);
    ent_gemm_weight(c, o->m, o->a, w, o->transposed, o->beta, space);
    ent_set_threads(1);
    free(space);
    return c;
}

/* The product with w, by 1 and 3 threads, is `want`; which is freed. */
static void expect(const operands *o, const ent_tensor *w, float *want)
{
    const size_t n = w->shape[o->transposed ? 0 : 1];
    for (int threads = 1; threads <= 3; threads += 2) {
        float *c = product(o, w, threads);
        if (memcmp(c, want, o->m * n * sizeof *c) != 0)
            fail_msg("%s in %d, %zu rows, [%zu,%zu]%s: other bits", ent_dtype_name(w->dtype), (int)w->compute, o->m,
                     w->shape[0], w->shape[1], o->transposed ? " transposed" : "");
        free(c);
    }
    free(want);
}

static void round_all(float *to, const float *from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = ent_bf16_to_f32(ent_f32_to_bf16(from[i]));
}

/* In bf16, where the library adds up in an order of its own: near the product of the rounded factors. A sum of k + 1
 * numbers is off by at most k 2^-24 of the sum of their sizes. */
static void expect_near(const operands *o, const ent_tensor *w, const float *a, const float *b)
{
    const size_t n = w->shape[o->transposed ? 0 : 1], k = w->shape[o->transposed ? 1 : 0], columns = w->shape[1];
    float *c = product(o, w, 1);
    for (size_t i = 0; i < o->m; i++)
        for (size_t j = 0; j < n; j++) {
            double sum = (double)o->beta * (double)o->start[i * n + j], sizes = fabs(sum);
            for (size_t l = 0; l < k; l++) {
                const double x = (double)a[i * k + l] * (double)b[o->transposed ? j * columns + l : l * columns + j];
                sum += x;
                sizes += fabs(x);
            }
            if (fabs((double)c[i * n + j] - sum) > (double)(k + 1) * 0x1p-24 * sizes)
                fail_msg("%s in bf16, %zu rows, [%zu,%zu]%s, element %zu,%zu: %.9g, expected %.9g",
                         ent_dtype_name(w->dtype), o->m, w->shape[0], columns, o->transposed ? " transposed" : "", i, j,
                         (double)c[i * n + j], sum);
        }
    expect(o, w, c);
}

/* In fp32 as with a matrix of the numbers; in bf16 as with both factors rounded beforehand. */
static void check_float(const matrix *m, const operands *o, ent_tensor w, const float *numbers)
{
    const size_t n = m->rows * m->columns, k = m->f32.shape[o->transposed ? 1 : 0];
    ent_tensor plain = stored(m, ENT_DTYPE_F32, numbers);
    expect(o, &w, product(o, &plain, 1));
    float *rounded = malloc(n * sizeof *rounded), *a = malloc(o->m * k * sizeof *a);
    round_all(rounded, numbers, n);
    round_all(a, o->a, o->m * k);
    plain.data = rounded;
    operands with_rounded = *o;
    with_rounded.a = a;
    w.compute = ENT_COMPUTE_BF16;
    if (strstr(ent_gemm_kernel_for(ENT_COMPUTE_BF16), "oneDNN"))
        expect_near(o, &w, a, rounded);
    else
        expect(o, &w, product(&with_rounded, &plain, 1));
    free(rounded), free(a);
}

/* In int8 as with the numbers stored as int8, with factors and without. */
static void check_int8(const matrix *m, const operands *o, ent_tensor w, const float *numbers)
{
    float *factors = malloc(m->columns * sizeof *factors), *reciprocals = malloc(m->columns * sizeof *reciprocals);
    float *scales = malloc(m->rows * sizeof *scales), *inverses = malloc(m->rows * sizeof *inverses);
    int8_t *q = malloc(m->rows * m->columns);
    const ent_tensor plain = stored(m, ENT_DTYPE_F32, numbers);
    for (int smoothed = 0; smoothed < 2; smoothed++) {
        for (size_t j = 0; j < m->columns; j++) {
            factors[j] = smoothed ? ldexpf(1, (int)(j * 7 % 9) - 4) : 1;
            reciprocals[j] = 1 / factors[j];
        }
        ent_tensor whole = stored(m, ENT_DTYPE_I8, q);
        ent_int8_rows(q, scales, &plain, factors, 0, m->rows);
        whole.row_scales = scales;
        whole.column_factors = factors;
        whole.compute = w.compute = ENT_COMPUTE_INT8;
        float *want = product(o, &whole, 1), *own = malloc(m->rows * sizeof *own);
        for (size_t i = 0; i < m->rows; i++)
            own[i] = ent_int8_row_scale(&inverses[i], &w, smoothed ? factors : NULL, i);
        assert_memory_equal(own, scales, m->rows * sizeof *own);
        const ent_int8_rounding rounding = {own, inverses, smoothed ? reciprocals : NULL};
        w.column_factors = factors;
        w.rounding = &rounding;
        expect(o, &w, want);
        free(own);
    }
    free(factors), free(reciprocals), free(scales), free(inverses), free(q);
}

static void products_are_those_of_the_numbers(void **state)
{
    (void)state;
    static const size_t sizes[][3] = {{1, 1, 1},      {3, 5, 7},     {ROWS, 70, 33},
                                      {20, 300, 520}, {9, 65, 1030}, {1, 130, 600}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int transposed = 0; transposed < 2; transposed++) {
            matrix m = make(sizes[i][1], sizes[i][2], (uint32_t)i);
            const size_t widest = m.rows > m.columns ? m.rows : m.columns;
            const operands o = {sizes[i][0], random_numbers(sizes[i][0] * widest, 40),
                                random_numbers(sizes[i][0] * widest, 41), transposed, transposed ? 0 : 1};
            check_float(&m, &o, m.i8, m.of_i8);
            check_float(&m, &o, m.nf4, m.of_nf4);
            check_int8(&m, &o, m.i8, m.of_i8);
            check_int8(&m, &o, m.nf4, m.of_nf4);
            free(o.a), free(o.start);
            drop(&m);
        }
}

static void weights_without_scales_are_refused(void **state)
{
    (void)state;
    size_t bytes;
    ent_tensor w = {.n_dims = 2, .shape = {4, 4}, .dtype = ENT_DTYPE_I8, .name = "w"};
    assert_fails(ent_gemm_weight_plan(&bytes, &w, 8), ENT_EINVAL, "w: products in fp32 need");
    w.dtype = ENT_DTYPE_NF4;
    w.compute = ENT_COMPUTE_INT8;
    assert_fails(ent_gemm_weight_plan(&bytes, &w, 8), ENT_EINVAL, "w: products in int8 need");
}

/* ---- rows ---- */

static void rows_are_looked_up(void **state)
{
    (void)state;
    static const int32_t ids[] = {2, 0, 4, 2};
    matrix m = make(5, 100, 9);
    const ent_tensor *const tensors[] = {&m.i8, &m.nf4};
    const float *const numbers[] = {m.of_i8, m.of_nf4};
    for (size_t i = 0; i < 2; i++) {
        ent_tape *tape;
        ent_tensor w = *tensors[i], *y;
        assert_ok(ent_tape_new(&tape, false));
        assert_ok(ent_embedding(&y, tape, &w, ids, 4));
        for (size_t t = 0; t < 4; t++)
            assert_memory_equal(ent_values(y) + t * 100, numbers[i] + ids[t] * 100, 100 * sizeof(float));
        ent_tape_free(tape);
    }
    drop(&m);
}

/* Every level rounds and scales alike. */
static void kernels_agree(void **state)
{
    (void)state;
    enum { N = 600 };
    static const char *const levels[] = {"plain", "avx2", "avx512", "avx512vnni"};
    static const uint32_t special[] = {0x7f800001, 0xff800001, 0x7fc00000, 0x7f800000, 0xff800000, 0x7f7fffff,
                                       0x00000001, 0x80000000, 0x3f808000, 0x3f818000, 0xbf818000, 0x3f807fff};
    const ent_rng rng = {.seed = 5};
    float x[N], y[N], want[N];
    int8_t q[N];
    for (size_t i = 0; i < N; i++) {
        const uint32_t u = i % 3 ? ent_random_u32(&rng, i) : special[i / 3 % 12];
        memcpy(&x[i], &u, sizeof u);
        q[i] = (int8_t)(i % 255 - 127);
    }
    for (size_t l = 0; l < sizeof levels / sizeof *levels; l++) {
        const ent_kernels *k = ent_kernels_find(levels[l]);
        if (k == NULL)
            continue;
        for (size_t n = N - 20; n <= N; n++) {
            round_all(want, x, n);
            k->round_bf16(y, x, n);
            assert_memory_equal(y, want, n * sizeof *y);
            memcpy(y, x, sizeof y);
            k->round_bf16(y, y, n);
            assert_memory_equal(y, want, n * sizeof *y);
            for (size_t i = 0; i < n; i++)
                want[i] = (float)q[i] * 0.3f;
            k->from_int8(y, q, 0.3f, n);
            assert_memory_equal(y, want, n * sizeof *y);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stretches_are_read),
        cmocka_unit_test(bytes_are_those_of_numbers_and_scales),
        cmocka_unit_test(products_are_those_of_the_numbers),
        cmocka_unit_test(weights_without_scales_are_refused),
        cmocka_unit_test(rows_are_looked_up),
        cmocka_unit_test(kernels_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
