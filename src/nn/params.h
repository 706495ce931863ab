/* Parameters, by their Hugging Face name. Declared first, then sealed: the trainable ones stand in one contiguous
 * buffer, with gradient and the optimizer's moments at the same offsets; the frozen ones point into mapped files.
 */
#ifndef ENT_NN_PARAMS_H
#define ENT_NN_PARAMS_H

#include <stdbool.h>
#include <stddef.h>

#include "src/tensor/tensor.h"

typedef struct ent_param {
    ent_tensor tensor; /* name, shape; data once bound or sealed */
    bool trainable;
    bool replaced; /* an adapter brings another in its place: nothing computes with this one */
    size_t offset; /* of a trainable one in the buffers, in elements */
    bool is_scale; /* of the rounding of a weight: it must stay above 0 (src/quant/fake.h) */
} ent_param;

typedef struct ent_params {
    ent_param **items; /* in the order of declaration */
    size_t count, capacity;
    bool sealed;
    size_t n_trainable;             /* elements of the buffers below */
    ent_real *value, *grad, *m, *v; /* m: first moment (or momentum), v: second moment */
} ent_params;

/* Declares a parameter of the given shape; *out (borrowed) is its tensor. ENT_EINVAL if the name stands already. */
ent_status ent_params_declare(ent_tensor **out, ent_params *params, const char *name, size_t n_dims,
                              const size_t *shape, bool trainable);

/* Takes the memory of the trainable ones, zeroed; ent_params_bind then gives each its values. No declarations
 * afterwards. */
ent_status ent_params_seal(ent_params *params);

/* NULL if there is none. */
ent_param *ent_params_find(const ent_params *params, const char *name);

/* Gives a parameter its values, `n_dims` and `shape` of `dtype` from `file` (for messages): a trainable one copies
 * them, a frozen one keeps the pointer. ENT_EFORMAT if the shape is another. Sealed parameters only. */
ent_status ent_params_bind(ent_params *params, ent_param *param, size_t n_dims, const size_t *shape, ent_dtype dtype,
                           const void *data, const char *file);

/* Frees what the struct holds, not the struct. */
void ent_params_clear(ent_params *params);

#endif
