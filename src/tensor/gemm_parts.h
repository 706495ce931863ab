/* What products in fp32 and int8 share: a product is cut into parts for the threads, a part into what a thread packs.
 */
#ifndef ENT_TENSOR_GEMM_PARTS_H
#define ENT_TENSOR_GEMM_PARTS_H

#include <stddef.h>
#include <stdint.h>

#include "src/kernel/product.h"
#include "src/tensor/gemm.h"

/* ENT_PACKED_ROWS is a multiple of the rows of every level's tile, ENT_PACKED_COLUMNS of their columns. */
enum { ENT_PACKED_ROWS = 528, ENT_PACKED_COLUMNS = 128 };

/* Where element j of a stored line is; of NF4, its code. n numbers of a line, from element j on. */
const void *ent_matrix_at(const ent_matrix *m, size_t line, size_t j);
void ent_matrix_read(ent_real *to, const ent_matrix *m, size_t line, size_t j, size_t n);

/* What the calling thread packs into: its own, so that products take no memory. Slivers of a tile's rows or columns
 * stand one behind the other. */
typedef struct ent_packed {
    ent_real *a, *b, *line;      /* line: of one sliver while it is converted */
    uint32_t *a_words, *b_words; /* the same memory, for int8 */
    int8_t *b_int8;              /* (terms, columns) or (columns, terms), before they are words */
} ent_packed;

typedef struct ent_product ent_product;
struct ent_product {
    size_t m, n, k, depth; /* depth: terms that are packed at a time */
    void (*pack_a)(const ent_product *p, ent_packed to, size_t i, size_t m, size_t l, size_t k);
    void (*pack_b)(const ent_product *p, ent_packed to, size_t j, size_t n, size_t l, size_t k);
    /* The tiles of rows [i, i + m) and columns [j, j + n), of terms [l, l + k); beta is for those of l = 0. */
    void (*tiles)(const ent_product *p, ent_packed from, size_t i, size_t m, size_t j, size_t n, size_t k, size_t l);
    const void *context;
    size_t part_rows, part_columns;
};

/* All of it by the calling thread; by the threads of the rank. */
void ent_product_serial(const ent_product *p);
void ent_product_shared(ent_product *p);

#endif
