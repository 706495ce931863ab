/* Products in the core's numbers. */
#include "src/tensor/gemm.h"

#include "src/base/profile.h"
#include "src/kernel/kernels.h"
#include "src/tensor/gemm_parts.h"
#include "src/tensor/gemm_row.h"

const char *ent_gemm_kernel(void)
{
    return "fused fp32";
}

typedef struct operands {
    ent_real *c;
    size_t ldc;
    ent_real alpha, beta;
    ent_matrix a, b;
    bool causal;
    ent_causal_part part;
    size_t diagonal;
} operands;

/* What tiles of rows [i, i + rows) have: columns before `columns`, terms [first, end). */
typedef struct extent {
    size_t columns, first, end;
} extent;

static extent extent_of(const operands *o, const ent_product *p, size_t i, size_t rows)
{
    extent x = {p->n, 0, p->k};
    if (!o->causal)
        return x;
    const size_t seen = i + rows + o->diagonal;
    if (o->part == ENT_SEEN_OF_C)
        x.columns = seen;
    else if (o->part == ENT_SEEN_OF_A)
        x.end = seen < p->k ? seen : p->k;
    else
        x.first = i > o->diagonal ? i - o->diagonal : 0;
    return x;
}

/* Where element (i, j) of a matrix is. */
static const void *at(const ent_matrix *m, size_t i, size_t j)
{
    return m->transposed ? ent_matrix_at(m, j, i) : ent_matrix_at(m, i, j);
}

static void pack_a(const ent_product *p, ent_packed to, size_t i, size_t m, size_t l, size_t k)
{
    const ent_product_kernels *kernels = ent_kernels_get()->products;
    const ent_matrix *a = &((const operands *)p->context)->a;
    kernels->pack(to.a, at(a, i, l), a->stride, a->transposed, m, k, kernels->rows);
}

/* Of another storage type: by lines, as they are stored. */
static void convert_b(const ent_matrix *b, ent_packed to, size_t j, size_t n, size_t l, size_t k)
{
    const ent_product_kernels *kernels = ent_kernels_get()->products;
    const size_t width = kernels->columns;
    if (!b->transposed) {
        for (size_t t = 0; t < k; t++) {
            ent_matrix_read(to.line, b, l + t, j, n);
            for (size_t s = 0; s < n; s += width)
                kernels->pack(to.b + s * k + t * width, to.line + s, 0, true, n - s < width ? n - s : width, 1, width);
        }
        return;
    }
    for (size_t s = 0; s < n; s += 8) {
        const size_t lines = n - s < 8 ? n - s : 8;
        for (size_t i = 0; i < lines; i++)
            ent_matrix_read(to.line + i * k, b, j + s + i, l, k);
        kernels->pack(to.b + s / width * width * k + s % width, to.line, k, false, lines, k, width);
    }
}

static void pack_b(const ent_product *p, ent_packed to, size_t j, size_t n, size_t l, size_t k)
{
    const ent_product_kernels *kernels = ent_kernels_get()->products;
    const ent_matrix *b = &((const operands *)p->context)->b;
    if (b->dtype != ENT_REAL_DTYPE)
        convert_b(b, to, j, n, l, k);
    else
        kernels->pack(to.b, at(b, l, j), b->stride, !b->transposed, n, k, kernels->columns);
}

/* While tiles are computed, what is packed next comes nearer: lines [begin, end) of B's group of columns at j. */
static void fetch(const ent_matrix *b, size_t j, size_t n, size_t l, size_t k, size_t begin, size_t end)
{
    const size_t first = b->transposed ? l : j, count = b->transposed ? k : n;
    for (size_t i = begin; i < end; i++) {
        const size_t line = i + (b->transposed ? j : l);
        const char *to = ent_matrix_at(b, line, first + count);
        for (const char *byte = ent_matrix_at(b, line, first); byte < to; byte += 64)
            __builtin_prefetch(byte, 0, 2);
    }
}

static void tiles(const ent_product *p, ent_packed from, size_t i, size_t m, size_t j, size_t n, size_t k, size_t l)
{
    const ent_product_kernels *kernels = ent_kernels_get()->products;
    const operands *o = p->context;
    const size_t next = j + n < p->n ? (p->n - j - n < n ? p->n - j - n : n) : 0, lines = o->b.transposed ? next : k;
    for (size_t r = 0; r < m; r += kernels->rows) {
        const size_t rows = m - r < kernels->rows ? m - r : kernels->rows;
        if (next)
            fetch(&o->b, j + n, next, l, k, lines * r / m, lines * (r + rows) / m);
        const extent x = extent_of(o, p, i + r, rows);
        const size_t first = x.first > l ? (x.first - l < k ? x.first - l : k) : 0;
        const size_t end = x.end > l ? (x.end - l < k ? x.end - l : k) : 0, terms = end > first ? end - first : 0;
        for (size_t s = 0; s < n && j + s < x.columns; s += kernels->columns)
            kernels->tile(o->c + (i + r) * o->ldc + j + s, o->ldc, rows,
                          n - s < kernels->columns ? n - s : kernels->columns, terms,
                          from.a + r * k + first * kernels->rows, from.b + s * k + first * kernels->columns, o->alpha,
                          l == 0 ? o->beta : 1);
    }
}

static ent_product product_of(const operands *o, size_t m, size_t n, size_t k)
{
    return (ent_product){m, n, k, ENT_PRODUCT_DEPTH, pack_a, pack_b, tiles, o, 0, 0};
}

void ent_gemm_serial(ent_real *c, size_t ldc, size_t m, size_t n, size_t k, ent_real alpha, ent_matrix a, ent_matrix b,
                     ent_real beta)
{
    const operands o = {.c = c, .ldc = ldc, .alpha = alpha, .beta = beta, .a = a, .b = b};
    const ent_product p = product_of(&o, m, n, k);
    ent_profile_count(ENT_FLOPS_FP32, m, n, k);
    if (ent_is_row_product(m, &b))
        ent_row_product_serial(&(ent_row_product){c, n, k, alpha, beta, a, b});
    else
        ent_product_serial(&p);
}

/* Pairs of a row that sees and a row that is seen, of `seeing` and `all`. */
static size_t seen_pairs(size_t seeing, size_t all, size_t diagonal)
{
    size_t pairs = 0;
    for (size_t i = 0; i < seeing; i++)
        pairs += i + diagonal + 1 < all ? i + diagonal + 1 : all;
    return pairs;
}

void ent_gemm_causal(ent_causal_part part, size_t diagonal, ent_real *c, size_t ldc, size_t m, size_t n, size_t k,
                     ent_real alpha, ent_matrix a, ent_matrix b, ent_real beta)
{
    if (m == 1) { /* there is nothing to leave out */
        ent_gemm_serial(c, ldc, m, n, k, alpha, a, b, beta);
        return;
    }
    const operands o = {c, ldc, alpha, beta, a, b, true, part, diagonal};
    const ent_product p = product_of(&o, m, n, k);
    if (part == ENT_SEEN_OF_C)
        ent_profile_count(ENT_FLOPS_FP32, seen_pairs(m, n, diagonal), 1, k);
    else
        ent_profile_count(ENT_FLOPS_FP32,
                          part == ENT_SEEN_OF_A ? seen_pairs(m, k, diagonal) : seen_pairs(k, m, diagonal), n, 1);
    ent_product_serial(&p);
}

void ent_gemm_as(ent_flop_kind kind, ent_real *c, size_t ldc, size_t m, size_t n, size_t k, ent_real alpha,
                 ent_matrix a, ent_matrix b, ent_real beta)
{
    const operands o = {.c = c, .ldc = ldc, .alpha = alpha, .beta = beta, .a = a, .b = b};
    ent_product p = product_of(&o, m, n, k);
    const ent_phase outer = ent_profile_enter(ENT_PHASE_PRODUCTS);
    ent_profile_count(kind, m, n, k);
    if (ent_is_row_product(m, &b))
        ent_row_product_shared(&(ent_row_product){c, n, k, alpha, beta, a, b});
    else
        ent_product_shared(&p);
    ent_profile_enter(outer);
}

void ent_gemm(ent_real *c, size_t ldc, size_t m, size_t n, size_t k, ent_real alpha, ent_matrix a, ent_matrix b,
              ent_real beta)
{
    ent_gemm_as(ENT_FLOPS_FP32, c, ldc, m, n, k, alpha, a, b, beta);
}
