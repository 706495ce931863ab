/* Products in the core's numbers. */
#include "src/tensor/gemm.h"

#include "src/base/profile.h"
#include "src/kernel/kernels.h"
#include "src/tensor/gemm_parts.h"

const char *ent_gemm_kernel(void)
{
    return "fused fp32";
}

typedef struct operands {
    ent_real *c;
    size_t ldc;
    ent_real alpha, beta;
    ent_matrix a, b;
} operands;

/* Where element j of a stored line is; of NF4, its code. */
static const void *in_line(const ent_matrix *m, size_t line, size_t j)
{
    if (m->dtype == ENT_DTYPE_NF4)
        return (const char *)m->data + line * ((m->stride + 1) / 2) + j / 2;
    return (const char *)m->data + (line * m->stride + j) * ent_dtype_size(m->dtype);
}

/* Where element (i, j) of a matrix is. */
static const void *at(const ent_matrix *m, size_t i, size_t j)
{
    return m->transposed ? in_line(m, j, i) : in_line(m, i, j);
}

/* n numbers of a stored line, from number j on. */
static void read_line(ent_real *to, const ent_matrix *m, size_t line, size_t j, size_t n)
{
    if (m->stored)
        ent_tensor_read(to, m->stored, line, j, n);
    else
        ent_convert(to, in_line(m, line, j), m->dtype, n);
    if (m->to_bf16)
        ent_kernels_get()->round_bf16(to, to, n);
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
            read_line(to.line, b, l + t, j, n);
            for (size_t s = 0; s < n; s += width)
                kernels->pack(to.b + s * k + t * width, to.line + s, 0, true, n - s < width ? n - s : width, 1, width);
        }
        return;
    }
    for (size_t s = 0; s < n; s += 8) {
        const size_t lines = n - s < 8 ? n - s : 8;
        for (size_t i = 0; i < lines; i++)
            read_line(to.line + i * k, b, j + s + i, l, k);
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
        const char *to = in_line(b, line, first + count);
        for (const char *byte = in_line(b, line, first); byte < to; byte += 64)
            __builtin_prefetch(byte, 0, 2);
    }
}

static void tiles(const ent_product *p, ent_packed from, size_t i, size_t m, size_t j, size_t n, size_t k, size_t l)
{
    const ent_product_kernels *kernels = ent_kernels_get()->products;
    const operands *o = p->context;
    const size_t next = j + n < p->n ? (p->n - j - n < n ? p->n - j - n : n) : 0, lines = o->b.transposed ? next : k;
    for (size_t r = 0; r < m; r += kernels->rows) {
        if (next)
            fetch(&o->b, j + n, next, l, k, lines * r / m, lines * (r + kernels->rows < m ? r + kernels->rows : m) / m);
        for (size_t s = 0; s < n; s += kernels->columns)
            kernels->tile(o->c + (i + r) * o->ldc + j + s, o->ldc, m - r < kernels->rows ? m - r : kernels->rows,
                          n - s < kernels->columns ? n - s : kernels->columns, k, from.a + r * k, from.b + s * k,
                          o->alpha, l == 0 ? o->beta : 1);
    }
}

static ent_product product_of(const operands *o, size_t m, size_t n, size_t k)
{
    return (ent_product){m, n, k, ENT_PRODUCT_DEPTH, pack_a, pack_b, tiles, o, 0, 0};
}

void ent_gemm_serial(ent_real *c, size_t ldc, size_t m, size_t n, size_t k, ent_real alpha, ent_matrix a, ent_matrix b,
                     ent_real beta)
{
    const operands o = {c, ldc, alpha, beta, a, b};
    const ent_product p = product_of(&o, m, n, k);
    ent_profile_count(ENT_FLOPS_FP32, m, n, k);
    ent_product_serial(&p);
}

void ent_gemm_as(ent_flop_kind kind, ent_real *c, size_t ldc, size_t m, size_t n, size_t k, ent_real alpha,
                 ent_matrix a, ent_matrix b, ent_real beta)
{
    const operands o = {c, ldc, alpha, beta, a, b};
    ent_product p = product_of(&o, m, n, k);
    const ent_phase outer = ent_profile_enter(ENT_PHASE_PRODUCTS);
    ent_profile_count(kind, m, n, k);
    ent_product_shared(&p);
    ent_profile_enter(outer);
}

void ent_gemm(ent_real *c, size_t ldc, size_t m, size_t n, size_t k, ent_real alpha, ent_matrix a, ent_matrix b,
              ent_real beta)
{
    ent_gemm_as(ENT_FLOPS_FP32, c, ldc, m, n, k, alpha, a, b, beta);
}
