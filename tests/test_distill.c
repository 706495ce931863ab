/* clang-format off */
/* The distillation loss against PyTorch: value and gradients of the student's hidden state and head; and of whole decoders
 * against the formula.
 *
 * Made by PyTorch 1.13 (Debian python3-torch):
 *   import torch, torch.nn.functional as F
 *   g = lambda rows, cols, a, b: torch.tensor([[((a * i + b * j) % 17 - 8) / 4 for j in range(cols)] for i in range(rows)])
 *   h, w = g(4, 3, 5, 3).requires_grad_(), g(6, 3, 7, 4).requires_grad_()
 *   teachers = [(g(4, 2, 3, 8), g(6, 2, 6, 5), 0.7), (g(4, 5, 2, 9), g(6, 5, 10, 1), 0.3)]
 *   y = torch.tensor([2, -100, 0, 5])
 *   def show(name, T, alpha, ts):
 *       z, keep = h @ w.T, y >= 0
 *       kl = sum(v * F.kl_div(F.log_softmax(z[keep] / T, -1), F.log_softmax(a[keep] @ b.T / T, -1), reduction="sum", log_target=True) for a, b, v in ts)
 *       loss = alpha * T * T * kl + (1 - alpha) * F.cross_entropy(z, y, reduction="sum")
 *       out = [loss] + list(torch.autograd.grad(loss, [h, w]))
 *       f = lambda t: '{' + ', '.join('%.9g' % v for v in t.detach().flatten().tolist()) + '}'
 *       print('{"%s", %g, %g, %d, {%s}},' % (name, T, alpha, len(ts), ', '.join(f(t) for t in out)))
 *   def hidden(ts):
 *       loss = 0.7 * sum(v * (h - t)[y >= 0].pow(2).mean(1).sum() for t, v in ts)
 *       print([loss.item()], torch.autograd.grad(loss, [h])[0].flatten().tolist())
 *   hidden([(g(4, 3, 3, 8), 1)]); hidden([(g(4, 3, 3, 8), 0.7), (g(4, 3, 2, 9), 0.3)])
 *   one = [(*teachers[0][:2], 1.0)]
 *   show("one teacher", 2, 0.6, one)
 *   show("soft alone, T below 1", 0.5, 1, one)
 *   show("two teachers", 2.5, 0.4, teachers)
 */
/* clang-format on */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "src/nn/decoder.h"

enum { T = 4, C = 3, V = 6 };

/* clang-format off */
static const struct expected {
    const char *name;
    double temperature, alpha;
    size_t teachers;
    double loss[1], dh[T * C], dw[V * C];
} expected[] = {
    {"one teacher", 2, 0.6, 1,
        {14.1983547},
        {-1.9354012, -0.284250289, 0.0618605688, 0, 0, 0, 0.552524626, 0.592399478, 1.99125087, 3.14441586, -0.99579072, -1.06769645},
        {-1.19255018, -1.00539708, -1.1847887, 0.568267524, 1.19365168, 1.73192894, 2.47711205, -1.23088622, -0.798677862, 0.505142391, 0.551769853, 0.288205475, 0.0279132593, -0.339237869, -0.634483099, -2.38588476, 0.830099523, 0.597815216}},
    {"soft alone, T below 1", 0.5, 1, 1,
        {2.78494382},
        {-0.119770348, -0.119782001, -0.118369073, 0, 0, 0, -0.271030694, -0.270987242, 0.988779068, 0.479789019, -0.147677496, -0.147675872},
        {-0.142765984, -0.096114032, -0.0517133586, 0.160976321, 0.399071783, 0.637155414, 0.258358002, -0.258384794, -0.147661015, 0.260927558, 0.151555002, 0.0412439294, -0.14754355, -0.37010327, -0.592664599, -0.389952242, 0.173975244, 0.113639534}},
    {"two teachers", 2.5, 0.4, 2,
        {18.3191528},
        {-2.47504592, 0.20140247, 0.475068688, 0, 0, 0, 0.979673862, 1.11080754, 1.81679583, 3.49888325, -1.41070712, -1.46909225},
        {-1.24403656, -1.29417837, -1.54629099, 0.398825169, 1.33674955, 1.90650332, 3.26567364, -1.27297401, -0.902031422, -0.178841114, 0.509116292, 0.223587185, 0.0697676614, -0.151194528, -0.313771456, -2.31138849, 0.872480989, 0.632003188}},
};
/* clang-format on */

/* (rows, columns): of the same numbers as in the listing above. */
static ent_tensor *input(ent_tape *tape, ent_real *data, size_t rows, size_t columns, size_t a, size_t b, bool wanted)
{
    ent_tensor *t;
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j++)
            data[i * columns + j] = (ent_real)((double)((a * i + b * j) % 17) - 8) / 4;
    assert_int_equal(ent_tape_input(&t, tape, data, 2, (size_t[]){rows, columns}, wanted), ENT_OK);
    return t;
}

static void near(const char *name, const char *what, const ent_real *found, const double *values, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)found[i] - values[i]) <= 2e-6 * fmax(1, fabs(values[i]))))
            fail_msg("%s: %s %zu: PyTorch has %.9g, found %.9g", name, what, i, values[i], (double)found[i]);
}

static void values_are_pytorchs(void **state)
{
    static const int32_t targets[T] = {2, -100, 0, 5};
    ent_real memory[6][V * 5];
    ent_tape *tape;
    (void)state;
    assert_int_equal(ent_tape_new(&tape, false), ENT_OK);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        const struct expected *e = &expected[i];
        ent_tensor *loss, *h = input(tape, memory[0], T, C, 5, 3, true), *w = input(tape, memory[1], V, C, 7, 4, true);
        const ent_distill_teacher teachers[] = {
            {input(tape, memory[2], T, 2, 3, 8, false), input(tape, memory[3], V, 2, 6, 5, false),
             e->teachers == 1 ? 1 : 0.7},
            {input(tape, memory[4], T, 5, 2, 9, false), input(tape, memory[5], V, 5, 10, 1, false), 0.3}};
        const ent_distillation how = {teachers, e->teachers, e->temperature, e->alpha};
        assert_int_equal(ent_distill_loss(&loss, tape, h, w, targets, &how), ENT_OK);
        assert_int_equal(ent_tape_backward(tape, loss, 1), ENT_OK);
        near(e->name, "loss", ent_values(loss), e->loss, 1);
        near(e->name, "gradient of h", h->grad, e->dh, T * C);
        near(e->name, "gradient of w", w->grad, e->dw, V * C);
        ent_tape_rewind(tape);
    }
    ent_tape_free(tape);
}

static void hidden_states_are_pytorchs(void **state)
{
    static const int32_t targets[T] = {2, -100, 0, 5};
    /* clang-format off */
    static const double loss[2] = {4.60833359, 5.43083334};
    static const double dh[2][T * C] = {{0, -0.583333313, -1.16666663, 0, 0, 0, 0.466666669, -0.116666667, 1.2833333, 0.699999988, 0.116666667, -0.466666669}, {0, -0.61833334, -0.641666591, 0, 0, 0, 0.536666632, -0.0816666633, 1.2833333, 0.804999948, -0.408333361, -0.431666672}};
    /* clang-format on */
    const double weights[2][2] = {{1}, {0.7, 0.3}};
    ent_real memory[3][T * C];
    ent_tape *tape;
    (void)state;
    assert_int_equal(ent_tape_new(&tape, false), ENT_OK);
    for (size_t n = 1; n <= 2; n++) {
        ent_tensor *y, *h = input(tape, memory[0], T, C, 5, 3, true);
        ent_tensor *const teachers[] = {input(tape, memory[1], T, C, 3, 8, false),
                                        input(tape, memory[2], T, C, 2, 9, false)};
        assert_int_equal(ent_hidden_loss(&y, tape, h, targets, teachers, weights[n - 1], n, 0.7), ENT_OK);
        assert_int_equal(ent_tape_backward(tape, y, 1), ENT_OK);
        near("hidden states", "loss", ent_values(y), &loss[n - 1], 1);
        near("hidden states", "gradient of h", h->grad, dh[n - 1], T * C);
        ent_tape_rewind(tape);
    }
    ent_tape_free(tape);
}

/* A teacher that is the student itself: no loss and no gradient. */
static void nothing_to_learn_from_itself(void **state)
{
    static const int32_t targets[T] = {1, 2, 3, 4};
    ent_real memory[2][V * C];
    ent_tensor *loss;
    ent_tape *tape;
    (void)state;
    assert_int_equal(ent_tape_new(&tape, false), ENT_OK);
    ent_tensor *h = input(tape, memory[0], T, C, 5, 3, true), *w = input(tape, memory[1], V, C, 7, 4, false);
    const ent_distill_teacher self = {h, w, 1};
    const ent_distillation how = {&self, 1, 2, 1};
    assert_int_equal(ent_distill_loss(&loss, tape, h, w, targets, &how), ENT_OK);
    assert_int_equal(ent_tape_backward(tape, loss, 1), ENT_OK);
    assert_true(ent_values(loss)[0] == 0);
    for (size_t i = 0; i < T * C; i++)
        assert_true(fabs((double)h->grad[i]) < 1e-6);
    ent_tape_free(tape);
}

enum { TOKENS = 40, VOCAB = 30 };

static ent_decoder *decoder_of(size_t hidden, size_t layers, uint64_t seed)
{
    const ent_model_config config = {.model_type = "llama",
                                     .vocab_size = VOCAB,
                                     .hidden_size = hidden,
                                     .intermediate_size = 24,
                                     .n_layers = layers,
                                     .n_heads = 4,
                                     .n_kv_heads = 2,
                                     .head_dim = 4,
                                     .rms_norm_eps = 1e-5,
                                     .rope_theta = 100};
    ent_decoder *d;
    assert_int_equal(ent_decoder_new(&d, &config, NULL, true, TOKENS), ENT_OK);
    ent_decoder_init_weights(d, seed);
    ent_params *p = ent_decoder_params(d);
    for (size_t i = 0; i < p->n_trainable; i++)
        p->value[i] *= p->value[i] == 1 ? 1 : 15; /* logits of some size */
    return d;
}

/* log softmax(z / T) : (VOCAB) of row t of the logits. */
static void log_softmax(double *y, const ent_real *logits, size_t t, double temperature)
{
    double sum = 0;
    for (size_t i = 0; i < VOCAB; i++)
        sum += exp((double)logits[t * VOCAB + i] / temperature);
    for (size_t i = 0; i < VOCAB; i++)
        y[i] = (double)logits[t * VOCAB + i] / temperature - log(sum);
}

/* The loss from all decoders' logits, as the formula says it. */
static double by_formula(ent_tape *tape, ent_decoder *student, const ent_tokens *tokens, const int32_t *targets,
                         const ent_teaching *how)
{
    double loss = 0, p[VOCAB], q[VOCAB];
    ent_tensor *z, *t;
    ent_tape_rewind(tape);
    assert_int_equal(ent_decoder_logits(&z, tape, student, tokens), ENT_OK);
    for (size_t k = 0; k < how->count; k++) {
        assert_int_equal(ent_decoder_logits(&t, tape, how->teachers[k], tokens), ENT_OK);
        for (size_t i = 0; i < TOKENS; i++) {
            log_softmax(q, ent_values(z), i, how->temperature);
            log_softmax(p, ent_values(t), i, how->temperature);
            for (size_t v = 0; v < VOCAB && targets[i] >= 0; v++)
                loss += how->alpha * how->temperature * how->temperature * how->weights[k] * exp(p[v]) * (p[v] - q[v]);
        }
    }
    for (size_t i = 0; i < TOKENS; i++) {
        log_softmax(q, ent_values(z), i, 1);
        loss -= targets[i] >= 0 ? (1 - how->alpha) * q[targets[i]] : 0;
    }
    return loss;
}

/* Teachers of other shapes, over two documents: the loss is that of the formula, and the teachers get no gradient. */
static void decoders_learn_from_decoders(void **state)
{
    int32_t ids[TOKENS], targets[TOKENS], doc_start[TOKENS];
    const ent_tokens tokens = {TOKENS, ids, doc_start};
    ent_decoder *student = decoder_of(16, 1, 1);
    ent_teaching how = {.teachers = {decoder_of(16, 2, 2), decoder_of(24, 1, 3)},
                        .weights = {0.25, 0.75},
                        .temperature = 1.5,
                        .alpha = 0.3};
    ent_tape *tape;
    (void)state;
    assert_int_equal(ent_tape_new(&tape, false), ENT_OK);
    for (int32_t i = 0; i < TOKENS; i++) {
        ids[i] = (i * 7 + 3) % VOCAB;
        doc_start[i] = i < 15 ? 0 : 15;
        targets[i] = i % 6 == 2 ? -100 : (i * 11 + 5) % VOCAB;
    }
    for (how.count = 1; how.count <= 2; how.count++) {
        ent_tensor *loss;
        ent_params *p = ent_decoder_params(how.teachers[0]);
        const double wanted = by_formula(tape, student, &tokens, targets, &how);
        ent_tape_rewind(tape);
        assert_int_equal(ent_decoder_distill_loss(&loss, tape, student, &tokens, targets, NULL, &how), ENT_OK);
        assert_true(fabs((double)ent_values(loss)[0] - wanted) < 1e-5 * wanted && wanted > 10);
        assert_int_equal(ent_tape_backward(tape, loss, 1), ENT_OK);
        for (size_t i = 0; i < p->n_trainable; i++)
            assert_true(p->grad[i] == 0);
    }
    ent_tape_free(tape);
    ent_decoder_free(student);
    ent_decoder_free(how.teachers[0]);
    ent_decoder_free(how.teachers[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_pytorchs),
        cmocka_unit_test(hidden_states_are_pytorchs),
        cmocka_unit_test(decoders_learn_from_decoders),
        cmocka_unit_test(nothing_to_learn_from_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
