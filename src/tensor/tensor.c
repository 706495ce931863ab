#include "src/tensor/tensor.h"

#include <assert.h>
#include <stdio.h>

#include "src/kernel/kernels.h"
#include "src/quant/nf4.h"

ent_tensor ent_tensor_view(const ent_real *data, size_t n_dims, const size_t *shape)
{
    ent_tensor t = {.n_dims = n_dims, .dtype = ENT_REAL_DTYPE, .data = data};
    for (size_t i = 0; i < n_dims; i++)
        t.shape[i] = shape[i];
    return t;
}

size_t ent_tensor_count(const ent_tensor *t)
{
    size_t n = 1;
    for (size_t i = 0; i < t->n_dims; i++)
        n *= t->shape[i];
    return n;
}

size_t ent_tensor_columns(const ent_tensor *t)
{
    return t->n_dims ? t->shape[t->n_dims - 1] : 1;
}

size_t ent_tensor_rows(const ent_tensor *t)
{
    size_t n = 1;
    for (size_t i = 0; i + 1 < t->n_dims; i++)
        n *= t->shape[i];
    return n;
}

bool ent_tensor_same_shape(const ent_tensor *a, const ent_tensor *b)
{
    if (a->n_dims != b->n_dims)
        return false;
    for (size_t i = 0; i < a->n_dims; i++)
        if (a->shape[i] != b->shape[i])
            return false;
    return true;
}

#ifndef ENT_F64
static ent_nf4 nf4_layout(const ent_tensor *t)
{
    ent_nf4 m;
    const ent_status st = ent_nf4_layout(&m, ent_tensor_rows(t), ent_tensor_columns(t));
    assert(st == ENT_OK); /* or it wouldn't be stored so */
    (void)st;
    return m;
}
#endif

size_t ent_tensor_bytes(const ent_tensor *t)
{
#ifndef ENT_F64
    if (t->dtype == ENT_DTYPE_NF4)
        return nf4_layout(t).bytes;
#endif
    return ent_tensor_count(t) * ent_dtype_size(t->dtype) +
           (t->dtype == ENT_DTYPE_I8 ? ent_tensor_rows(t) * sizeof *t->row_scales : 0);
}

void ent_tensor_read(ent_real *to, const ent_tensor *t, size_t row, size_t begin, size_t n)
{
    const size_t at = row * ent_tensor_columns(t) + begin;
    if (t->dtype == ENT_DTYPE_I8) {
        ent_kernels_get()->from_int8(to, (const int8_t *)t->data + at, t->row_scales[row], n);
    } else if (t->dtype == ENT_DTYPE_NF4) {
#ifdef ENT_F64
        assert(!"NF4 in double");
#else
        const ent_nf4 m = nf4_layout(t);
        ent_nf4_dequantize(to, &m, t->data, row, begin, n);
#endif
    } else {
        ent_convert(to, (const char *)t->data + at * ent_dtype_size(t->dtype), t->dtype, n);
    }
}

const char *ent_shape_format(ent_shape_text *buffer, size_t n_dims, const size_t *shape)
{
    size_t n = (size_t)snprintf(buffer->text, sizeof buffer->text, "[");
    for (size_t i = 0; i < n_dims && n < sizeof buffer->text; i++)
        n += (size_t)snprintf(buffer->text + n, sizeof buffer->text - n, "%s%zu", i ? "," : "", shape[i]);
    if (n < sizeof buffer->text)
        snprintf(buffer->text + n, sizeof buffer->text - n, "]");
    return buffer->text;
}
