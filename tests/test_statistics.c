/* Moments, quantiles and histograms against the same computed from all numbers at once. */
#include "file_helpers.h"

#include <math.h>

#include "io/safetensors_types.h"
#include "launch/statistics.h"

enum { N = 20011 };

static int rising(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The next number of a fixed sequence in [0, 1). */
static double draw(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double)(*state >> 40) / 0x1p24;
}

/* Numbers around `centre`, with zeros among them; all are floats. */
static void fill(double *x, size_t n, double centre)
{
    uint64_t state = 7;
    for (size_t i = 0; i < n; i++)
        x[i] = i % 50 == 3 ? 0 : (double)(float)(centre + (draw(&state) - 0.5) * pow(10, -3 * draw(&state)));
}

/* In pieces of other lengths each time, which are then overwritten. */
static void add_in_pieces(ent_statistics *s, const double *x, size_t n)
{
    double piece[1000];
    for (size_t i = 0, m; i < n; i += m) {
        m = 1 + i % 997;
        m = m < n - i ? m : n - i;
        memcpy(piece, x + i, m * sizeof *x);
        ent_statistics_add(s, piece, m);
    }
}

static void assert_close(double a, double b)
{
    if (!(fabs(a - b) <= 1e-13 * fabs(b)))
        fail_msg("%.17g is not %.17g", a, b);
}

static void moments_are_those_of_all_numbers(void **state)
{
    static const double centres[] = {0, -3, 1e6};
    static double x[N], sorted[N];
    (void)state;
    for (size_t c = 0; c < sizeof centres / sizeof *centres; c++) {
        ent_statistics s = {0};
        long double sum = 0, squares = 0, deviations = 0;
        size_t zeros = 0;
        fill(x, N, centres[c]);
        for (size_t i = 0; i < N; i++) {
            sum += (long double)x[i];
            squares += (long double)x[i] * (long double)x[i];
            zeros += x[i] == 0;
        }
        for (size_t i = 0; i < N; i++)
            deviations += ((long double)x[i] - sum / N) * ((long double)x[i] - sum / N);
        add_in_pieces(&s, x, N);
        memcpy(sorted, x, sizeof x);
        qsort(sorted, N, sizeof *sorted, rising);
        assert_int_equal(s.n_finite, N);
        assert_int_equal(s.n_zero, zeros);
        assert_true(s.min == sorted[0] && s.max == sorted[N - 1]);
        assert_true(fabs(s.mean - (double)(sum / N)) <= 1e-14 * (fabs(centres[c]) + 1));
        assert_close(ent_statistics_norm(&s), (double)sqrtl(squares));
        assert_close(ent_statistics_std(&s), (double)sqrtl(deviations / N));
    }
}

/* What isn't finite is counted, and changes nothing else. */
static void what_is_not_finite_is_apart(void **state)
{
    static double x[N], with[2 * N];
    ent_statistics a = {0}, b = {0}, none = {0};
    size_t n = 0;
    (void)state;
    fill(x, N, 1);
    for (size_t i = 0; i < N; i++) {
        with[n++] = x[i];
        if (i % 100 == 0)
            with[n++] = i % 300 == 0 ? (double)NAN : (i % 300 == 100 ? (double)INFINITY : -(double)INFINITY);
    }
    add_in_pieces(&a, x, N);
    add_in_pieces(&b, with, n);
    assert_int_equal(b.n_nan, 67);
    assert_int_equal(b.n_plus_inf, 67);
    assert_int_equal(b.n_minus_inf, 67);
    assert_int_equal(b.n_finite, N);
    assert_int_equal(b.n_zero, a.n_zero);
    assert_true(b.min == a.min && b.max == a.max);
    assert_close(b.mean, a.mean);
    assert_close(ent_statistics_std(&b), ent_statistics_std(&a));
    assert_close(ent_statistics_norm(&b), ent_statistics_norm(&a));
    with[0] = (double)NAN;
    ent_statistics_add(&none, with, 1);
    assert_true(none.n_finite == 0 && none.n_nan == 1 && isnan(ent_statistics_std(&none)));
}

static void quantiles_are_those_of_the_sorted_numbers(void **state)
{
    static const double shares[] = {0, 0.001, 0.25, 0.5, 0.5001, 0.999, 1};
    enum { COUNT = sizeof shares / sizeof *shares };
    static double x[N];
    (void)state;
    for (int round = 0; round < 6; round++) {
        const bool floats = round % 2 == 0;
        const size_t n = round < 4 ? N : 3;
        ent_quantiles *q;
        fill(x, n, round / 2 == 1 ? -0.1 : 0.01);
        for (size_t i = 0; i < n && !floats; i++)
            x[i] *= 1 + 1e-12 * (double)i; /* not a float any more */
        assert_ok(ent_quantiles_new(&q, shares, COUNT, n, floats));
        assert_int_equal(ent_quantiles_passes(q), floats ? 2 : 4);
        for (size_t pass = 0; pass < ent_quantiles_passes(q); pass++) {
            const double infinite[] = {(double)INFINITY, (double)NAN};
            ent_quantiles_add(q, x, n / 3);
            ent_quantiles_add(q, infinite, 2);
            ent_quantiles_add(q, x + n / 3, n - n / 3);
            ent_quantiles_end_pass(q);
        }
        qsort(x, n, sizeof *x, rising);
        for (size_t i = 0; i < COUNT; i++) {
            size_t at = 0; /* the first that so many do not exceed */
            while (at + 1 < n && (double)(at + 1) < shares[i] * (double)n)
                at++;
            if (ent_quantiles_at(q, i) != x[at])
                fail_msg("round %d, share %g: %.17g is not %.17g", round, shares[i], ent_quantiles_at(q, i), x[at]);
        }
        ent_quantiles_free(q);
    }
}

static void a_histogram_counts_each_number_once(void **state)
{
    static double x[N];
    enum { BINS = 17 };
    size_t counts[BINS] = {0}, expected[BINS] = {0};
    const ent_histogram h = {-0.5, 0.25, BINS, counts};
    const double beside[] = {-0.6, 0.3, (double)NAN, (double)INFINITY}, ends[] = {-0.5, 0.25};
    (void)state;
    fill(x, N, 0);
    for (size_t i = 0; i < N; i++)
        for (size_t k = 0; k < BINS && x[i] <= h.max; k++)
            expected[k] += x[i] >= h.min + 0.75 * (double)k / BINS && x[i] < h.min + 0.75 * (double)(k + 1) / BINS;
    ent_histogram_add(&h, x, N);
    assert_memory_equal(counts, expected, sizeof counts);
    ent_histogram_add(&h, beside, 4);
    assert_memory_equal(counts, expected, sizeof counts);
    ent_histogram_add(&h, ends, 2);
    assert_true(counts[0] == expected[0] + 1 && counts[BINS - 1] == expected[BINS - 1] + 1);
    size_t one[1] = {0}, wide[4] = {0};
    const double same[] = {3, 3}, far[] = {-1.7e308, -1e308, 1e308, 1.7e308};
    ent_histogram_add(&(ent_histogram){3, 3, 1, one}, same, 2);
    ent_histogram_add(&(ent_histogram){-1.7e308, 1.7e308, 4, wide}, far, 4);
    assert_true(one[0] == 2 && wide[0] == 2 && wide[1] == 0 && wide[3] == 2);
}

/* Values that the definitions of the types give; those of 16 and 32 bits have tests of their own. */
static void every_type_has_its_values(void **state)
{
    static const struct {
        ent_st_type type;
        uint64_t bits;
        double value;
    } cases[] = {
        {ENT_ST_F32, 0x3fc00000, 1.5},
        {ENT_ST_BF16, 0xc040, -3},
        {ENT_ST_F16, 0x3555, 0x1.554p-2},
        {ENT_ST_F64, UINT64_C(0x3ff8000000000000), 1.5},
        {ENT_ST_BOOL, 1, 1},
        {ENT_ST_I8, 0x80, -128},
        {ENT_ST_U8, 0x80, 128},
        {ENT_ST_I16, 0xffff, -1},
        {ENT_ST_U16, 0xffff, 65535},
        {ENT_ST_I32, 0x80000000, -0x1p31},
        {ENT_ST_U32, 0x80000000, 0x1p31},
        {ENT_ST_I64, UINT64_MAX, -1},
        {ENT_ST_U64, UINT64_C(1) << 63, 0x1p63},
        {ENT_ST_F8_E4M3, 0x7e, 448},
        {ENT_ST_F8_E4M3, 0x01, 0x1p-9},
        {ENT_ST_F8_E4M3, 0x08, 0x1p-6},
        {ENT_ST_F8_E4M3, 0xb8, -1},
        {ENT_ST_F8_E4M3, 0x3c, 1.5},
        {ENT_ST_F8_E5M2, 0x7b, 57344},
        {ENT_ST_F8_E5M2, 0x01, 0x1p-16},
        {ENT_ST_F8_E5M2, 0xbc, -1},
        {ENT_ST_F8_E5M2, 0x7c, INFINITY},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unsigned char odd[2 * 8 + 1];
        double x[2];
        const size_t size = ent_st_type_size(cases[i].type);
        memcpy(odd + 1, &cases[i].bits, size); /* little-endian */
        memcpy(odd + 1 + size, &cases[i].bits, size);
        ent_st_values(x, odd + 1, cases[i].type, 2);
        if (x[0] != cases[i].value || x[1] != cases[i].value)
            fail_msg("%s: %g is not %g", ent_st_type_name(cases[i].type), x[1], cases[i].value);
    }
    double x;
    ent_st_values(&x, "\xff", ENT_ST_F8_E4M3, 1);
    assert_true(isnan(x));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moments_are_those_of_all_numbers),
        cmocka_unit_test(what_is_not_finite_is_apart),
        cmocka_unit_test(quantiles_are_those_of_the_sorted_numbers),
        cmocka_unit_test(a_histogram_counts_each_number_once),
        cmocka_unit_test(every_type_has_its_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
