#include "src/nn/svd.h"

#include <math.h>
#include <stdlib.h>

#include "src/base/mem.h"
#include "src/base/philox.h"
#include "src/base/tiles.h"
#include "src/kernel/kernels.h"
#include "src/tensor/gemm.h"

/* Vectors beyond r, blocks of a space, and spaces until it is given up. */
enum { MORE = 8, BLOCKS = 4, MOST_SPACES = 200, MOST_SWEEPS = 60 };

/* A space: `count` rows of q (length in) and p = q W^T (length out); and what is made from it. */
typedef struct space {
    const ent_tensor *w;
    size_t in, out, block, most, count;
    ent_real *q, *p, *next; /* (most, in), (most, out), (block, in): next: of W^T W */
    ent_real *v, *us, *y;   /* (block, in), (block, out): Ritz vectors, those of p; (block, most): how they are made */
    double *h, *turn, *values; /* (most, most), (most, most), (most) */
} space;

static void clear(space *s)
{
    free(s->q);
    free(s->p);
    free(s->next);
    free(s->v);
    free(s->us);
    free(s->y);
    free(s->h);
    free(s->turn);
    free(s->values);
}

static ent_status take(space *s)
{
    static const char what[] = "singular vectors";
    ENT_TRY(ent_calloc(&s->q, s->most * s->in, sizeof *s->q, what));
    ENT_TRY(ent_calloc(&s->p, s->most * s->out, sizeof *s->p, what));
    ENT_TRY(ent_calloc(&s->next, s->block * s->in, sizeof *s->next, what));
    ENT_TRY(ent_calloc(&s->v, s->block * s->in, sizeof *s->v, what));
    ENT_TRY(ent_calloc(&s->us, s->block * s->out, sizeof *s->us, what));
    ENT_TRY(ent_calloc(&s->y, s->block * s->most, sizeof *s->y, what));
    ENT_TRY(ent_calloc(&s->h, s->most * s->most, sizeof *s->h, what));
    ENT_TRY(ent_calloc(&s->turn, s->most * s->most, sizeof *s->turn, what));
    return ent_calloc(&s->values, s->most, sizeof *s->values, what);
}

/* x / |x|; false if nothing of it is left beside `before`, its length once. */
static bool normalise(ent_real *x, size_t n, double before)
{
    const double length = sqrt(ent_kernels_get()->sum_squares(x, n));
    if (!(length > 1e-7 * before))
        return false;
    ent_kernels_get()->scale(x, x, (ent_real)(1 / length), n);
    return true;
}

/* Rows of `from` that the space doesn't hold yet become rows of q, at right angles to those before: how many. */
static size_t add_block(space *s, const ent_real *from, size_t rows)
{
    const ent_kernels *k = ent_kernels_get();
    const size_t begin = s->count;
    for (size_t i = 0; i < rows && s->count < s->most; i++) {
        ent_real *x = s->q + s->count * s->in;
        memcpy(x, from + i * s->in, s->in * sizeof *x);
        bool some = normalise(x, s->in, 0);
        for (int pass = 0; pass < 3 && some; pass++) { /* once loses digits where little is left */
            for (size_t j = 0; j < s->count; j++)
                k->add_scaled(x, s->q + j * s->in, (ent_real)-k->dot(x, s->q + j * s->in, s->in), s->in);
            some = normalise(x, s->in, 1);
        }
        s->count += some;
    }
    const size_t added = s->count - begin;
    if (added)
        ent_gemm(s->p + begin * s->out, s->out, added, s->out, s->in, 1,
                 ent_matrix_of(s->q + begin * s->in, s->in, false), ent_matrix_stored(s->w, true), 0);
    return added;
}

/* to = from W: (rows, in) from (rows, out). */
static void back(ent_real *to, const space *s, const ent_real *from, size_t rows)
{
    ent_gemm(to, s->in, rows, s->in, s->out, 1, ent_matrix_of(from, s->out, false), ent_matrix_stored(s->w, false), 0);
}

static void square_rows(void *context, size_t begin, size_t end)
{
    const space *s = context;
    for (size_t i = begin; i < end; i++)
        for (size_t j = 0; j < s->count; j++)
            s->h[i * s->most + j] = ent_kernels_get()->dot(s->p + i * s->out, s->p + j * s->out, s->out);
}

/* Rows a and b of x, n numbers, `step` apart, turned by an angle. */
static void rotate(double *x, size_t a, size_t b, size_t n, size_t step, double c, double sine)
{
    for (size_t i = 0; i < n; i++) {
        double *first = x + a + i * step, *second = x + b + i * step;
        const double f = *first, g = *second;
        *first = c * f - sine * g;
        *second = sine * f + c * g;
    }
}

/* Jacobi's rotations, one sweep over h (count, count), symmetric: the part that isn't on its diagonal, squared. Rows of
 * `turn` become its eigenvectors. (Golub, Van Loan, Matrix Computations, 8.5.) */
static double sweep(space *s)
{
    const size_t n = s->count, wide = s->most;
    double rest = 0;
    for (size_t a = 0; a + 1 < n; a++)
        for (size_t b = a + 1; b < n; b++) {
            const double off = s->h[a * wide + b];
            rest += off * off;
            if (off * off <= 1e-31 * fabs(s->h[a * wide + a] * s->h[b * wide + b]))
                continue;
            const double tau = (s->h[b * wide + b] - s->h[a * wide + a]) / (2 * off);
            const double t = (tau < 0 ? -1 : 1) / (fabs(tau) + sqrt(1 + tau * tau)), c = 1 / sqrt(1 + t * t);
            rotate(s->h, a * wide, b * wide, n, 1, c, t * c);
            rotate(s->h, a, b, n, wide, c, t * c);
            rotate(s->turn, a * wide, b * wide, n, 1, c, t * c);
        }
    return rest;
}

/* The best vectors of the space: v, and us = v W^T. */
static void ritz(space *s)
{
    const size_t n = s->count, wide = s->most, rows = s->block < n ? s->block : n;
    double trace = 0, rest = INFINITY;
    ent_tiles(n, 1, square_rows, s);
    memset(s->turn, 0, wide * wide * sizeof *s->turn);
    for (size_t i = 0; i < n; i++) {
        s->turn[i * wide + i] = 1;
        trace += s->h[i * wide + i];
    }
    for (int i = 0; i < MOST_SWEEPS && rest > 1e-28 * trace * trace; i++)
        rest = sweep(s);
    for (size_t i = 0; i < n; i++)
        s->values[i] = s->h[i * wide + i];
    for (size_t i = 0; i < rows; i++) { /* the largest that is left */
        size_t best = 0;
        for (size_t j = 1; j < n; j++)
            best = s->values[j] > s->values[best] ? j : best;
        s->values[best] = -1;
        for (size_t j = 0; j < n; j++)
            s->y[i * wide + j] = (ent_real)s->turn[best * wide + j];
    }
    ent_gemm(s->v, s->in, rows, s->in, n, 1, ent_matrix_of(s->y, wide, false), ent_matrix_of(s->q, s->in, false), 0);
    ent_gemm(s->us, s->out, rows, s->out, n, 1, ent_matrix_of(s->y, wide, false), ent_matrix_of(s->p, s->out, false),
             0);
}

static double length_of(const ent_real *x, size_t n)
{
    return sqrt(ent_kernels_get()->sum_squares(x, n));
}

/* The largest |W^T u - sigma v| of the first r, by the largest sigma. */
static double residual(space *s, size_t r)
{
    const size_t rows = s->block < s->count ? s->block : s->count;
    double worst = 0, first = length_of(s->us, s->out);
    back(s->next, s, s->us, rows);
    for (size_t i = 0; i < r && i < rows; i++) {
        const double sigma = length_of(s->us + i * s->out, s->out);
        double sum = 0;
        if (!(sigma > 1e-6 * first)) /* nothing, or not a number */
            continue;
        for (size_t j = 0; j < s->in; j++) {
            const double d = (double)s->next[i * s->in + j] / sigma - sigma * (double)s->v[i * s->in + j];
            sum += d * d;
        }
        worst = sqrt(sum) > worst ? sqrt(sum) : worst;
    }
    return first > 0 ? worst / first : first;
}

static ent_status find(space *s, size_t r, uint32_t number)
{
    const ent_rng rng = {.stream = ENT_STREAM_INIT | number << 8, .unit = 1};
    double left = INFINITY;
    for (size_t i = 0; i < s->block * s->in; i++)
        s->v[i] = (ent_real)ent_random_normal(&rng, i);
    for (int k = 0; k < MOST_SPACES && left > ENT_SVD_RESIDUAL; k++) {
        s->count = 0;
        size_t added = add_block(s, s->v, s->block);
        for (int i = 1; i < BLOCKS && added && s->count < s->most; i++) {
            back(s->next, s, s->p + (s->count - added) * s->out, added);
            added = add_block(s, s->next, added);
        }
        ritz(s);
        left = residual(s, r);
        if (!isfinite(left))
            return ent_fail(ENT_ENUMERIC, "%s: its numbers aren't finite", s->w->name);
    }
    if (left > ENT_SVD_RESIDUAL)
        return ent_fail(ENT_ENUMERIC, "%s: singular vectors: the residual is %g of the largest value, expected %g",
                        s->w->name, left, ENT_SVD_RESIDUAL);
    return ENT_OK;
}

ent_status ent_svd_top(ent_real *u, double *sigma, ent_real *v, size_t r, const ent_tensor *w, uint32_t number)
{
    const size_t out = w->shape[0], in = w->shape[1], side = out < in ? out : in;
    space s = {.w = w, .in = in, .out = out, .block = r + MORE < side ? r + MORE : side};
    ent_status st;
    if (r == 0 || r > side)
        return ent_fail(ENT_EINVAL, "%s: expected a rank from 1 to %zu, found %zu", w->name, side, r);
    s.most = BLOCKS * s.block < in ? BLOCKS * s.block : in;
    ENT_GO(take(&s));
    ENT_GO(find(&s, r, number));
    memset(u, 0, r * out * sizeof *u);
    memset(v, 0, r * in * sizeof *v);
    for (size_t i = 0; i < r; i++) {
        const bool there = i < s.count;
        sigma[i] = there ? length_of(s.us + i * out, out) : 0;
        if (there)
            memcpy(v + i * in, s.v + i * in, in * sizeof *v);
        if (sigma[i] > 1e-6 * sigma[0])
            ent_kernels_get()->scale(u + i * out, s.us + i * out, (ent_real)(1 / sigma[i]), out);
    }
done:
    clear(&s);
    return st;
}
