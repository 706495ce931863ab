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

/* What is packed next comes nearer while tiles are computed, a little with each: many lines at once would wait for one
 * another. */
typedef struct coming {
    const char *at, *end;   /* of the stored line that comes */
    size_t bytes, stride;   /* of a stored line: what comes of it, and from one to the next */
    size_t lines, per_tile; /* stored lines that are still to come; cache lines with each tile */
} coming;

/* The group of columns behind [j, j + n), with `tiles` tiles. What attention multiplies is near. */
static coming coming_after(const operands *o, const ent_product *p, size_t j, size_t n, size_t l, size_t k,
                           size_t tiles)
{
    const ent_matrix *b = &o->b;
    const size_t left = p->n - j - n, next = left < n ? left : n;
    const size_t line = b->transposed ? j + n : l, first = b->transposed ? l : j + n;
    if (next == 0 || o->causal)
        return (coming){0};
    coming c = {.at = ent_matrix_at(b, line, first), .lines = b->transposed ? next : k};
    c.bytes = (size_t)((const char *)ent_matrix_at(b, line, first + (b->transposed ? k : next)) - c.at);
    c.stride = (size_t)((const char *)ent_matrix_at(b, line + 1, first) - c.at);
    c.end = c.at + c.bytes;
    c.per_tile = (c.lines * ((c.bytes + 63) / 64) + tiles - 1) / tiles;
    return c;
}

static inline void fetch(coming *c)
{
    for (size_t i = 0; i < c->per_tile && c->lines > 0; i++) {
        __builtin_prefetch(c->at, 0, 2);
        c->at += 64;
        if (c->at >= c->end) {
            c->end += c->stride;
            c->at = c->end - c->bytes;
            c->lines--;
        }
    }
}

static void tiles(const ent_product *p, ent_packed from, size_t i, size_t m, size_t j, size_t n, size_t k, size_t l)
{
    const ent_product_kernels *kernels = ent_kernels_get()->products;
    const operands *o = p->context;
    const size_t down = (m + kernels->rows - 1) / kernels->rows, along = (n + kernels->columns - 1) / kernels->columns;
    coming c = coming_after(o, p, j, n, l, k, down * along);
    for (size_t r = 0; r < m; r += kernels->rows) {
        const size_t rows = m - r < kernels->rows ? m - r : kernels->rows;
        const extent x = extent_of(o, p, i + r, rows);
        const size_t first = x.first > l ? (x.first - l < k ? x.first - l : k) : 0;
        const size_t end = x.end > l ? (x.end - l < k ? x.end - l : k) : 0, terms = end > first ? end - first : 0;
        for (size_t s = 0; s < n && j + s < x.columns; s += kernels->columns) {
            fetch(&c);
            kernels->tile(o->c + (i + r) * o->ldc + j + s, o->ldc, rows,
                          n - s < kernels->columns ? n - s : kernels->columns, terms,
                          from.a + r * k + first * kernels->rows, from.b + s * k + first * kernels->columns, o->alpha,
                          l == 0 ? o->beta : 1);
        }
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
