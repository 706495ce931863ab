/* A is packed for a stretch of terms and many rows, B for a group of columns at a time; then tiles go along the
 * columns, so that their part of A stays in the first cache and the group in the second. */
#include "src/tensor/gemm_parts.h"

#include <stdalign.h>

#include "src/base/tiles.h"
#include "src/kernel/kernels.h"

enum { ROWS = ENT_PACKED_ROWS, COLUMNS = ENT_PACKED_COLUMNS, DEPTH = ENT_PRODUCT_DEPTH + 1 };

static _Thread_local union {
    struct {
        alignas(64) ent_real a[ROWS * DEPTH + ENT_PRODUCT_SLACK];
        alignas(64) ent_real b[COLUMNS * DEPTH + ENT_PRODUCT_SLACK];
        alignas(64) ent_real line[8 * ENT_PRODUCT_DEPTH];
    } numbers;
    struct {
        alignas(64) uint32_t a[ROWS * DEPTH + ENT_PRODUCT_SLACK];
        alignas(64) uint32_t b[COLUMNS * DEPTH + ENT_PRODUCT_SLACK];
        alignas(64) int8_t b_int8[COLUMNS * ENT_PRODUCT_DEPTH_INT8];
    } words;
} memory;

const void *ent_matrix_at(const ent_matrix *m, size_t line, size_t j)
{
    if (m->dtype == ENT_DTYPE_NF4)
        return (const char *)m->data + line * ((m->stride + 1) / 2) + j / 2;
    return (const char *)m->data + (line * m->stride + j) * ent_dtype_size(m->dtype);
}

void ent_matrix_read(ent_real *to, const ent_matrix *m, size_t line, size_t j, size_t n)
{
    if (m->stored)
        ent_tensor_read(to, m->stored, line, j, n);
    else
        ent_convert(to, ent_matrix_at(m, line, j), m->dtype, n);
    if (m->to_bf16)
        ent_kernels_get()->round_bf16(to, to, n);
}

void ent_matrix_fetch(const ent_matrix *m, size_t line, size_t j, size_t n)
{
    const char *end = ent_matrix_at(m, line, j + n);
    for (const char *byte = ent_matrix_at(m, line, j); byte < end; byte += 64)
        __builtin_prefetch(byte, 0, 2);
}

static void multiply(const ent_product *p, size_t first_row, size_t end_row, size_t first_column, size_t end_column)
{
    const ent_packed packed = {memory.numbers.a, memory.numbers.b, memory.numbers.line,
                               memory.words.a,   memory.words.b,   memory.words.b_int8};
    for (size_t i = first_row; i < end_row; i += ROWS) {
        const size_t m = end_row - i < ROWS ? end_row - i : ROWS;
        for (size_t l = 0; l == 0 || l < p->k; l += p->depth) {
            const size_t k = p->k - l < p->depth ? p->k - l : p->depth;
            p->pack_a(p, packed, i, m, l, k);
            for (size_t j = first_column; j < end_column; j += COLUMNS) {
                const size_t n = end_column - j < COLUMNS ? end_column - j : COLUMNS;
                p->pack_b(p, packed, j, n, l, k);
                p->tiles(p, packed, i, m, j, n, k, l);
            }
        }
    }
}

void ent_product_serial(const ent_product *p)
{
    multiply(p, 0, p->m, 0, p->n);
}

static void some_parts(void *context, size_t begin, size_t end)
{
    const ent_product *p = context;
    const size_t down = (p->m + p->part_rows - 1) / p->part_rows;
    for (size_t t = begin; t < end; t++) {
        const size_t i = t % down * p->part_rows, j = t / down * p->part_columns;
        multiply(p, i, i + p->part_rows < p->m ? i + p->part_rows : p->m, j,
                 j + p->part_columns < p->n ? j + p->part_columns : p->n);
    }
}

/* The size of one of `parts` of n, in whole units. */
static size_t part_of(size_t n, size_t unit, size_t parts)
{
    const size_t units = (n + unit - 1) / unit;
    return (units + parts - 1) / parts * unit;
}

/* A part of C for each thread, by columns as far as there are enough of them, then by rows. An element is the same in
 * whatever part: so these may depend on the number of threads. Of many columns a thread gets several parts, to even out
 * what the threads lose to others; less work than lets another thread catch up with its caches stays with one. */
void ent_product_shared(ent_product *p)
{
    enum { MANY = 1024, WORTH_A_THREAD = 1 << 20 };
    const ent_product_kernels *kernels = ent_kernels_get()->products;
    const size_t worth = p->m * p->n * p->k / WORTH_A_THREAD, all = (size_t)ent_threads(),
                 threads = worth < 1 ? 1 : worth < all ? worth : all,
                 most = (p->n + kernels->columns - 1) / kernels->columns;
    if (p->m == 0 || p->n == 0)
        return;
    size_t columns = threads * ((p->n + threads * MANY - 1) / (threads * MANY));
    columns = columns < most ? columns : most;
    p->part_columns = threads == 1 ? p->n : part_of(p->n, kernels->columns, columns);
    p->part_rows = part_of(p->m, kernels->rows, (threads + columns - 1) / columns);
    const size_t down = (p->m + p->part_rows - 1) / p->part_rows;
    ent_tiles(down * ((p->n + p->part_columns - 1) / p->part_columns), 1, some_parts, p);
}
