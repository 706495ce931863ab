/* Packing and order: properties over random documents. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/philox.h"
#include "src/text/dataset.h"

static void check_ok(ent_status st)
{
    if (st != ENT_OK)
        fail_msg("%s", ent_message());
}

/* Documents of random lengths; token i of all is i, so that each can be recognised. About a third are targets, and some
 * documents have none. */
static void random_corpus(ent_corpus *c, size_t n_documents, size_t longest)
{
    const ent_rng rng = {.seed = 7, .stream = ENT_STREAM_SAMPLE};
    uint64_t draw = 0;
    for (size_t d = 0; d < n_documents; d++) {
        const size_t n = 1 + ent_random_below(&rng, draw++, (uint32_t)longest);
        for (size_t i = 0; i < n; i++) {
            const int32_t id = (int32_t)c->ids.count;
            check_ok(ent_ids_push(&c->ids, id));
            check_ok(ent_ids_push(&c->labels, d % 7 && ent_random_below(&rng, draw++, 3) == 0 ? id : ENT_NO_TARGET));
        }
        check_ok(ent_corpus_end_document(c));
    }
}

static size_t document_of(const ent_corpus *c, int32_t token)
{
    size_t d = 0;
    while (c->ends[d] <= (size_t)token)
        d++;
    return d;
}

/* Units hold documents (or their pieces) as they are, one beside the other; nothing is there twice, and nothing that
 * holds a target is lost. */
static void check_packing(const ent_corpus *c, size_t seq_len, bool packing)
{
    ent_packing p;
    check_ok(ent_packing_plan(&p, c, seq_len, packing));
    const size_t n = p.counts.tokens;
    ent_units u = {.offsets = calloc(p.counts.units + 1, 8),
                   .ids = calloc(n, 4),
                   .targets = calloc(n, 4),
                   .doc_start = calloc(n, 4)};
    char *seen = calloc(c->ids.count, 1);
    size_t targets = 0;
    ent_packing_fill(&u, &p, c);
    assert_int_equal(u.offsets[p.counts.units], n);
    for (size_t i = 0; i < p.counts.units; i++) {
        const size_t begin = u.offsets[i], count = u.offsets[i + 1] - begin;
        assert_in_range(count, 2, seq_len);
        for (size_t t = 0; t < count; t++) {
            const int32_t id = u.ids[begin + t], start = u.doc_start[begin + t], target = u.targets[begin + t];
            assert_false(seen[id]++);
            assert_in_range(start, 0, t);
            const bool same_piece = t + 1 < count && u.doc_start[begin + t + 1] == start;
            assert_int_equal(target, same_piece ? c->labels.ids[id + 1] : ENT_NO_TARGET);
            targets += target != ENT_NO_TARGET;
            if ((size_t)start < t) { /* not the first of its piece */
                assert_int_equal(id, u.ids[begin + t - 1] + 1);
                assert_int_equal(document_of(c, id), document_of(c, u.ids[begin + (size_t)start]));
            }
            if (!packing)
                assert_int_equal(start, 0);
        }
    }
    assert_int_equal(targets, p.counts.targets);
    size_t lost = 0, cut = 0;
    for (size_t i = 0; i < c->ids.count; i++) {
        const size_t d = document_of(c, (int32_t)i), in = i - (d ? c->ends[d - 1] : 0);
        const bool used = packing || in < seq_len;
        cut += !used;
        lost += used && in % seq_len && c->labels.ids[i] != ENT_NO_TARGET && !seen[i];
    }
    assert_int_equal(lost, 0);
    assert_int_equal(cut, p.counts.truncated_tokens);
    if (packing) /* full, even though documents are nearly as long as units */
        assert_true((double)n > 0.9 * (double)(p.counts.units * seq_len));
    assert_true(p.counts.dropped_units > 0);
    free(u.offsets);
    free(u.ids);
    free(u.targets);
    free(u.doc_start);
    free(seen);
    ent_packing_free(&p);
}

static void test_packing(void **state)
{
    (void)state;
    ent_corpus c = {0};
    random_corpus(&c, 700, 60);
    check_packing(&c, 64, true);
    check_packing(&c, 23, true);
    check_packing(&c, 64, false);
    check_packing(&c, 23, false);
    ent_corpus_free(&c);
}

static void test_order(void **state)
{
    (void)state;
    enum { N = 1000 };
    uint32_t a[N], b[N];
    char seen[N] = {0};
    ent_order_fill(a, N, 42, 3, true);
    ent_order_fill(b, N, 42, 3, true);
    assert_memory_equal(a, b, sizeof a);
    size_t fixed = 0;
    for (size_t i = 0; i < N; i++) {
        assert_in_range(a[i], 0, N - 1);
        assert_false(seen[a[i]]++);
        fixed += a[i] == i;
    }
    assert_true(fixed < 10);
    ent_order_fill(b, N, 42, 4, true);
    assert_memory_not_equal(a, b, sizeof a);
    ent_order_fill(b, N, 43, 3, true);
    assert_memory_not_equal(a, b, sizeof a);
    ent_order_fill(b, N, 42, 4, false);
    for (size_t i = 0; i < N; i++)
        assert_int_equal(b[i], i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_packing), cmocka_unit_test(test_order)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
