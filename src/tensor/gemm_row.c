#include "src/tensor/gemm_row.h"

#include <stdalign.h>

#include "src/base/tiles.h"
#include "src/kernel/kernels.h"
#include "src/tensor/gemm_parts.h"

enum { WORK = 65536 }; /* factors of B in a tile for the threads: fewer, and it would take longer to share them */

static _Thread_local struct {
    alignas(64) ent_real a[ENT_PRODUCT_DEPTH];
    alignas(64) ent_real b[ENT_PRODUCT_COLUMNS * ENT_PRODUCT_DEPTH];
} memory;

bool ent_is_row_product(size_t m, const ent_matrix *b)
{
    return m == 1 && (b->dtype == ENT_REAL_DTYPE || b->transposed);
}

/* Terms [l, l + k) of A. */
static const ent_real *terms_of(const ent_matrix *a, size_t l, size_t k)
{
    const ent_real *x = a->data;
    if (!a->transposed)
        return x + l;
    for (size_t i = 0; i < k; i++)
        memory.a[i] = x[(l + i) * a->stride];
    return memory.a;
}

/* Columns [j, j + n), at most as many as a tile has. */
static void columns(const ent_row_product *p, size_t j, size_t n)
{
    const ent_product_kernels *kernels = ent_kernels_get()->products;
    const ent_matrix *b = &p->b;
    for (size_t l = 0; l == 0 || l < p->k; l += ENT_PRODUCT_DEPTH) {
        const size_t k = p->k - l < ENT_PRODUCT_DEPTH ? p->k - l : ENT_PRODUCT_DEPTH;
        const size_t at = b->transposed ? j * b->stride + l : l * b->stride + j;
        const ent_real *terms = terms_of(&p->a, l, k), beta = l == 0 ? p->beta : 1;
        if (b->dtype == ENT_REAL_DTYPE) {
            kernels->row(p->c + j, n, k, terms, (const ent_real *)b->data + at, b->stride, !b->transposed, p->alpha,
                         beta);
            continue;
        }
        for (size_t i = 0; i < n; i++) {
            if (j + n + i < p->n) { /* of the next columns */
                const char *end = ent_matrix_at(b, j + n + i, l + k);
                for (const char *byte = ent_matrix_at(b, j + n + i, l); byte < end; byte += 64)
                    __builtin_prefetch(byte, 0, 2);
            }
            ent_matrix_read(memory.b + i * k, b, j + i, l, k);
        }
        kernels->row(p->c + j, n, k, terms, memory.b, k, false, p->alpha, beta);
    }
}

static void some_columns(void *context, size_t begin, size_t end)
{
    const ent_row_product *p = context;
    const size_t width = ent_kernels_get()->products->columns;
    for (size_t j = begin; j < end; j += width)
        columns(p, j, end - j < width ? end - j : width);
}

void ent_row_product_serial(const ent_row_product *p)
{
    some_columns((void *)p, 0, p->n);
}

void ent_row_product_shared(const ent_row_product *p)
{
    const size_t wanted = WORK / (p->k ? p->k : 1), tile = ENT_PRODUCT_COLUMNS;
    ent_tiles(p->n, (wanted / tile + 1) * tile, some_columns, (void *)p);
}
