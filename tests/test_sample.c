/* Sampling against twenty lines that sort all logits; and the frequencies of many draws against their probabilities. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdbool.h>
#include <stdlib.h>

#include "src/nn/sample.h"

enum { MOST = 200 };

static const float *sorted; /* the logits that are being sorted */

static int by_chance(const void *a, const void *b)
{
    const size_t i = *(const size_t *)a, j = *(const size_t *)b;
    return sorted[i] != sorted[j] ? (sorted[i] < sorted[j] ? 1 : -1) : (i > j) - (i < j);
}

/* Sorts, keeps k, keeps what reaches p, draws. *chosen = how many have a chance. */
static int32_t naive(size_t *chosen, const float *logits, size_t n, double temperature, size_t k, double p, double u)
{
    size_t order[MOST];
    double chance[MOST], all = 0, sum = 0;
    for (size_t i = 0; i < n; i++)
        order[i] = i;
    sorted = logits;
    if (k < n || p < 1)
        qsort(order, n, sizeof *order, by_chance);
    for (size_t i = 0; i < k; i++)
        all += chance[i] = exp(((double)logits[order[i]] - (double)logits[0]) / temperature);
    for (*chosen = 0; *chosen < k && (*chosen == 0 || p >= 1 || sum < p * all); (*chosen)++)
        sum += chance[*chosen];
    double up_to = 0;
    for (size_t i = 0; i < *chosen; i++) {
        up_to += chance[i];
        if (up_to > u * sum)
            return (int32_t)order[i];
    }
    return -1;
}

static void draw_logits(float *logits, size_t n, uint32_t unit, bool ties)
{
    const ent_rng rng = {.seed = 11, .unit = unit};
    for (size_t i = 0; i < n; i++)
        logits[i] = ties ? (float)ent_random_below(&rng, i, 6) : 3 * ent_random_normal(&rng, i);
}

static void draws_are_those_of_sorted_logits(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 2, 3, 17, MOST}, ks[] = {0, 1, 2, 5, 16, MOST, MOST + 1};
    static const double ps[] = {1e-9, 0.1, 0.5, 0.9, 0.999, 1};
    uint32_t unit = 0;
    size_t fewest = MOST, most = 0;
    for (size_t s = 0; s < 5; s++)
        for (size_t k = 0; k < 7; k++)
            for (size_t p = 0; p < 6; p++)
                for (int ties = 0; ties < 2; ties++, unit++) {
                    const ent_sampling how = {.temperature = 0.7, .top_k = ks[k], .top_p = ps[p]};
                    const ent_rng rng = {.seed = unit, .stream = ENT_STREAM_SAMPLE};
                    const size_t n = sizes[s], kept = ks[k] && ks[k] < n ? ks[k] : n;
                    float logits[MOST];
                    uint32_t order[MOST];
                    size_t chosen;
                    draw_logits(logits, n, unit, ties);
                    for (uint64_t i = 0; i < 40; i++) {
                        const double u = (double)ent_random_uniform(&rng, i);
                        const int32_t want = naive(&chosen, logits, n, how.temperature, kept, how.top_p, u);
                        const int32_t got = ent_sample(logits, n, &how, &rng, i, order);
                        if (got != want)
                            fail_msg("n %zu k %zu p %g draw %d: %d, expected %d", n, ks[k], how.top_p, (int)i, (int)got,
                                     (int)want);
                    }
                    fewest = chosen < fewest ? chosen : fewest;
                    most = chosen > most ? chosen : most;
                }
    assert_true(fewest == 1 && most == MOST); /* the cases were not all of one kind */
}

/* Pearson's sum over 12 indices: with 11 degrees of freedom above 31.3 once in a thousand; the draws are fixed. */
static void frequencies_are_the_probabilities(void **state)
{
    (void)state;
    enum { N = 12, DRAWS = 20000 };
    float logits[N];
    size_t count[N] = {0};
    double all = 0, chi = 0;
    const ent_sampling how = {.temperature = 2, .top_p = 1};
    const ent_rng rng = {.seed = 5, .stream = ENT_STREAM_SAMPLE};
    draw_logits(logits, N, 1000, false);
    for (uint64_t i = 0; i < DRAWS; i++)
        count[ent_sample(logits, N, &how, &rng, i, NULL)]++;
    for (size_t i = 0; i < N; i++)
        all += exp((double)logits[i] / 2);
    for (size_t i = 0; i < N; i++) {
        const double expected = DRAWS * exp((double)logits[i] / 2) / all;
        chi += pow((double)count[i] - expected, 2) / expected;
    }
    if (!(chi < 31.3))
        fail_msg("Pearson's sum is %g", chi);
}

static void without_temperature_the_largest_is_taken(void **state)
{
    (void)state;
    const ent_sampling greedy = {.top_p = 1}, cold = {.temperature = 1e-300, .top_p = 1};
    const ent_rng rng = {.seed = 5};
    const float logits[] = {-1, 3, 2, 3}, low[] = {-3e38f, -2e38f, 1e-40f, 0};
    assert_int_equal(ent_sample(logits, 4, &greedy, &rng, 0, NULL), 1); /* the first of equals */
    assert_int_equal(ent_sample(low, 4, &greedy, &rng, 0, NULL), 2);
    for (uint64_t i = 0; i < 50; i++) {
        const int32_t got = ent_sample(logits, 4, &cold, &rng, i, NULL);
        assert_true(got == 1 || got == 3);
        assert_int_equal(ent_sample(low, 4, &cold, &rng, i, NULL), 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(draws_are_those_of_sorted_logits),
        cmocka_unit_test(frequencies_are_the_probabilities),
        cmocka_unit_test(without_temperature_the_largest_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
