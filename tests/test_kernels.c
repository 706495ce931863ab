/* The kernels of every level that this CPU has, against double arithmetic: sizes around the lanes, rows that begin
 * anywhere, results in place; and that all levels give the same bits. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "src/base/fixed.h"
#include "src/base/philox.h"
#include "src/kernel/kernels.h"

enum { MOST = 2100, IN = 5 }; /* y, z, which are changed, and a, b, c */
static const size_t sizes[] = {1, 2, 7, 8, 15, 16, 17, 31, 33, 64, 100, 1023, 1024, 1025, 2049};
static const char *const levels[] = {"plain", "avx2", "avx512", "avx512vnni"};
enum { N_SIZES = sizeof sizes / sizeof *sizes, N_LEVELS = sizeof levels / sizeof *levels };

static float in[IN][MOST + 3], out[2][MOST + 3], first[2][MOST + 3];

static float uniform(uint64_t i, uint32_t unit, float low, float high)
{
    const ent_rng rng = {.seed = 7, .unit = unit};
    return low + (high - low) * ent_random_uniform(&rng, i);
}

static void fill(void)
{
    for (uint32_t k = 0; k < IN; k++)
        for (size_t i = 0; i < MOST + 3; i++)
            in[k][i] = uniform(i, k, -3, 3);
}

/* Element by element: what it does to y and z, as a kernel and as an element in double. */
typedef struct element {
    const char *name;
    void (*run)(const ent_kernels *k, float *y, float *z, const float *a, const float *b, const float *c, size_t n);
    void (*expect)(double *y, double *z, double a, double b, double c);
} element;

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

#define ELEMENT(name, call, formula)                                                                                 \
    static void run_##name(const ent_kernels *k, float *y, float *z, const float *a, const float *b, const float *c, \
                           size_t n)                                                                                 \
    {                                                                                                                \
        (void)y, (void)z, (void)a, (void)b, (void)c;                                                                 \
        k->call;                                                                                                     \
    }                                                                                                                \
    static void expect_##name(double *y, double *z, double a, double b, double c)                                    \
    {                                                                                                                \
        (void)y, (void)z, (void)a, (void)b, (void)c;                                                                 \
        formula;                                                                                                     \
    }

static const ent_adam_step adam_step = {0.7f, 0.05f, 0.9f, 0.1f, 0.99f, 0.01f, 0.999f, 0.02f, 0.3f, 1e-6f};
static const ent_sgd_step sgd_step = {0.7f, 0.05f, 0.9f, 0.02f, false}, sgd_first = {0.7f, 0.05f, 0.9f, 0.02f, true},
                          sgd_plain = {0.7f, 0.05f, 0, 0.02f, true};

/* The second moment of Adam is not negative: y, z, |a| stand for x, m, v. */
static float moments[MOST];

static void expect_adam_element(double *y, double *z, double a, double b, double c)
{
    (void)c;
    const double g = 0.7 * b + 0.05 * *y, v = 0.99 * fabs(a) + 0.01 * g * g;
    *z = 0.9 * *z + 0.1 * g;
    *y = 0.999 * *y - 0.02 * *z / (sqrt(v) / 0.3 + 1e-6);
}

static void run_adam(const ent_kernels *k, float *y, float *z, const float *a, const float *b, const float *c, size_t n)
{
    (void)c;
    for (size_t i = 0; i < n; i++)
        moments[i] = fabsf(a[i]);
    k->adam(y, z, moments, b, &adam_step, n);
    for (size_t i = 0; i < n; i++) {
        const double g = 0.7 * (double)b[i] + 0.05 * (double)in[0][i + (size_t)(b - in[3])];
        assert_true(fabs((double)moments[i] - (0.99 * fabs((double)a[i]) + 0.01 * g * g)) < 1e-6);
    }
}

ELEMENT(exp, exp(y, a, 0.25f, n), *y = exp(a - 0.25))
ELEMENT(exp_in_place, exp(y, y, 0.25f, n), *y = exp(*y - 0.25))
ELEMENT(add_exp, add_exp(y, a, 0.25f, 0.5f, n), *y += 0.5 * exp(a - 0.25))
ELEMENT(scale, scale(y, a, -2.5f, n), *y = -2.5 * a)
ELEMENT(scale_in_place, scale(y, y, -2.5f, n), *y = -2.5 * *y)
ELEMENT(add_scaled, add_scaled(y, a, -2.5f, n), *y += -2.5 * a)
ELEMENT(add, add(y, a, b, n), *y = a + b)
ELEMENT(add_in_place, add(y, y, b, n), *y = *y + b)
ELEMENT(softmax_gradient, softmax_gradient(y, a, b, 0.75f, n), *y += b * (a - 0.75))
ELEMENT(score_gradient, score_gradient(y, a, 0.75f, 0.125f, n), *y = a * (*y - 0.75) * 0.125)
ELEMENT(silu_mul, silu_mul(y, a, b, n), *y = a * sigmoid(a) * b)
ELEMENT(silu, silu_mul(y, a, NULL, n), *y = a * sigmoid(a))
ELEMENT(silu_mul_gradient, silu_mul_gradient(y, z, a, b, c, n),
        (*y += a * c * sigmoid(b) * (1 + b * (1 - sigmoid(b))), *z += a * b * sigmoid(b)))
ELEMENT(gate_gradient, silu_mul_gradient(y, NULL, a, b, c, n), *y += a * c * sigmoid(b) * (1 + b * (1 - sigmoid(b))))
ELEMENT(up_gradient, silu_mul_gradient(NULL, z, a, b, c, n), *z += a * b * sigmoid(b))
ELEMENT(silu_gradient, silu_mul_gradient(y, NULL, a, b, NULL, n), *y += a * sigmoid(b) * (1 + b * (1 - sigmoid(b))))
ELEMENT(norm, norm(y, a, b, 0.75f, n), *y = a * b * 0.75)
ELEMENT(norm_gradient, norm_gradient(y, a, b, c, 0.75f, 0.5f, n), *y += 0.75 * (a * c - b * 0.5))
ELEMENT(norm_weight_gradient, norm_weight_gradient(y, a, b, 0.75f, n), *y += a * b * 0.75)
ELEMENT(sgd, sgd(y, z, a, &sgd_step, n), (*z = 0.9 * *z + 0.7 * a + 0.05 * *y, *y -= 0.02 * *z))
ELEMENT(sgd_first, sgd(y, z, a, &sgd_first, n), (*z = 0.7 * a + 0.05 * *y, *y -= 0.02 * *z))
ELEMENT(sgd_plain, sgd(y, z, a, &sgd_plain, n), *y -= 0.02 * (0.7 * a + 0.05 * *y))

#define ROW(name)                        \
    {                                    \
#name, run_##name, expect_##name \
    }
static const element elements[] = {ROW(exp),
                                   ROW(exp_in_place),
                                   ROW(add_exp),
                                   ROW(scale),
                                   ROW(scale_in_place),
                                   ROW(add_scaled),
                                   ROW(add),
                                   ROW(add_in_place),
                                   ROW(softmax_gradient),
                                   ROW(score_gradient),
                                   ROW(silu_mul),
                                   ROW(silu),
                                   ROW(silu_mul_gradient),
                                   ROW(gate_gradient),
                                   ROW(up_gradient),
                                   ROW(silu_gradient),
                                   ROW(norm),
                                   ROW(norm_gradient),
                                   ROW(norm_weight_gradient),
                                   ROW(sgd),
                                   ROW(sgd_first),
                                   ROW(sgd_plain),
                                   {"adam", run_adam, expect_adam_element}};

static void check_element(const element *e, const ent_kernels *k, size_t n, size_t at)
{
    memcpy(out[0], in[0], sizeof out[0]);
    memcpy(out[1], in[1], sizeof out[1]);
    e->run(k, out[0] + at, out[1] + at, in[2] + at, in[3] + at, in[4] + at, n);
    for (size_t i = 0; i < MOST + 3; i++) {
        double want[2] = {(double)in[0][i], (double)in[1][i]};
        if (i >= at && i < at + n)
            e->expect(&want[0], &want[1], (double)in[2][i], (double)in[3][i], (double)in[4][i]);
        for (int o = 0; o < 2; o++)
            if (!(fabs((double)out[o][i] - want[o]) <= 1e-6 * (1 + fabs(want[o]))))
                fail_msg("%s %s of %zu at %zu: [%d][%zu] is %.9g, expected %.9g", k->name, e->name, n, at, o, i,
                         (double)out[o][i], want[o]);
    }
    if (strcmp(k->name, "plain") == 0)
        memcpy(first, out, sizeof first);
    else if (memcmp(first, out, sizeof first) != 0)
        fail_msg("%s %s of %zu at %zu: other bits than the plain kernel", k->name, e->name, n, at);
}

static void elements_are_right(void **state)
{
    (void)state;
    fill();
    for (size_t e = 0; e < sizeof elements / sizeof *elements; e++)
        for (size_t s = 0; s < N_SIZES; s++)
            for (size_t at = 0; at < 3; at++)
                for (size_t l = 0; l < N_LEVELS; l++)
                    if (ent_kernels_find(levels[l]))
                        check_element(&elements[e], ent_kernels_find(levels[l]), sizes[s], at);
}

static void near(double found, double want, double most, const char *what, size_t n)
{
    if (!(fabs(found - want) <= most))
        fail_msg("%s of %zu: %.17g, expected %.17g", what, n, found, want);
}

static void check_sums(double results[6], const ent_kernels *k, size_t n, size_t at)
{
    const float *a = in[2] + at, *b = in[3] + at, *c = in[4] + at;
    double largest = -INFINITY, size = 0, squares = 0, dot = 0, dot3 = 0, sum = 0;
    for (size_t i = 0; i < n; i++) {
        largest = fmax(largest, (double)a[i]);
        size = fmax(size, fabs((double)b[i]));
        squares += (double)a[i] * (double)a[i];
        dot += (double)a[i] * (double)b[i];
        dot3 += (double)a[i] * (double)b[i] * (double)c[i];
        sum += exp((double)a[i] - 0.25);
    }
    results[0] = (double)k->max(a, n);
    results[1] = (double)k->largest(b, NULL, n);
    results[2] = k->sum_squares(a, n);
    results[3] = k->dot(a, b, n);
    results[4] = k->dot3(a, b, c, n);
    results[5] = k->exp(out[0] + at, a, 0.25f, n);
    assert_true(results[0] == largest && results[1] == size);
    const double most = 0x1p-53 * 27 * (double)(n * n); /* n roundings of sums of at most 27 n */
    near(results[2], squares, most, "sum_squares", n);
    near(results[3], dot, most, "dot", n);
    near(results[4], dot3, most, "dot3", n);
    near(results[5], sum, 1e-7 * sum, "exp's sum", n);
    double total = 0;
    for (size_t i = 0; i < n; i++)
        total += (double)out[0][at + i];
    near(results[5], total, 1e-15 * sum * (double)n, "exp's sum", n);
}

static void sums_are_right(void **state)
{
    (void)state;
    fill();
    for (size_t s = 0; s < N_SIZES; s++)
        for (size_t at = 0; at < 3; at++) {
            double plain[6], results[6];
            check_sums(plain, ent_kernels_find("plain"), sizes[s], at);
            for (size_t l = 1; l < N_LEVELS; l++) {
                if (ent_kernels_find(levels[l]) == NULL)
                    continue;
                check_sums(results, ent_kernels_find(levels[l]), sizes[s], at);
                assert_memory_equal(plain, results, sizeof plain);
            }
        }
}

/* The largest and smallest where each place of a row has it, all else equal. */
static void maxima_are_found_everywhere(void **state)
{
    (void)state;
    for (size_t l = 0; l < N_LEVELS; l++) {
        const ent_kernels *k = ent_kernels_find(levels[l]);
        for (size_t i = 0; k && i < 67; i++) {
            float x[67];
            for (size_t j = 0; j < 67; j++)
                x[j] = -5;
            x[i] = -4;
            assert_true(k->max(x, 67) == -4 && k->largest(x, NULL, 67) == 5);
            x[i] = -6;
            assert_true(k->largest(x, NULL, 67) == 6);
            float factors[67];
            for (size_t j = 0; j < 67; j++)
                factors[j] = j == i ? -0.5f : 1;
            assert_true(k->largest(x, factors, 67) == 5);
            x[i] = INFINITY;
            assert_true(isinf(k->largest(x, NULL, 67)));
            x[(i + 20) % 67] = NAN;
            assert_true(isnan(k->largest(x, NULL, 67)) && isnan(k->largest(x, factors, 67)));
        }
    }
}

static void heads_are_turned(void **state)
{
    (void)state;
    fill();
    for (size_t l = 0; l < N_LEVELS; l++) {
        const ent_kernels *k = ent_kernels_find(levels[l]);
        for (size_t half = 1; k && half < 70; half++) {
            for (int add = 0; add < 3; add++) { /* apart, added, in place */
                const float *x = in[2] + 1, *c = in[3] + 2, *s = in[4];
                memcpy(out[0], in[add == 2 ? 2 : 0], sizeof out[0]);
                float *y = out[0] + 1;
                (add == 1 ? k->rotate_add : k->rotate)(y, add == 2 ? y : x, c, s, -1, half);
                for (size_t j = 0; j < half; j++) {
                    const double a = (double)x[j], b = (double)x[half + j], cosine = (double)c[j], sine = (double)s[j];
                    const double start[2] = {add == 1 ? (double)in[0][1 + j] : 0,
                                             add == 1 ? (double)in[0][1 + half + j] : 0};
                    near((double)y[j], start[0] + a * cosine + b * sine, 3e-6, "rotate", half);
                    near((double)y[half + j], start[1] + b * cosine - a * sine, 3e-6, "rotate", half);
                }
                assert_true(out[0][1 + 2 * half] == in[add == 2 ? 2 : 0][1 + 2 * half]);
                if (l == 0 && half == 69 && add < 2)
                    memcpy(first[add & 1], out[0], sizeof out[0]);
                else if (half == 69 && add < 2)
                    assert_memory_equal(first[add & 1], out[0], sizeof out[0]);
            }
        }
    }
}

static float float_at(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Every 1021st float: below 1.1 ulp of the exact value, 0 below 2^-126, and the same bits at every level. */
static void exp_has_its_error(void **state)
{
    (void)state;
    enum { BLOCK = 1024 };
    double worst = 0, at = 0;
    for (uint64_t begin = 0; begin < UINT64_C(1) << 32; begin += UINT64_C(1021) * BLOCK) {
        float x[BLOCK], y[BLOCK], z[BLOCK];
        for (uint64_t i = 0; i < BLOCK; i++)
            x[i] = float_at((uint32_t)(begin + 1021 * i));
        ent_kernels_get()->exp(y, x, 0, BLOCK);
        ent_kernels_find("plain")->exp(z, x, 0, BLOCK);
        for (size_t i = 0; i < BLOCK; i++) {
            const double exact = exp((double)x[i]);
            assert_true(isnan(z[i]) ? isnan(y[i]) : memcmp(&y[i], &z[i], sizeof y[i]) == 0);
            if (isnan(x[i]) || exact < 0x1p-126 || exact > (double)FLT_MAX) {
                if (!(isnan(x[i]) ? isnan(y[i]) : exact < 0x1p-126 ? y[i] == 0 || exact > 0x1.fffffp-127 : isinf(y[i])))
                    fail_msg("exp(%.9g) is %.9g", (double)x[i], (double)y[i]);
                continue;
            }
            int e;
            frexp(exact, &e);
            const double error = fabs((double)y[i] - exact) / ldexp(1, e - 24);
            if (!(error <= worst))
                worst = error, at = (double)x[i];
        }
    }
    printf("exp of a float: %.3f ulp at %.9g\n", worst, at);
    assert_true(worst < 1.1);
}

static void exp_ends_well(void **state)
{
    (void)state;
    static const float x[] = {0,         -0.0f,     INFINITY,   -INFINITY,  NAN,  -NAN,
                              88.72283f, 88.72284f, -87.33654f, -87.33655f, -104, 1e30f};
    float y[12];
    for (size_t l = 0; l < N_LEVELS; l++) {
        const ent_kernels *k = ent_kernels_find(levels[l]);
        if (k == NULL)
            continue;
        k->exp(y, x, 0, 12);
        assert_true(y[0] == 1 && y[1] == 1 && y[2] == INFINITY && y[3] == 0 && isnan(y[4]) && isnan(y[5]));
        assert_true(y[6] < INFINITY && y[6] > 3.4e38f && y[7] == INFINITY && y[8] >= 0x1p-126f && y[9] == 0);
        assert_true(y[10] == 0 && y[11] == INFINITY);
    }
}

static void storage_types_are_converted(void **state)
{
    (void)state;
    static uint16_t half[65537], back[65537];
    static float values[65537];
    for (uint32_t i = 0; i < 65537; i++)
        half[i] = (uint16_t)i;
    for (size_t l = 0; l < N_LEVELS; l++) {
        const ent_kernels *k = ent_kernels_find(levels[l]);
        if (k == NULL)
            continue;
        k->from_f16(values, half, 65537);
        for (uint32_t i = 0; i < 65537; i++) {
            const float want = ent_f16_to_f32((uint16_t)i);
            assert_true(isnan(want) ? isnan(values[i]) : memcmp(&want, &values[i], sizeof want) == 0);
        }
        k->from_bf16(values, half, 65537);
        for (uint32_t i = 0; i < 65537; i++)
            assert_true(isnan(values[i]) || ((i & 0x7fff) << 16 <= 0x7f800000u && values[i] == float_at(i << 16)));
        k->to_bf16(back, values, 65537);
        for (uint32_t i = 0; i < 65537; i++)
            assert_true(isnan(values[i]) ? isnan(float_at((uint32_t)back[i] << 16)) : back[i] == half[i]);
        /* Between two bf16 numbers: below the middle, in it, above; signalling NaNs whose upper half is infinity. */
        static const struct {
            uint32_t from;
            uint16_t to;
        } round[] = {{0x3f807fff, 0x3f80}, {0x3f808000, 0x3f80}, {0x3f808001, 0x3f81}, {0x3f818000, 0x3f82},
                     {0xbf818000, 0xbf82}, {0x7f7fffff, 0x7f80}, {0x00008001, 0x0001}, {0x7f800001, 0x7fc0}};
        float x[24];
        uint16_t y[24];
        for (size_t i = 0; i < 24; i++)
            x[i] = float_at(round[i % 8].from);
        k->to_bf16(y, x, 24);
        for (size_t i = 0; i < 24; i++)
            assert_int_equal(y[i], round[i % 8].to);
        static const float eighth[] = {0, 0.5f, 1.5f, -0.5f, -1.5f, 127, -127, 126.5f, 2.49f, -2.51f, 3};
        static const int8_t integers[] = {0, 0, 2, 0, -2, 127, -127, 126, 2, -3, 3};
        int8_t q[11];
        for (size_t i = 0; i < 11; i++)
            x[i] = eighth[i] / 4;
        k->to_int8(q, x, NULL, 4, 11);
        assert_memory_equal(q, integers, sizeof q);
        static const float factors[] = {2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2};
        k->to_int8(q, x, factors, 2, 11);
        assert_memory_equal(q, integers, sizeof q);
    }
}

static void fixed_sums_are_exact(void **state)
{
    (void)state;
    enum { N = 333 };
    float g[N], mean[N];
    int64_t sums[N], want[N];
    for (size_t l = 0; l < N_LEVELS; l++) {
        const ent_kernels *k = ent_kernels_find(levels[l]);
        if (k == NULL)
            continue;
        for (size_t i = 0; i < N; i++) {
            g[i] = ldexpf(uniform(i, 9, -1, 1), (int)(i % 70) - 48);
            if (i % 5 == 0) /* ties between two integers, of both signs */
                g[i] = ((float)(i / 5) - 33.5f) * 0x1p-40f;
            sums[i] = want[i] = (int64_t)(i * i * 1000003) - 5000000000;
            want[i] += ent_to_fixed((double)g[i], ENT_GRAD_BIT);
        }
        assert_true(k->add_fixed(sums, g, ENT_GRAD_LIMIT, N));
        assert_memory_equal(sums, want, sizeof want);
        k->fixed_mean(mean, sums, 0.3, N);
        for (size_t i = 0; i < N; i++)
            assert_true(mean[i] == (float)(ent_from_fixed(sums[i], ENT_GRAD_BIT) * 0.3));
        static const float bad[] = {NAN, INFINITY, -INFINITY, 2, -2, 2.5f};
        for (size_t i = 0; i < 6 * N; i++) {
            memset(g, 0, sizeof g);
            g[i / 6] = bad[i % 6];
            assert_false(k->add_fixed(sums, g, 2, N));
        }
        g[N - 1] = 0x1.fffffep0f;
        assert_true(k->add_fixed(sums, g, 2, N));
    }
}

static void the_best_level_is_taken(void **state)
{
    (void)state;
    const char *best = "plain";
    for (size_t l = 0; l < N_LEVELS; l++)
        if (ent_kernels_find(levels[l]))
            best = levels[l];
    printf("kernels of this CPU: up to %s\n", best);
    assert_string_equal(ent_simd_name(), best);
    assert_non_null(ent_kernels_find("plain"));
    assert_null(ent_kernels_find("none"));
#ifdef __x86_64__
    assert_true((ent_kernels_find("avx2") != NULL) == (__builtin_cpu_supports("avx2") != 0));
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elements_are_right),          cmocka_unit_test(sums_are_right),
        cmocka_unit_test(maxima_are_found_everywhere), cmocka_unit_test(heads_are_turned),
        cmocka_unit_test(exp_has_its_error),           cmocka_unit_test(exp_ends_well),
        cmocka_unit_test(storage_types_are_converted), cmocka_unit_test(fixed_sums_are_exact),
        cmocka_unit_test(the_best_level_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
