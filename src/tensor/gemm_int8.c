#include "src/tensor/gemm_int8.h"

#include "src/base/profile.h"
#include "src/kernel/kernels.h"
#include "src/tensor/gemm_parts.h"

typedef struct operands {
    float *c;
    const int8_t *a;
    const ent_tensor *b;
    const float *row_scales, *column_scales;
    bool transposed;
    float beta;
} operands;

/* Words of a sliver, one for each two terms, and a row of them behind. */
static size_t sliver(size_t width, size_t k)
{
    return width * ((k + 1) / 2 + 1);
}

static void pack_a(const ent_product *p, ent_packed to, size_t i, size_t m, size_t l, size_t k)
{
    const ent_product_kernels *kernels = ent_kernels_get()->products;
    const operands *o = p->context;
    const size_t width = kernels->rows;
    for (size_t r = 0; r < m; r += width)
        kernels->pack_int8(to.a_words + r / width * sliver(width, k), o->a + (i + r) * p->k + l, p->k, false,
                           m - r < width ? m - r : width, k, width, true);
}

/* (rows, columns) of a matrix, from (row, column) on, as its rounding has them. */
static void round_stretches(int8_t *to, const ent_tensor *w, size_t row, size_t rows, size_t column, size_t columns)
{
    const ent_int8_rounding *r = w->rounding;
    ent_real values[(int)ENT_PRODUCT_DEPTH_INT8 + (int)ENT_PACKED_COLUMNS]; /* columns: terms, or columns of op(B) */
    for (size_t i = 0; i < rows; i++) {
        ent_tensor_read(values, w, row + i, column, columns);
        ent_kernels_get()->to_int8(to + i * columns, values, r->reciprocals ? r->reciprocals + column : NULL,
                                   r->inverses[row + i], columns);
    }
}

static void pack_b(const ent_product *p, ent_packed to, size_t j, size_t n, size_t l, size_t k)
{
    const ent_product_kernels *kernels = ent_kernels_get()->products;
    const operands *o = p->context;
    const size_t row = o->transposed ? j : l, column = o->transposed ? l : j, width = kernels->columns;
    size_t stride = o->b->shape[1];
    const int8_t *b = to.b_int8;
    if (o->b->rounding) {
        stride = o->transposed ? k : n;
        round_stretches(to.b_int8, o->b, row, o->transposed ? n : k, column, stride);
    } else {
        b = (const int8_t *)o->b->data + row * stride + column;
    }
    for (size_t s = 0; s < n; s += width)
        kernels->pack_int8(to.b_words + s / width * sliver(width, k), b + (o->transposed ? s * stride : s), stride,
                           !o->transposed, n - s < width ? n - s : width, k, width, false);
}

static void tiles(const ent_product *p, ent_packed from, size_t i, size_t m, size_t j, size_t n, size_t k, size_t l)
{
    const ent_product_kernels *kernels = ent_kernels_get()->products;
    const operands *o = p->context;
    const size_t rows = kernels->rows, columns = kernels->columns;
    for (size_t r = 0; r < m; r += rows)
        for (size_t s = 0; s < n; s += columns)
            kernels->tile_int8(o->c + (i + r) * p->n + j + s, p->n, m - r < rows ? m - r : rows,
                               n - s < columns ? n - s : columns, k, from.a_words + r / rows * sliver(rows, k),
                               from.b_words + s / columns * sliver(columns, k), o->row_scales + i + r,
                               o->column_scales + j + s, l == 0 ? o->beta : 1);
}

void ent_round_row(const ent_rounded_rows *to, size_t i, const float *x, size_t n)
{
    const ent_kernels *kernels = ent_kernels_get();
    float inverse;
    to->scales[i] = ent_int8_scale(kernels->largest(x, to->factors, n), &inverse);
    kernels->to_int8(to->q + i * n, x, to->factors, inverse, n);
}

void ent_gemm_int8(float *c, size_t m, size_t n, size_t k, const int8_t *a, const float *row_scales,
                   const ent_tensor *b, bool transposed, const float *column_scales, float beta)
{
    const operands o = {c, a, b, row_scales, column_scales, transposed, beta};
    ent_product p = {m, n, k, ENT_PRODUCT_DEPTH_INT8, pack_a, pack_b, tiles, &o, 0, 0};
    ent_profile_count(ENT_FLOPS_INT8, m, n, k);
    ent_product_shared(&p);
}
