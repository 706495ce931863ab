/* Tensors: dense, row-major, up to four dimensions. */
#ifndef ENT_TENSOR_TENSOR_H
#define ENT_TENSOR_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/real.h"
#include "src/base/status.h"

enum { ENT_MAX_DIMS = 4 };

/* What products with a frozen weight are computed in (src/tensor/gemm.h). */
typedef enum { ENT_COMPUTE_FP32, ENT_COMPUTE_BF16, ENT_COMPUTE_INT8 } ent_compute;

/* What x is rounded to where products with a weight have static activations in 8 bits: x' = (q - zero) scale with q =
 * round(x inverse) + zero, at least `low` and at most 127. */
typedef struct ent_input_rounding {
    float scale, inverse, zero, low;
} ent_input_rounding;

/* The rows of an activation x as whole numbers with a scale each: x(i, j) is about scales[i] q(i, j) / factors[j]. */
typedef struct ent_rounded_rows {
    const float *factors; /* NULL: all 1 */
    float *scales;
    int8_t *q; /* as many columns as x, no gaps; NULL: there are none */
} ent_rounded_rows;

typedef struct ent_tensor {
    size_t n_dims; /* 0: a scalar */
    size_t shape[ENT_MAX_DIMS];
    ent_dtype dtype;     /* of `data`; everything computed or trained is ENT_REAL_DTYPE */
    const void *data;    /* the values: memory of the tape, of the parameters, or a mapped file */
    ent_real *grad;      /* dL/d(this), same shape; NULL: not wanted. Operators add to it */
    bool requires_grad;  /* a gradient flows through this tensor */
    const char *name;    /* borrowed; parameters have one */
    ent_compute compute; /* of products with it, if it is a frozen weight */
    /* Of a matrix of I8: element (i, j) is row_scales[i] data(i, j). One of NF4 has its scales behind its codes
     * (src/quant/nf4.h). */
    const float *row_scales;
    /* Of a weight whose products are computed in INT8, w(i, j) = scale[i] q(i, j) column_factors[j] with whole q:
     * products take a column's factor with the other operand. q is what is stored, I8, and row_scales its scales; or
     * `rounding` says how it comes from numbers that are stored otherwise. */
    const float *column_factors;
    const struct ent_int8_rounding *rounding;
    const ent_input_rounding *input; /* of x in y = x W^T, in fp32; NULL: none */
    struct ent_observer *observer;   /* sees the operands of products with this weight; NULL: nobody does */
    const ent_rounded_rows *rounded; /* an activation's rows for products in INT8; NULL: nobody has rounded them */
    bool spare;                      /* the values are a tape's, and no backward reads them: see ent_tape_release */
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
size_t ent_tensor_bytes(const ent_tensor *t);                         /* of the values as they are stored, and scales */

/* to[i] = element (row, begin + i) for i < n, of any storage type; begin + n is at most the columns. Of I8 and NF4 the
 * product of the stored number and its scale, rounded once; NF4 not in double. */
void ent_tensor_read(ent_real *to, const ent_tensor *t, size_t row, size_t begin, size_t n);

/* "[3,4]", into `text`, for messages. Returns text. */
typedef struct ent_shape_text {
    char text[96];
} ent_shape_text;
const char *ent_shape_format(ent_shape_text *buffer, size_t n_dims, const size_t *shape);

#endif
