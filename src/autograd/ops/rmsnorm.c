/* y = w x / sqrt(mean(x^2) + eps), over runs of n numbers */
#include <math.h>

#include "src/autograd/op.h"
#include "src/autograd/ops_model.h"
#include "src/base/tiles.h"
#include "src/kernel/kernels.h"

typedef struct rmsnorm_ctx {
    ent_real *inverse; /* 1 / sqrt(mean(x^2) + eps) of each run */
    double eps;
    size_t runs, n;
} rmsnorm_ctx;

enum { RUNS_IN_TILE = 16 };

static void forward_runs(void *context, size_t begin, size_t end)
{
    const ent_node *node = context;
    const rmsnorm_ctx *ctx = node->ctx;
    const ent_real *w = node->scratch;
    const ent_kernels *k = ent_kernels_get();
    const size_t n = ctx->n;
    for (size_t i = begin; i < end; i++) {
        const ent_real *x = ent_values(node->in[0]) + i * n;
        ctx->inverse[i] = (ent_real)(1.0 / sqrt(k->sum_squares(x, n) / (double)n + ctx->eps));
        k->norm(ent_values(node->out) + i * n, x, w, ctx->inverse[i], n);
    }
}

static void forward(ent_node *node)
{
    const rmsnorm_ctx *ctx = node->ctx;
    ent_convert(node->scratch, node->in[1]->data, node->in[1]->dtype, ctx->n);
    ent_tiles(ctx->runs, RUNS_IN_TILE, forward_runs, node);
}

/* With g = dy w: dx = inverse (g - x inverse^2 mean(g x)) */
static void input_gradient(void *context, size_t begin, size_t end)
{
    const ent_node *node = context;
    const rmsnorm_ctx *ctx = node->ctx;
    const ent_real *w = node->scratch;
    const ent_kernels *k = ent_kernels_get();
    const size_t n = ctx->n;
    for (size_t i = begin; i < end; i++) {
        const ent_real *x = ent_values(node->in[0]) + i * n, *dy = node->out->grad + i * n;
        const double inverse = (double)ctx->inverse[i];
        const ent_real shift = (ent_real)(k->dot3(dy, w, x, n) / (double)n * inverse * inverse);
        k->norm_gradient(node->in[0]->grad + i * n, dy, x, w, ctx->inverse[i], shift, n);
    }
}

static void weight_gradient(void *context, size_t begin, size_t end)
{
    const ent_node *node = context;
    const rmsnorm_ctx *ctx = node->ctx;
    for (size_t i = 0; i < ctx->runs; i++) {
        const ent_real *x = ent_values(node->in[0]) + i * ctx->n, *dy = node->out->grad + i * ctx->n;
        ent_kernels_get()->norm_weight_gradient(node->in[1]->grad + begin, dy + begin, x + begin, ctx->inverse[i],
                                                end - begin);
    }
}

static void backward(ent_node *node)
{
    const rmsnorm_ctx *ctx = node->ctx;
    ent_convert(node->scratch, node->in[1]->data, node->in[1]->dtype, ctx->n);
    if (node->in[0]->grad)
        ent_tiles(ctx->runs, RUNS_IN_TILE, input_gradient, node);
    if (node->in[1]->grad)
        ent_tiles(ctx->n, 64, weight_gradient, node);
}

static ent_status apply_case(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    return ent_rmsnorm(y, tape, in[0], in[1], 1e-5);
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
    {.name = "size doesn't divide",
     .apply = apply_case,
     .in = {{.n_dims = 2, .shape = {3, 8}}, {.n_dims = 1, .shape = {3}}},
     .n_in = 2,
     .must_fail = true},
};

const ent_op ent_op_rmsnorm = {"rmsnorm", forward, backward, cases, sizeof cases / sizeof *cases, ENT_UNREAD_OUT};

ent_status ent_rmsnorm(ent_tensor **y, ent_tape *tape, ent_tensor *x, ent_tensor *w, double eps)
{
    ent_shape_text t[2];
    ENT_TRY(ent_op_check_real(&ent_op_rmsnorm, x));
    if (w->n_dims != 1 || w->shape[0] == 0 || ent_tensor_columns(x) % w->shape[0] != 0)
        return ent_fail(ENT_EINVAL, "rmsnorm: expected a weight whose size divides the columns of x %s, found %s",
                        ent_shape_format(&t[0], x->n_dims, x->shape), ent_shape_format(&t[1], w->n_dims, w->shape));
    ent_node *node;
    ENT_TRY(ent_node_new(&node, tape, &ent_op_rmsnorm, (ent_tensor *[]){x, w}, 2, sizeof(rmsnorm_ctx)));
    rmsnorm_ctx *ctx = node->ctx;
    *ctx = (rmsnorm_ctx){.eps = eps, .runs = ent_tensor_count(x) / w->shape[0], .n = w->shape[0]};
    ENT_TRY(ent_tape_buffer(&ctx->inverse, tape, ctx->runs * sizeof(ent_real)));
    node->scratch_bytes = ctx->n * sizeof(ent_real);
    return ent_node_run(y, tape, node, x->n_dims, x->shape);
}
