/* Rows of a norm that are rounded as they are made: what they are, and which products take them. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "src/autograd/ops.h"
#include "src/autograd/ops_model.h"
#include "src/base/philox.h"
#include "src/nn/decoder.h"
#include "src/quant/int8_choice.h"
#include "src/tensor/gemm.h"

enum { ROWS = 37, IN = 70, OUT = 50 };

static float x[ROWS * IN], addend[ROWS * IN], norm[IN], ones[96], twos[96], powers[IN];
static int8_t q[OUT * IN];
static float scales[OUT];
static ent_tensor weight;
static void *scratch;

static int set_up(void **state)
{
    const ent_rng rng = {.seed = 5};
    static float w[OUT * IN];
    size_t bytes;
    (void)state;
    for (uint64_t i = 0; i < ROWS * IN; i++) {
        x[i] = (float)ent_random_normal(&rng, i);
        addend[i] = (float)ent_random_normal(&rng, i + 100000);
    }
    for (uint64_t i = 0; i < OUT * IN; i++)
        w[i] = (float)ent_random_normal(&rng, i + 200000);
    for (int j = 0; j < IN; j++) {
        norm[j] = 1 + 0.01f * (float)j;
        powers[j] = j % 3 ? 1 : 4;
    }
    for (size_t j = 0; j < sizeof ones / sizeof *ones; j++)
        twos[j] = 2 * (ones[j] = 1);
    const ent_tensor stored = ent_tensor_view(w, 2, (size_t[]){OUT, IN});
    ent_int8_rows(q, scales, &stored, NULL, 0, OUT);
    weight = stored;
    weight.dtype = ENT_DTYPE_I8;
    weight.data = q;
    weight.row_scales = scales;
    weight.compute = ENT_COMPUTE_INT8;
    assert_int_equal(ent_gemm_weight_plan(&bytes, &weight, ROWS), ENT_OK);
    scratch = aligned_alloc(64, (bytes + 63) / 64 * 64);
    return scratch == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    free(scratch);
    return 0;
}

typedef struct rows {
    float scales[ROWS];
    int8_t q[ROWS * IN];
} rows;

static ent_rounded_rows in(rows *r, const float *factors)
{
    memset(r, 0, sizeof *r);
    return (ent_rounded_rows){factors, r->scales, r->q};
}

/* The norm of x, or of x + addend, with its rows, is that without; the rows are its numbers, to half a step. */
static void rows_are_those_of_the_norm(void **state)
{
    (void)state;
    for (int with_addend = 0; with_addend < 2; with_addend++) {
        static rows r;
        const ent_rounded_rows wanted = in(&r, powers);
        ent_tape *tape;
        ent_tensor *tx, *ta, *tw, *plain, *y, *sum;
        assert_int_equal(ent_tape_new(&tape, false), ENT_OK);
        assert_int_equal(ent_tape_input(&tx, tape, x, 2, (size_t[]){ROWS, IN}, false), ENT_OK);
        assert_int_equal(ent_tape_input(&ta, tape, addend, 2, (size_t[]){ROWS, IN}, false), ENT_OK);
        assert_int_equal(ent_tape_input(&tw, tape, norm, 1, (size_t[]){IN}, false), ENT_OK);
        if (with_addend) {
            assert_int_equal(ent_add_rmsnorm(&y, &sum, tape, tx, ta, tw, 1e-5, &wanted), ENT_OK);
            assert_int_equal(ent_add(&tx, tape, tx, ta), ENT_OK);
            assert_memory_equal(ent_values(sum), ent_values(tx), sizeof x);
        } else {
            assert_int_equal(ent_rmsnorm(&y, tape, tx, tw, 1e-5, &wanted), ENT_OK);
        }
        assert_int_equal(ent_rmsnorm(&plain, tape, tx, tw, 1e-5, NULL), ENT_OK);
        assert_memory_equal(ent_values(y), ent_values(plain), sizeof x);
        assert_null(plain->rounded);
        assert_non_null(y->rounded);
        for (int i = 0; i < ROWS; i++) {
            int largest = 0;
            for (int j = 0; j < IN; j++) {
                const float back = r.scales[i] * (float)r.q[i * IN + j] / powers[j];
                largest = abs(r.q[i * IN + j]) > largest ? abs(r.q[i * IN + j]) : largest;
                assert_true(fabsf(back - ent_values(y)[i * IN + j]) <= 0.5001f * r.scales[i] / powers[j]);
            }
            assert_int_equal(largest, 127);
        }
        ent_tape_free(tape);
    }
}

/* y = x W^T with x's rows as they come: those given are 0, and so is y where they are taken. */
static bool takes(const float *given, const float *needed)
{
    static rows r;
    static float y[ROWS * OUT], expected[ROWS * OUT];
    const ent_rounded_rows zeros = in(&r, given);
    ent_tensor tx = ent_tensor_view(x, 2, (size_t[]){ROWS, IN}), w = weight;
    w.column_factors = needed;
    ent_gemm_weight(expected, ROWS, x, &w, true, 0, scratch);
    tx.rounded = &zeros;
    ent_gemm_weight_of(y, &tx, &w, scratch);
    if (memcmp(y, expected, sizeof y) == 0)
        return false;
    for (size_t i = 0; i < ROWS * OUT; i++)
        assert_true(y[i] == 0);
    return true;
}

static void products_take_rows_of_their_factors(void **state)
{
    static float same[IN];
    (void)state;
    memcpy(same, powers, sizeof same);
    assert_true(takes(NULL, NULL));
    assert_true(takes(powers, powers));
    assert_true(takes(same, powers));
    assert_false(takes(ones, powers));
    assert_false(takes(NULL, powers));
    assert_false(takes(powers, NULL));
}

/* A decoder all of whose projections but one are int8, and a unit of it. */
enum { T = 40, LAYERS = 2, HIDDEN = 32, MOST = 96 * 32 };

typedef struct subject {
    ent_decoder *decoder;
    ent_params *params;
    float *values;
    int8_t (*q)[MOST];
    float (*scales)[MOST];
} subject;

static subject subject_of(const float *factors_of_some)
{
    const ent_model_config config = {.model_type = "llama",
                                     .vocab_size = 50,
                                     .hidden_size = HIDDEN,
                                     .intermediate_size = 96,
                                     .n_layers = LAYERS,
                                     .n_heads = 4,
                                     .n_kv_heads = 2,
                                     .head_dim = 8,
                                     .max_position_embeddings = T,
                                     .rms_norm_eps = 1e-5,
                                     .rope_theta = 100};
    const ent_lora_config lora = {.r = 3, .alpha = 5, .targets = (1u << ENT_N_PROJ) - 1};
    subject s = {0};
    assert_int_equal(ent_decoder_new(&s.decoder, &config, &lora, true, T), ENT_OK);
    s.params = ent_decoder_params(s.decoder);
    const size_t n = ent_decoder_projections(s.decoder);
    size_t count = 0;
    for (size_t i = 0; i < s.params->count; i++)
        count += ent_tensor_count(&s.params->items[i]->tensor);
    s.values = malloc(count * sizeof *s.values);
    s.q = malloc(n * sizeof *s.q);
    s.scales = malloc(n * sizeof *s.scales);
    assert_true(s.values && s.q && s.scales);
    float *at = s.values;
    for (size_t i = 0; i < s.params->count; i++) {
        ent_tensor *t = &s.params->items[i]->tensor;
        const ent_rng draws = {.seed = 11, .stream = (uint32_t)i};
        for (size_t j = 0; j < ent_tensor_count(t); j++)
            at[j] = ent_random_normal(&draws, j) * 0.3f + (float)(t->n_dims == 1);
        assert_int_equal(ent_params_bind(s.params, s.params->items[i], t->n_dims, t->shape, ENT_DTYPE_F32, at, "t"),
                         ENT_OK);
        at += ent_tensor_count(t);
    }
    for (size_t i = 0; i < n; i++) {
        ent_tensor *w = ent_decoder_projection(s.decoder, i);
        if (i == ENT_Q_PROJ) /* of the first layer: in fp32 */
            continue;
        w->column_factors = i % 2 ? factors_of_some : ones;
        ent_int8_rows(s.q[i], s.scales[i], w, w->column_factors, 0, w->shape[0]);
        w->data = s.q[i];
        w->dtype = ENT_DTYPE_I8;
        w->row_scales = s.scales[i];
        w->compute = ENT_COMPUTE_INT8;
    }
    return s;
}

static void subject_end(subject *s)
{
    ent_decoder_free(s->decoder);
    free(s->values);
    free(s->q);
    free(s->scales);
}

/* Loss and gradient; the tape took what was planned. */
static double loss_of(const subject *s, bool recompute)
{
    static int32_t ids[T], starts[T], targets[T];
    const ent_tokens tokens = {T, ids, starts};
    ent_tape *tapes[2];
    double loss = 0;
    for (int t = 0; t < T; t++) {
        ids[t] = (t * 7 + 3) % 50;
        starts[t] = t < 13 ? 0 : 13;
        targets[t] = (t * 11 + 5) % 50;
    }
    ent_decoder_recompute(s->decoder, recompute);
    for (int real = 0; real < 2; real++) {
        ent_tensor *y;
        assert_int_equal(ent_tape_new(&tapes[real], !real), ENT_OK);
        memset(s->params->grad, 0, s->params->n_trainable * sizeof(float));
        assert_int_equal(ent_decoder_loss(&y, tapes[real], s->decoder, &tokens, targets, NULL), ENT_OK);
        assert_int_equal(ent_tape_backward(tapes[real], y, 1), ENT_OK);
        loss = real ? (double)ent_values(y)[0] : 0;
    }
    assert_int_equal(ent_tape_peak(tapes[0]), ent_tape_peak(tapes[1]));
    ent_tape_free(tapes[0]);
    ent_tape_free(tapes[1]);
    return loss;
}

/* Factors of 2 change no bit, but those of a projection beside are others: then it rounds by itself. */
static void a_decoder_has_the_bits_of_products_that_round(void **state)
{
    (void)state;
    subject shared = subject_of(ones), apart = subject_of(twos);
    for (int recompute = 0; recompute < 2; recompute++) {
        assert_true(loss_of(&shared, recompute) == loss_of(&apart, recompute));
        assert_memory_equal(shared.params->grad, apart.params->grad, shared.params->n_trainable * sizeof(float));
    }
    const double kept = loss_of(&shared, false);
    assert_true(kept > 0);
    assert_true(loss_of(&apart, true) == kept);
    assert_memory_equal(shared.params->grad, apart.params->grad, shared.params->n_trainable * sizeof(float));
    subject_end(&shared);
    subject_end(&apart);
}

/* The last logits, of all tokens at once, and piece by piece, with rows of the pieces before where rows are rounded. */
static void a_decoder_with_a_cache_has_the_bits_of_one_without(void **state)
{
    static int32_t ids[T], starts[T];
    static const size_t pieces[] = {1, 17, 2, 1, 19};
    (void)state;
    subject s = subject_of(twos);
    ent_tape *tape, *other;
    ent_kv_cache *cache;
    ent_tensor *all, *last;
    size_t at = 0;
    for (int t = 0; t < T; t++)
        ids[t] = (t * 7 + 3) % 50;
    assert_int_equal(ent_tape_new(&tape, false), ENT_OK);
    assert_int_equal(ent_tape_new(&other, false), ENT_OK);
    ent_tape_record(tape, false);
    ent_tape_record(other, false);
    assert_int_equal(ent_decoder_logits(&all, tape, s.decoder, &(ent_tokens){T, ids, starts}), ENT_OK);
    assert_int_equal(ent_kv_cache_new(&cache, ent_decoder_config(s.decoder), T), ENT_OK);
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; at += pieces[i++]) {
        ent_tape_rewind(other);
        assert_int_equal(ent_decoder_next(&last, other, s.decoder, cache, ids + at, pieces[i]), ENT_OK);
        assert_memory_equal(ent_values(last), ent_values(all) + (at + pieces[i] - 1) * 50, 50 * sizeof(float));
    }
    assert_int_equal(at, T);
    ent_kv_cache_free(cache);
    ent_tape_free(other);
    ent_tape_free(tape);
    subject_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_those_of_the_norm),
        cmocka_unit_test(products_take_rows_of_their_factors),
        cmocka_unit_test(a_decoder_has_the_bits_of_products_that_round),
        cmocka_unit_test(a_decoder_with_a_cache_has_the_bits_of_one_without),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
