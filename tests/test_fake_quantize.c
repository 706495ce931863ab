/* Weights that are rounded while they are trained: values and gradients of a layer as PyTorch's autograd has them
 * (tests/reference/qat.py), scales at their start, and what a step of the optimizer leaves of them. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "io/safetensors.h"
#include "src/autograd/ops.h"
#include "src/autograd/ops_model.h"
#include "src/comm/comm.h"
#include "src/nn/decoder.h"
#include "src/quant/fake.h"
#include "src/train/trainer.h"

enum { IN = 37, OUT = 6, ROWS = 5 };

static const float *numbers(const ent_safetensors *file, const char *name)
{
    const ent_st_tensor *t = ent_safetensors_find(file, name);
    assert_non_null(t);
    return t->data;
}

static void near(const char *what, const float *found, const float *expected, size_t n, double within)
{
    double largest = 0;
    for (size_t i = 0; i < n; i++)
        largest = fmax(largest, fabs((double)expected[i]));
    assert_true(largest > 0);
    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)found[i] - (double)expected[i]) <= within * largest))
            fail_msg("%s[%zu]: PyTorch has %.9g, found %.9g", what, i, (double)expected[i], (double)found[i]);
}

/* y = x rounded(w)^T, and its gradients where dy is given. */
static void layer_is_that_of_pytorch(void **state)
{
    (void)state;
    ent_safetensors *file;
    ent_tape *tape;
    ent_tensor *x, *w, *s, *dy, *rounded, *y, *product, *loss;
    assert_int_equal(ent_safetensors_open(&file, ENT_TEST_DATA "/quant/fake_quantize.safetensors"), ENT_OK);
    assert_int_equal(ent_tape_new(&tape, false), ENT_OK);
    assert_int_equal(ent_tape_input(&x, tape, numbers(file, "x"), 2, (size_t[]){ROWS, IN}, true), ENT_OK);
    assert_int_equal(ent_tape_input(&w, tape, numbers(file, "w"), 2, (size_t[]){OUT, IN}, true), ENT_OK);
    assert_int_equal(ent_tape_input(&s, tape, numbers(file, "s"), 1, (size_t[]){OUT}, true), ENT_OK);
    assert_int_equal(ent_tape_input(&dy, tape, numbers(file, "dy"), 2, (size_t[]){ROWS, OUT}, false), ENT_OK);
    assert_int_equal(ent_fake_quantize(&rounded, tape, w, s, 1 / sqrtf(127.0f * IN)), ENT_OK);
    assert_int_equal(ent_linear(&y, tape, x, rounded, NULL, NULL), ENT_OK);
    assert_int_equal(ent_mul(&product, tape, y, dy), ENT_OK);
    assert_int_equal(ent_sum(&loss, tape, product), ENT_OK);
    assert_int_equal(ent_tape_backward(tape, loss, 1), ENT_OK);
    const float *expected = numbers(file, "rounded");
    for (size_t i = 0; i < OUT * IN; i++)
        assert_true(ent_values(rounded)[i] == expected[i]); /* to the last bit: ties too */
    near("y", ent_values(y), numbers(file, "y"), ROWS * OUT, 2e-6);
    near("dx", x->grad, numbers(file, "dx"), ROWS * IN, 2e-6);
    near("dw", w->grad, numbers(file, "dw"), OUT * IN, 2e-6);
    for (size_t i = 0; i < OUT; i++) /* of very different sizes */
        near("ds", s->grad + i, numbers(file, "ds") + i, 1, 5e-5);
    ent_tape_free(tape);
    ent_safetensors_close(file);
}

/* An end of the range is outside of it; a NaN is seen. */
static void ends_are_outside(void **state)
{
    (void)state;
    static const float w[] = {127, -127, 126.75f, -126.25f, 300, NAN}, s[] = {1};
    static const float codes[] = {127, -127, 127, -126, 127}, inside[] = {0, 0, 1, 1, 0};
    ent_tape *tape;
    ent_tensor *a, *b, *y, *loss;
    assert_int_equal(ent_tape_new(&tape, false), ENT_OK);
    assert_int_equal(ent_tape_input(&a, tape, w, 2, (size_t[]){1, 6}, true), ENT_OK);
    assert_int_equal(ent_tape_input(&b, tape, s, 1, (size_t[]){1}, true), ENT_OK);
    assert_int_equal(ent_fake_quantize(&y, tape, a, b, 1), ENT_OK);
    assert_int_equal(ent_sum(&loss, tape, y), ENT_OK);
    assert_int_equal(ent_tape_backward(tape, loss, 1), ENT_OK);
    for (size_t i = 0; i < 5; i++) {
        assert_true(ent_values(y)[i] == codes[i]);
        assert_true(a->grad[i] == inside[i]);
    }
    assert_true(isnan(ent_values(y)[5]));
    ent_tape_free(tape);
}

static const ent_model_config tiny = {.vocab_size = 16,
                                      .hidden_size = 8,
                                      .intermediate_size = 12,
                                      .n_layers = 2,
                                      .n_heads = 2,
                                      .n_kv_heads = 1,
                                      .head_dim = 4,
                                      .rms_norm_eps = 1e-5,
                                      .rope_theta = 10000};

static ent_status some_unit(ent_unit *out, void *context, size_t i)
{
    static const int32_t ids[] = {1, 5, 9, 2, 11, 7}, targets[] = {5, 9, 2, 11, 7, -100}, start[6];
    (void)context;
    (void)i;
    *out = (ent_unit){.n = 6, .ids = ids, .targets = targets, .doc_start = start};
    return ENT_OK;
}

static bool is_scale(const ent_param *p)
{
    const size_t n = strlen(p->tensor.name);
    return n > 13 && strcmp(p->tensor.name + n - 13, ".weight_scale") == 0;
}

static ent_decoder *new_decoder(void)
{
    ent_decoder *d;
    assert_int_equal(ent_decoder_new_rounded(&d, &tiny, 6), ENT_OK);
    ent_decoder_init_weights(d, 3);
    float *row = ent_values(ent_decoder_projection(d, 0));
    memset(row, 0, 8 * sizeof *row); /* of numbers that are all 0 */
    ent_decoder_init_scales(d);
    return d;
}

/* The scales begin where the largest number of a row is the end of the range. */
static void scales_begin_at_the_largest(void **state)
{
    (void)state;
    ent_decoder *d = new_decoder();
    const ent_params *p = ent_decoder_params(d);
    size_t count = 0;
    for (size_t i = 0; i < p->count; i++) {
        char name[256];
        assert_int_equal(p->items[i]->is_scale, is_scale(p->items[i]));
        if (!p->items[i]->is_scale)
            continue;
        count++;
        snprintf(name, sizeof name, "%.*s", (int)(strlen(p->items[i]->tensor.name) - 6), p->items[i]->tensor.name);
        const ent_tensor *s = &p->items[i]->tensor, *w = &ent_params_find(p, name)->tensor;
        const size_t n = w->shape[1];
        assert_int_equal(s->n_dims, 1); /* no weight decay */
        assert_int_equal(s->shape[0], w->shape[0]);
        for (size_t r = 0; r < w->shape[0]; r++) {
            float most = 0;
            for (size_t j = 0; j < n; j++)
                most = fmaxf(most, fabsf(ent_values(w)[r * n + j]));
            assert_true(ent_values(s)[r] == (most > 0 ? most / 127 : 0x1p-23f));
        }
    }
    assert_int_equal(count, 2 * ENT_N_PROJ);
    ent_decoder_free(d);
}

/* One step at the rate lr. *largest: by how much a scale moved; *least: the smallest scale afterwards. */
static void one_step(double *largest, double *least, ent_optimizer_kind kind, double lr)
{
    ent_decoder *d = new_decoder();
    const ent_params *p = ent_decoder_params(d);
    float before[256];
    ent_comm *comm;
    ent_trainer *t;
    ent_step_result result;
    const ent_trainer_options options = {
        .optimizer = {kind, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-12, .weight_decay = 0.5},
        .schedule = {.kind = ENT_SCHEDULE_CONSTANT, .lr = lr, .steps = 1},
        .batch_size = 1,
        .seq_len = 6};
    size_t n = 0;
    for (size_t i = 0; i < p->count; i++)
        for (size_t r = 0; p->items[i]->is_scale && r < ent_tensor_count(&p->items[i]->tensor); r++)
            before[n++] = ent_values(&p->items[i]->tensor)[r];
    assert_int_equal(ent_comm_self(&comm), ENT_OK);
    assert_int_equal(ent_trainer_new(&t, d, comm, &options), ENT_OK);
    assert_int_equal(ent_trainer_step(&result, t, 0, 1, some_unit, NULL), ENT_OK);
    n = 0;
    *largest = 0;
    *least = INFINITY;
    for (size_t i = 0; i < p->count; i++)
        for (size_t r = 0; p->items[i]->is_scale && r < ent_tensor_count(&p->items[i]->tensor); r++) {
            const double s = (double)ent_values(&p->items[i]->tensor)[r];
            *largest = fmax(*largest, fabs(s - (double)before[n++]));
            *least = fmin(*least, s);
        }
    ent_trainer_free(t);
    ent_comm_free(comm);
    ent_decoder_free(d);
}

/* The first step of Adam is of size lr: of a scale lr / 127, which moves the end of the range by lr. */
static void adam_moves_the_end_of_the_range(void **state)
{
    (void)state;
    double largest, least;
    one_step(&largest, &least, ENT_OPTIMIZER_ADAMW, 1e-3);
    assert_true(fabs(largest / (1e-3 / 127) - 1) < 1e-3);
    assert_true(least > 0);
}

static void scales_stay_above_zero(void **state)
{
    (void)state;
    double largest, least;
    one_step(&largest, &least, ENT_OPTIMIZER_ADAMW, 10);
    assert_true(largest > 0.05);
    assert_true(least == 0x1p-23);
    one_step(&largest, &least, ENT_OPTIMIZER_SGD, 1000);
    assert_true(largest > 0.05);
    assert_true(least == 0x1p-23);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layer_is_that_of_pytorch),    cmocka_unit_test(ends_are_outside),
        cmocka_unit_test(scales_begin_at_the_largest), cmocka_unit_test(adam_moves_the_end_of_the_range),
        cmocka_unit_test(scales_stay_above_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
