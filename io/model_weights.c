#include "io/model_weights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/lora_modules.h"
#include "src/base/mem.h"

enum { MAX_LAYERS = 10000 };

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

static ent_status bind_one(ent_params *params, const ent_st_tensor *t, bool adapters, bool tied)
{
    ent_param *param = ent_params_find(params, t->name);
    if (param && is_adapter(t->name) == adapters)
        return ent_params_bind(params, param, t->n_dims, t->shape, t->dtype, t->data, t->file);
    if ((tied && strcmp(t->name, "lm_head.weight") == 0) || follows_from_config(t->name))
        return ENT_OK;
    return ent_fail(ENT_EFORMAT, "%s: unexpected tensor %s: the config beside it has none of this name", t->file,
                    t->name);
}

static ent_status bind_all(ent_params *params, const ent_safetensors *files, bool adapters, bool tied)
{
    for (size_t i = 0; i < ent_safetensors_count(files); i++)
        ENT_TRY(bind_one(params, ent_safetensors_at(files, i), adapters, tied));
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

ent_status ent_bind_tensors(ent_params *params, const ent_st_tensor *tensors, size_t count, bool adapters,
                            const char *where)
{
    for (size_t i = 0; i < count; i++)
        ENT_TRY(bind_one(params, &tensors[i], adapters, false));
    return check(params, adapters, where);
}

/* The layer and the projection of "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", or of DoRA's vector
 * beside it. */
static bool is_projection(size_t *layer, ent_proj *proj, const char *name)
{
    static const char *const parts[] = {"lora_A.weight", "lora_B.weight", "lora_magnitude_vector"};
    char expected[256];
    if (sscanf(name, "base_model.model.model.layers.%5zu.", layer) != 1 || *layer >= MAX_LAYERS)
        return false;
    for (*proj = 0; *proj < ENT_N_PROJ; ++*proj)
        for (size_t i = 0; i < 3; i++) {
            snprintf(expected, sizeof expected, "base_model.model.model.layers.%zu.%s.%s.%s", *layer,
                     ent_proj_block(*proj), ent_proj_name(*proj), parts[i]);
            if (strcmp(name, expected) == 0)
                return true;
        }
    return false;
}

/* "base_model.model.model.norm.weight": a module that is saved whole, by settings that stand elsewhere. */
static bool is_saved(const char *name)
{
    static const char end[] = ".weight";
    const size_t n = strlen(name);
    return is_adapter(name) && strstr(name, ".lora_") == NULL && n >= sizeof end - 1 &&
           strcmp(name + n - (sizeof end - 1), end) == 0;
}

ent_status ent_adapter_describe(ent_lora_config *out, const ent_st_tensor *tensors, size_t count, const char *where)
{
    ent_status st = ENT_OK;
    bool differ = false;
    *out = (ent_lora_config){0};
    ENT_GO(ent_calloc(&out->layers, MAX_LAYERS, 1, "layers"));
    ENT_GO(ent_calloc(&out->modules, MAX_LAYERS * ENT_N_PROJ, sizeof *out->modules, "modules"));
    out->n_modules = MAX_LAYERS * ENT_N_PROJ;
    for (size_t i = 0; i < count; i++) {
        const ent_st_tensor *t = &tensors[i];
        size_t layer;
        ent_proj proj;
        if (is_saved(t->name))
            continue;
        const bool known = is_projection(&layer, &proj, t->name), vector = known && strstr(t->name, "magnitude");
        if (!known || t->n_dims != (vector ? 1 : 2))
            ENT_GO(ent_fail(ENT_EFORMAT, "%s: %s: expected a tensor of an adapter", where, t->name));
        out->use_dora |= vector;
        out->targets |= 1u << proj;
        out->layers[layer] = 1;
        out->n_layers = layer + 1 > out->n_layers ? layer + 1 : out->n_layers;
        if (strstr(t->name, ".lora_A.")) {
            differ = differ || (out->r && out->r != t->shape[0]);
            out->modules[layer * ENT_N_PROJ + (size_t)proj].r = out->r = t->shape[0];
        }
    }
    if (out->r == 0)
        ENT_GO(ent_fail(ENT_EFORMAT, "%s: expected an adapter's tensors, found none", where));
    if (!differ) {
        free(out->modules);
        out->modules = NULL;
        out->n_modules = 0;
    }
done:
    if (st != ENT_OK)
        ent_lora_config_clear(out);
    return st;
}

/* Those that were trained, or the adapter's. */
static ent_status list(ent_st_tensor **tensors, size_t *count, const ent_params *params, bool adapter)
{
    *count = 0;
    ENT_TRY(ent_calloc(tensors, params->count, sizeof **tensors, "tensors"));
    for (size_t i = 0; i < params->count; i++) {
        const ent_tensor *t = &params->items[i]->tensor;
        if (adapter ? !is_adapter(t->name) : !params->items[i]->trainable)
            continue;
        ent_st_tensor *s = &(*tensors)[(*count)++];
        *s = (ent_st_tensor){.name = t->name,
                             .dtype = t->dtype,
                             .n_dims = t->n_dims,
                             .data = t->data,
                             .bytes = ent_tensor_count(t) * ent_dtype_size(t->dtype)};
        memcpy(s->shape, t->shape, sizeof s->shape);
    }
    return ENT_OK;
}

ent_status ent_trainable_tensors(ent_st_tensor **tensors, size_t *count, const ent_params *params)
{
    return list(tensors, count, params, false);
}

ent_status ent_adapter_tensors(ent_st_tensor **tensors, size_t *count, const ent_params *params)
{
    return list(tensors, count, params, true);
}
