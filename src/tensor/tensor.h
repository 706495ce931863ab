/* Tensors: dense, row-major, up to four dimensions. */
#ifndef ENT_TENSOR_TENSOR_H
#define ENT_TENSOR_TENSOR_H

#include <stdbool.h>
#include <stddef.h>

#include "src/base/real.h"
#include "src/base/status.h"

enum { ENT_MAX_DIMS = 4 };

/* What products with a frozen weight are computed in (src/tensor/gemm.h). */
typedef enum { ENT_COMPUTE_FP32, ENT_COMPUTE_BF16, ENT_COMPUTE_INT8 } ent_compute;

typedef struct ent_tensor {
    size_t n_dims; /* 0: a scalar */
    size_t shape[ENT_MAX_DIMS];
    ent_dtype dtype;     /* of `data`; everything computed or trained is ENT_REAL_DTYPE */
    const void *data;    /* the values: memory of the tape, of the parameters, or a mapped file */
    ent_real *grad;      /* dL/d(this), same shape; NULL: not wanted. Operators add to it */
    bool requires_grad;  /* a gradient flows through this tensor */
    const char *name;    /* borrowed; parameters have one */
    ent_compute compute; /* of products with it, if it is a frozen weight */
    /* Of a matrix of I8: w(i, j) = row_scales[i] data(i, j) column_factors[j]. Products take the column's factor with
     * the other operand. */
    const float *row_scales, *column_factors;
    struct ent_observer *observer; /* sees the operands of products with this weight; NULL: nobody does */
    bool spare;                    /* the values are a tape's, and no backward reads them: see ent_tape_release */
} ent_tensor;

/* A tensor that describes memory of the caller, of ENT_REAL_DTYPE. */
ent_tensor ent_tensor_view(const ent_real *data, size_t n_dims, const size_t *shape);

/* The values as numbers of the core. Only for tensors of ENT_REAL_DTYPE. */
static inline ent_real *ent_values(const ent_tensor *t)
{
    return (ent_real *)t->data;
}

size_t ent_tensor_count(const ent_tensor *t);                         /* product of the shape; 1 for a scalar */
size_t ent_tensor_columns(const ent_tensor *t);                       /* the last dimension; 1 for a scalar */
size_t ent_tensor_rows(const ent_tensor *t);                          /* product of all dimensions but the last */
bool ent_tensor_same_shape(const ent_tensor *a, const ent_tensor *b); /* equal dimensions */

/* "[3,4]", into `text`, for messages. Returns text. */
typedef struct ent_shape_text {
    char text[96];
} ent_shape_text;
const char *ent_shape_format(ent_shape_text *buffer, size_t n_dims, const size_t *shape);

#endif
