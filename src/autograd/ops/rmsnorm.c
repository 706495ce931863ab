/* y = w s / sqrt(mean(s^2) + eps), over runs of n numbers; s = x, or s = x + addend, which is a second result. Rows of
 * y may be rounded to int8 at once, for the products that read it. */
#include <math.h>
#include <string.h>

#include "src/autograd/op.h"
#include "src/autograd/ops.h"
#include "src/autograd/ops_model.h"
#include "src/base/tiles.h"
#include "src/kernel/kernels.h"
#include "src/tensor/gemm_int8.h"

enum { X, W, ADDEND };

typedef struct rmsnorm_ctx {
    ent_real *inverse; /* 1 / sqrt(mean(s^2) + eps) of each run */
    double eps;
    size_t runs, n;
    ent_rounded_rows rounded; /* of y */
} rmsnorm_ctx;

enum { RUNS_IN_TILE = 16 };

static ent_tensor *normed(const ent_node *node)
{
    return node->also ? node->also : node->in[X];
}

static void forward_runs(void *context, size_t begin, size_t end)
{
    const ent_node *node = context;
    const rmsnorm_ctx *ctx = node->ctx;
    const ent_real *w = node->scratch;
    const ent_kernels *k = ent_kernels_get();
    const size_t n = ctx->n;
    for (size_t i = begin; i < end; i++) {
        ent_real *s = ent_values(normed(node)) + i * n;
        if (node->also)
            k->add(s, ent_values(node->in[X]) + i * n, ent_values(node->in[ADDEND]) + i * n, n);
        ctx->inverse[i] = (ent_real)(1.0 / sqrt(k->sum_squares(s, n) / (double)n + ctx->eps));
        k->norm(ent_values(node->out) + i * n, s, w, ctx->inverse[i], n);
#ifndef ENT_F64
        if (ctx->rounded.q)
            ent_round_row(&ctx->rounded, i, ent_values(node->out) + i * n, n);
#endif
    }
}

static void forward(ent_node *node)
{
    const rmsnorm_ctx *ctx = node->ctx;
    ent_convert(node->scratch, node->in[W]->data, node->in[W]->dtype, ctx->n);
    ent_tiles(ctx->runs, RUNS_IN_TILE, forward_runs, node);
}

/* The gradient of a sum goes to both terms. */
static void pass_on(const ent_node *node, const ent_real *ds, size_t at, size_t n)
{
    static const int terms[] = {X, ADDEND};
    for (int i = 0; i < 2; i++) {
        ent_real *to = node->in[terms[i]]->grad;
        if (to && node->fresh >> terms[i] & 1)
            memcpy(to + at, ds, n * sizeof *to);
        else if (to)
            ent_kernels_get()->add(to + at, to + at, ds, n);
    }
}

/* With g = dy w: ds = inverse (g - s inverse^2 mean(g s)) */
static void input_gradient(void *context, size_t begin, size_t end)
{
    const ent_node *node = context;
    const rmsnorm_ctx *ctx = node->ctx;
    const ent_real *w = node->scratch;
    const ent_kernels *k = ent_kernels_get();
    const size_t n = ctx->n;
    for (size_t i = begin; i < end; i++) {
        const ent_real *s = ent_values(normed(node)) + i * n, *dy = node->out->grad + i * n;
        ent_real *ds = normed(node)->grad + i * n;
        const double inverse = (double)ctx->inverse[i];
        const ent_real shift = (ent_real)(k->dot3(dy, w, s, n) / (double)n * inverse * inverse);
        k->norm_gradient(ds, dy, s, w, ctx->inverse[i], shift, n);
        if (node->also)
            pass_on(node, ds, i * n, n);
    }
}

static void weight_gradient(void *context, size_t begin, size_t end)
{
    const ent_node *node = context;
    const rmsnorm_ctx *ctx = node->ctx;
    for (size_t i = 0; i < ctx->runs; i++) {
        const ent_real *s = ent_values(normed(node)) + i * ctx->n, *dy = node->out->grad + i * ctx->n;
        ent_kernels_get()->norm_weight_gradient(node->in[W]->grad + begin, dy + begin, s + begin, ctx->inverse[i],
                                                end - begin);
    }
}

static void backward(ent_node *node)
{
    const rmsnorm_ctx *ctx = node->ctx;
    ent_convert(node->scratch, node->in[W]->data, node->in[W]->dtype, ctx->n);
    if (normed(node)->grad)
        ent_tiles(ctx->runs, RUNS_IN_TILE, input_gradient, node);
    if (node->in[W]->grad)
        ent_tiles(ctx->n, 64, weight_gradient, node);
}

static ent_status apply_case(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    return ent_rmsnorm(y, tape, in[0], in[1], 1e-5, NULL);
}

/* Each result alone, and both. */
static ent_status apply_sum(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    ent_tensor *sum, *norm;
    ENT_TRY(ent_add_rmsnorm(&norm, &sum, tape, in[0], in[2], in[1], 1e-5, NULL));
    return ent_mul(y, tape, sum, norm);
}

static ent_status apply_sum_alone(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    ent_tensor *norm;
    return ent_add_rmsnorm(&norm, y, tape, in[0], in[2], in[1], 1e-5, NULL);
}

static ent_status apply_norm_alone(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    ent_tensor *sum;
    return ent_add_rmsnorm(y, &sum, tape, in[0], in[2], in[1], 1e-5, NULL);
}

static ent_status apply_doubled(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    ent_tensor *sum, *norm;
    ENT_TRY(ent_add_rmsnorm(&norm, &sum, tape, in[0], in[0], in[1], 1e-5, NULL));
    return ent_mul(y, tape, sum, norm);
}

#define TERMS                                                        \
    {                                                                \
        {.n_dims = 2, .shape = {3, 5}}, {.n_dims = 1, .shape = {5}}, \
        {                                                            \
            .n_dims = 2, .shape = { 3, 5 }                           \
        }                                                            \
    }

static const ent_op_case cases[] = {
    {.name = "rows",
     .apply = apply_case,
     .in = {{.n_dims = 2, .shape = {3, 5}}, {.n_dims = 1, .shape = {5}}},
     .n_in = 2},
    {.name = "heads",
     .apply = apply_case,
     .in = {{.n_dims = 2, .shape = {3, 8}}, {.n_dims = 1, .shape = {4}}},
     .n_in = 2},
    {.name = "of a sum, both results", .apply = apply_sum, .in = TERMS, .n_in = 3},
    {.name = "of a sum, which alone is used", .apply = apply_sum_alone, .in = TERMS, .n_in = 3},
    {.name = "of a sum, which is not used", .apply = apply_norm_alone, .in = TERMS, .n_in = 3},
    {.name = "of x + x", .apply = apply_doubled, .in = TERMS, .n_in = 2},
    {.name = "terms differ",
     .apply = apply_sum,
     .in = {{.n_dims = 2, .shape = {3, 5}}, {.n_dims = 1, .shape = {5}}, {.n_dims = 2, .shape = {5, 3}}},
     .n_in = 3,
     .must_fail = true},
    {.name = "size doesn't divide",
     .apply = apply_case,
     .in = {{.n_dims = 2, .shape = {3, 8}}, {.n_dims = 1, .shape = {3}}},
     .n_in = 2,
     .must_fail = true},
};

const ent_op ent_op_rmsnorm = {"rmsnorm", forward, backward, cases, sizeof cases / sizeof *cases, ENT_UNREAD_OUT};

/* y, and with an addend the sum. */
static ent_status run(ent_tensor **y, ent_tensor **sum, ent_tape *tape, ent_tensor *x, ent_tensor *addend,
                      ent_tensor *w, double eps, const ent_rounded_rows *rounded)
{
    ent_shape_text t[2];
    ENT_TRY(ent_op_check_real(&ent_op_rmsnorm, x));
    if (w->n_dims != 1 || w->shape[0] == 0 || ent_tensor_columns(x) % w->shape[0] != 0)
        return ent_fail(ENT_EINVAL, "rmsnorm: expected a weight whose size divides the columns of x %s, found %s",
                        ent_shape_format(&t[0], x->n_dims, x->shape), ent_shape_format(&t[1], w->n_dims, w->shape));
    ent_node *node;
    ENT_TRY(ent_node_new(&node, tape, &ent_op_rmsnorm, (ent_tensor *[]){x, w, addend}, 3, sizeof(rmsnorm_ctx)));
    rmsnorm_ctx *ctx = node->ctx;
    *ctx = (rmsnorm_ctx){.eps = eps, .runs = ent_tensor_count(x) / w->shape[0], .n = w->shape[0]};
    ENT_TRY(ent_tape_buffer(&ctx->inverse, tape, ctx->runs * sizeof(ent_real)));
    node->scratch_bytes = ctx->n * sizeof(ent_real);
    if (rounded && ctx->n == ent_tensor_columns(x))
        ctx->rounded = *rounded;
    if (addend) {
        ENT_TRY(ent_node_also(tape, node, x->n_dims, x->shape));
        node->traits |= ENT_UNREAD_IN(X) | ENT_UNREAD_IN(ADDEND) | ENT_SETS_IN(X) | ENT_SETS_IN(ADDEND);
        *sum = node->also;
    }
    ENT_TRY(ent_node_run(y, tape, node, x->n_dims, x->shape));
    (*y)->rounded = ctx->rounded.q ? &ctx->rounded : NULL;
    return ENT_OK;
}

ent_status ent_rmsnorm(ent_tensor **y, ent_tape *tape, ent_tensor *x, ent_tensor *w, double eps,
                       const ent_rounded_rows *rounded)
{
    return run(y, NULL, tape, x, NULL, w, eps, rounded);
}

ent_status ent_add_rmsnorm(ent_tensor **y, ent_tensor **sum, ent_tape *tape, ent_tensor *x, ent_tensor *addend,
                           ent_tensor *w, double eps, const ent_rounded_rows *rounded)
{
    ent_shape_text t[2];
    ENT_TRY(ent_op_check_real(&ent_op_rmsnorm, addend));
    if (!ent_tensor_same_shape(x, addend))
        return ent_fail(ENT_EINVAL, "rmsnorm: expected terms of one shape, found %s and %s",
                        ent_shape_format(&t[0], x->n_dims, x->shape),
                        ent_shape_format(&t[1], addend->n_dims, addend->shape));
    return run(y, sum, tape, x, addend, w, eps, rounded);
}
