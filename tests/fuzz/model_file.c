/* Stand-alone models: as JSON, YAML and safetensors. One that loads can be saved, and loads as the same. */
#include <stdio.h>
#include <string.h>

#include "io/model_file.h"
#include "tests/fuzz/fuzz.h"

static void check_same(const ent_model_file *a, const ent_model_file *b)
{
    FUZZ_CHECK(strcmp(a->name, b->name) == 0 && strcmp(a->architecture, b->architecture) == 0 &&
               strcmp(a->version, b->version) == 0);
    FUZZ_CHECK(a->n_custom == b->n_custom && a->n_params == b->n_params);
    for (size_t i = 0; i < a->n_custom; i++)
        FUZZ_CHECK(strcmp(a->custom[i].key, b->custom[i].key) == 0 && a->custom[i].kind == b->custom[i].kind);
    for (size_t i = 0; i < a->n_params; i++) {
        const ent_model_file_param *p = &a->params[i], *q = &b->params[i];
        size_t n = sizeof(float);
        FUZZ_CHECK(strcmp(p->name, q->name) == 0 && p->n_dims == q->n_dims && p->requires_grad == q->requires_grad);
        for (size_t d = 0; d < p->n_dims; d++) {
            FUZZ_CHECK(p->shape[d] == q->shape[d]);
            n *= p->shape[d];
        }
        FUZZ_CHECK(memcmp(p->data, q->data, n) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const char *const names[] = {"x.json", "x.yaml", "x.safetensors"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        ent_model_file *model, *again;
        char path[400];
        if (!fuzz_ok(ent_model_load(&model, fuzz_file(names[i], data, n))))
            continue;
        snprintf(path, sizeof path, "%s/again%s", fuzz_folder(), strchr(names[(i + 2) % 3], '.'));
        if (fuzz_ok(ent_model_save(path, model))) { /* JSON has no infinity */
            FUZZ_CHECK(fuzz_ok(ent_model_load(&again, path)));
            check_same(model, again);
            ent_model_file_free(again);
        }
        ent_model_file_free(model);
    }
    return 0;
}
