/* Each method against its paper, written down again here: over whole tensors, by sorting, with libm and long double. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/merge/merge.h"

enum { N = 5003, M = 3, TENSOR = 7, SEED = 11 };

static float base[N], x[M * N], y[N], expected[N];
static double delta[M * N];
static const double weights[M] = {1, 0.25, 2.5};

static float draw(uint32_t unit, uint64_t i)
{
    return ent_random_normal(&(ent_rng){.seed = 3, .stream = ENT_STREAM_INIT, .unit = unit}, i);
}

/* Models near the base, in steps that make many deltas equal in size, as those of bf16 weights are. */
static int make_models(void **state)
{
    (void)state;
    for (size_t i = 0; i < N; i++) {
        base[i] = draw(0, i);
        for (size_t m = 0; m < M; m++)
            x[m * N + i] = base[i] + rintf(draw((uint32_t)m + 1, i) * 8) / 64;
    }
    return 0;
}

/* y = the merge, in pieces of `piece` numbers; TIES' thresholds gathered from pieces in another order. */
static void run(const ent_merge *how, size_t piece)
{
    static ent_merge_select select;
    float thresholds[M];
    ent_merge_tensor tensor = {.number = TENSOR, .thresholds = thresholds};
    for (size_t m = 0; how->method == ENT_MERGE_TIES && m < how->models; m++) {
        bool done = false;
        for (ent_merge_select_begin(&select, N, how->density); !done;
             done = ent_merge_select_end(thresholds + m, &select))
            for (size_t i = (N - 1) / piece * piece + piece; i > 0; i -= piece) {
                const size_t first = i - piece, n = N - first < piece ? N - first : piece;
                ent_merge_delta(delta, x + m * N + first, base + first, n);
                ent_merge_select_count(&select, delta, n);
            }
    }
    if (how->method == ENT_MERGE_SLERP) {
        double sums[3];
        ent_merge_slerp_sums(sums, x, x + N, N);
        ent_merge_slerp_factors(tensor.factors, sums, how->t);
    }
    for (size_t first = 0; first < N; first += piece)
        ent_merge_piece(y + first, how, &tensor, base + first, x + first, N, delta, first,
                        N - first < piece ? N - first : piece);
}

/* Both are rounded to fp32 once; the last bit may differ where a sum is halfway between two numbers but for its own
 * error. */
static void assert_expected(void)
{
    size_t other = 0;
    for (size_t i = 0; i < N; i++) {
        if (!(fabsf(y[i] - expected[i]) <= fabsf(expected[i]) * FLT_EPSILON))
            fail_msg("number %zu: %.9g, expected %.9g", i, (double)y[i], (double)expected[i]);
        other += y[i] != expected[i];
    }
    assert_true(other <= N / 50);
}

static void average(void **state)
{
    (void)state;
    for (size_t i = 0; i < N; i++) {
        long double sum = 0, total = 0;
        for (size_t m = 0; m < M; m++) {
            sum += (long double)weights[m] * x[m * N + i];
            total += weights[m];
        }
        expected[i] = (float)(sum / total);
    }
    run(&(ent_merge){.method = ENT_MERGE_AVERAGE, .models = M, .weights = weights}, N);
    assert_expected();
}

/* theta_new = theta_pre + lambda sum tau_t (Ilharco et al. 2023, section 2), a lambda for each; also negation. */
static void task_arithmetic(void **state)
{
    (void)state;
    const double w[M] = {1, -0.5, 0.37};
    for (size_t i = 0; i < N; i++) {
        long double sum = base[i];
        for (size_t m = 0; m < M; m++)
            sum += (long double)w[m] * ((long double)x[m * N + i] - base[i]);
        expected[i] = (float)sum;
    }
    run(&(ent_merge){.method = ENT_MERGE_TASK, .models = M, .weights = w}, N);
    assert_expected();
    run(&(ent_merge){.method = ENT_MERGE_TASK, .models = 1, .weights = weights}, N); /* the model itself */
    assert_memory_equal(y, x, sizeof y);
}

static int descending(const void *a, const void *b)
{
    const float p = *(const float *)a, q = *(const float *)b;
    return (p < q) - (p > q);
}

/* Yadav et al. 2023, algorithm 1: tau = the task vectors; the top-k of each are kept; gamma = sgn(sum of tau); the mean
 * of those that have it. With a weight for each, as in mergekit. */
static void elect_and_merge(const double *w, size_t models, long double tau[M][N], double divisor)
{
    for (size_t i = 0; i < N; i++) {
        long double gamma = 0, sum = 0, members = 0;
        for (size_t m = 0; m < models; m++)
            gamma += w[m] * tau[m][i];
        for (size_t m = 0; m < models; m++)
            if (tau[m][i] * gamma > 0) {
                sum += w[m] * tau[m][i];
                members += w[m];
            }
        expected[i] = (float)(base[i] + (members > 0 ? sum / members / divisor : 0));
    }
}

static void ties(void **state)
{
    (void)state;
    static long double tau[M][N];
    static const double densities[] = {0.2, 0.0001, 0.5, 1};
    for (size_t d = 0; d < 4; d++) {
        const size_t k = densities[d] * N < 1 ? 1 : (size_t)(densities[d] * N + 0.5);
        for (size_t m = 0; m < M; m++) {
            float sorted[N];
            size_t kept = 0;
            for (size_t i = 0; i < N; i++)
                sorted[i] = (float)fabs((double)x[m * N + i] - (double)base[i]);
            qsort(sorted, N, sizeof *sorted, descending);
            for (size_t i = 0; i < N; i++) {
                tau[m][i] = (long double)x[m * N + i] - base[i];
                if ((float)fabsl(tau[m][i]) < sorted[k - 1])
                    tau[m][i] = 0;
                kept += tau[m][i] != 0;
            }
            assert_true(d > 2 || kept >= k);
        }
        elect_and_merge(weights, M, tau, 1);
        run(&(ent_merge){.method = ENT_MERGE_TIES, .models = M, .weights = weights, .density = densities[d]}, N);
        assert_expected();
    }
}

/* k = density n, rounded, at least 1: of ten magnitudes, two of which differ in their last bit. */
static void how_many_stay(void **state)
{
    (void)state;
    static ent_merge_select select;
    const float above = nextafterf(7, 8);
    const double d[10] = {3, -1, 7, -(double)above, 0, 1e-40, -9, 1e30, 2, -4};
    static const struct {
        double density;
        float threshold;
    } cases[] = {{0.01, 1e30f}, {0.14, 1e30f}, {0.16, 9}, {0.3, 0}, {0.4, 7},
                 {0.45, 4},     {0.9, 1e-40f}, {0.95, 0}, {1, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        float threshold;
        ent_merge_select_begin(&select, 10, cases[i].density);
        do
            ent_merge_select_count(&select, d, 10);
        while (!ent_merge_select_end(&threshold, &select));
        assert_true(threshold == (cases[i].density == 0.3 ? above : cases[i].threshold));
    }
}

/* Signs that cancel elect none: the number stays that of the base. */
static void ties_of_opposites(void **state)
{
    (void)state;
    const float two[2] = {0, 1};
    const double opposite[] = {0.5, -0.25, /**/ -0.5, -0.5}, w[] = {1, 1};
    float z[2];
    ent_merge_elect(z, two, opposite, w, 2, 1, 2);
    assert_true(z[0] == 0);
    assert_true(z[1] == 1 - 0.375f);
}

/* It is not passed over: the writer names it. */
static void no_number_stays_none(void **state)
{
    (void)state;
    const float two[2] = {0, 1};
    const double w[] = {1, 1};
    for (size_t k = 0; k < 2; k++) {
        double d[] = {NAN, 1, /**/ 1, INFINITY};
        float z[2];
        if (k == 0)
            ent_merge_trim(d, 2, 4);
        ent_merge_elect(z, two, d, w, 2, 1, 2);
        assert_false(isfinite(z[0]) || isfinite(z[1]));
    }
}

/* Yu et al. 2024, equations 1 and 2: m ~ Bernoulli(p), tau = (1 - m) delta, divided by 1 - p; p = 1 - density. */
static void dare(void **state)
{
    (void)state;
    static long double tau[M][N];
    const double density = 0.37;
    size_t kept[M] = {0}, together = 0;
    for (size_t i = 0; i < N; i++) {
        long double sum = base[i];
        for (uint32_t m = 0; m < M; m++) {
            const ent_rng rng = {.seed = SEED, .stream = ENT_STREAM_MERGE | TENSOR << 8, .step = m};
            const bool keeps = (double)ent_random_u32(&rng, i) * 0x1p-32 < density;
            tau[m][i] = keeps ? (long double)x[m * N + i] - base[i] : 0;
            sum += weights[m] * tau[m][i] / density;
            kept[m] += keeps;
        }
        together += tau[0][i] != 0 && tau[1][i] != 0;
        expected[i] = (float)sum;
    }
    const double deviation = sqrt(N * density * (1 - density));
    for (size_t m = 0; m < M; m++)
        assert_true(fabs((double)kept[m] - N * density) < 4 * deviation);
    assert_true(together < N * 0.17); /* 0.137 N: models are drawn apart */
    ent_merge how = {.method = ENT_MERGE_DARE, .models = M, .weights = weights, .density = density, .seed = SEED};
    run(&how, N);
    assert_expected();
    how.method = ENT_MERGE_DARE_TIES;
    elect_and_merge(weights, M, tau, density);
    run(&how, N);
    assert_expected();
    how.density = 1; /* nothing is dropped */
    how.models = 1;
    run(&how, N);
    assert_memory_equal(y, x, sizeof y);
}

/* Of seed, tensor and number, which all count: beyond 2^34 numbers too. */
static void dare_draws(void **state)
{
    (void)state;
    static double d[5][4096];
    const uint64_t far = UINT64_C(1) << 34;
    for (size_t i = 0; i < 5; i++)
        for (size_t j = 0; j < 4096; j++)
            d[i][j] = 1;
    ent_merge_drop(d[0], 0.5, 1, 0, 0, 0, 4096);
    ent_merge_drop(d[1], 0.5, 2, 0, 0, 0, 4096);
    ent_merge_drop(d[2], 0.5, 1, 1, 0, 0, 4096);
    ent_merge_drop(d[3], 0.5, 1, 0, 1, 0, 4096);
    ent_merge_drop(d[4], 0.5, 1, 0, 0, far, 4096);
    for (size_t i = 0; i < 5; i++)
        for (size_t k = 0; k < i; k++) {
            int same = 0;
            for (size_t j = 0; j < 4096; j++)
                same += d[i][j] == d[k][j];
            assert_in_range(same, 2048 - 160, 2048 + 160); /* 5 deviations */
        }
}

/* Shoemake 1985: sin((1 - t) a) / sin a x + sin(t a) / sin a y. Straight near parallel, as mergekit is. */
static void slerp(void **state)
{
    (void)state;
    static const long double turns[] = {0.5L, 1, 3, 0.02L, -1, -0.02L}; /* of the second model from the first */
    float *first = x, *second = x + N;
    for (size_t k = 0; k < 6; k++)
        for (double t = 0; t <= 1; t += 0.25) {
            long double pp = 0, qq = 0, pq = 0, f = 1 - t, g = t;
            for (size_t i = 0; i < N; i++) {
                first[i] = base[i];
                second[i] = (float)((turns[k] < 0 ? -1 : 1) * base[i] * 1.5L + turns[k] * draw(1, i));
                pp += (long double)first[i] * first[i];
                qq += (long double)second[i] * second[i];
                pq += (long double)first[i] * second[i];
            }
            const long double a = acosl(pq / sqrtl(pp) / sqrtl(qq));
            const bool straight = fabsl(turns[k]) < 0.03L;
            assert_true(straight == (fabsl(cosl(a)) > 0.9995L));
            if (!straight) {
                f = sinl((1 - t) * a) / sinl(a);
                g = sinl(t * a) / sinl(a);
            }
            for (size_t i = 0; i < N; i++)
                expected[i] = (float)(f * first[i] + g * second[i]);
            run(&(ent_merge){.method = ENT_MERGE_SLERP, .models = 2, .t = t}, N);
            if (t == 0 || t == 1)
                assert_memory_equal(y, t == 0 ? first : second, sizeof y);
            for (size_t i = 0; i < N; i++)
                assert_true(fabsf(y[i] - expected[i]) <= 1e-6f * (fabsf(first[i]) + fabsf(second[i])));
        }
    double factors[2];
    ent_merge_slerp_factors(factors, (double[]){0, 4, 0}, 0.25); /* no length, no angle */
    assert_true(factors[0] == 0.75 && factors[1] == 0.25);
    make_models(NULL);
}

/* The bits don't depend on where a tensor is cut. */
static void pieces(void **state)
{
    (void)state;
    static const size_t sizes[] = {4096, 1000, 17, 1};
    for (ent_merge_method method = ENT_MERGE_AVERAGE; method <= ENT_MERGE_DARE_TIES; method++) {
        const ent_merge how = {.method = method,
                               .models = method == ENT_MERGE_SLERP ? 2 : M,
                               .weights = weights,
                               .density = 0.4,
                               .t = 0.3,
                               .seed = SEED};
        run(&how, N);
        memcpy(expected, y, sizeof y);
        for (size_t k = 0; k < 4; k++) {
            memset(y, 0, sizeof y);
            run(&how, sizes[k]);
            assert_memory_equal(y, expected, sizeof y);
        }
    }
}

/* Hu et al. 2021: W + alpha / r B A, in long double; some columns of a row at a time. DoRA: times a factor. */
static void fold_with(double gain)
{
    enum { R = 16, IN = 1100 };
    const float *a = x, *b = base, *w = x + N * 2;
    const double scale = 1.7;
    static float columns[R * IN];
    for (size_t i = 0; i < R * IN; i++)
        columns[i] = a[i % N] * 0.1f + (float)(i / N);
    for (size_t j = 0; j < IN; j++) {
        long double sum = 0;
        for (size_t k = 0; k < R; k++)
            sum += (long double)b[k] * columns[k * IN + j];
        expected[j] = (float)((long double)gain * (w[j] + (long double)scale * sum));
    }
    ent_merge_fold(y, w, b, columns, IN, R, scale, gain, 700);
    ent_merge_fold(y + 700, w + 700, b, columns + 700, IN, R, scale, gain, IN - 700);
    memset(y + IN, 0, (N - IN) * sizeof *y);
    memset(expected + IN, 0, (N - IN) * sizeof *y);
    assert_expected();
}

static void fold(void **state)
{
    (void)state;
    fold_with(1);
    fold_with(0.83);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(average),
        cmocka_unit_test(task_arithmetic),
        cmocka_unit_test(ties),
        cmocka_unit_test(how_many_stay),
        cmocka_unit_test(ties_of_opposites),
        cmocka_unit_test(no_number_stays_none),
        cmocka_unit_test(dare),
        cmocka_unit_test(dare_draws),
        cmocka_unit_test(slerp),
        cmocka_unit_test(pieces),
        cmocka_unit_test(fold),
    };
    return cmocka_run_group_tests(tests, make_models, NULL);
}
