/* Edits between sequences, against the longest common subsequence by dynamic programming. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "trace/myers.h"

enum { MANY = 1000000000, LONGEST = 40 };

static uint64_t seed = 1;

static uint32_t below(uint32_t n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % n;
}

static size_t common_length(const uint32_t *a, size_t n, const uint32_t *b, size_t m)
{
    size_t length[LONGEST + 1][LONGEST + 1] = {0};
    for (size_t i = 1; i <= n; i++)
        for (size_t j = 1; j <= m; j++) {
            const size_t left = length[i][j - 1], up = length[i - 1][j];
            length[i][j] = a[i - 1] == b[j - 1] ? length[i - 1][j - 1] + 1 : left > up ? left : up;
        }
    return length[n][m];
}

/* Applies the edit: what is kept of a, with what is added of b in its places, must be b. *edits = the marks. */
static void assert_edit(size_t *edits, const bool *removed, const bool *added, const uint32_t *a, size_t n,
                        const uint32_t *b, size_t m)
{
    size_t i = 0, marks = 0;
    for (size_t j = 0; j < m; j++) {
        marks += added[j];
        if (added[j])
            continue;
        for (; i < n && removed[i]; i++)
            marks++;
        assert_true(i < n);
        assert_int_equal(a[i++], b[j]);
    }
    for (; i < n; i++) {
        assert_true(removed[i]);
        marks++;
    }
    *edits = marks;
}

static void edits_are_right_and_shortest(void **state)
{
    (void)state;
    for (int round = 0; round < 20000; round++) {
        uint32_t a[LONGEST], b[LONGEST];
        bool removed[LONGEST], added[LONGEST], exact;
        const uint32_t symbols = 1 + below(6);
        const size_t n = below(LONGEST + 1), m = round % 3 ? below(LONGEST + 1) : below(4);
        size_t edits;
        for (size_t i = 0; i < n; i++)
            a[i] = below(symbols);
        for (size_t i = 0; i < m; i++)
            b[i] = below(4) && i < n ? a[i] : below(symbols);
        memset(removed, 7, sizeof removed);
        memset(added, 7, sizeof added);
        assert_int_equal(ent_myers_diff(removed, added, &exact, a, n, b, m, symbols, MANY), 0);
        assert_true(exact);
        assert_edit(&edits, removed, added, a, n, b, m);
        assert_int_equal(edits, n + m - 2 * common_length(a, n, b, m));
    }
}

/* Whatever the limit, the edit is right. */
static void few_steps_give_a_longer_edit(void **state)
{
    (void)state;
    size_t inexact = 0;
    for (int64_t steps = 0; steps < 600; steps++) {
        uint32_t a[LONGEST], b[LONGEST];
        bool removed[LONGEST], added[LONGEST], exact;
        size_t edits;
        for (size_t i = 0; i < LONGEST; i++) {
            a[i] = below(3);
            b[i] = below(3);
        }
        assert_int_equal(ent_myers_diff(removed, added, &exact, a, LONGEST, b, LONGEST, 3, 4 * steps), 0);
        assert_edit(&edits, removed, added, a, LONGEST, b, LONGEST);
        const size_t least = 2 * LONGEST - 2 * common_length(a, LONGEST, b, LONGEST);
        assert_true(exact ? edits == least : edits >= least);
        inexact += !exact;
    }
    assert_true(inexact > 10 && inexact < 590);
}

static void large_sequences_end_in_time(void **state)
{
    (void)state;
    enum { N = 100000 };
    uint32_t *a = malloc(N * sizeof *a), *b = malloc(N * sizeof *b);
    bool *removed = malloc(N), *added = malloc(N), exact;
    size_t edits;
    assert_true(a && b && removed && added);
    for (size_t i = 0; i < N; i++) { /* all symbols in both, in any order */
        a[i] = below(50);
        b[i] = below(50);
    }
    assert_int_equal(ent_myers_diff(removed, added, &exact, a, N, b, N, 50, 10000000), 0);
    assert_false(exact);
    assert_edit(&edits, removed, added, a, N, b, N);
    size_t early = 0;
    memcpy(b, a, N / 2 * sizeof *b); /* what is alike is found, although the rest takes too long */
    b[N / 4] = (b[N / 4] + 1) % 50;
    assert_int_equal(ent_myers_diff(removed, added, &exact, a, N, b, N, 50, 10000000), 0);
    assert_false(exact);
    assert_edit(&edits, removed, added, a, N, b, N);
    for (size_t i = 0; i < N / 2 - 100; i++)
        early += removed[i] + added[i];
    assert_true(early <= 2);
    memcpy(b, a, N * sizeof *b); /* a few differences far apart */
    b[10] = (b[10] + 1) % 50;
    b[N / 2] = (b[N / 2] + 1) % 50;
    b[N - 10] = (b[N - 10] + 1) % 50;
    assert_int_equal(ent_myers_diff(removed, added, &exact, a, N, b, N, 50, 10000000), 0);
    assert_true(exact);
    assert_edit(&edits, removed, added, a, N, b, N);
    assert_true(edits <= 6);
    for (size_t i = 0; i < N; i++) /* nothing in common: no search */
        b[i] = 50 + below(50);
    assert_int_equal(ent_myers_diff(removed, added, &exact, a, N, b, N, 100, 0), 0);
    assert_true(exact);
    assert_edit(&edits, removed, added, a, N, b, N);
    assert_int_equal(edits, 2 * N);
    for (size_t i = 0; i < N; i++) { /* nothing in a row */
        a[i] = (uint32_t)i;
        b[i] = (uint32_t)(N - 1 - i);
    }
    assert_int_equal(ent_myers_diff(removed, added, &exact, a, N, b, N, N, 10000000), 0);
    assert_false(exact);
    assert_edit(&edits, removed, added, a, N, b, N);
    free(a);
    free(b);
    free(removed);
    free(added);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(edits_are_right_and_shortest),
        cmocka_unit_test(few_steps_give_a_longer_edit),
        cmocka_unit_test(large_sequences_end_in_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
