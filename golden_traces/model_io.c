/* A small model saved to JSON, YAML, HDF5 and safetensors, loaded again and compared exactly. usage: model_io */
#include <inttypes.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "src/entrenar.h"

static const ent_model_file_entry custom[] = {
    {"input_dim", ENT_MODEL_FILE_INTEGER, {.integer = 4}},
    {"hidden_dim", ENT_MODEL_FILE_INTEGER, {.integer = 2}},
    {"output_dim", ENT_MODEL_FILE_INTEGER, {.integer = 1}},
    {"activation", ENT_MODEL_FILE_TEXT, {.text = "relu"}},
};

static const ent_model_file_param params[] = {
    {"layer1.weight", 1, {4}, true, (const float[]){0.1f, 0.2f, 0.3f, 0.4f}},
    {"layer1.bias", 1, {2}, true, (const float[]){0.01f, 0.02f}},
    {"layer2.weight", 1, {2}, true, (const float[]){0.5f, 0.6f}},
    {"layer2.bias", 1, {1}, false, (const float[]){0.1f}},
};

static const ent_model_file model = {.name = "example-model",
                                     .architecture = "simple-mlp",
                                     .version = "0.1.0",
                                     .custom = custom,
                                     .n_custom = sizeof custom / sizeof *custom,
                                     .params = params,
                                     .n_params = sizeof params / sizeof *params};

static const char *const files[] = {"example_model.json", "example_model.yaml", "example_model.h5",
                                    "example_model.safetensors"};
enum { N_FILES = sizeof files / sizeof *files };

static bool same_entry(const ent_model_file_entry *a, const ent_model_file_entry *b)
{
    if (strcmp(a->key, b->key) != 0 || a->kind != b->kind)
        return false;
    return a->kind == ENT_MODEL_FILE_TEXT ? strcmp(a->value.text, b->value.text) == 0
                                          : a->value.integer == b->value.integer;
}

/* Same name, dimensions and flag, and the same bits. */
static bool same_param(const ent_model_file_param *a, const ent_model_file_param *b)
{
    size_t n = 1;
    if (strcmp(a->name, b->name) != 0 || a->n_dims != b->n_dims || a->requires_grad != b->requires_grad)
        return false;
    for (size_t i = 0; i < a->n_dims; i++) {
        if (a->shape[i] != b->shape[i])
            return false;
        n *= a->shape[i];
    }
    return memcmp(a->data, b->data, n * sizeof(float)) == 0;
}

static bool same_model(const ent_model_file *a, const ent_model_file *b)
{
    bool same = strcmp(a->name, b->name) == 0 && strcmp(a->architecture, b->architecture) == 0 &&
                strcmp(a->version, b->version) == 0 && a->n_custom == b->n_custom && a->n_params == b->n_params;
    for (size_t i = 0; same && i < a->n_custom; i++)
        same = same_entry(&a->custom[i], &b->custom[i]);
    for (size_t i = 0; same && i < a->n_params; i++)
        same = same_param(&a->params[i], &b->params[i]);
    return same;
}

static void describe(const ent_model_file *m)
{
    printf("\nMetadata:\n  name: %s\n  architecture: %s\n  version: %s\n\nCustom metadata:\n", m->name, m->architecture,
           m->version);
    for (size_t i = 0; i < m->n_custom; i++) {
        if (m->custom[i].kind == ENT_MODEL_FILE_TEXT)
            printf("  %s: \"%s\"\n", m->custom[i].key, m->custom[i].value.text);
        else
            printf("  %s: %" PRId64 "\n", m->custom[i].key, m->custom[i].value.integer);
    }
    printf("\nParameters:\n");
    for (size_t i = 0; i < m->n_params; i++)
        printf("  %s (size=%zu, requires_grad=%s)\n", m->params[i].name, m->params[i].shape[0],
               m->params[i].requires_grad ? "true" : "false");
}

static ent_status run(void)
{
    printf("=== Model I/O ===\n\n");
    for (int i = 0; i < N_FILES; i++) {
        ENT_TRY(ent_model_save(files[i], &model));
        printf("Saved to %s\n", files[i]);
    }
    for (int i = 0; i < N_FILES; i++) {
        ent_model_file *loaded;
        ENT_TRY(ent_model_load(&loaded, files[i]));
        const bool same = same_model(&model, loaded);
        printf("Loaded %s: %zu parameters, %s\n", files[i], loaded->n_params, same ? "exactly as saved" : "DIFFERENT");
        if (i + 1 == N_FILES)
            describe(loaded);
        ent_model_file_free(loaded);
        if (!same)
            return ent_fail(ENT_EFORMAT, "%s: what was loaded is not what was saved", files[i]);
    }
    return ENT_OK;
}

int main(int argc, char **argv)
{
    if (argc != 1) {
        fprintf(stderr, "model_io: expected no arguments, found %s\n", argv[1]);
        return 1;
    }
    mallopt(M_TOP_PAD, 4 << 20); /* the heap grows once */
    ent_status st = run();
    for (int i = 0; i < N_FILES; i++)
        if (unlink(files[i]) != 0 && st == ENT_OK)
            st = ent_fail(ENT_EIO, "%s could not be removed", files[i]);
    if (st == ENT_OK)
        printf("\nRemoved the files\n");
    if (st != ENT_OK || (fflush(stdout) != 0 && ent_fail(ENT_EIO, "standard output: %m") != ENT_OK)) {
        fprintf(stderr, "model_io: %s\n", ent_message());
        return 1;
    }
    return 0;
}
