#include "src/nn/params.h"

#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"

ent_status ent_params_declare(ent_tensor **out, ent_params *params, const char *name, size_t n_dims,
                              const size_t *shape, bool trainable)
{
    if (ent_params_find(params, name))
        return ent_fail(ENT_EINVAL, "%s: declared twice", name);
    ENT_TRY(ent_grow(&params->items, &params->capacity, params->count + 1, sizeof *params->items, "parameters"));
    ent_param *p;
    ENT_TRY(ent_calloc(&p, 1, sizeof *p, "a parameter"));
    params->items[params->count++] = p;
    p->tensor = ent_tensor_view(NULL, n_dims, shape);
    p->trainable = p->tensor.requires_grad = trainable;
    char *copy;
    ENT_TRY(ent_strdup(&copy, name));
    p->tensor.name = copy;
    *out = &p->tensor;
    return ENT_OK;
}

ent_status ent_params_seal(ent_params *params)
{
    size_t n = 0;
    for (size_t i = 0; i < params->count; i++) {
        if (!params->items[i]->trainable)
            continue;
        params->items[i]->offset = n;
        if (__builtin_add_overflow(n, ent_tensor_count(&params->items[i]->tensor), &n))
            return ent_fail(ENT_ENOMEM, "%s: too many parameters", params->items[i]->tensor.name);
    }
    params->n_trainable = n;
    ENT_TRY(ent_calloc(&params->value, n, sizeof(ent_real), "trainable parameters"));
    ENT_TRY(ent_calloc(&params->grad, n, sizeof(ent_real), "gradients"));
    ENT_TRY(ent_calloc(&params->m, n, sizeof(ent_real), "first moments"));
    ENT_TRY(ent_calloc(&params->v, n, sizeof(ent_real), "second moments"));
    for (size_t i = 0; i < params->count; i++) {
        ent_param *p = params->items[i];
        if (p->trainable)
            p->tensor.grad = params->grad + p->offset;
    }
    params->sealed = true;
    return ENT_OK;
}

ent_param *ent_params_find(const ent_params *params, const char *name)
{
    for (size_t i = 0; i < params->count; i++)
        if (strcmp(params->items[i]->tensor.name, name) == 0)
            return params->items[i];
    return NULL;
}

ent_status ent_params_bind(ent_params *params, ent_param *param, size_t n_dims, const size_t *shape, ent_dtype dtype,
                           const void *data, const char *file)
{
    ent_tensor *t = &param->tensor;
    const ent_tensor given = ent_tensor_view(NULL, n_dims, shape);
    ent_shape_text text[2];
    if (!ent_tensor_same_shape(t, &given))
        return ent_fail(ENT_EFORMAT, "%s: %s: expected %s, file has %s", file, t->name,
                        ent_shape_format(&text[0], t->n_dims, t->shape), ent_shape_format(&text[1], n_dims, shape));
    if (param->trainable) {
        ent_convert(params->value + param->offset, data, dtype, ent_tensor_count(t));
        t->data = params->value + param->offset;
        t->dtype = ENT_REAL_DTYPE;
    } else {
        t->data = data;
        t->dtype = dtype;
    }
    return ENT_OK;
}

void ent_params_clear(ent_params *params)
{
    for (size_t i = 0; i < params->count; i++) {
        free((char *)params->items[i]->tensor.name);
        free(params->items[i]);
    }
    free(params->items);
    free(params->value);
    free(params->grad);
    free(params->m);
    free(params->v);
    *params = (ent_params){0};
}
