#include "io/model_weights.h"

#include <string.h>

#include "src/base/mem.h"

static const char adapter_prefix[] = "base_model.model.";

static bool is_adapter(const char *name)
{
    return strncmp(name, adapter_prefix, sizeof adapter_prefix - 1) == 0;
}

/* Old checkpoints hold the frequencies of RoPE, which follow from config.json. */
static bool follows_from_config(const char *name)
{
    static const char end[] = ".rotary_emb.inv_freq";
    const size_t n = strlen(name);
    return n >= sizeof end - 1 && strcmp(name + n - (sizeof end - 1), end) == 0;
}

static ent_status bind_all(ent_params *params, const ent_safetensors *files, bool adapters, bool tied)
{
    for (size_t i = 0; i < ent_safetensors_count(files); i++) {
        const ent_st_tensor *t = ent_safetensors_at(files, i);
        ent_param *param = ent_params_find(params, t->name);
        if (param && is_adapter(t->name) == adapters) {
            ENT_TRY(ent_params_bind(params, param, t->n_dims, t->shape, t->dtype, t->data, t->file));
        } else if (!(tied && strcmp(t->name, "lm_head.weight") == 0) && !follows_from_config(t->name)) {
            return ent_fail(ENT_EFORMAT, "%s: unexpected tensor %s: the config beside it has none of this name",
                            t->file, t->name);
        }
    }
    return ENT_OK;
}

/* Every parameter of the kind has values now. */
static ent_status check(const ent_params *params, bool adapters, const char *folder)
{
    const char *first = NULL;
    size_t missing = 0;
    for (size_t i = 0; i < params->count; i++) {
        const ent_tensor *t = &params->items[i]->tensor;
        if (t->data == NULL && is_adapter(t->name) == adapters && missing++ == 0)
            first = t->name;
    }
    if (missing == 0)
        return ENT_OK;
    return missing == 1 ? ent_fail(ENT_EFORMAT, "%s: missing tensor %s", folder, first)
                        : ent_fail(ENT_EFORMAT, "%s: missing tensor %s and %zu more", folder, first, missing - 1);
}

ent_status ent_model_bind(ent_params *params, const ent_safetensors *files, bool tied, const char *folder)
{
    ENT_TRY(bind_all(params, files, false, tied));
    return check(params, false, folder);
}

ent_status ent_adapter_bind(ent_params *params, const ent_safetensors *files, const char *folder)
{
    ENT_TRY(bind_all(params, files, true, false));
    return check(params, true, folder);
}

ent_status ent_trainable_tensors(ent_st_tensor **tensors, size_t *count, const ent_params *params)
{
    *count = 0;
    ENT_TRY(ent_calloc(tensors, params->count, sizeof **tensors, "the trained parameters"));
    for (size_t i = 0; i < params->count; i++) {
        const ent_tensor *t = &params->items[i]->tensor;
        if (!params->items[i]->trainable)
            continue;
        ent_st_tensor *s = &(*tensors)[(*count)++];
        *s = (ent_st_tensor){.name = t->name,
                             .dtype = t->dtype,
                             .n_dims = t->n_dims,
                             .data = t->data,
                             .bytes = ent_tensor_count(t) * sizeof(ent_real)};
        memcpy(s->shape, t->shape, sizeof s->shape);
    }
    return ENT_OK;
}
