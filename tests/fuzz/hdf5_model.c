/* Models in HDF5. */
#include <string.h>

#include "io/model_file.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    ent_model_file *model;
    if (!fuzz_ok(ent_model_load(&model, fuzz_file("x.h5", data, n))))
        return 0;
    fuzz_look(model->name, strlen(model->name));
    fuzz_look(model->architecture, strlen(model->architecture));
    for (size_t i = 0; i < model->n_custom; i++)
        fuzz_look(model->custom[i].key, strlen(model->custom[i].key));
    for (size_t i = 0; i < model->n_params; i++) {
        const ent_model_file_param *p = &model->params[i];
        size_t bytes = sizeof(float);
        for (size_t d = 0; d < p->n_dims; d++)
            bytes *= p->shape[d];
        fuzz_look(p->data, bytes);
    }
    ent_model_file_free(model);
    return 0;
}
