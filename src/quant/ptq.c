#include "src/quant/ptq.h"

#include <assert.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"
#include "src/base/tiles.h"
#include "src/kernel/kernels.h"

enum { AT_ONCE = 1024 };

ent_ptq_scale ent_ptq_scale_of(ent_ptq_range range, bool asymmetric)
{
    ent_ptq_scale s = {0};
    const float low = range.low < 0 || isnan(range.low) ? range.low : 0, high = range.high > 0 ? range.high : 0;
    if (!asymmetric) {
        s.scale = ent_int8_scale(fmaxf(fabsf(low), fabsf(high)), &s.inverse);
        return s;
    }
    const float width = high - low;
    if (width >= 0x1p-100f) {
        s.scale = width / 255;
        s.inverse = 255 / width;
        s.zero = (int8_t)(-128 - (int)rintf(fmaxf(low / s.scale, -255)));
    }
    return s;
}

/* --- percentiles --- */

static void swap(float *a, float *b)
{
    const float c = *a;
    *a = *b;
    *b = c;
}

/* x[k] becomes what it is in rising order, what is before it isn't larger, what is behind not smaller. Three parts at a
 * time, so that equal numbers cost nothing (Dijkstra's flag). */
static void select_kth(float *x, size_t n, size_t k)
{
    size_t low = 0, high = n; /* x[k] is in [low, high) */
    while (high - low > 1) {
        const float a = x[low], b = x[low + (high - low) / 2], c = x[high - 1];
        const float pivot = fmaxf(fminf(a, b), fminf(fmaxf(a, b), c));
        size_t below = low, i = low, above = high; /* [low, below) < pivot, [below, i) = pivot, [above, high) > pivot */
        while (i < above) {
            if (x[i] < pivot)
                swap(&x[i++], &x[below++]);
            else if (x[i] > pivot)
                swap(&x[i], &x[--above]);
            else
                i++;
        }
        if (k >= below && k < above)
            return;
        if (k < below)
            high = below;
        else
            low = above;
    }
}

double ent_ptq_percentile(float *x, size_t n, double percentile)
{
    const double at = percentile / 100 * (double)(n - 1);
    size_t k = (size_t)at;
    k = k < n - 1 ? k : n - 1;
    select_kth(x, n, k);
    const double t = at - (double)k, a = (double)x[k];
    if (t <= 0 || k + 1 >= n)
        return a;
    float next = x[k + 1];
    for (size_t i = k + 2; i < n; i++)
        next = x[i] < next ? x[i] : next;
    const double b = (double)next, width = b - a; /* as numpy's _lerp, which is exact at both ends */
    return t >= 0.5 ? b - width * (1 - t) : a + width * t;
}

/* --- ranges --- */

/* Of n >= 1 numbers; both NaN where one isn't finite. */
static ent_ptq_range min_max(const float *x, size_t n)
{
    ent_ptq_range r = {x[0], x[0]};
    bool finite = true;
    for (size_t i = 0; i < n; i++) {
        finite &= isfinite(x[i]) != 0;
        r.low = x[i] < r.low ? x[i] : r.low;
        r.high = x[i] > r.high ? x[i] : r.high;
    }
    return finite ? r : (ent_ptq_range){NAN, NAN};
}

ent_ptq_range ent_ptq_range_of(const float *x, size_t n, const ent_ptq *how, float *work)
{
    ent_ptq_range r = min_max(x, n);
    assert(how->observer != ENT_PTQ_MOVING_AVERAGE);
    if (how->observer == ENT_PTQ_MIN_MAX || isnan(r.low))
        return r;
    for (size_t i = 0; i < n; i++)
        work[i] = how->asymmetric ? x[i] : fabsf(x[i]);
    r.high = (float)ent_ptq_percentile(work, n, how->percentile);
    r.low = how->asymmetric ? (float)ent_ptq_percentile(work, n, 100 - how->percentile) : -r.high;
    return r;
}

void ent_ptq_average(ent_ptq_range *range, size_t *batches, const float *x, size_t n, float averaging)
{
    const ent_ptq_range r = min_max(x, n);
    if ((*batches)++ == 0) {
        *range = r;
        return;
    }
    range->low += averaging * (r.low - range->low);
    range->high += averaging * (r.high - range->high);
}

/* --- weights --- */

static size_t group_of(const ent_ptq *how, const ent_tensor *w)
{
    return how->per == ENT_PTQ_GROUP ? how->group_size : w->shape[1];
}

size_t ent_ptq_scales(const ent_ptq *how, const ent_tensor *w)
{
    return how->per == ENT_PTQ_TENSOR ? 1 : w->shape[0] * (w->shape[1] / group_of(how, w));
}

typedef struct work {
    const ent_ptq *how;
    const ent_tensor *w;
    ent_ptq_scale *scales;
    ent_ptq_range *rows; /* of a tensor: the range of each row */
    float *numbers;      /* two rows a thread; of a tensor's percentile all, twice */
    atomic_size_t bad;   /* the lowest row with a number that isn't finite, or where they end */
} work;

static void note_bad(work *k, size_t row)
{
    size_t lowest = atomic_load(&k->bad);
    while (row < lowest && !atomic_compare_exchange_weak(&k->bad, &lowest, row))
        continue;
}

static void scale_rows(void *context, size_t begin, size_t end)
{
    work *k = context;
    const size_t columns = k->w->shape[1], group = group_of(k->how, k->w);
    float *row = k->numbers + 2 * columns * (size_t)ent_thread();
    for (size_t i = begin; i < end; i++) {
        ent_tensor_read(row, k->w, i, 0, columns);
        for (size_t j = 0; j < columns; j += group) {
            const ent_ptq_range r = ent_ptq_range_of(row + j, group, k->how, row + columns);
            if (isnan(r.low))
                note_bad(k, i);
            if (k->rows)
                k->rows[i] = r;
            else
                k->scales[(i * columns + j) / group] = ent_ptq_scale_of(r, k->how->asymmetric);
        }
    }
}

static void read_rows(void *context, size_t begin, size_t end)
{
    work *k = context;
    const size_t columns = k->w->shape[1];
    for (size_t i = begin; i < end; i++) {
        ent_tensor_read(k->numbers + i * columns, k->w, i, 0, columns);
        if (isnan(min_max(k->numbers + i * columns, columns).low))
            note_bad(k, i);
    }
}

static ent_status scale_channels(work *k)
{
    ENT_TRY(ent_calloc(&k->numbers, 2 * k->w->shape[1] * (size_t)ent_threads(), sizeof *k->numbers, k->w->name));
    ent_tiles(k->w->shape[0], 4, scale_rows, k);
    return ENT_OK;
}

/* One range for all. Percentiles want all numbers at once. */
static ent_status scale_tensor(work *k)
{
    const size_t rows = k->w->shape[0], n = ent_tensor_count(k->w);
    ent_ptq_range all;
    if (k->how->observer == ENT_PTQ_PERCENTILE) {
        ENT_TRY(ent_calloc(&k->numbers, n, 2 * sizeof *k->numbers, k->w->name));
        ent_tiles(rows, 4, read_rows, k);
        all = ent_ptq_range_of(k->numbers, n, k->how, k->numbers + n);
    } else {
        ENT_TRY(ent_calloc(&k->rows, rows, sizeof *k->rows, k->w->name));
        ENT_TRY(scale_channels(k));
        all = k->rows[0];
        for (size_t i = 1; i < rows; i++) {
            all.low = fminf(all.low, k->rows[i].low);
            all.high = fmaxf(all.high, k->rows[i].high);
        }
    }
    *k->scales = ent_ptq_scale_of(all, k->how->asymmetric);
    return ENT_OK;
}

static ent_status refuse(const ent_tensor *w, size_t row)
{
    float x = 0;
    size_t j = 0;
    for (; j < w->shape[1]; j++) {
        ent_tensor_read(&x, w, row, j, 1);
        if (!isfinite(x))
            break;
    }
    return ent_fail(ENT_ENUMERIC, "%s: row %zu, column %zu is %g, expected a finite number", w->name, row, j,
                    (double)x);
}

ent_status ent_ptq_weight_scales(ent_ptq_scale *scales, const ent_ptq *how, const ent_tensor *w)
{
    work k = {.how = how, .w = w, .scales = scales};
    ent_status st;
    if (how->observer == ENT_PTQ_MOVING_AVERAGE)
        return ent_fail(ENT_EINVAL, "%s: a moving average is over batches, a weight is one", w->name);
    if (how->per == ENT_PTQ_GROUP && (how->group_size == 0 || w->shape[1] % how->group_size))
        return ent_fail(ENT_EINVAL, "%s: %zu columns are no multiple of groups of %zu", w->name, w->shape[1],
                        how->group_size);
    atomic_init(&k.bad, w->shape[0]);
    ENT_GO(how->per == ENT_PTQ_TENSOR ? scale_tensor(&k) : scale_channels(&k));
    const size_t bad = atomic_load(&k.bad);
    if (bad < w->shape[0])
        ENT_GO(refuse(w, bad));
done:
    free(k.rows);
    free(k.numbers);
    return st;
}

/* To nearest, ties to even; what lies outside the range gets its end. */
static void codes(int8_t *q, const float *x, size_t n, const ent_ptq_scale *s, bool asymmetric)
{
    const float low = asymmetric ? -128 : -127;
    for (size_t i = 0; i < n; i++)
        q[i] = (int8_t)fminf(fmaxf(rintf(x[i] * s->inverse) + s->zero, low), 127);
}

void ent_ptq_row(int8_t *q, const ent_ptq *how, const ent_tensor *w, const ent_ptq_scale *scales, size_t row,
                 size_t first, size_t n)
{
    const size_t columns = w->shape[1], group = group_of(how, w);
    float x[AT_ONCE];
    for (size_t j = first; j < first + n;) {
        const size_t in_group = group - j % group, left = first + n - j;
        const size_t most = in_group < left ? in_group : left, some = most < AT_ONCE ? most : AT_ONCE;
        const ent_ptq_scale *s = &scales[how->per == ENT_PTQ_TENSOR ? 0 : (row * columns + j) / group];
        ent_tensor_read(x, w, row, j, some);
        codes(q + (j - first), x, some, s, how->asymmetric);
        j += some;
    }
}

void ent_ptq_numbers(float *y, const int8_t *q, size_t n, float scale, int8_t zero)
{
    for (size_t i = 0; i < n; i++)
        y[i] = (float)(q[i] - zero) * scale;
}
