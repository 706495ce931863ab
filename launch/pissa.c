#include "launch/pissa.h"

#include <stdlib.h>
#include <string.h>

#include "io/lora_modules.h"
#include "io/model_weights.h"
#include "io/peft.h"
#include "src/base/mem.h"

static ent_status twice(ent_lora_config *out, const ent_lora_config *of)
{
    const double alphas = ent_pissa_alphas(of->use_rslora);
    ENT_TRY(ent_lora_config_copy(out, of));
    out->pissa = false;
    out->r *= 2;
    out->alpha *= alphas;
    for (size_t i = 0; i < out->ranks.count; i++)
        out->ranks.items[i].value *= 2;
    for (size_t i = 0; i < out->alphas.count; i++)
        out->alphas.items[i].value *= alphas;
    return ENT_OK;
}

/* A above A0; or the rows of B, each before one of -B0. What is saved whole stays. */
static float *join(float *to, ent_st_tensor *t, const ent_decoder *decoder)
{
    static const char prefix[] = "base_model.model.";
    const ent_tensor *a0, *b0;
    size_t layer = 0;
    ent_proj proj = 0;
    if (!ent_lora_module_of(&layer, &proj, t->name + sizeof prefix - 1))
        return to;
    ent_decoder_first(&a0, &b0, decoder, layer, proj);
    const float *x = t->data;
    const size_t rows = t->shape[0], columns = t->shape[1], count = rows * columns;
    const bool is_a = strstr(t->name, ".lora_A.") != NULL;
    if (is_a) {
        memcpy(to, x, count * sizeof *to);
        memcpy(to + count, a0->data, count * sizeof *to);
    } else {
        for (size_t i = 0; i < rows; i++)
            for (size_t k = 0; k < columns; k++) {
                to[i * 2 * columns + k] = x[i * columns + k];
                to[(i * 2 + 1) * columns + k] = -ent_values(b0)[i * columns + k];
            }
    }
    t->data = to;
    t->shape[is_a ? 0 : 1] *= 2;
    t->bytes *= 2;
    return to + 2 * count;
}

ent_status ent_pissa_write(const char *folder, const ent_model *model, const char *base_model)
{
    ent_lora_config lora = {0};
    ent_st_tensor *tensors = NULL;
    float *values = NULL, *next;
    size_t count, bytes = 0;
    ent_status st;
    ENT_GO(twice(&lora, &model->lora));
    ENT_GO(ent_adapter_tensors(&tensors, &count, ent_decoder_params(model->decoder)));
    for (size_t i = 0; i < count; i++)
        bytes += 2 * tensors[i].bytes;
    ENT_GO(ent_calloc(&values, bytes, 1, "an adapter"));
    next = values;
    for (size_t i = 0; i < count; i++)
        next = join(next, &tensors[i], model->decoder);
    ENT_GO(ent_peft_write(folder, &lora, base_model, tensors, count));
done:
    ent_lora_config_clear(&lora);
    free(values);
    free(tensors);
    return st;
}
