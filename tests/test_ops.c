/* Gradients of every operator in the table, in double, against central differences. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "src/autograd/op.h"
#include "src/autograd/ops.h"
#include "src/autograd/ops_model.h"
#include "src/base/philox.h"
#include "src/base/tiles.h"

/* One case made concrete: input tensors in memory of the test, and weights that make a scalar of the result. */
typedef struct trial {
    const ent_op *op;
    const ent_op_case *c;
    ent_tape *tape;
    ent_tensor in[ENT_MAX_INPUTS];
    ent_real *values[ENT_MAX_INPUTS], *gradients[ENT_MAX_INPUTS];
    ent_real *weights;
    ent_real *y;
    size_t y_count;
    double steepest; /* the largest difference quotient: tells a case whose gradients are all 0 */
} trial;

static ent_real draw(uint32_t stream, size_t i, double low, double high)
{
    const ent_rng rng = {.seed = 2024, .stream = stream};
    return low + (high - low) * (double)ent_random_uniform(&rng, i);
}

static void *take(size_t count)
{
    void *p = calloc(count ? count : 1, sizeof(ent_real));
    assert_non_null(p);
    return p;
}

static trial begin(const ent_op *op, const ent_op_case *c)
{
    trial t = {.op = op, .c = c};
    assert_int_equal(ent_tape_new(&t.tape, false), ENT_OK);
    for (size_t k = 0; k < c->n_in; k++) {
        const bool unit = c->in[k].low == 0 && c->in[k].high == 0;
        t.in[k] = ent_tensor_view(NULL, c->in[k].n_dims, c->in[k].shape);
        const size_t n = ent_tensor_count(&t.in[k]);
        t.values[k] = take(n);
        for (size_t i = 0; i < n; i++)
            t.values[k][i] = draw((uint32_t)k, i, unit ? -1 : c->in[k].low, unit ? 1 : c->in[k].high);
        t.in[k].data = t.values[k];
        t.in[k].requires_grad = !c->in[k].constant;
        if (t.in[k].requires_grad)
            t.in[k].grad = t.gradients[k] = take(n);
    }
    return t;
}

static void end(trial *t)
{
    for (size_t k = 0; k < t->c->n_in; k++) {
        free(t->values[k]);
        free(t->gradients[k]);
    }
    free(t->weights);
    free(t->y);
    ent_tape_free(t->tape);
}

static ent_status apply(ent_tensor **y, trial *t)
{
    ent_tensor *in[ENT_MAX_INPUTS] = {NULL};
    for (size_t k = 0; k < t->c->n_in; k++)
        in[k] = &t->in[k];
    return t->c->apply(y, t->tape, in);
}

static void must(const trial *t, ent_status st)
{
    if (st != ENT_OK)
        fail_msg("%s, %s: %s", t->op->name, t->c->name, ent_message());
}

/* loss = sum(y * weights), on a tape that was rewound */
static ent_tensor *loss_of(trial *t)
{
    ent_tensor *y, *w, *product, *loss;
    ent_tape_rewind(t->tape);
    must(t, apply(&y, t));
    if (t->weights == NULL) {
        t->y_count = ent_tensor_count(y);
        t->weights = take(t->y_count);
        t->y = take(t->y_count);
        for (size_t i = 0; i < t->y_count; i++)
            t->weights[i] = draw(100, i, -1, 1);
    }
    memcpy(t->y, y->data, t->y_count * sizeof *t->y);
    must(t, ent_tape_input(&w, t->tape, t->weights, y->n_dims, y->shape, false));
    must(t, ent_mul(&product, t->tape, y, w));
    must(t, ent_sum(&loss, t->tape, product));
    return loss;
}

/* Gradients from backward; each starts at `start`, to which backward adds. */
static void differentiate(trial *t, ent_real start)
{
    for (size_t k = 0; k < t->c->n_in; k++)
        for (size_t i = 0; t->gradients[k] && i < ent_tensor_count(&t->in[k]); i++)
            t->gradients[k][i] = start;
    ent_tensor *loss = loss_of(t);
    must(t, ent_tape_backward(t->tape, loss, 1));
}

static double central_difference(trial *t, size_t k, size_t i)
{
    const ent_real x = t->values[k][i], h = 1e-5 * (fabs(x) > 1 ? fabs(x) : 1);
    t->values[k][i] = x + h;
    const double above = ent_values(loss_of(t))[0];
    t->values[k][i] = x - h;
    const double below = ent_values(loss_of(t))[0];
    t->values[k][i] = x;
    return (above - below) / (2 * h);
}

static void check_gradients(trial *t)
{
    differentiate(t, 1);
    ent_tape_record(t->tape, false);
    for (size_t k = 0; k < t->c->n_in; k++) {
        if (t->c->in[k].constant) {
            assert_null(t->in[k].grad);
            continue;
        }
        for (size_t i = 0; i < ent_tensor_count(&t->in[k]); i++) {
            const double analytic = t->gradients[k][i] - 1, numeric = central_difference(t, k, i);
            t->steepest = fmax(t->steepest, fabs(numeric));
            if (!(fabs(analytic - numeric) <= 1e-6 * fmax(1, fabs(numeric))))
                fail_msg("%s, %s: input %zu, element %zu: backward gives %.12g, differences %.12g", t->op->name,
                         t->c->name, k, i, analytic, numeric);
        }
    }
    ent_tape_record(t->tape, true);
}

/* Each input alone wants a gradient: the others get none, its own stays the same. */
static void check_alone(trial *t)
{
    for (size_t k = 0; k < t->c->n_in; k++) {
        if (t->c->in[k].constant)
            continue;
        const size_t size = ent_tensor_count(&t->in[k]) * sizeof(ent_real);
        ent_real *together = take(ent_tensor_count(&t->in[k]));
        differentiate(t, 0);
        memcpy(together, t->gradients[k], size);
        for (size_t j = 0; j < t->c->n_in; j++) {
            t->in[j].requires_grad = j == k;
            t->in[j].grad = j == k ? t->gradients[k] : NULL;
        }
        differentiate(t, 0);
        for (size_t j = 0; j < t->c->n_in; j++) {
            if (j != k && t->in[j].grad)
                fail_msg("%s, %s: input %zu got a gradient that it didn't want", t->op->name, t->c->name, j);
            t->in[j].requires_grad = !t->c->in[j].constant;
            t->in[j].grad = t->gradients[j];
        }
        if (memcmp(together, t->gradients[k], size) != 0)
            fail_msg("%s, %s: the gradient of input %zu depends on who else wants one", t->op->name, t->c->name, k);
        free(together);
    }
}

/* Results and gradients have the same bits for any number of threads. */
static void check_threads(trial *t)
{
    ent_real *y = take(t->y_count), *g[ENT_MAX_INPUTS] = {NULL};
    for (int threads = 1; threads <= 3; threads++) {
        ent_set_threads(threads);
        differentiate(t, 0);
        if (threads > 1 && memcmp(y, t->y, t->y_count * sizeof *y) != 0)
            fail_msg("%s, %s: the result depends on the number of threads", t->op->name, t->c->name);
        memcpy(y, t->y, t->y_count * sizeof *y);
        for (size_t k = 0; k < t->c->n_in; k++) {
            const size_t n = ent_tensor_count(&t->in[k]);
            if (t->gradients[k] == NULL)
                continue;
            if (threads == 1)
                g[k] = take(n);
            else if (memcmp(g[k], t->gradients[k], n * sizeof(ent_real)) != 0)
                fail_msg("%s, %s: the gradient of input %zu depends on the number of threads", t->op->name, t->c->name,
                         k);
            memcpy(g[k], t->gradients[k], n * sizeof(ent_real));
        }
    }
    ent_set_threads(1);
    free(y);
    for (size_t k = 0; k < ENT_MAX_INPUTS; k++)
        free(g[k]);
}

/* With recording off the result has the same bits, and no gradient flows. */
static void check_unrecorded(trial *t)
{
    ent_real *y = take(t->y_count);
    differentiate(t, 0);
    memcpy(y, t->y, t->y_count * sizeof *y);
    ent_tape_record(t->tape, false);
    differentiate(t, 0);
    ent_tape_record(t->tape, true);
    if (memcmp(y, t->y, t->y_count * sizeof *y) != 0)
        fail_msg("%s, %s: the result depends on recording", t->op->name, t->c->name);
    for (size_t k = 0; k < t->c->n_in; k++)
        for (size_t i = 0; t->gradients[k] && i < ent_tensor_count(&t->in[k]); i++)
            if (t->gradients[k][i] != 0)
                fail_msg("%s, %s: input %zu got a gradient with recording off", t->op->name, t->c->name, k);
    free(y);
}

/* loss = sum(y * weights) of copies of the inputs, which are the tape's; what backward is said not to read becomes NaN.
 */
static void differentiate_spoiled(trial *t)
{
    ent_tensor *in[ENT_MAX_INPUTS] = {NULL}, *y, *z, *w, *loss;
    for (size_t k = 0; k < t->c->n_in; k++)
        if (t->gradients[k])
            memset(t->gradients[k], 0, ent_tensor_count(&t->in[k]) * sizeof(ent_real));
    ent_tape_rewind(t->tape);
    for (size_t k = 0; k < t->c->n_in; k++)
        must(t, ent_scale(&in[k], t->tape, &t->in[k], 1));
    must(t, t->c->apply(&y, t->tape, in));
    must(t, ent_scale(&z, t->tape, y, 1));
    must(t, ent_tape_input(&w, t->tape, t->weights, y->n_dims, y->shape, false));
    must(t, ent_mul(&z, t->tape, z, w));
    must(t, ent_sum(&loss, t->tape, z));
    for (size_t k = 0; k <= t->c->n_in; k++) {
        const ent_tensor *x = k < t->c->n_in ? in[k] : y;
        for (size_t i = 0; x->spare && i < ent_tensor_count(x); i++)
            ent_values(x)[i] = (ent_real)NAN;
    }
    must(t, ent_tape_backward(t->tape, loss, 1));
}

/* Whichever inputs want a gradient, alone or together. */
static void check_unread(trial *t)
{
    for (size_t alone = 0; alone <= t->c->n_in; alone++) {
        ent_real *g[ENT_MAX_INPUTS] = {NULL};
        for (size_t k = 0; k < t->c->n_in; k++) {
            t->in[k].requires_grad = !t->c->in[k].constant && (k == alone || alone == t->c->n_in);
            t->in[k].grad = t->in[k].requires_grad ? t->gradients[k] : NULL;
        }
        differentiate(t, 0);
        for (size_t k = 0; k < t->c->n_in; k++) {
            const size_t n = ent_tensor_count(&t->in[k]);
            if (t->in[k].grad)
                g[k] = memcpy(take(n), t->gradients[k], n * sizeof(ent_real));
        }
        differentiate_spoiled(t);
        for (size_t k = 0; k < t->c->n_in; k++) {
            if (g[k] && memcmp(g[k], t->gradients[k], ent_tensor_count(&t->in[k]) * sizeof(ent_real)) != 0)
                fail_msg("%s, %s: the gradient of input %zu comes from what is said to be unread", t->op->name,
                         t->c->name, k);
            free(g[k]);
        }
    }
    for (size_t k = 0; k < t->c->n_in; k++) {
        t->in[k].requires_grad = !t->c->in[k].constant;
        t->in[k].grad = t->gradients[k];
    }
}

static size_t peak_of(trial *t, bool planning, bool recording)
{
    ent_tape *const before = t->tape;
    ent_tensor *y, *loss;
    assert_int_equal(ent_tape_new(&t->tape, planning), ENT_OK);
    ent_tape_record(t->tape, recording);
    must(t, apply(&y, t));
    must(t, ent_sum(&loss, t->tape, y));
    must(t, ent_tape_backward(t->tape, loss, 1));
    const size_t peak = ent_tape_peak(t->tape);
    ent_tape_free(t->tape);
    t->tape = before;
    return peak;
}

/* A planning tape touches no memory and measures what a real one takes. */
static void check_plan(trial *t)
{
    for (int recording = 0; recording < 2; recording++) {
        const size_t real = peak_of(t, false, recording), plan = peak_of(t, true, recording);
        if (plan != real)
            fail_msg("%s, %s: %zu bytes planned, %zu taken", t->op->name, t->c->name, plan, real);
    }
}

/* *steepest becomes the largest gradient seen. */
static void check_case(const ent_op *op, const ent_op_case *c, double *steepest)
{
    trial t = begin(op, c);
    if (c->must_fail) {
        ent_tensor *y = NULL;
        if (apply(&y, &t) != ENT_EINVAL)
            fail_msg("%s, %s: expected ENT_EINVAL", op->name, c->name);
        if (strncmp(ent_message(), op->name, strlen(op->name)) != 0)
            fail_msg("%s, %s: the message doesn't name the operator: %s", op->name, c->name, ent_message());
    } else {
        check_gradients(&t);
        check_alone(&t);
        check_unread(&t);
        check_unrecorded(&t);
        check_plan(&t);
        check_threads(&t);
        *steepest = fmax(*steepest, t.steepest);
    }
    end(&t);
}

static void gradients_are_central_differences(void **state)
{
    (void)state;
    for (size_t o = 0; o < ent_n_ops; o++) {
        const ent_op *op = ent_ops[o];
        size_t good = 0, bad = 0;
        double steepest = 0;
        for (size_t i = 0; i < op->n_cases; i++) {
            check_case(op, &op->cases[i], &steepest);
            *(op->cases[i].must_fail ? &bad : &good) += 1;
        }
        if (good == 0 || bad == 0)
            fail_msg("%s: expected cases that pass and cases that must fail, found %zu and %zu", op->name, good, bad);
        if (steepest < 1e-3)
            fail_msg("%s: all gradients are 0 or nearly so, which checks nothing", op->name);
    }
}

enum { ROWS = 150, COLUMNS = 300 };

static ent_status many_tiles(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    static int32_t targets[ROWS];
    for (int32_t t = 0; t < ROWS; t++)
        targets[t] = t % 9 == 2 ? -100 : t;
    const ent_rng rng = {.seed = 3};
    ent_tensor *x = in[0], *w = in[1], *a, *b, *c;
    ENT_TRY(ent_mul(&a, tape, x, w));
    ENT_TRY(ent_layer_norm(&b, tape, a, w, in[2], 1e-5));
    ENT_TRY(ent_silu(&a, tape, b));
    ENT_TRY(ent_gelu(&c, tape, b));
    ENT_TRY(ent_sub(&b, tape, a, c));
    ENT_TRY(ent_add(&a, tape, b, x));
    ENT_TRY(ent_relu(&b, tape, a));
    ENT_TRY(ent_scale(&a, tape, b, 2));
    ENT_TRY(ent_transpose(&b, tape, a));
    ENT_TRY(ent_matmul(&c, tape, b, a)); /* (COLUMNS, COLUMNS): several tiles of a product */
    ENT_TRY(ent_softmax(&b, tape, c));
    ENT_TRY(ent_dropout(&c, tape, b, 0.1f, &rng));
    ENT_TRY(ent_matmul(&b, tape, a, c));
    ENT_TRY(ent_mse(&c, tape, b, x));
    ENT_TRY(ent_cross_entropy(&a, tape, b, targets));
    return ent_add(y, tape, a, c);
}

static ent_status decoder_tiles(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    static int32_t targets[ROWS], doc_start[ROWS];
    for (int32_t t = 0; t < ROWS; t++) {
        targets[t] = t % 9 == 2 ? -100 : t;
        doc_start[t] = t < 70 ? 0 : 70;
    }
    const ent_attention_shape shape = {.n_heads = 6, .n_kv_heads = 6, .head_dim = 50, .doc_start = doc_start};
    ent_tensor *x = in[0], *w = in[3], *a, *b, *c;
    ENT_TRY(ent_rmsnorm(&a, tape, x, in[1], 1e-5, NULL));
    ENT_TRY(ent_linear(&b, tape, a, w, in[2], NULL));
    ENT_TRY(ent_attention(&c, tape, a, b, b, &shape));
    ENT_TRY(ent_silu_mul(&a, tape, c, b));
    return ent_lm_head_loss(y, tape, a, w, targets);
}

#define INPUTS                                                                                                         \
    {                                                                                                                  \
        {.n_dims = 2, .shape = {ROWS, COLUMNS}}, {.n_dims = 1, .shape = {COLUMNS}}, {.n_dims = 1, .shape = {COLUMNS}}, \
        {                                                                                                              \
            .n_dims = 2, .shape = { COLUMNS, COLUMNS }                                                                 \
        }                                                                                                              \
    }

/* Shapes of many tiles, where threads do share the work. */
static void threads_share_many_tiles(void **state)
{
    (void)state;
    static const ent_op op = {.name = "many tiles"};
    static const ent_op_case cases[] = {
        {.name = "general", .apply = many_tiles, .in = INPUTS, .n_in = 3},
        {.name = "decoder", .apply = decoder_tiles, .in = INPUTS, .n_in = 4},
    };
    for (size_t i = 0; i < 2; i++) {
        trial t = begin(&op, &cases[i]);
        differentiate(&t, 0);
        check_threads(&t);
        end(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_are_central_differences),
        cmocka_unit_test(threads_share_many_tiles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
