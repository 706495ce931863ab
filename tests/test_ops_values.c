/* clang-format off */
/* Values of the general operators against PyTorch: each result, and the gradients of sum(y * wy).
 *
 * Made by PyTorch 1.13.1 (Debian python3-torch):
 *   import torch, torch.nn.functional as F
 *   x = torch.tensor([[0.5, -1.25, 2.0], [-0.75, 1.5, -3.0]], requires_grad=True)
 *   z = torch.tensor([[0.25, 1.0, -0.5], [1.5, -2.0, 0.125]], requires_grad=True)
 *   r = torch.tensor([0.5, -2.0, 1.5], requires_grad=True)
 *   b = torch.tensor([0.25, -0.5, 1.0], requires_grad=True)
 *   u = torch.tensor([[0.25, 1.0, 0.5], [0.75, 0.0, 0.125]])
 *   wy = torch.tensor([[1.0, -0.5, 0.25], [2.0, 0.75, -1.5]])  # loss = sum(y * wy[: shape of y])
 *   def show(name, y, *ins):
 *       w = wy.flatten()[:y.numel()].reshape(y.shape)
 *       out = [y] + list(torch.autograd.grad((y * w).sum(), ins))
 *       f = lambda t: '{' + ', '.join('%.9g' % v for v in t.detach().flatten().tolist()) + '}'
 *       print('{"%s", {%s}},' % (name, ', '.join(f(t) for t in out)))
 *   show("add", x + r, x, r); show("sub", x - r, x, r); show("mul", x * r, x, r); show("scale", -2.5 * x, x)
 *   show("matmul", x @ z.T, x, z); show("transpose", x.T, x); show("sum", x.sum(), x); show("mean", x.mean(), x)
 *   show("relu", F.relu(x), x); show("gelu", F.gelu(x), x); show("silu", F.silu(x), x); show("softmax", F.softmax(x, -1), x)
 *   show("layer_norm", F.layer_norm(x, (3,), r, b, 1e-5), x, r, b)
 *   show("mse", F.mse_loss(x, z), x, z); show("l1", F.l1_loss(x, z), x, z); show("huber", F.huber_loss(x, z, delta=0.8), x, z)
 *   show("bce_with_logits", F.binary_cross_entropy_with_logits(x, u), x)
 *   c = torch.cat([x, z]).detach().requires_grad_()
 *   show("cross_entropy", F.cross_entropy(c, torch.tensor([2, -100, 0, 1])), c)
 */
/* clang-format on */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "src/autograd/ops.h"

enum { IN = 3, MOST = 12 };

/* clang-format off */
static const struct expected {
    const char *name;
    double values[1 + IN][MOST]; /* of y, then the gradient of each input */
} expected[] = {
    {"add", {{1, -3.25, 3.5, -0.25, -0.5, -1.5}, {1, -0.5, 0.25, 2, 0.75, -1.5}, {3, 0.25, -1.25}}},
    {"sub", {{0, 0.75, 0.5, -1.25, 3.5, -4.5}, {1, -0.5, 0.25, 2, 0.75, -1.5}, {-3, -0.25, 1.25}}},
    {"mul", {{0.25, 2.5, 3, -0.375, -3, -4.5}, {0.5, 1, 0.375, 1, -1.5, -2.25}, {-1, 1.75, 5}}},
    {"scale", {{-1.25, 3.125, -5, 1.875, -3.75, 7.5}, {-2.5, 1.25, -0.625, -5, -1.875, 3.75}}},
    {"matmul", {{-2.125, 3.5, 2.8125, -4.5},
        {-0.5, 2, -0.5625, 3.0625, -3.75, 0.125},
        {0.3125, -0.875, 1.25, -1.75, 3.625, -7}}},
    {"transpose", {{0.5, -0.75, -1.25, 1.5, 2, -3}, {1, 0.25, 0.75, -0.5, 2, -1.5}}},
    {"sum", {{-1}, {1, 1, 1, 1, 1, 1}}},
    {"mean", {{-0.166666672}, {0.166666672, 0.166666672, 0.166666672, 0.166666672, 0.166666672, 0.166666672}}},
    {"relu", {{0.5, 0, 2, 0, 1.5, 0}, {1, 0, 0.25, 0, 0.75, 0}}},
    {"gelu", {{0.345731199, -0.132062316, 1.95449996, -0.169970468, 1.39978909, -0.00404986739},
        {0.86749506, 0.0613307357, 0.271307975, 0.00154840946, 0.845601916, 0.0179184079}}},
    {"silu", {{0.311229676, -0.278375179, 1.76159406, -0.240615964, 1.22636163, -0.142277613},
        {0.739961207, -0.0031595747, 0.272696078, 0.314800084, 0.780970633, 0.132156163}}},
    {"softmax", {{0.176820189, 0.030726742, 0.79245311, 0.0944007561, 0.895649433, 0.0099497661},
        {0.113240935, -0.0264117885, -0.0868291557, 0.108974919, -0.085636586, -0.0233383104}}},
    {"layer_norm", {{0.281372696, 2.00981617, 2.78824401, 0.25, -2.94948602, -0.837114513},
        {-0.0818902254, 0.037796855, 0.0440933704, 1.04329967, -0.521649241, -0.521650314},
        {0.0627453923, 1.54601133, 2.1351552},
        {3, 0.25, -1.25}}},
    {"mse", {{6.40885401},
        {0.0833333358, -0.75, 0.833333373, -0.75, 1.16666675, -1.04166675},
        {-0.0833333358, 0.75, -0.833333373, 0.75, -1.16666675, 1.04166675}}},
    {"l1", {{2.3125},
        {0.166666672, -0.166666672, 0.166666672, -0.166666672, 0.166666672, -0.166666672},
        {-0.166666672, 0.166666672, -0.166666672, 0.166666672, -0.166666672, 0.166666672}}},
    {"huber", {{1.55520821},
        {0.0416666679, -0.13333334, 0.13333334, -0.13333334, 0.13333334, -0.13333334},
        {-0.0416666679, 0.13333334, -0.13333334, 0.13333334, -0.13333334, 0.13333334}}},
    {"bce_with_logits", {{1.09205091},
        {0.0620765574, -0.12954998, 0.0634661689, -0.0715297833, 0.136262402, -0.0129290214}}},
    {"cross_entropy", {{1.75327587},
        {0.0589400604, 0.010242248, -0.0691823214, 0, 0, 0, -0.240466446, 0.196599215, 0.0438672155, 0.259800255, -0.325488061, 0.0656877905}}},
};
/* clang-format on */

static const ent_real x[] = {0.5f, -1.25f, 2.0f, -0.75f, 1.5f, -3.0f};
static const ent_real z[] = {0.25f, 1.0f, -0.5f, 1.5f, -2.0f, 0.125f};
static const ent_real r[] = {0.5f, -2.0f, 1.5f}, b[] = {0.25f, -0.5f, 1.0f};
static const ent_real u[] = {0.25f, 1.0f, 0.5f, 0.75f, 0.0f, 0.125f};
static const ent_real wy[] = {1.0f, -0.5f, 0.25f, 2.0f, 0.75f, -1.5f};
static const int32_t targets[] = {2, -100, 0, 1};

static ent_tensor *input(ent_tape *tape, const ent_real *data, size_t n_dims, size_t rows, size_t columns, bool wanted)
{
    ent_tensor *t;
    const size_t shape[2] = {n_dims == 2 ? rows : columns, columns};
    assert_int_equal(ent_tape_input(&t, tape, data, n_dims, shape, wanted), ENT_OK);
    return t;
}

static void near(const char *name, const char *what, const ent_real *found, const double *values, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)found[i] - values[i]) <= 2e-6 * fmax(1, fabs(values[i]))))
            fail_msg("%s: %s %zu: PyTorch has %.9g, found %.9g", name, what, i, values[i], (double)found[i]);
}

/* Checks y and the gradients of the n inputs; `done` counts the rows of the table that were used. */
static void check(size_t *done, ent_tape *tape, const char *name, ent_tensor *y, ent_tensor *const *in, size_t n)
{
    const struct expected *e = &expected[(*done)++];
    ent_tensor *w, *product, *loss;
    assert_string_equal(e->name, name);
    assert_int_equal(ent_tape_input(&w, tape, wy, y->n_dims, y->shape, false), ENT_OK);
    assert_int_equal(ent_mul(&product, tape, y, w), ENT_OK);
    assert_int_equal(ent_sum(&loss, tape, product), ENT_OK);
    assert_int_equal(ent_tape_backward(tape, loss, 1), ENT_OK);
    near(name, "value", ent_values(y), e->values[0], ent_tensor_count(y));
    for (size_t k = 0; k < n && in[k]->grad; k++)
        near(name, "gradient", in[k]->grad, e->values[1 + k], ent_tensor_count(in[k]));
    ent_tape_rewind(tape);
}

static ent_status apply_add(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    return ent_add(y, tape, in[0], in[1]);
}

static ent_status apply_sub(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    return ent_sub(y, tape, in[0], in[1]);
}

static ent_status apply_mul(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    return ent_mul(y, tape, in[0], in[1]);
}

static ent_status apply_scale(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    return ent_scale(y, tape, in[0], -2.5f);
}

static ent_status apply_matmul(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    ent_tensor *t;
    ENT_TRY(ent_transpose(&t, tape, in[1]));
    return ent_matmul(y, tape, in[0], t);
}

static ent_status apply_transpose(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    return ent_transpose(y, tape, in[0]);
}

static ent_status apply_sum(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    return ent_sum(y, tape, in[0]);
}

static ent_status apply_mean(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    return ent_mean(y, tape, in[0]);
}

static ent_status apply_relu(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    return ent_relu(y, tape, in[0]);
}

static ent_status apply_gelu(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    return ent_gelu(y, tape, in[0]);
}

static ent_status apply_silu(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    return ent_silu(y, tape, in[0]);
}

static ent_status apply_softmax(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    return ent_softmax(y, tape, in[0]);
}

static ent_status apply_layer_norm(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    return ent_layer_norm(y, tape, in[0], in[1], in[2], 1e-5);
}

static ent_status apply_mse(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    return ent_mse(y, tape, in[0], in[1]);
}

static ent_status apply_l1(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    return ent_l1(y, tape, in[0], in[1]);
}

static ent_status apply_huber(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    return ent_huber(y, tape, in[0], in[1], 0.8);
}

static ent_status apply_bce_with_logits(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    return ent_bce_with_logits(y, tape, in[0], in[1]);
}

static ent_status apply_cross_entropy(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    return ent_cross_entropy(y, tape, in[0], targets);
}

/* The inputs of each, by the names above; L is x and z below each other. */
static const struct {
    const char *name;
    ent_status (*apply)(ent_tensor **y, ent_tape *tape, ent_tensor *const *in);
    const char *in;
} runs[] = {
    {"add", apply_add, "XR"},
    {"sub", apply_sub, "XR"},
    {"mul", apply_mul, "XR"},
    {"scale", apply_scale, "X"},
    {"matmul", apply_matmul, "XZ"},
    {"transpose", apply_transpose, "X"},
    {"sum", apply_sum, "X"},
    {"mean", apply_mean, "X"},
    {"relu", apply_relu, "X"},
    {"gelu", apply_gelu, "X"},
    {"silu", apply_silu, "X"},
    {"softmax", apply_softmax, "X"},
    {"layer_norm", apply_layer_norm, "XRB"},
    {"mse", apply_mse, "XZ"},
    {"l1", apply_l1, "XZ"},
    {"huber", apply_huber, "XZ"},
    {"bce_with_logits", apply_bce_with_logits, "XU"},
    {"cross_entropy", apply_cross_entropy, "L"},
};

static ent_tensor *input_named(ent_tape *tape, char name)
{
    static ent_real both[MOST];
    memcpy(both, x, sizeof x);
    memcpy(both + 6, z, sizeof z);
    switch (name) {
    case 'X':
        return input(tape, x, 2, 2, 3, true);
    case 'Z':
        return input(tape, z, 2, 2, 3, true);
    case 'U':
        return input(tape, u, 2, 2, 3, false);
    case 'R':
        return input(tape, r, 1, 0, 3, true);
    case 'B':
        return input(tape, b, 1, 0, 3, true);
    default:
        return input(tape, both, 2, 4, 3, true);
    }
}

static void values_are_those_of_pytorch(void **state)
{
    (void)state;
    ent_tape *tape;
    size_t done = 0;
    assert_int_equal(ent_tape_new(&tape, false), ENT_OK);
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
        ent_tensor *in[IN] = {NULL}, *y;
        size_t n = 0;
        for (; runs[i].in[n]; n++)
            in[n] = input_named(tape, runs[i].in[n]);
        assert_int_equal(runs[i].apply(&y, tape, in), ENT_OK);
        check(&done, tape, runs[i].name, y, in, n);
    }
    assert_int_equal(done, sizeof expected / sizeof *expected);
    ent_tape_free(tape);
}

/* No overflow where exp would have one. */
static void large_values_stay_finite(void **state)
{
    (void)state;
    static const ent_real large[] = {200.0f, -200.0f, 199.0f, 0.0f, 0.0f, 0.0f};
    ent_tape *tape;
    ent_tensor *in, *t, *y;
    assert_int_equal(ent_tape_new(&tape, false), ENT_OK);
    in = input(tape, large, 2, 2, 3, false);
    t = input(tape, u, 2, 2, 3, false);
    assert_int_equal(ent_softmax(&y, tape, in), ENT_OK);
    near("softmax", "value", ent_values(y), (const double[]){0.7310585786, 0, 0.2689414214}, 3); /* sigmoid(1) */
    assert_int_equal(ent_silu(&y, tape, in), ENT_OK);
    near("silu", "value", ent_values(y), (const double[]){200, 0, 199}, 3);
    assert_int_equal(ent_cross_entropy(&y, tape, in, (const int32_t[]){1, -100}), ENT_OK);
    near("cross_entropy", "value", ent_values(y), (const double[]){400.3132617}, 1); /* 400 + log(1 + 1/e) */
    assert_int_equal(ent_bce_with_logits(&y, tape, in, t), ENT_OK);
    near("bce_with_logits", "value", ent_values(y), (const double[]){(150 + 200 + 99.5 + 3 * 0.6931471806) / 6}, 1);
    ent_tape_free(tape);
}

/* Kept elements are scaled by 1 / (1 - p), and as many are dropped as p says. */
static void dropout_drops_its_share(void **state)
{
    (void)state;
    enum { N = 20000 };
    static ent_real ones[N];
    const ent_rng rng = {.seed = 5, .stream = ENT_STREAM_DROPOUT};
    ent_tape *tape;
    ent_tensor *in, *y, *same;
    size_t dropped = 0;
    for (size_t i = 0; i < N; i++)
        ones[i] = 1;
    assert_int_equal(ent_tape_new(&tape, false), ENT_OK);
    in = input(tape, ones, 1, 0, N, false);
    assert_int_equal(ent_dropout(&y, tape, in, 0.2f, &rng), ENT_OK);
    for (size_t i = 0; i < N; i++) {
        const double v = (double)ent_values(y)[i];
        assert_true(v == 0 || fabs(v - 1.25) < 1e-6);
        dropped += v == 0;
    }
    assert_true(fabs((double)dropped / N - 0.2) < 0.012); /* four deviations */
    assert_int_equal(ent_dropout(&same, tape, in, 0.2f, &rng), ENT_OK);
    assert_memory_equal(y->data, same->data, sizeof ones);
    ent_tape_free(tape);
}

/* A million small numbers: a sum in float would be off in the third digit. */
static void sums_are_in_double(void **state)
{
    (void)state;
    enum { N = 1 << 20 };
    static ent_real tenths[N];
    ent_tape *tape;
    ent_tensor *in, *y;
    for (size_t i = 0; i < N; i++)
        tenths[i] = 0.1f;
    assert_int_equal(ent_tape_new(&tape, false), ENT_OK);
    in = input(tape, tenths, 1, 0, N, false);
    assert_int_equal(ent_sum(&y, tape, in), ENT_OK);
    assert_true(ent_values(y)[0] == (ent_real)((double)0.1f * N));
    ent_tape_free(tape);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_those_of_pytorch),
        cmocka_unit_test(large_values_stay_finite),
        cmocka_unit_test(dropout_drops_its_share),
        cmocka_unit_test(sums_are_in_double),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
