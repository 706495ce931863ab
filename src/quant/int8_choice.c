#include "src/quant/int8_choice.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"
#include "src/base/tiles.h"
#include "src/kernel/kernels.h"
#include "src/tensor/gemm.h"

#define LARGEST_RATIO 6.0f

/* Numbers [j, j + n) of row i of W F^-1. */
static void smoothed(float *to, const ent_tensor *w, const float *factors, size_t i, size_t j, size_t n)
{
    ent_tensor_read(to, w, i, j, n);
    for (size_t l = 0; l < n && factors; l++)
        to[l] /= factors[j + l];
}

enum { AT_ONCE = 1024 };

float ent_int8_row_scale(float *inverse, const ent_tensor *w, const float *column_factors, size_t row)
{
    const size_t columns = w->shape[1];
    float values[AT_ONCE], largest = 0;
    for (size_t j = 0; j < columns; j += AT_ONCE) {
        const size_t n = columns - j < AT_ONCE ? columns - j : AT_ONCE;
        smoothed(values, w, column_factors, row, j, n);
        const float one = ent_kernels_get()->largest(values, NULL, n);
        largest = one > largest || isnan(one) ? one : largest;
    }
    return ent_int8_scale(largest, inverse);
}

void ent_int8_rows(int8_t *q, float *scales, const ent_tensor *w, const float *column_factors, size_t begin, size_t end)
{
    const size_t columns = w->shape[1];
    float values[AT_ONCE], inverse;
    for (size_t i = begin; i < end; i++) {
        scales[i - begin] = ent_int8_row_scale(&inverse, w, column_factors, i);
        for (size_t j = 0; j < columns; j += AT_ONCE) {
            const size_t n = columns - j < AT_ONCE ? columns - j : AT_ONCE;
            smoothed(values, w, column_factors, i, j, n);
            ent_kernels_get()->to_int8(q + (i - begin) * columns + j, values, NULL, inverse, n);
        }
    }
}

/* What the trials of one weight share. */
typedef struct trial {
    const ent_tensor *w;
    const ent_observer *seen;
    float *y, *dx;        /* as they are: (n_x, out), (n_dy, in) */
    float *rounded;       /* either of them through int8 */
    float *scales, *sort; /* (out); (in) */
    int8_t *q;
    void *scratch;
} trial;

typedef struct rows_work {
    const trial *t;
    const float *factors;
} rows_work;

static void quantize_some(void *context, size_t begin, size_t end)
{
    const rows_work *r = context;
    ent_int8_rows(r->t->q + begin * r->t->w->shape[1], r->t->scales + begin, r->t->w, r->factors, begin, end);
}

/* The error of `rounded` (n, columns), relative to what is left of `exact` without its mean row if `centred`. */
static double error_of(const float *rounded, const float *exact, size_t n, size_t columns, bool centred)
{
    double error = 0, size = 0;
    for (size_t j = 0; j < columns; j++) {
        double mean = 0;
        for (size_t i = 0; i < n && centred; i++)
            mean += (double)exact[i * columns + j] / (double)n;
        for (size_t i = 0; i < n; i++) {
            const double x = (double)exact[i * columns + j], d = (double)rounded[i * columns + j] - x;
            error += d * d;
            size += (x - mean) * (x - mean);
        }
    }
    return size > 0 ? sqrt(error / size) : error > 0 ? INFINITY : sqrt(error + size); /* NaN stays one */
}

/* The larger error of the two products, with these factors. What y has alike for all tokens is left out of its size:
 * keys may all be moved alike, and attention is what it was. */
static float error_with(const trial *t, const float *factors)
{
    const size_t out = t->w->shape[0], in = t->w->shape[1];
    ent_tiles(out, 16, quantize_some, &(rows_work){t, factors});
    const ent_tensor w = {.n_dims = 2,
                          .shape = {out, in},
                          .dtype = ENT_DTYPE_I8,
                          .data = t->q,
                          .compute = ENT_COMPUTE_INT8,
                          .row_scales = t->scales,
                          .column_factors = factors};
    ent_gemm_weight(t->rounded, t->seen->n_x, t->seen->x, &w, true, 0, t->scratch);
    const double forward = error_of(t->rounded, t->y, t->seen->n_x, out, true);
    ent_gemm_weight(t->rounded, t->seen->n_dy, t->seen->dy, &w, false, 0, t->scratch);
    const double backward = error_of(t->rounded, t->dx, t->seen->n_dy, in, false);
    return (float)(backward > forward || isnan(backward) ? backward : forward);
}

static int compare_floats(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* The largest over the median column; infinite where half of the columns are 0 and not all. */
static float ratio_of(const trial *t)
{
    const size_t in = t->w->shape[1];
    memcpy(t->sort, t->seen->largest, in * sizeof *t->sort);
    qsort(t->sort, in, sizeof *t->sort, compare_floats);
    const float largest = t->sort[in - 1], median = t->sort[in / 2];
    return median > 0 ? largest / median : largest > 0 ? INFINITY : 1;
}

/* The power of two next to sqrt(x). */
static float root_power(float x)
{
    int exponent;
    const float m = frexpf(x, &exponent); /* m in [1/2, 1) */
    const int log2 = exponent - (m < 0x1.6a09e6p-1f);
    return ldexpf(1, log2 >= 0 ? (log2 + 1) / 2 : -(-log2 / 2));
}

/* F = sqrt(largest |w| / largest |x|) of each column: both get equally large. */
static void smooth(float *factors, const trial *t)
{
    const size_t out = t->w->shape[0], in = t->w->shape[1];
    float *largest = t->sort, values[AT_ONCE];
    for (size_t j = 0; j < in; j++)
        largest[j] = 0;
    for (size_t i = 0; i < out; i++) {
        for (size_t j = 0; j < in; j += AT_ONCE) {
            const size_t n = in - j < AT_ONCE ? in - j : AT_ONCE;
            ent_tensor_read(values, t->w, i, j, n);
            for (size_t l = 0; l < n; l++)
                largest[j + l] = fabsf(values[l]) > largest[j + l] ? fabsf(values[l]) : largest[j + l];
        }
    }
    for (size_t j = 0; j < in; j++)
        factors[j] = t->seen->largest[j] > 0 && largest[j] > 0 ? root_power(largest[j] / t->seen->largest[j]) : 1;
}

static ent_status choose(ent_int8_choice *choice, float *factors, const trial *t)
{
    const size_t out = t->w->shape[0], in = t->w->shape[1];
    ent_gemm(t->y, out, t->seen->n_x, out, in, 1, ent_matrix_of(t->seen->x, in, false), ent_matrix_stored(t->w, true),
             0);
    ent_gemm(t->dx, in, t->seen->n_dy, in, out, 1, ent_matrix_of(t->seen->dy, out, false),
             ent_matrix_stored(t->w, false), 0);
    for (size_t j = 0; j < in; j++)
        factors[j] = 1;
    choice->ratio = ratio_of(t);
    choice->error = choice->plain_error = error_with(t, factors);
    choice->way = ENT_INT8_PLAIN;
    if (isnan(choice->error)) /* infinite: that of rows which are all alike */
        return ent_fail(ENT_ENUMERIC, "%s: products with it are not finite in the first units", t->w->name);
    if (choice->ratio > LARGEST_RATIO) {
        smooth(factors, t);
        choice->error = error_with(t, factors);
        choice->way = ENT_INT8_SMOOTHED;
        if (!(choice->error < choice->plain_error)) {
            choice->error = choice->plain_error;
            choice->way = ENT_INT8_PLAIN;
        }
    }
    if (choice->error > ENT_INT8_LARGEST_ERROR)
        choice->way = ENT_INT8_NOT;
    for (size_t j = 0; j < in && choice->way != ENT_INT8_SMOOTHED; j++)
        factors[j] = 1;
    return ENT_OK;
}

ent_status ent_int8_choose(ent_int8_choice *choice, float *column_factors, const ent_tensor *w,
                           const ent_observer *observer)
{
    ent_status st;
    trial t = {.w = w, .seen = observer};
    size_t bytes;
    const size_t out = w->shape[0], in = w->shape[1], widest = in > out ? in : out;
    const ent_tensor planned = {.n_dims = 2, .shape = {out, in}, .dtype = ENT_DTYPE_I8, .compute = ENT_COMPUTE_INT8};
    ENT_GO(ent_gemm_weight_plan(&bytes, &planned, ENT_OBSERVED_ROWS));
    ENT_GO(ent_calloc(&t.y, observer->n_x * out + 1, sizeof *t.y, "a choice of int8"));
    ENT_GO(ent_calloc(&t.dx, observer->n_dy * in + 1, sizeof *t.dx, "a choice of int8"));
    ENT_GO(ent_calloc(&t.rounded, ENT_OBSERVED_ROWS * widest, sizeof *t.rounded, "a choice of int8"));
    ENT_GO(ent_calloc(&t.scales, out, sizeof *t.scales, "a choice of int8"));
    ENT_GO(ent_calloc(&t.sort, in, sizeof *t.sort, "a choice of int8"));
    ENT_GO(ent_calloc(&t.q, out * in, 1, "a choice of int8"));
    t.scratch = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (t.scratch == NULL)
        ENT_GO(ent_fail(ENT_ENOMEM, "out of memory: %zu bytes for a choice of int8", bytes));
    ENT_GO(choose(choice, column_factors, &t));
done:
    free(t.y), free(t.dx), free(t.rounded), free(t.scales), free(t.sort), free(t.q), free(t.scratch);
    return st;
}
