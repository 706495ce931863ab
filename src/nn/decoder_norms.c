/* DoRA's norms: of the rows of W + s B A, without the sum as a matrix. With the rows w of W and b of B,
 * |w + s b A|^2 = |w|^2 + 2 s b (A w) + s^2 b (A A^T) b: |w|^2 stays, the rest is three products of adapters' size. */
#include <math.h>
#include <stdlib.h>

#include "src/base/mem.h"
#include "src/base/tiles.h"
#include "src/kernel/kernels.h"
#include "src/nn/decoder_parts.h"
#include "src/tensor/gemm.h"

enum { ROWS_IN_TILE = 64, STRETCH = 1024 };

/* A, W A^T transposed, A A^T, B, B A A^T: all (numbers). */
static size_t scratch_of(const projection *p)
{
    const size_t r = p->lora_a->shape[0], in = p->lora_a->shape[1], out = p->lora_b->shape[0];
    return r * in + r * out + r * r + 2 * out * r;
}

ent_status ent_decoder_take_norms(ent_decoder *d)
{
    const size_t count = ent_decoder_projections(d);
    size_t n = 0, scratch = 0;
    for (size_t i = 0; i < count; i++) {
        const projection *p = projection_at(d, i);
        if (p->magnitude == NULL)
            continue;
        n += p->magnitude->shape[0];
        scratch = scratch_of(p) > scratch ? scratch_of(p) : scratch;
    }
    if (n == 0)
        return ENT_OK;
    ENT_TRY(ent_calloc(&d->dora.norms, n, sizeof *d->dora.norms, "norms of rows"));
    ENT_TRY(ent_calloc(&d->dora.squares, n, sizeof *d->dora.squares, "norms of rows"));
    ENT_TRY(ent_calloc(&d->dora.scratch, scratch, sizeof *d->dora.scratch, "norms of rows"));
    d->dora.bytes = n * (sizeof *d->dora.norms + sizeof *d->dora.squares) + scratch * sizeof *d->dora.scratch;
    n = 0;
    for (size_t i = 0; i < count; i++) {
        projection *p = projection_at(d, i);
        if (p->magnitude == NULL)
            continue;
        p->norms = d->dora.norms + n;
        p->squares = d->dora.squares + n;
        n += p->magnitude->shape[0];
    }
    return ENT_OK;
}

/* Factors of W's columns that are not in what ent_tensor_read gives: those of whole numbers that were made with them.
 */
static const float *factors_of(const ent_tensor *w)
{
    return w->dtype == ENT_DTYPE_I8 && w->rounding == NULL ? w->column_factors : NULL;
}

static void square_rows(void *context, size_t begin, size_t end)
{
    projection *p = context;
    const ent_tensor *w = p->w;
    const float *factors = factors_of(w);
    ent_real x[STRETCH];
    for (size_t i = begin; i < end; i++) {
        p->squares[i] = 0;
        for (size_t j = 0; j < w->shape[1]; j += STRETCH) {
            const size_t n = w->shape[1] - j < STRETCH ? w->shape[1] - j : STRETCH;
            ent_tensor_read(x, w, i, j, n);
            for (size_t k = 0; factors && k < n; k++)
                x[k] *= (ent_real)factors[j + k];
            p->squares[i] += ent_kernels_get()->sum_squares(x, n);
        }
    }
}

typedef struct sum {
    const projection *p;
    const ent_real *wa, *b, *ba; /* (r, out), (out, r), (out, r) */
} sum;

static void sum_rows(void *context, size_t begin, size_t end)
{
    const sum *s = context;
    const size_t r = s->p->lora_a->shape[0], out = s->p->lora_b->shape[0];
    const double scale = (double)s->p->scale;
    double squares[ROWS_IN_TILE];
    for (size_t i = begin; i < end; i++)
        squares[i - begin] = s->p->squares[i];
    for (size_t k = 0; k < r; k++)
        for (size_t i = begin; i < end; i++)
            squares[i - begin] +=
                scale * (double)s->b[i * r + k] * (2 * (double)s->wa[k * out + i] + scale * (double)s->ba[i * r + k]);
    for (size_t i = begin; i < end; i++)
        s->p->norms[i] = (ent_real)sqrt(squares[i - begin]);
}

static ent_status refresh(projection *p, ent_real *scratch)
{
    const size_t r = p->lora_a->shape[0], in = p->lora_a->shape[1], out = p->lora_b->shape[0];
    ent_real *a = scratch, *wa = a + r * in, *aa = wa + r * out, *b = aa + r * r, *ba = b + out * r;
    const float *factors = factors_of(p->w);
    if (p->squares_of != p->w->data) {
        ent_tiles(out, ROWS_IN_TILE, square_rows, p);
        p->squares_of = p->w->data;
    }
    for (size_t k = 0; k < r; k++)
        ent_tensor_read(a + k * in, p->lora_a, k, 0, in);
    for (size_t i = 0; i < out; i++)
        ent_tensor_read(b + i * r, p->lora_b, i, 0, r);
    ent_gemm(aa, r, r, r, in, 1, ent_matrix_of(a, in, false), ent_matrix_of(a, in, true), 0);
    ent_gemm(ba, r, out, r, r, 1, ent_matrix_of(b, r, false), ent_matrix_of(aa, r, false), 0);
    for (size_t k = 0; factors && k < r; k++)
        for (size_t j = 0; j < in; j++)
            a[k * in + j] *= (ent_real)factors[j];
    ent_gemm(wa, out, r, out, in, 1, ent_matrix_of(a, in, false), ent_matrix_stored(p->w, true), 0);
    ent_tiles(out, ROWS_IN_TILE, sum_rows, &(sum){p, wa, b, ba});
    for (size_t i = 0; i < out; i++)
        if (!(p->norms[i] > 0 && isfinite(p->norms[i])))
            return ent_fail(ENT_ENUMERIC,
                            "%s: with its adapter row %zu has the norm %g: DoRA needs one above 0 and finite",
                            p->w->name, i, (double)p->norms[i]);
    return ENT_OK;
}

ent_status ent_decoder_refresh(ent_decoder *d)
{
    for (size_t i = 0; d->dora.norms && i < ent_decoder_projections(d); i++)
        if (projection_at(d, i)->magnitude)
            ENT_TRY(refresh(projection_at(d, i), d->dora.scratch));
    return ENT_OK;
}

ent_status ent_decoder_init_magnitudes(ent_decoder *d)
{
    ENT_TRY(ent_decoder_refresh(d));
    for (size_t i = 0; d->dora.norms && i < ent_decoder_projections(d); i++) {
        const projection *p = projection_at(d, i);
        if (p->magnitude)
            memcpy(ent_values(p->magnitude), p->norms, p->magnitude->shape[0] * sizeof *p->norms);
    }
    return ENT_OK;
}

const ent_real *ent_decoder_norms(const ent_decoder *d, size_t l, ent_proj proj)
{
    return d->layers[l].proj[proj].norms;
}

size_t ent_decoder_side_bytes(const ent_decoder *d)
{
    return d->dora.bytes + d->first.bytes;
}
