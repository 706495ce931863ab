#include "src/nn/sample.h"

#include <stdbool.h>

#include "src/base/elementary.h"

/* The chances of logits, in a fixed order of them: exp((logit - largest) / temperature). */
typedef struct chances {
    const ent_real *logits;
    double largest, temperature;
} chances;

static double chance(const chances *c, size_t i)
{
    return ent_exp(((double)c->logits[i] - c->largest) / c->temperature);
}

static size_t largest_of(const ent_real *logits, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (logits[i] > logits[best])
            best = i;
    return best;
}

static bool before(const ent_real *logits, uint32_t a, uint32_t b)
{
    return logits[a] > logits[b] || (logits[a] == logits[b] && a < b);
}

/* Moves heap[at] down to where none below comes before it. */
static void sift(uint32_t *heap, size_t n, size_t at, const ent_real *logits)
{
    for (size_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && before(logits, heap[child + 1], heap[child]))
            child++;
        if (!before(logits, heap[child], heap[at]))
            return;
        const uint32_t moved = heap[at];
        heap[at] = heap[child];
        heap[child] = moved;
    }
}

/* Takes the first from a heap of n: it stands behind the others then. */
static void take_first(uint32_t *heap, size_t n, const ent_real *logits)
{
    const uint32_t first = heap[0];
    heap[0] = heap[n - 1];
    heap[n - 1] = first;
    sift(heap, n - 1, 0, logits);
}

/* Index i of what has a chance, the likeliest first; without an order, all have one. */
static size_t index_at(const uint32_t *order, size_t n, size_t i)
{
    return order ? order[n - 1 - i] : i;
}

/* How many logits have a chance: they come to the end of `order`, the likeliest last. k <= n. */
static size_t choose(uint32_t *order, const chances *c, size_t n, size_t k, double p)
{
    size_t taken = 0, chosen = 0;
    double all = 0, sum = 0;
    for (size_t i = 0; i < n; i++)
        order[i] = (uint32_t)i;
    for (size_t i = n / 2; i-- > 0;)
        sift(order, n, i, c->logits);
    for (; k < n && taken < k; taken++)
        take_first(order, n - taken, c->logits);
    if (p >= 1)
        return k;
    for (size_t i = 0; i < k; i++)
        all += chance(c, k < n ? index_at(order, n, i) : i);
    while (chosen < k && (chosen == 0 || sum < p * all)) {
        if (chosen == taken)
            take_first(order, n - taken++, c->logits);
        sum += chance(c, index_at(order, n, chosen++));
    }
    return chosen;
}

int32_t ent_sample(const ent_real *logits, size_t n, const ent_sampling *how, const ent_rng *rng, uint64_t index,
                   uint32_t *order)
{
    const size_t best = largest_of(logits, n);
    if (how->temperature <= 0)
        return (int32_t)best;
    const chances c = {logits, (double)logits[best], how->temperature};
    const size_t k = how->top_k && how->top_k < n ? how->top_k : n;
    uint32_t *by_chance = k < n || how->top_p < 1 ? order : NULL;
    const size_t chosen = by_chance ? choose(order, &c, n, k, how->top_p) : n;
    double sum = 0;
    for (size_t i = 0; i < chosen; i++)
        sum += chance(&c, index_at(by_chance, n, i));
    double left = (double)ent_random_uniform(rng, index) * sum;
    for (size_t i = 0; i < chosen; i++) {
        const size_t at = index_at(by_chance, n, i);
        left -= chance(&c, at);
        if (left < 0)
            return (int32_t)at;
    }
    return (int32_t)best;
}
