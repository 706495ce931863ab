/* How a weight is rounded to int8, and whether its products may be: against rounding and errors that are computed here
 * in double. What is seen of the operands. */
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
#include "src/quant/int8_choice.h"

enum { OUT = 96, IN = 130, ROWS = ENT_OBSERVED_ROWS };

/* A weight, and what its products were given. */
typedef struct example {
    float w[OUT * IN], x[ROWS * IN], dy[ROWS * OUT], largest[IN];
    ent_tensor weight;
    ent_observer seen;
} example;

static float normal(uint32_t unit, size_t i)
{
    const ent_rng rng = {.seed = 4, .unit = unit};
    return ent_random_normal(&rng, i);
}

static int set_up(void **state)
{
    example *e = calloc(1, sizeof *e);
    for (size_t i = 0; i < OUT * IN; i++)
        e->w[i] = 0.05f * normal(0, i);
    for (size_t i = 0; i < ROWS * IN; i++)
        e->x[i] = normal(1, i);
    for (size_t i = 0; i < ROWS * OUT; i++)
        e->dy[i] = 1e-6f * normal(2, i);
    e->weight = (ent_tensor){.n_dims = 2, .shape = {OUT, IN}, .dtype = ENT_DTYPE_F32, .data = e->w, .name = "w"};
    e->seen =
        (ent_observer){.in = IN, .out = OUT, .largest = e->largest, .x = e->x, .dy = e->dy, .n_x = ROWS, .n_dy = ROWS};
    *state = e;
    ent_set_threads(2);
    return 0;
}

static int tear_down(void **state)
{
    ent_set_threads(1);
    free(*state);
    return 0;
}

/* The largest of each column of x, as the rows have it. */
static void look(example *e)
{
    for (size_t j = 0; j < IN; j++) {
        e->largest[j] = 0;
        for (size_t i = 0; i < e->seen.n_x; i++)
            e->largest[j] = fmaxf(e->largest[j], fabsf(e->x[i * IN + j]));
    }
}

static int compare_floats(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static void check_ratio(float ratio, const example *e)
{
    float sorted[IN];
    memcpy(sorted, e->largest, sizeof sorted);
    qsort(sorted, IN, sizeof *sorted, compare_floats);
    assert_true(ratio == sorted[IN - 1] / sorted[IN / 2]);
}

static void choose(ent_int8_choice *choice, float factors[IN], example *e)
{
    look(e);
    if (ent_int8_choose(choice, factors, &e->weight, &e->seen) != ENT_OK)
        fail_msg("%s", ent_message());
    check_ratio(choice->ratio, e);
}

/* What becomes of n numbers, each `step` from the next: rounded through int8. */
static void through_int8(double *y, const double *x, size_t n, size_t step)
{
    double largest = 0;
    for (size_t i = 0; i < n; i++)
        largest = fmax(largest, fabs(x[i * step]));
    for (size_t i = 0; i < n; i++)
        y[i * step] = largest > 0 ? nearbyint(x[i * step] * 127 / largest) * largest / 127 : 0;
}

/* The relative error of rounded (rows, k) op(rounded w): by columns of w if `forward`. `row`, `column`: what stands
 * between the operands. */
static double error_of(const example *e, const float *factors, bool forward)
{
    static double w[OUT * IN], w_rounded[OUT * IN], a[ROWS * IN], a_rounded[ROWS * IN], row_scales[OUT];
    const size_t n = forward ? e->seen.n_x : e->seen.n_dy, k = forward ? IN : OUT, m = forward ? OUT : IN;
    for (size_t i = 0; i < OUT; i++) {
        row_scales[i] = 0;
        for (size_t j = 0; j < IN; j++) {
            w[i * IN + j] = (double)e->w[i * IN + j] / (double)factors[j];
            row_scales[i] = fmax(row_scales[i], fabs(w[i * IN + j]) / 127);
        }
        through_int8(w_rounded + i * IN, w + i * IN, IN, 1);
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t l = 0; l < k; l++)
            a[i * k + l] =
                forward ? (double)e->x[i * k + l] * (double)factors[l] : (double)e->dy[i * k + l] * row_scales[l];
        through_int8(a_rounded + i * k, a + i * k, k, 1);
    }
    double error = 0, size = 0;
    for (size_t j = 0; j < m; j++) {
        double exact[ROWS], mean = 0;
        for (size_t i = 0; i < n; i++) {
            double found = 0;
            exact[i] = 0;
            for (size_t l = 0; l < k; l++) {
                const size_t at = forward ? j * IN + l : l * IN + j;
                const double between = forward ? 1 : 1 / row_scales[l];
                exact[i] += a[i * k + l] * between * w[at];
                found += a_rounded[i * k + l] * between * w_rounded[at];
            }
            const double back = forward ? 1 : (double)factors[j];
            error += (found - exact[i]) * (found - exact[i]) * back * back;
            exact[i] *= back;
            mean += forward ? exact[i] / (double)n : 0;
        }
        for (size_t i = 0; i < n; i++)
            size += (exact[i] - mean) * (exact[i] - mean);
    }
    return sqrt(error / size);
}

/* The error that was told is that of the larger product. A number of 130 that falls to the other side of a tie, for its
 * quotient was rounded, is 1/127 off: less than a hundredth of the error. */
static void check_error(const example *e, const float *factors, float told)
{
    const double want = fmax(error_of(e, factors, true), error_of(e, factors, false));
    if (!(fabs((double)told - want) < 0.01 * want))
        fail_msg("error %g, expected %g", (double)told, want);
}

static void all_ones(const float factors[IN])
{
    for (size_t j = 0; j < IN; j++)
        assert_true(factors[j] == 1);
}

static void rows_are_rounded(void **state)
{
    example *e = *state;
    static uint16_t halves[OUT * IN];
    static int8_t q[OUT * IN];
    float factors[IN], scales[OUT];
    for (size_t j = 0; j < IN; j++)
        factors[j] = ldexpf(1, (int)(j % 7) - 3);
    for (size_t j = 0; j < IN; j++)
        e->w[5 * IN + j] = 0; /* a row of zeros */
    for (int type = 0; type < 2; type++) {
        for (size_t i = 0; i < OUT * IN && type; i++) {
            halves[i] = ent_f32_to_bf16(e->w[i]);
            e->w[i] = ent_bf16_to_f32(halves[i]);
        }
        e->weight.data = type ? (void *)halves : e->w;
        e->weight.dtype = type ? ENT_DTYPE_BF16 : ENT_DTYPE_F32;
        for (size_t begin = 0; begin < OUT; begin += 40) {
            const size_t end = begin + 40 < OUT ? begin + 40 : OUT;
            memset(q, -128, sizeof q);
            ent_int8_rows(q, scales, &e->weight, factors, begin, end);
            for (size_t i = begin; i < end; i++) {
                float largest = 0;
                for (size_t j = 0; j < IN; j++)
                    largest = fmaxf(largest, fabsf(e->w[i * IN + j] / factors[j]));
                assert_true(scales[i - begin] == largest / 127);
                for (size_t j = 0; j < IN; j++) {
                    const float x = e->w[i * IN + j] / factors[j];
                    assert_int_equal(q[(i - begin) * IN + j], largest > 0 ? lrintf(x * (127 / largest)) : 0);
                }
            }
            assert_int_equal(q[(end - begin) * IN], end - begin < OUT ? -128 : q[0]); /* and no more */
        }
    }
}

/* A row of more numbers than are looked at at once, whose largest stands last. */
static void long_rows_are_rounded(void **state)
{
    (void)state;
    enum { LONG = 2500 };
    static float w[LONG], factors[LONG];
    static int8_t q[LONG];
    float scale;
    for (size_t j = 0; j < LONG; j++)
        w[j] = normal(3, j), factors[j] = 1;
    w[LONG - 1] = -40;
    const ent_tensor weight = {.n_dims = 2, .shape = {1, LONG}, .dtype = ENT_DTYPE_F32, .data = w};
    ent_int8_rows(q, &scale, &weight, factors, 0, 1);
    assert_true(scale == 40.0f / 127);
    for (size_t j = 0; j < LONG; j++)
        assert_int_equal(q[j], lrintf(w[j] * (127 / 40.0f)));
    for (size_t at = 0; at < 2; at++) { /* a number that is none, before or behind larger ones */
        w[at ? LONG - 2 : 10] = at ? INFINITY : NAN;
        ent_int8_rows(q, &scale, &weight, factors, 0, 1);
        assert_true(isnan(scale));
        w[10] = 0;
    }
}

static void plain_stays_plain(void **state)
{
    example *e = *state;
    ent_int8_choice choice;
    float factors[IN];
    choose(&choice, factors, e);
    assert_int_equal(choice.way, ENT_INT8_PLAIN);
    all_ones(factors);
    assert_true(choice.error == choice.plain_error && choice.error > 0.005f && choice.error < 0.02f);
    check_error(e, factors, choice.error);
}

/* y is what it was, but x and W are harder to round. */
static void move(example *e, size_t column, float factor)
{
    for (size_t i = 0; i < ROWS; i++)
        e->x[i * IN + column] *= factor;
    for (size_t i = 0; i < OUT; i++)
        e->w[i * IN + column] /= factor;
}

static void check_balance(const example *e, const float factors[IN])
{
    for (size_t j = 0; j < IN; j++) {
        int exponent;
        float largest = 0;
        assert_true(frexpf(factors[j], &exponent) == 0.5f);
        for (size_t i = 0; i < OUT; i++)
            largest = fmaxf(largest, fabsf(e->w[i * IN + j]));
        const float balance = factors[j] * sqrtf(e->largest[j] / largest); /* 1: both are equally large */
        assert_true(balance > 0.5f && balance < 2);
    }
}

/* Of x larger than W, and smaller. */
static void a_large_column_is_smoothed(void **state)
{
    example *e = *state;
    ent_int8_choice choice;
    float factors[IN], ones[IN];
    move(e, 17, 30);
    for (size_t i = 0; i < OUT; i++)
        e->w[i * IN + 9] = -fabsf(e->w[i * IN + 9]);
    for (int small = 0; small < 2; small++) {
        for (size_t i = 0; i < ROWS * IN && small; i++)
            e->x[i] *= 0x1p-13f;
        choose(&choice, factors, e);
        assert_int_equal(choice.way, ENT_INT8_SMOOTHED);
        assert_true(choice.plain_error > 0.05f && choice.error < 0.02f);
        check_error(e, factors, choice.error);
        check_balance(e, factors);
        for (size_t j = 0; j < IN; j++)
            ones[j] = 1;
        check_error(e, ones, choice.plain_error);
    }
}

/* Columns of W are as large as those of x, so that the factors of all are equal: nothing gets better. */
static void what_is_no_better_is_not_kept(void **state)
{
    example *e = *state;
    ent_int8_choice choice;
    float factors[IN];
    for (size_t i = 0; i < ROWS * IN; i++)
        e->x[i] = copysignf(i % IN == 3 ? 16 : 1, e->x[i]);
    for (size_t i = 0; i < OUT * IN; i++)
        e->w[i] = copysignf(i % IN == 3 ? 8 : 0.5f, e->w[i]);
    choose(&choice, factors, e);
    assert_true(choice.ratio == 16);
    assert_int_equal(choice.way, ENT_INT8_PLAIN);
    assert_true(choice.error == choice.plain_error);
    all_ones(factors);
}

/* One column is the same large number in every row: y has it alike for all, and what differs is lost in x; W would lose
 * as much. */
static void what_int8_can_not_do_goes_to_bf16(void **state)
{
    example *e = *state;
    ent_int8_choice choice;
    float factors[IN];
    for (size_t i = 0; i < ROWS; i++)
        e->x[i * IN + 60] = 3000;
    choose(&choice, factors, e);
    assert_int_equal(choice.way, ENT_INT8_NOT);
    assert_true(choice.error > ENT_INT8_LARGEST_ERROR && choice.error <= choice.plain_error);
    all_ones(factors);
}

/* The input gradient: two outputs, 1e4 times larger in dy than the others, cancel each other. */
static void outliers_of_the_gradient_go_to_bf16(void **state)
{
    example *e = *state;
    ent_int8_choice choice;
    float factors[IN];
    for (size_t j = 0; j < IN; j++)
        e->w[8 * IN + j] = e->w[40 * IN + j];
    for (size_t i = 0; i < ROWS; i++) {
        e->dy[i * OUT + 8] = 1e-2f;
        e->dy[i * OUT + 40] = -1e-2f + e->dy[i * OUT + 41];
    }
    choose(&choice, factors, e);
    assert_int_equal(choice.way, ENT_INT8_NOT);
    assert_true(choice.error > 0.1f);
    all_ones(factors);
    check_error(e, factors, choice.plain_error);
}

/* Nothing of dx is wanted of the first layer: forward alone decides. */
static void without_a_gradient_forward_decides(void **state)
{
    example *e = *state;
    ent_int8_choice choice;
    float factors[IN];
    e->seen.n_dy = 0;
    choose(&choice, factors, e);
    assert_int_equal(choice.way, ENT_INT8_PLAIN);
    assert_true(fabs((double)choice.error - error_of(e, factors, true)) < 0.01 * (double)choice.error);
    for (size_t i = 0; i < ROWS * OUT; i++)
        e->dy[i] = 0; /* as good as none */
    const float error = choice.error;
    e->seen.n_dy = ROWS;
    choose(&choice, factors, e);
    assert_true(choice.error == error);
}

/* y is the same for all rows, so that nothing is left of it without its mean: that is no fault of a number. */
static void rows_that_are_alike_go_to_bf16(void **state)
{
    example *e = *state;
    ent_int8_choice choice;
    float factors[IN];
    for (size_t i = 1; i < ROWS; i++)
        memcpy(e->x + i * IN, e->x, IN * sizeof *e->x);
    choose(&choice, factors, e);
    assert_int_equal(choice.way, ENT_INT8_NOT);
    e->seen.n_x = 1;
    choose(&choice, factors, e);
    assert_int_equal(choice.way, ENT_INT8_NOT);
    all_ones(factors);
}

static void what_is_not_finite_is_refused(void **state)
{
    example *e = *state;
    float *const places[] = {&e->w[7 * IN + 3], &e->x[2 * IN + 9], &e->dy[4 * OUT + 1]};
    static const float values[] = {NAN, INFINITY, -INFINITY};
    for (size_t p = 0; p < 3; p++) {
        for (size_t v = 0; v < 3; v++) {
            ent_int8_choice choice;
            float factors[IN];
            const float kept = *places[p];
            *places[p] = values[v];
            look(e);
            assert_int_equal(ent_int8_choose(&choice, factors, &e->weight, &e->seen), ENT_ENUMERIC);
            assert_string_equal(ent_message(), "w: products with it are not finite in the first units");
            *places[p] = kept;
        }
    }
}

/* The same values stored otherwise, and any number of threads: the same choice. */
static void storage_and_threads_change_nothing(void **state)
{
    example *e = *state;
    static uint16_t halves[OUT * IN];
    ent_int8_choice first, other;
    float factors[IN], other_factors[IN];
    move(e, 17, 30);
    for (size_t i = 0; i < OUT * IN; i++)
        e->w[i] = ent_bf16_to_f32(halves[i] = ent_f32_to_bf16(e->w[i]));
    choose(&first, factors, e);
    e->weight.data = halves;
    e->weight.dtype = ENT_DTYPE_BF16;
    for (int threads = 1; threads <= 3; threads++) {
        ent_set_threads(threads);
        choose(&other, other_factors, e);
        assert_memory_equal(&first, &other, sizeof first);
        assert_memory_equal(factors, other_factors, sizeof factors);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(rows_are_rounded),
        TEST(long_rows_are_rounded),
        TEST(plain_stays_plain),
        TEST(a_large_column_is_smoothed),
        TEST(what_is_no_better_is_not_kept),
        TEST(what_int8_can_not_do_goes_to_bf16),
        TEST(outliers_of_the_gradient_go_to_bf16),
        TEST(without_a_gradient_forward_decides),
        TEST(rows_that_are_alike_go_to_bf16),
        TEST(what_is_not_finite_is_refused),
        TEST(storage_and_threads_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
