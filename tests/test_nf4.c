/* NF4 with double quantisation against the published algorithm, its values and its map against the formulas that they
 * come from; errors, edges, stretches of rows. */
#include <float.h>
#include <math.h>

#include "src/base/philox.h"
#include "src/quant/nf4.h"
#include "tests/file_helpers.h"

enum { MOST = 48000, MOST_BLOCKS = 1500 };
static float x[MOST], y[MOST], scales[MOST_BLOCKS];
static uint8_t bytes[MOST] __attribute__((aligned(4))), expected[MOST] __attribute__((aligned(4)));

/* The values of the paper (appendix E). */
static const float values[16] = {-1.0f,
                                 -0.6961928009986877f,
                                 -0.5250730514526367f,
                                 -0.39491748809814453f,
                                 -0.28444138169288635f,
                                 -0.18477343022823334f,
                                 -0.09105003625154495f,
                                 0.0f,
                                 0.07958029955625534f,
                                 0.16093020141124725f,
                                 0.24611230194568634f,
                                 0.33791524171829224f,
                                 0.44070982933044434f,
                                 0.5626170039176941f,
                                 0.7229568362236023f,
                                 1.0f};
static float map[256];

/* bitsandbytes' create_dynamic_map(): linspaces in float (from both ends, a number is rounded once), means of
 * neighbours, powers of ten. */
static int make_map(void **state)
{
    (void)state;
    static const float power[7] = {1e-6f, 1e-5f, 1e-4f, 1e-3f, 1e-2f, 1e-1f, 1};
    for (int i = 0; i < 7; i++) {
        const int n = 1 << i;
        const float step = (1 - 0.1f) / (float)n;
        float bound[65];
        for (int k = 0; k <= n; k++)
            bound[k] = 2 * k <= n ? fmaf((float)k, step, 0.1f) : fmaf((float)(k - n), step, 1);
        for (int k = 0; k < n; k++) {
            map[127 + n + k] = power[i] * ((bound[k] + bound[k + 1]) / 2);
            map[127 - n - k] = -map[127 + n + k];
        }
    }
    map[255] = 1;
    return 0;
}

/* ---- the algorithm, as published ---- */

static unsigned nearest(float t, const float *list, unsigned n)
{
    unsigned best = 0;
    for (unsigned k = 1; k < n; k++)
        if (fabs((double)t - (double)list[k]) < fabs((double)t - (double)list[best]))
            best = k;
    return best;
}

static float largest_of(const float *v, size_t n)
{
    float largest = 0;
    for (size_t i = 0; i < n; i++)
        largest = fmaxf(largest, fabsf(v[i]));
    return largest;
}

static void published(uint8_t *out, size_t rows, size_t cols)
{
    uint8_t *codes = out, *scale_bytes = out + rows * ((cols + 1) / 2);
    float s[MOST_BLOCKS], groups[MOST_BLOCKS / 256 + 2];
    size_t n = 0, g = 0;
    double mean = 0;
    for (size_t r = 0; r < rows; r++, codes += (cols + 1) / 2)
        for (size_t c = 0; c < cols; c++) {
            if (c % 64 == 0)
                mean += (double)(s[n++] = largest_of(x + r * cols + c, cols - c < 64 ? cols - c : 64));
            const unsigned code = nearest(x[r * cols + c] * (1 / s[n - 1]), values, 16);
            codes[c / 2] = (uint8_t)(c % 2 ? codes[c / 2] | code : code << 4 | (c + 1 == cols ? 7 : 0));
        }
    const float offset = (float)(mean / (double)n);
    for (size_t i = 0; i < n; i++)
        s[i] -= offset;
    for (size_t i = 0; i < n; i++) {
        if (i % 256 == 0)
            groups[g++] = largest_of(s + i, n - i < 256 ? n - i : 256);
        scale_bytes[i] = (uint8_t)(groups[g - 1] > 0 ? nearest(s[i] * (1 / groups[g - 1]), map, 256) : 127);
    }
    groups[g++] = offset;
    size_t at = (size_t)(scale_bytes - out) + n;
    while (at % 4)
        out[at++] = 0;
    memcpy(out + at, groups, g * sizeof(float));
}

/* ---- helpers ---- */

static void fill(size_t n, uint32_t unit)
{
    const ent_rng rng = {.seed = 11, .unit = unit};
    for (size_t i = 0; i < n; i++)
        x[i] = ent_random_normal(&rng, i) * (0.02f + 0.003f * (float)(i / 64 % 7));
}

static ent_status put_row(uint8_t *to, const ent_nf4 *m, size_t row, const float *values_of_row)
{
    return ent_nf4_put(to + row * m->row_codes, scales + row * m->row_blocks, values_of_row, m->cols);
}

/* Quantises x into bytes, and writes nothing behind them. */
static ent_nf4 quantise(size_t rows, size_t cols)
{
    ent_nf4 m;
    assert_ok(ent_nf4_layout(&m, rows, cols));
    assert_true(rows * cols <= MOST && m.bytes + 8 <= MOST && rows * m.row_blocks < MOST_BLOCKS);
    memset(bytes, 0xa5, sizeof bytes);
    scales[rows * m.row_blocks] = -77;
    for (size_t r = 0; r < rows; r++)
        assert_ok(put_row(bytes, &m, r, x + r * cols));
    ent_nf4_put_scales(bytes + m.scales_at, &m, scales);
    assert_true(scales[rows * m.row_blocks] == -77);
    for (size_t i = m.bytes; i < m.bytes + 8; i++)
        assert_int_equal(bytes[i], 0xa5);
    for (size_t r = 0; r < rows; r++)
        ent_nf4_dequantize(y + r * cols, &m, bytes, r, 0, cols);
    return m;
}

static double normal_quantile(double p)
{
    double low = -5, high = 5;
    for (int i = 0; i < 60; i++)
        *(erfc(-(low + high) / 2 / sqrt(2)) / 2 < p ? &low : &high) = (low + high) / 2;
    return low;
}

/* ---- tests ---- */

/* QLoRA, section 3: quantiles, evenly spaced in probability, 8 of them positive and 7 negative, over the largest; 0. */
static void values_are_quantiles(void **state)
{
    (void)state;
    const double p = 0.9677083, most = normal_quantile(p);
    for (int k = 0; k < 8; k++)
        assert_true(fabs((double)values[15 - k] - normal_quantile(p + (0.5 - p) * k / 8) / most) < 5e-7);
    for (int k = 0; k < 7; k++)
        assert_true(fabs((double)values[k] + normal_quantile(p + (0.5 - p) * k / 7) / most) < 5e-7);
    assert_true(values[7] == 0);
}

/* Every code and every scale byte, read by themselves; the even column is in the high half. */
static void tables_are_the_published_ones(void **state)
{
    (void)state;
    ent_nf4 m;
    assert_ok(ent_nf4_layout(&m, 256, 2));
    const float tail[2] = {1, 0};
    for (size_t b = 0; b < 256; b++) {
        bytes[b] = 0xf7;
        bytes[m.scales_at + b] = (uint8_t)b;
    }
    memcpy(bytes + m.groups_at, tail, sizeof tail);
    for (size_t b = 0; b < 256; b++) {
        ent_nf4_dequantize(y, &m, bytes, b, 0, 2);
        if (y[0] != map[b] || y[1] != 0)
            fail_msg("map: code %zu is %.9g, expected %.9g", b, (double)y[0], (double)map[b]);
        assert_true(b == 0 || map[b] > map[b - 1]);
    }
    memset(bytes + m.scales_at, 255, 256);
    for (size_t b = 0; b < 256; b++) {
        bytes[b] = (uint8_t)b;
        ent_nf4_dequantize(y, &m, bytes, b, 0, 2);
        assert_true(y[0] == values[b >> 4] && y[1] == values[b & 15]);
    }
    const float other[2] = {3, 0.1f}; /* scale = map group + offset, then the product, each rounded */
    memcpy(bytes + m.groups_at, other, sizeof other);
    bytes[m.scales_at + 0x31] = 200;
    ent_nf4_dequantize(y, &m, bytes, 0x31, 0, 2);
    const float product = map[200] * 3, scale = product + 0.1f;
    assert_true(y[0] == values[3] * scale && y[1] == values[1] * scale);
}

static void bytes_are_those_of_the_published_algorithm(void **state)
{
    (void)state;
    static const size_t sizes[][2] = {{1, 1},    {1, 2},     {3, 1},   {2, 63},   {5, 64},   {4, 65},
                                      {3, 127},  {3, 128},   {7, 129}, {1, 320},  {256, 64}, {257, 1},
                                      {255, 65}, {16, 1024}, {31, 33}, {600, 65}, {9, 4099}};
    for (size_t t = 0; t < sizeof sizes / sizeof *sizes; t++) {
        const size_t rows = sizes[t][0], cols = sizes[t][1];
        fill(rows * cols, (uint32_t)t);
        const ent_nf4 m = quantise(rows, cols);
        const size_t blocks = rows * ((cols + 63) / 64), ends = rows * ((cols + 1) / 2) + blocks;
        assert_int_equal(m.bytes, (ends + 3) / 4 * 4 + ((blocks + 255) / 256 + 1) * 4);
        published(expected, rows, cols);
        for (size_t i = 0; i < m.bytes; i++)
            if (bytes[i] != expected[i])
                fail_msg("%zu x %zu: byte %zu is %02x, expected %02x (scales at %zu, groups at %zu)", rows, cols, i,
                         bytes[i], expected[i], m.scales_at, m.groups_at);
    }
}

/* Half the widest gap of the values, -1 to -0.696, of the block's scale; of the map, 0.9/128, of the group's. */
static void errors_are_bounded(void **state)
{
    (void)state;
    const size_t rows = 40, cols = 1100;
    fill(rows * cols, 77);
    x[3 * cols + 70] = -500; /* an outlier spoils its block and, through the scales, its group */
    const ent_nf4 m = quantise(rows, cols);
    const float *groups = (const void *)(bytes + m.groups_at);
    double sum = 0;
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < cols; c++) {
            const size_t b = r * m.row_blocks + c / 64, i = r * cols + c;
            const double bound = 0.15191 * (double)scales[b] + 0.0070313 * (double)groups[b / 256];
            const double error = fabs((double)y[i] - (double)x[i]);
            if (!(error <= bound * (1 + 1e-6)))
                fail_msg("row %zu, column %zu: %g became %g", r, c, (double)x[i], (double)y[i]);
            sum += b / 256 ? error * error / ((double)scales[b] * (double)scales[b]) : 0;
        }
    assert_true(fabsf(y[3 * cols + 70] + 500) < 5);
    assert_true(sqrt(sum / (double)(rows * cols)) < 0.05); /* on the whole far less */
}

static void zeros_stay_zeros(void **state)
{
    (void)state;
    memset(x, 0, sizeof x);
    quantise(5, 130);
    for (size_t i = 0; i < 5 * 130; i++)
        assert_true(y[i] == 0);
    fill(5 * 130, 3);
    memset(x + 2 * 130, 0, 130 * sizeof *x);
    x[2 * 130 + 1] = -0.0f;
    x[2 * 130 + 64] = nextafterf(FLT_MIN, 0); /* too small for a scale */
    quantise(5, 130);
    assert_true(scales[2 * 3] == 0 && scales[2 * 3 + 1] == 0 && scales[2 * 3 + 2] == 0);
    for (size_t i = 0; i < 5 * 130; i++)
        assert_true(i / 130 == 2 ? y[i] == 0 : fabsf(x[i]) < 0.01f || y[i] != 0);
    memset(x, 0, sizeof x);
    x[0] = FLT_MIN, x[1] = -FLT_MIN, x[2] = FLT_MIN / 2; /* one block: the scale is the offset, and exact */
    quantise(1, 3);
    assert_true(y[0] == x[0] && y[1] == x[1] && fabsf(y[2] - x[2]) < 0.08f * FLT_MIN);
}

static void any_stretch_is_that_of_the_row(void **state)
{
    (void)state;
    static const size_t widths[] = {1, 2, 3, 64, 129, 200, 257};
    float part[260];
    for (size_t t = 0; t < sizeof widths / sizeof *widths; t++) {
        const size_t cols = widths[t];
        fill(3 * cols, (uint32_t)(20 + t));
        const ent_nf4 m = quantise(3, cols);
        for (size_t first = 0; first <= cols; first++)
            for (size_t n = 0; n <= cols - first; n += 1 + (n > 9 && n + first + 9 < cols ? 6u : 0u)) {
                part[n] = -77;
                ent_nf4_dequantize(part, &m, bytes, 2, first, n);
                assert_true(part[n] == -77);
                assert_int_equal(memcmp(part, y + 2 * cols + first, n * sizeof *part), 0);
            }
    }
}

static void rows_come_in_any_order(void **state)
{
    (void)state;
    const size_t rows = 30, cols = 97;
    fill(rows * cols, 55);
    const ent_nf4 m = quantise(rows, cols);
    memset(expected, 0, sizeof expected);
    memset(scales, 0, sizeof scales);
    for (size_t k = 0; k < rows; k++)
        assert_ok(put_row(expected, &m, k * 7 % rows, x + k * 7 % rows * cols));
    ent_nf4_put_scales(expected + m.scales_at, &m, scales);
    assert_memory_equal(bytes, expected, m.bytes);
}

static void faults_are_told(void **state)
{
    (void)state;
    ent_nf4 m;
    assert_fails(ent_nf4_layout(&m, 0, 5), ENT_EINVAL, "0 x 5");
    assert_fails(ent_nf4_layout(&m, 5, 0), ENT_EINVAL, "5 x 0");
    assert_fails(ent_nf4_layout(&m, SIZE_MAX / 2, 8), ENT_EINVAL, "too large");
    assert_fails(ent_nf4_layout(&m, 1, SIZE_MAX), ENT_EINVAL, "too large");
    assert_ok(ent_nf4_layout(&m, 4096, 4096));
    assert_true((double)m.bytes * 8 < 4.128 * 4096.0 * 4096.0);
    static const float bad[] = {NAN, INFINITY, -INFINITY, FLT_MAX, -0x1.000002p126f};
    assert_ok(ent_nf4_layout(&m, 2, 150));
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        memset(bytes, 0xa5, sizeof bytes);
        fill(150, 1);
        x[149] = bad[k];
        assert_fails(put_row(bytes, &m, 1, x), ENT_ENUMERIC, "element 149 is");
        x[70] = bad[k];
        assert_fails(put_row(bytes, &m, 1, x), ENT_ENUMERIC, "element 70 is");
        for (size_t i = 0; i < m.bytes; i++)
            assert_int_equal(bytes[i], 0xa5);
    }
    fill(300, 1);
    x[0] = -0x1p126f;
    quantise(2, 150);
    assert_true(fabsf(y[0] / x[0] - 1) < 0.01f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_quantiles),
        cmocka_unit_test(tables_are_the_published_ones),
        cmocka_unit_test(bytes_are_those_of_the_published_algorithm),
        cmocka_unit_test(errors_are_bounded),
        cmocka_unit_test(zeros_stay_zeros),
        cmocka_unit_test(any_stretch_is_that_of_the_row),
        cmocka_unit_test(rows_come_in_any_order),
        cmocka_unit_test(faults_are_told),
    };
    return cmocka_run_group_tests(tests, make_map, NULL);
}
