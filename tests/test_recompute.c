/* A decoder that computes its layers again in backward: loss and every gradient are the same bits, memory is less, and
 * what lies below the lowest layer that trains has no part in backward. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/philox.h"
#include "src/base/tiles.h"
#include "src/nn/decoder.h"

enum { T = 70, V = 50, LAYERS = 5 };

static int32_t ids[T], doc_start[T], targets[T];
static const ent_tokens tokens = {T, ids, doc_start};
static const ent_rng rng = {.seed = 3, .step = 1, .unit = 2};

typedef struct subject {
    ent_decoder *decoder;
    ent_params *params;
    ent_real *frozen; /* values, all parameters' */
    size_t *offsets;  /* in it */
    size_t count;
} subject;

static void ok(ent_status st)
{
    if (st != ENT_OK)
        fail_msg("%s", ent_message());
}

static void give_values(subject *s)
{
    ent_params *p = s->params;
    s->offsets = calloc(p->count, sizeof *s->offsets);
    assert_non_null(s->offsets);
    for (size_t i = 0; i < p->count; i++) {
        s->offsets[i] = s->count;
        s->count += ent_tensor_count(&p->items[i]->tensor);
    }
    s->frozen = calloc(s->count, sizeof *s->frozen);
    assert_non_null(s->frozen);
    for (size_t i = 0; i < p->count; i++) {
        ent_tensor *t = &p->items[i]->tensor;
        const ent_rng draws = {.seed = 11, .stream = (uint32_t)i};
        ent_real *x = s->frozen + s->offsets[i];
        for (size_t j = 0; j < ent_tensor_count(t); j++)
            x[j] = (ent_real)ent_random_normal(&draws, j) * (ent_real)0.3 + (t->n_dims == 1);
        ok(ent_params_bind(p, p->items[i], t->n_dims, t->shape, ENT_REAL_DTYPE, x, "the test"));
    }
}

static subject begin(const ent_lora_config *lora)
{
    const ent_model_config config = {.model_type = "qwen3",
                                     .vocab_size = V,
                                     .hidden_size = 32,
                                     .intermediate_size = 88,
                                     .n_layers = LAYERS,
                                     .n_heads = 4,
                                     .n_kv_heads = 2,
                                     .head_dim = 8,
                                     .max_position_embeddings = T,
                                     .rms_norm_eps = 1e-5,
                                     .qkv_bias = true,
                                     .qk_norm = true,
                                     .sliding_window = 20,
                                     .first_window_layer = 1,
                                     .rope_theta = 100};
    subject s = {0};
    for (int t = 0; t < T; t++) {
        ids[t] = (t * 7 + 3) % V;
        doc_start[t] = t < 30 ? 0 : 30;
        targets[t] = t % 9 == 4 ? -100 : (t * 11 + 5) % V;
    }
    ok(ent_decoder_new(&s.decoder, &config, lora, true, T));
    s.params = ent_decoder_params(s.decoder);
    give_values(&s);
    ok(ent_decoder_init_pissa(s.decoder, NULL));
    ok(ent_decoder_refresh(s.decoder));
    return s;
}

static void end(subject *s)
{
    ent_decoder_free(s->decoder);
    free(s->frozen);
    free(s->offsets);
}

/* Loss of a unit; its gradient in params->grad. */
static ent_real unit_with(const subject *s, ent_tape *tape, const ent_rng *dropout)
{
    ent_tensor *loss;
    memset(s->params->grad, 0, s->params->n_trainable * sizeof(ent_real));
    ent_tape_rewind(tape);
    ok(ent_decoder_loss(&loss, tape, s->decoder, &tokens, targets, dropout));
    ok(ent_tape_backward(tape, loss, 1));
    return ent_tape_planning(tape) ? 0 : ent_values(loss)[0];
}

static ent_real unit(const subject *s, ent_tape *tape)
{
    return unit_with(s, tape, &rng);
}

static size_t planned(const subject *s, bool recompute)
{
    ent_tape *plan;
    ent_decoder_recompute(s->decoder, recompute);
    ok(ent_tape_new(&plan, true));
    unit(s, plan);
    const size_t bytes = ent_tape_peak(plan);
    ent_tape_free(plan);
    return bytes;
}

static ent_real *copy_of_gradients(const subject *s)
{
    ent_real *g = malloc(s->params->n_trainable * sizeof *g);
    assert_non_null(g);
    return memcpy(g, s->params->grad, s->params->n_trainable * sizeof *g);
}

static void same_bits(const ent_lora_config *lora)
{
    subject s = begin(lora);
    ent_tape *tape;
    ok(ent_tape_new(&tape, false));
    ent_decoder_recompute(s.decoder, false);
    const ent_real loss = unit(&s, tape);
    ent_real *gradient = copy_of_gradients(&s);
    size_t moving = 0;
    for (size_t i = 0; i < s.params->n_trainable; i++)
        moving += fabs((double)gradient[i]) > 0;
    assert_true(moving * 2 > s.params->n_trainable);
    ent_decoder_recompute(s.decoder, true);
    for (int threads = 1; threads <= 2; threads++) {
        ent_set_threads(threads);
        assert_true(unit(&s, tape) == loss);
        assert_memory_equal(gradient, s.params->grad, s.params->n_trainable * sizeof *gradient);
    }
    ent_set_threads(1);
    const ent_rng other = {.seed = 3, .step = 1, .unit = 3};
    assert_true((unit_with(&s, tape, &other) != loss) == (lora && lora->dropout > 0));
    ent_tape_free(tape);
    free(gradient);
    end(&s);
}

static void full_training(void **state)
{
    (void)state;
    same_bits(NULL);
}

static void adapters_with_dropout(void **state)
{
    (void)state;
    const ent_lora_config lora = {.r = 3, .alpha = 5, .dropout = 0.2, .targets = (1u << ENT_N_PROJ) - 1};
    same_bits(&lora);
}

static void some_adapters_of_some_layers(void **state)
{
    (void)state;
    unsigned char layers[] = {0, 1, 0, 1};
    const ent_lora_config lora = {
        .r = 3, .alpha = 5, .targets = 1u << ENT_K_PROJ | 1u << ENT_UP_PROJ, .layers = layers, .n_layers = 4};
    same_bits(&lora);
}

static void adapters_with_magnitudes(void **state)
{
    (void)state;
    ent_lora_config lora = {.r = 3, .alpha = 5, .use_dora = true, .targets = (1u << ENT_N_PROJ) - 1};
    same_bits(&lora);
    lora.targets = 1u << ENT_O_PROJ | 1u << ENT_UP_PROJ;
    same_bits(&lora);
}

static void adapters_beside_their_beginning(void **state)
{
    (void)state;
    const ent_lora_config lora = {.r = 3, .alpha = 5, .pissa = true, .dropout = 0.2, .targets = (1u << ENT_N_PROJ) - 1};
    same_bits(&lora);
}

/* A layer more costs the memory of its input, not that of what it computes. */
static void memory_is_of_one_layer(void **state)
{
    (void)state;
    const ent_lora_config lora = {.r = 3, .alpha = 5, .targets = 1u << ENT_Q_PROJ | 1u << ENT_V_PROJ};
    subject s = begin(&lora);
    const size_t kept = planned(&s, false), again = planned(&s, true);
    const size_t layer = T * (7 * 32 + 2 * 88) * sizeof(ent_real); /* at the least */
    assert_true(again + (LAYERS - 1) * (layer - T * 32 * sizeof(ent_real)) < kept);
    end(&s);
}

/* Training and evaluation stay within what a plan of training measures. */
static void keeps_its_plan(bool use_dora)
{
    const ent_lora_config lora = {
        .r = 3, .alpha = 5, .use_dora = use_dora, .targets = 1u << ENT_Q_PROJ | 1u << ENT_O_PROJ | 1u << ENT_DOWN_PROJ};
    subject s = begin(&lora);
    for (int recompute = 0; recompute < 2; recompute++) {
        ent_tape *plan, *tape;
        ent_tensor *loss;
        ent_decoder_recompute(s.decoder, recompute);
        ok(ent_tape_new(&plan, true));
        unit(&s, plan);
        ok(ent_tape_new(&tape, false));
        ok(ent_tape_reserve(tape, plan));
        const ent_real value = unit(&s, tape);
        assert_int_equal(ent_tape_peak(tape), ent_tape_peak(plan));
        ent_tape_record(tape, false);
        ent_tape_rewind(tape);
        ok(ent_decoder_loss(&loss, tape, s.decoder, &tokens, targets, &rng));
        assert_true(ent_values(loss)[0] == value);
        assert_int_equal(ent_tape_peak(tape), ent_tape_peak(plan));
        ent_tape_free(plan);
        ent_tape_free(tape);
    }
    end(&s);
}

static void a_plan_is_kept(void **state)
{
    (void)state;
    keeps_its_plan(false);
    keeps_its_plan(true);
}

/* What stands below the lowest adapter is turned into NaN between forward and backward. */
static void backward_does_not_look_below_what_trains(void **state)
{
    (void)state;
    unsigned char layers[] = {0, 0, 0, 1, 1};
    const ent_lora_config lora = {.r = 3, .alpha = 5, .targets = 1u << ENT_Q_PROJ, .layers = layers, .n_layers = 5};
    for (int recompute = 0; recompute < 2; recompute++) {
        subject s = begin(&lora);
        ent_tape *tape;
        ent_tensor *loss;
        ok(ent_tape_new(&tape, false));
        ent_decoder_recompute(s.decoder, recompute);
        unit(&s, tape);
        ent_real *gradient = copy_of_gradients(&s);
        memset(s.params->grad, 0, s.params->n_trainable * sizeof(ent_real));
        ent_tape_rewind(tape);
        ok(ent_decoder_loss(&loss, tape, s.decoder, &tokens, targets, &rng));
        size_t spoiled = 0;
        for (size_t i = 0; i < s.params->count; i++) {
            const ent_tensor *t = &s.params->items[i]->tensor;
            if (strncmp(t->name, "model.layers.0", 14) && strncmp(t->name, "model.layers.1", 14) &&
                strncmp(t->name, "model.layers.2", 14) && strcmp(t->name, "model.embed_tokens.weight") &&
                (recompute || strcmp(t->name, "model.layers.3.self_attn.q_proj.weight")) &&
                (recompute || strcmp(t->name, "model.layers.3.self_attn.v_proj.weight")))
                continue;
            spoiled++;
            for (size_t j = 0; j < ent_tensor_count(t); j++)
                s.frozen[s.offsets[i] + j] = (ent_real)NAN;
        }
        assert_int_equal(spoiled, 3 * 14 + 1 + (recompute ? 0 : 2));
        ok(ent_tape_backward(tape, loss, 1));
        assert_memory_equal(gradient, s.params->grad, s.params->n_trainable * sizeof *gradient);
        ent_tape_free(tape);
        free(gradient);
        end(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_training),
        cmocka_unit_test(adapters_with_dropout),
        cmocka_unit_test(adapters_with_magnitudes),
        cmocka_unit_test(adapters_beside_their_beginning),
        cmocka_unit_test(some_adapters_of_some_layers),
        cmocka_unit_test(memory_is_of_one_layer),
        cmocka_unit_test(a_plan_is_kept),
        cmocka_unit_test(backward_does_not_look_below_what_trains),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
