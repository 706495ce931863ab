#include "launch/statistics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"

double ent_sum_squares(const double *x, size_t n)
{
    enum { LANES = 8 }; /* sums beside each other, which the compiler can keep in one register */
    double sums[LANES] = {0}, sum = 0;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t k = 0; k < LANES; k++)
            sums[k] += x[i + k] * x[i + k];
    for (; i < n; i++)
        sum += x[i] * x[i];
    for (size_t k = 0; k < LANES; k++)
        sum += sums[k];
    return sum;
}

/* Counts what isn't finite and moves the rest together; returns how many are left. */
static size_t keep_finite(ent_statistics *s, double *x, size_t n)
{
    size_t left = 0;
    for (size_t i = 0; i < n; i++) {
        if (isfinite(x[i]))
            x[left++] = x[i];
        else if (isnan(x[i]))
            s->n_nan++;
        else if (x[i] > 0)
            s->n_plus_inf++;
        else
            s->n_minus_inf++;
    }
    return left;
}

void ent_statistics_add(ent_statistics *s, double *x, size_t n)
{
    double squares = ent_sum_squares(x, n), sum = 0, deviations = 0;
    if (!isfinite(squares)) {
        n = keep_finite(s, x, n);
        squares = ent_sum_squares(x, n);
    }
    if (n == 0)
        return;
    if (s->n_finite == 0)
        s->min = s->max = x[0];
    for (size_t i = 0; i < n; i++) {
        s->min = x[i] < s->min ? x[i] : s->min;
        s->max = x[i] > s->max ? x[i] : s->max;
        s->n_zero += x[i] == 0;
        sum += x[i];
    }
    const double mean = sum / (double)n;
    for (size_t i = 0; i < n; i++)
        deviations += (x[i] - mean) * (x[i] - mean);
    const double before = (double)s->n_finite, here = (double)n, all = before + here, apart = mean - s->mean;
    s->deviations += deviations + apart * apart * before * here / all;
    s->mean += apart * here / all;
    s->squares += squares;
    s->n_finite += n;
}

double ent_statistics_std(const ent_statistics *s)
{
    return s->n_finite ? sqrt(s->deviations / (double)s->n_finite) : (double)NAN;
}

double ent_statistics_norm(const ent_statistics *s)
{
    return sqrt(s->squares);
}

/* --- quantiles --- */

enum { DIGIT_BITS = 16, DIGITS = 1 << DIGIT_BITS };

struct ent_quantiles {
    size_t count, passes, pass;
    bool floats;
    struct quantile {
        size_t rank;     /* numbers that come before it among those whose key begins with `prefix` */
        uint64_t prefix; /* the digits that are known */
        size_t table;    /* of the counts of its next digit: quantiles of one prefix share one */
    } items[ENT_MAX_QUANTILES];
    size_t n_tables;
    uint64_t prefixes[ENT_MAX_QUANTILES]; /* of each table */
    size_t *counts;                       /* (tables, DIGITS) */
};

/* Whole numbers that are in the order of the numbers: of IEEE formats, the bits of positive ones and the complement of
 * those of negative ones, with the sign turned. -0 comes before 0. */
static uint64_t key_of(double x, bool floats)
{
    if (floats) {
        const float f = (float)x;
        uint32_t u;
        memcpy(&u, &f, sizeof u);
        return u >> 31 ? ~u : u | UINT32_C(1) << 31;
    }
    uint64_t u;
    memcpy(&u, &x, sizeof u);
    return u >> 63 ? ~u : u | UINT64_C(1) << 63;
}

static double number_of(uint64_t key, bool floats)
{
    if (floats) {
        const uint32_t k = (uint32_t)key, u = k >> 31 ? k & ~(UINT32_C(1) << 31) : ~k;
        float f;
        memcpy(&f, &u, sizeof f);
        return (double)f;
    }
    const uint64_t u = key >> 63 ? key & ~(UINT64_C(1) << 63) : ~key;
    double x;
    memcpy(&x, &u, sizeof x);
    return x;
}

/* The tables of the pass that begins: one for each prefix there is. */
static void begin_pass(ent_quantiles *q)
{
    q->n_tables = 0;
    for (size_t i = 0; i < q->count; i++) {
        size_t t = 0;
        while (t < q->n_tables && q->prefixes[t] != q->items[i].prefix)
            t++;
        if (t == q->n_tables)
            q->prefixes[q->n_tables++] = q->items[i].prefix;
        q->items[i].table = t;
    }
    memset(q->counts, 0, q->n_tables * DIGITS * sizeof *q->counts);
}

ent_status ent_quantiles_new(ent_quantiles **out, const double *shares, size_t count, size_t n_finite, bool floats)
{
    ent_quantiles *q;
    *out = NULL;
    ENT_TRY(ent_calloc(&q, 1, sizeof *q, "quantiles"));
    q->count = count;
    q->floats = floats;
    q->passes = floats ? 2 : 4;
    const ent_status st = ent_calloc(&q->counts, count * DIGITS, sizeof *q->counts, "quantiles");
    if (st != ENT_OK) {
        free(q);
        return st;
    }
    for (size_t i = 0; i < count; i++) {
        const double place = ceil(shares[i] * (double)n_finite);
        const size_t nth = place < 1 ? 1 : (place > (double)n_finite ? n_finite : (size_t)place);
        q->items[i].rank = nth - 1;
    }
    begin_pass(q);
    *out = q;
    return ENT_OK;
}

void ent_quantiles_free(ent_quantiles *q)
{
    if (q == NULL)
        return;
    free(q->counts);
    free(q);
}

size_t ent_quantiles_passes(const ent_quantiles *q)
{
    return q->passes;
}

void ent_quantiles_add(ent_quantiles *q, const double *x, size_t n)
{
    const unsigned shift = (unsigned)(q->passes - 1 - q->pass) * DIGIT_BITS;
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(x[i]))
            continue;
        const uint64_t digits = key_of(x[i], q->floats) >> shift, prefix = digits >> DIGIT_BITS;
        for (size_t t = 0; t < q->n_tables; t++)
            if (q->prefixes[t] == prefix)
                q->counts[t * DIGITS + (digits & (DIGITS - 1))]++;
    }
}

void ent_quantiles_end_pass(ent_quantiles *q)
{
    for (size_t i = 0; i < q->count; i++) {
        struct quantile *item = &q->items[i];
        const size_t *counts = q->counts + item->table * DIGITS;
        size_t digit = 0;
        while (digit + 1 < DIGITS && item->rank >= counts[digit])
            item->rank -= counts[digit++];
        item->prefix = item->prefix << DIGIT_BITS | digit;
    }
    q->pass++;
    if (q->pass < q->passes)
        begin_pass(q);
}

double ent_quantiles_at(const ent_quantiles *q, size_t i)
{
    return number_of(q->items[i].prefix, q->floats);
}

void ent_histogram_add(const ent_histogram *h, const double *x, size_t n)
{
    const double half = h->max / 2 - h->min / 2; /* max - min may be too large for a double */
    for (size_t i = 0; i < n; i++) {
        if (!(x[i] >= h->min && x[i] <= h->max))
            continue;
        const double at = half > 0 ? (x[i] / 2 - h->min / 2) / half * (double)h->bins : 0;
        h->counts[at < (double)h->bins ? (size_t)at : h->bins - 1]++;
    }
}
