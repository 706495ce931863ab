/* Gradients of a whole decoder, in double, against central differences: grouped heads, q and k norms, biases, a sliding
 * window on the second layer, two documents in a unit; with full training and with adapters on all seven projections.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/philox.h"
#include "src/base/tiles.h"
#include "src/nn/decoder.h"

enum { T = 9, V = 7 };

static const int32_t ids[T] = {1, 4, 0, 6, 2, 3, 3, 5, 1}, doc_start[T] = {0, 0, 0, 0, 4, 4, 4, 4, 4};
static const int32_t targets[T] = {4, 0, 6, -100, 3, 3, -100, 1, 2};
static const ent_tokens tokens = {T, ids, doc_start};

static ent_model_config config_of(bool tied)
{
    return (ent_model_config){.model_type = "qwen3",
                              .vocab_size = V,
                              .hidden_size = 8,
                              .intermediate_size = 6,
                              .n_layers = 2,
                              .n_heads = 4,
                              .n_kv_heads = 2,
                              .head_dim = 4,
                              .max_position_embeddings = T,
                              .rms_norm_eps = 1e-5,
                              .tie_word_embeddings = tied,
                              .qkv_bias = true,
                              .o_bias = true,
                              .mlp_bias = true,
                              .qk_norm = true,
                              .sliding_window = 2,
                              .first_window_layer = 1,
                              .rope_theta = 100};
}

static void ok(ent_status st)
{
    if (st != ENT_OK)
        fail_msg("%s", ent_message());
}

static ent_real draw(uint32_t stream, size_t i)
{
    const ent_rng rng = {.seed = 11, .stream = stream};
    return (ent_real)ent_random_normal(&rng, i) * (ent_real)0.4;
}

/* Random values everywhere: norms and biases too, and both sides of adapters, so that no gradient is zero by chance.
 * Returns the memory of the frozen ones. */
static ent_real *give_values(ent_params *params)
{
    size_t n = 0;
    for (size_t i = 0; i < params->count; i++)
        n += ent_tensor_count(&params->items[i]->tensor);
    ent_real *values = calloc(n, sizeof *values), *next = values;
    assert_non_null(values);
    for (size_t i = 0; i < params->count; i++) {
        ent_tensor *t = &params->items[i]->tensor;
        const size_t count = ent_tensor_count(t);
        for (size_t j = 0; j < count; j++)
            next[j] = draw((uint32_t)i, j) + (t->n_dims == 1 ? (ent_real)0.5 : 0);
        ok(ent_params_bind(params, params->items[i], t->n_dims, t->shape, ENT_REAL_DTYPE, next, "the test"));
        next += count;
    }
    return values;
}

static ent_tensor *loss_of(ent_tape *tape, ent_decoder *decoder, const ent_rng *dropout)
{
    ent_tensor *loss;
    ent_tape_rewind(tape);
    ok(ent_decoder_loss(&loss, tape, decoder, &tokens, targets, dropout));
    return loss;
}

static double central_difference(ent_tape *tape, ent_decoder *decoder, const ent_rng *dropout, ent_real *x)
{
    const ent_real kept = *x, h = 1e-5;
    *x = kept + h;
    const double above = ent_values(loss_of(tape, decoder, dropout))[0];
    *x = kept - h;
    const double below = ent_values(loss_of(tape, decoder, dropout))[0];
    *x = kept;
    return (above - below) / (2 * h);
}

static bool yes(void)
{
    return true;
}

static void check(const ent_lora_config *lora, bool tied, size_t least_params)
{
    const ent_model_config config = config_of(tied);
    const ent_rng rng = {.seed = 3, .step = 1, .unit = 2}, *dropout = lora ? &rng : NULL;
    ent_decoder *decoder;
    ent_tape *tape;
    size_t trained = 0, moving = 0;
    ok(ent_decoder_new(&decoder, &config, lora, true, T));
    ok(ent_tape_new(&tape, false));
    ent_params *params = ent_decoder_params(decoder);
    ent_real *values = give_values(params);
    if (lora && lora->pissa)
        assert_int_equal(ent_decoder_init_pissa(decoder, yes), ENT_ESTOPPED);
    ok(ent_decoder_init_pissa(decoder, NULL));
    ok(ent_decoder_refresh(decoder)); /* DoRA's norms stay, as nothing goes back through them */
    ok(ent_tape_backward(tape, loss_of(tape, decoder, dropout), 1));
    ent_tape_record(tape, false);
    for (size_t i = 0; i < params->count; i++) {
        const ent_param *p = params->items[i];
        if (!p->trainable) {
            assert_null(p->tensor.grad);
            continue;
        }
        trained++;
        for (size_t j = 0; j < ent_tensor_count(&p->tensor); j++) {
            const double g = params->grad[p->offset + j];
            const double numeric = central_difference(tape, decoder, dropout, &params->value[p->offset + j]);
            if (!(fabs(g - numeric) <= 1e-6 * fmax(1, fabs(numeric))))
                fail_msg("%s, element %zu: backward gives %.12g, differences %.12g", p->tensor.name, j, g, numeric);
            moving += fabs(numeric) > 1e-4;
        }
    }
    assert_int_equal(trained, least_params);
    assert_true(moving * 2 > params->n_trainable); /* the loss depends on most of them */
    ent_tape_free(tape);
    ent_decoder_free(decoder);
    free(values);
}

/* embed_tokens, norm, lm_head; of each layer seven weights, seven biases, two norms, q_norm and k_norm. */
static void full_training(void **state)
{
    (void)state;
    check(NULL, false, 3 + 2 * 18);
}

static void full_training_with_tied_heads(void **state)
{
    (void)state;
    check(NULL, true, 2 + 2 * 18);
}

static void adapters_on_all_projections(void **state)
{
    (void)state;
    const ent_lora_config lora = {.r = 3, .alpha = 5, .dropout = 0.2, .targets = (1u << ENT_N_PROJ) - 1};
    check(&lora, false, 2 * 7 * 2);
}

static void adapters_with_magnitudes(void **state)
{
    (void)state;
    const ent_lora_config lora = {.r = 3, .alpha = 5, .use_dora = true, .targets = (1u << ENT_N_PROJ) - 1};
    check(&lora, false, 3 * 7 * 2);
}

static void adapters_that_begin_with_their_weights(void **state)
{
    (void)state;
    const ent_lora_config lora = {.r = 3, .alpha = 5, .pissa = true, .dropout = 0.2, .targets = (1u << ENT_N_PROJ) - 1};
    check(&lora, false, 2 * 7 * 2);
}

static const ent_tensor *find(ent_decoder *decoder, const char *part, const char *name)
{
    char full[200];
    snprintf(full, sizeof full, name, part);
    const ent_param *p = ent_params_find(ent_decoder_params(decoder), full);
    assert_non_null(p);
    return &p->tensor;
}

/* The norms are those of the rows of W + s B A, whose sum is made here; a new adapter's magnitudes are the same. */
static void norms_of_rows(void **state)
{
    (void)state;
    const ent_lora_config lora = {.r = 3, .alpha = 5, .use_dora = true, .targets = 1u << ENT_DOWN_PROJ};
    const ent_model_config config = config_of(false);
    static const char name[] = "base_model.model.model.layers.1.mlp.down_proj.%s";
    ent_decoder *decoder;
    ok(ent_decoder_new(&decoder, &config, &lora, true, T));
    ent_real *values = give_values(ent_decoder_params(decoder));
    for (int threads = 1; threads <= 2; threads++) {
        ent_set_threads(threads);
        ok(ent_decoder_init_magnitudes(decoder));
        const ent_real *w = ent_values(find(decoder, "weight", "model.layers.1.mlp.down_proj.%s"));
        const ent_real *a = ent_values(find(decoder, "lora_A.weight", name));
        ent_real *b = ent_values(find(decoder, "lora_B.weight", name));
        const ent_real *m = ent_values(find(decoder, "lora_magnitude_vector", name));
        const ent_real *norms = ent_decoder_norms(decoder, 1, ENT_DOWN_PROJ);
        assert_null(ent_decoder_norms(decoder, 1, ENT_UP_PROJ));
        for (size_t i = 0; i < 8; i++) {
            double sum = 0;
            for (size_t j = 0; j < 6; j++) {
                double x = w[i * 6 + j];
                for (size_t k = 0; k < 3; k++)
                    x += 5.0 / 3 * b[i * 3 + k] * a[k * 6 + j];
                sum += x * x;
            }
            assert_true(fabs(norms[i] - sqrt(sum)) < 1e-12 && norms[i] > 0.01);
            assert_true(m[i] == norms[i]);
        }
        b[4] += 1; /* and they follow the adapter */
    }
    ent_set_threads(1);
    assert_true(ent_decoder_side_bytes(decoder) > 2 * 8 * 2 * sizeof(ent_real));
    ent_decoder_free(decoder);
    free(values);
}

static void a_row_of_zeros_has_no_direction(void **state)
{
    (void)state;
    const ent_lora_config lora = {.r = 3, .alpha = 5, .use_dora = true, .targets = 1u << ENT_V_PROJ};
    const ent_model_config config = config_of(false);
    ent_decoder *decoder;
    ok(ent_decoder_new(&decoder, &config, &lora, true, T));
    ent_real *values = give_values(ent_decoder_params(decoder));
    for (size_t i = 0; i < 2; i++)
        memset(ent_values(find(decoder, "weight",
                               i ? "base_model.model.model.layers.1.self_attn.v_proj.lora_B.%s"
                                 : "model.layers.1.self_attn.v_proj.%s")) +
                   2 * (i ? 3 : 8),
               0, (i ? 3 : 8) * sizeof *values);
    assert_int_equal(ent_decoder_refresh(decoder), ENT_ENUMERIC);
    assert_non_null(
        strstr(ent_message(), "model.layers.1.self_attn.v_proj.weight: with its adapter row 2 has the norm 0"));
    ent_decoder_free(decoder);
    free(values);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_training),
        cmocka_unit_test(full_training_with_tied_heads),
        cmocka_unit_test(adapters_on_all_projections),
        cmocka_unit_test(adapters_with_magnitudes),
        cmocka_unit_test(adapters_that_begin_with_their_weights),
        cmocka_unit_test(norms_of_rows),
        cmocka_unit_test(a_row_of_zeros_has_no_direction),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
