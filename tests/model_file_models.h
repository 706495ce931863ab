/* Models for the tests of io/model_file.h, and their comparison. */
#ifndef ENT_TESTS_MODEL_FILE_MODELS_H
#define ENT_TESTS_MODEL_FILE_MODELS_H

#include "file_helpers.h"
#include "io/model_file.h"

static const char *const endings[] = {"m.json", "m.yaml", "m.yml", "m.h5", "m.safetensors"};
enum { ENDINGS = sizeof endings / sizeof *endings };

static const float mlp_w1[] = {0.1f, 0.2f, 0.3f, 0.4f}, mlp_b1[] = {0.01f, 0.02f}, mlp_w2[] = {0.5f, 0.6f},
                   mlp_b2[] = {0.1f};
static const ent_model_file_param mlp_params[] = {
    {"layer1.weight", 1, {4}, true, mlp_w1},
    {"layer1.bias", 1, {2}, true, mlp_b1},
    {"layer2.weight", 1, {2}, true, mlp_w2},
    {"layer2.bias", 1, {1}, false, mlp_b2},
};
static const ent_model_file_entry mlp_custom[] = {
    {"input_dim", ENT_MODEL_FILE_INTEGER, {.integer = 4}},
    {"hidden_dim", ENT_MODEL_FILE_INTEGER, {.integer = 2}},
    {"output_dim", ENT_MODEL_FILE_INTEGER, {.integer = 1}},
    {"activation", ENT_MODEL_FILE_TEXT, {.text = "relu"}},
};
static const ent_model_file mlp = {"mlp", "feed-forward", "1.0", mlp_custom, 4, mlp_params, 4};

static inline void assert_same_text(const char *a, const char *b)
{
    assert_non_null(a);
    assert_non_null(b);
    assert_string_equal(a, b);
}

/* All the same, in the same order, floats bit for bit; but where `any_nan` a NaN is a NaN. */
static inline void assert_same_model(const ent_model_file *a, const ent_model_file *b, bool any_nan)
{
    assert_same_text(a->name, b->name);
    assert_same_text(a->architecture, b->architecture);
    assert_same_text(a->version, b->version);
    assert_int_equal(a->n_custom, b->n_custom);
    for (size_t i = 0; i < a->n_custom; i++) {
        const ent_model_file_entry *x = &a->custom[i], *y = &b->custom[i];
        assert_same_text(x->key, y->key);
        assert_int_equal(x->kind, y->kind);
        if (x->kind == ENT_MODEL_FILE_TEXT)
            assert_same_text(x->value.text, y->value.text);
        else if (x->kind == ENT_MODEL_FILE_BOOL)
            assert_int_equal(x->value.boolean, y->value.boolean);
        else
            assert_memory_equal(&x->value, &y->value, 8);
    }
    assert_int_equal(a->n_params, b->n_params);
    for (size_t i = 0; i < a->n_params; i++) {
        const ent_model_file_param *x = &a->params[i], *y = &b->params[i];
        size_t n = 1;
        assert_same_text(x->name, y->name);
        assert_int_equal(x->requires_grad, y->requires_grad);
        assert_int_equal(x->n_dims, y->n_dims);
        assert_memory_equal(x->shape, y->shape, x->n_dims * sizeof *x->shape);
        for (size_t d = 0; d < x->n_dims; d++)
            n *= x->shape[d];
        for (size_t k = 0; k < n; k++)
            if (memcmp(&x->data[k], &y->data[k], sizeof *x->data) != 0 &&
                !(any_nan && x->data[k] != x->data[k] && y->data[k] != y->data[k]))
                fail_msg("%s[%zu]: %.9g and %.9g", x->name, k, (double)x->data[k], (double)y->data[k]);
    }
}

#endif
