#include "trace/myers.h"

#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"

enum { FEWEST = 8, MOST = 1 << 20 };

/* The symbols that both sequences have; index says where each stands in the whole sequence. */
typedef struct sequence {
    uint32_t *symbols;
    size_t *index;
    bool *marks; /* of the whole sequence */
    int64_t n;
} sequence;

/* The furthest points of paths on their diagonals, of which `origin` is diagonal 0. */
typedef struct front {
    int64_t *furthest;
    int64_t *origin;
} front;

typedef struct diff {
    sequence a, b;
    front forward, backward;
    int64_t steps; /* that are left to find what is shortest */
    int64_t few;   /* for each search after that */
    bool exact;
} diff;

/* A part of both sequences: a[a0, a1) and b[b0, b1). */
typedef struct part {
    int64_t a0, a1, b0, b1;
} part;

/* The diagonals that paths of d edits reach within a box of n by m: every second of [*low, *high]. */
static void diagonals(int64_t *low, int64_t *high, int64_t d, int64_t n, int64_t m)
{
    *low = d > m ? d - 2 * m : -d;
    *high = d > n ? 2 * n - d : d;
}

/* Where a path of d edits on diagonal k begins its run of equal symbols. */
static int64_t begin_of(const int64_t *furthest, int64_t k, int64_t d)
{
    return k == -d || (k != d && furthest[k - 1] < furthest[k + 1]) ? furthest[k + 1] : furthest[k - 1] + 1;
}

/* Of the points that paths from the first corner reached on these diagonals, the one furthest from it. */
static void choose_furthest(int64_t *x, int64_t *y, const int64_t *forward, int64_t low, int64_t high, int64_t n,
                            int64_t m)
{
    *x = *y = 0;
    for (int64_t k = low; k <= high; k += 2) {
        const int64_t at = forward[k];
        if (at <= n && at - k <= m && 2 * at - k > *x + *y) {
            *x = at;
            *y = at - k;
        }
    }
}

/* Goes from both corners of the part with one edit more at a time, until the paths meet: at (*x, *y) of the part, on a
 * shortest path, with half of its edits on either side. If that takes too long, *x and *y are where a path from the
 * first corner came furthest. */
static void find_middle(int64_t *x, int64_t *y, diff *t, const part *p)
{
    const uint32_t *a = t->a.symbols + p->a0, *b = t->b.symbols + p->b0;
    const int64_t n = p->a1 - p->a0, m = p->b1 - p->b0, delta = n - m;
    const int64_t limit = t->steps > t->few ? t->steps : t->few;
    int64_t *forward = t->forward.origin, *backward = t->backward.origin;
    int64_t low = 0, high = 0, back_low = 1, back_high = 0; /* backwards nothing is reached yet */
    int64_t steps = 0;
    forward[1] = backward[1] = 0;
    for (int64_t d = 0; d <= 1 || steps <= limit; d++) {
        diagonals(&low, &high, d, n, m);
        steps += high - low + 2;
        for (int64_t k = low; k <= high; k += 2) {
            const int64_t begin = begin_of(forward, k, d);
            int64_t at = begin;
            while (at < n && at - k < m && a[at] == b[at - k])
                at++;
            forward[k] = at;
            steps += at - begin;
            const int64_t other = delta - k; /* the same diagonal, as it is counted from the other corner */
            if ((delta & 1) && other >= back_low && other <= back_high && at + backward[other] >= n) {
                *x = at;
                *y = at - k;
                goto done;
            }
        }
        diagonals(&back_low, &back_high, d, n, m);
        for (int64_t k = back_low; k <= back_high; k += 2) {
            const int64_t begin = begin_of(backward, k, d);
            int64_t at = begin;
            while (at < n && at - k < m && a[n - 1 - at] == b[m - 1 - at + k])
                at++;
            backward[k] = at;
            steps += at - begin;
            const int64_t other = delta - k;
            if (!(delta & 1) && other >= low && other <= high && at + forward[other] >= n) {
                *x = n - at;
                *y = m - (at - k);
                goto done;
            }
        }
    }
    choose_furthest(x, y, forward, low, high, n, m);
    t->exact = false;
done:
    t->steps -= steps;
}

static void mark(sequence *s, int64_t from, int64_t to)
{
    for (int64_t i = from; i < to; i++)
        s->marks[s->index[i]] = true;
}

/* Halves the number of edits at each level. */
static void compare(diff *t, part p)
{
    for (;;) {
        int64_t x, y;
        while (p.a0 < p.a1 && p.b0 < p.b1 && t->a.symbols[p.a0] == t->b.symbols[p.b0]) {
            p.a0++;
            p.b0++;
        }
        while (p.a0 < p.a1 && p.b0 < p.b1 && t->a.symbols[p.a1 - 1] == t->b.symbols[p.b1 - 1]) {
            p.a1--;
            p.b1--;
        }
        if (p.a0 == p.a1 || p.b0 == p.b1)
            break;
        find_middle(&x, &y, t, &p);
        compare(t, (part){p.a0, p.a0 + x, p.b0, p.b0 + y});
        p.a0 += x;
        p.b0 += y;
    }
    mark(&t->a, p.a0, p.a1);
    mark(&t->b, p.b0, p.b1);
}

/* Leaves out the symbols that the other sequence hasn't: they are marked in any case. */
static ent_status keep_common(sequence *s, const uint32_t *symbols, size_t n, const bool *in_other)
{
    memset(s->marks, 0, n * sizeof *s->marks);
    ENT_TRY(ent_calloc(&s->symbols, n, sizeof *s->symbols, "comparing"));
    ENT_TRY(ent_calloc(&s->index, n, sizeof *s->index, "comparing"));
    for (size_t i = 0; i < n; i++) {
        s->marks[i] = !in_other[symbols[i]];
        if (s->marks[i])
            continue;
        s->symbols[s->n] = symbols[i];
        s->index[s->n++] = i;
    }
    return ENT_OK;
}

static ent_status new_front(front *f, int64_t n, int64_t m)
{
    ENT_TRY(
        ent_calloc(&f->furthest, (size_t)(n + m + 3), sizeof *f->furthest, "comparing")); /* diagonals -m-1 to n+1 */
    f->origin = f->furthest + m + 1;
    return ENT_OK;
}

ent_status ent_myers_diff(bool *removed, bool *added, bool *exact, const uint32_t *a, size_t n, const uint32_t *b,
                          size_t m, size_t n_symbols, int64_t steps)
{
    diff t = {.a.marks = removed, .b.marks = added, .steps = steps, .exact = true};
    bool *in_a = NULL, *in_b = NULL;
    ent_status st;
    *exact = true;
    ENT_GO(ent_calloc(&in_a, n_symbols, sizeof *in_a, "comparing"));
    ENT_GO(ent_calloc(&in_b, n_symbols, sizeof *in_b, "comparing"));
    for (size_t i = 0; i < n; i++)
        in_a[a[i]] = true;
    for (size_t i = 0; i < m; i++)
        in_b[b[i]] = true;
    ENT_GO(keep_common(&t.a, a, n, in_b));
    ENT_GO(keep_common(&t.b, b, m, in_a));
    ENT_GO(new_front(&t.forward, t.a.n, t.b.n));
    ENT_GO(new_front(&t.backward, t.a.n, t.b.n));
    /* a search that gives up comes about the root of its steps further */
    int64_t each = steps / (t.a.n + t.b.n + 1);
    each = each < FEWEST ? FEWEST : each > MOST ? MOST : each;
    t.few = each * each;
    compare(&t, (part){0, t.a.n, 0, t.b.n});
    *exact = t.exact;
done:
    free(t.a.symbols);
    free(t.a.index);
    free(t.b.symbols);
    free(t.b.index);
    free(t.forward.furthest);
    free(t.backward.furthest);
    free(in_a);
    free(in_b);
    return st;
}
