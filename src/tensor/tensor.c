#include "src/tensor/tensor.h"

#include <stdio.h>

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

const char *ent_shape_format(ent_shape_text *buffer, size_t n_dims, const size_t *shape)
{
    size_t n = (size_t)snprintf(buffer->text, sizeof buffer->text, "[");
    for (size_t i = 0; i < n_dims && n < sizeof buffer->text; i++)
        n += (size_t)snprintf(buffer->text + n, sizeof buffer->text - n, "%s%zu", i ? "," : "", shape[i]);
    if (n < sizeof buffer->text)
        snprintf(buffer->text + n, sizeof buffer->text - n, "]");
    return buffer->text;
}
