/* Products of one row. */
#ifndef ENT_TENSOR_GEMM_ROW_H
#define ENT_TENSOR_GEMM_ROW_H

#include "src/tensor/gemm.h"

typedef struct ent_row_product { /* C = alpha A B + beta C: (1, n) = (1, k) (k, n) */
    ent_real *c;
    size_t n, k;
    ent_real alpha, beta;
    ent_matrix a, b;
} ent_row_product;

/* Whether a product of m rows is one that is computed here: B is used as it is stored, or converted by lines. An
 * element has the bits that it has in other products. */
bool ent_is_row_product(size_t m, const ent_matrix *b);

/* By the calling thread; by the threads of the rank. */
void ent_row_product_serial(const ent_row_product *p);
void ent_row_product_shared(const ent_row_product *p);

#endif
