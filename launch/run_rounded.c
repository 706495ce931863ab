#include "launch/run_rounded.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/quantized_write.h"
#include "src/base/mem.h"
#include "src/quant/fake.h"

/* The parameters of the model, without the scales. */
typedef struct rounded_model {
    ent_st_tensor *tensors;
    ent_quantized_scales *scales; /* of those in I8 */
    const float **values;
    size_t count;
} rounded_model;

/* The scale of a weight; NULL: it isn't rounded. */
static const float *scales_of(const ent_params *params, const char *weight)
{
    char name[256];
    snprintf(name, sizeof name, "%s_scale", weight);
    const ent_param *scale = ent_params_find(params, name);
    return scale ? ent_values(&scale->tensor) : NULL;
}

static void list(rounded_model *m, const ent_params *params)
{
    for (size_t i = 0; i < params->count; i++) {
        const ent_tensor *t = &params->items[i]->tensor;
        if (params->items[i]->is_scale)
            continue;
        m->scales[m->count].scales = scales_of(params, t->name);
        m->values[m->count] = ent_values(t);
        ent_st_tensor *s = &m->tensors[m->count];
        *s = (ent_st_tensor){
            .name = t->name, .dtype = m->scales[m->count].scales ? ENT_DTYPE_I8 : ENT_DTYPE_F32, .n_dims = t->n_dims};
        memcpy(s->shape, t->shape, sizeof t->shape);
        m->count++;
    }
}

/* Whole numbers where forward has them, all others as they are. */
static ent_status read_numbers(float *out, void *context, size_t i, size_t first, size_t n)
{
    const rounded_model *m = context;
    const float *w = m->values[i] + first, *scales = m->scales[i].scales;
    const size_t columns = m->tensors[i].shape[1];
    for (size_t k = 0; k < n; k++)
        out[k] = scales ? ent_fake_code(w[k], scales[(first + k) / columns]) : w[k];
    return ENT_OK;
}

ent_status ent_run_rounded_write(const char *folder, const ent_run *run)
{
    static const ent_dtype f32 = ENT_DTYPE_F32;
    const ent_params *params = ent_decoder_params(run->model.decoder);
    const ent_quantized_write_options options = {
        .scheme = {.kind = ENT_QUANTIZED_INT8, .per = ENT_PTQ_CHANNEL},
        .model = {.from = run->config->model.path, .dtype = &f32, .overwrite = true}};
    rounded_model m = {0};
    ent_status st;
    ENT_GO(ent_calloc(&m.tensors, params->count, sizeof *m.tensors, "tensors"));
    ENT_GO(ent_calloc(&m.scales, params->count, sizeof *m.scales, "tensors"));
    ENT_GO(ent_calloc(&m.values, params->count, sizeof *m.values, "tensors"));
    list(&m, params);
    ENT_GO(ent_quantized_write(folder, m.tensors, m.scales, m.count, &options, read_numbers, &m));
done:
    free(m.values);
    free(m.scales);
    free(m.tensors);
    return st;
}
