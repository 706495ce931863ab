/* y = w (x - mean(x)) / sqrt(var(x) + eps) + bias along the last dimension */
#include <math.h>

#include "src/autograd/op.h"
#include "src/autograd/ops.h"
#include "src/base/tiles.h"

typedef struct layer_norm_ctx {
    ent_real *mean, *inverse; /* of each row; inverse is 1 / sqrt(var + eps) */
    double eps;
    size_t rows, n;
} layer_norm_ctx;

enum { ROWS_IN_TILE = 16, COLUMNS_IN_TILE = 64 };

static void forward_rows(void *context, size_t begin, size_t end)
{
    const ent_node *node = context;
    const layer_norm_ctx *ctx = node->ctx;
    const ent_real *w = ent_values(node->in[1]), *bias = ent_values(node->in[2]);
    const size_t n = ctx->n;
    for (size_t i = begin; i < end; i++) {
        const ent_real *x = ent_values(node->in[0]) + i * n;
        ent_real *y = ent_values(node->out) + i * n;
        double sum = 0, squares = 0;
        for (size_t j = 0; j < n; j++)
            sum += (double)x[j];
        const double mean = sum / (double)n;
        for (size_t j = 0; j < n; j++)
            squares += ((double)x[j] - mean) * ((double)x[j] - mean);
        ctx->mean[i] = (ent_real)mean;
        ctx->inverse[i] = (ent_real)(1 / sqrt(squares / (double)n + ctx->eps));
        for (size_t j = 0; j < n; j++)
            y[j] = w[j] * ((x[j] - ctx->mean[i]) * ctx->inverse[i]) + bias[j];
    }
}

static void forward(ent_node *node)
{
    const layer_norm_ctx *ctx = node->ctx;
    ent_tiles(ctx->rows, ROWS_IN_TILE, forward_rows, node);
}

/* With u = (x - mean) inverse and g = dy w: dx = inverse (g - mean(g) - u mean(g u)) */
static void input_gradient(void *context, size_t begin, size_t end)
{
    const ent_node *node = context;
    const layer_norm_ctx *ctx = node->ctx;
    const ent_real *w = ent_values(node->in[1]);
    const size_t n = ctx->n;
    for (size_t i = begin; i < end; i++) {
        const ent_real *x = ent_values(node->in[0]) + i * n, *dy = node->out->grad + i * n;
        ent_real *dx = node->in[0]->grad + i * n;
        const ent_real mean = ctx->mean[i], inverse = ctx->inverse[i];
        double sum = 0, dot = 0;
        for (size_t j = 0; j < n; j++) {
            const double g = (double)dy[j] * (double)w[j];
            sum += g;
            dot += g * (double)((x[j] - mean) * inverse);
        }
        const ent_real g_mean = (ent_real)(sum / (double)n), gu_mean = (ent_real)(dot / (double)n);
        for (size_t j = 0; j < n; j++)
            dx[j] += inverse * (dy[j] * w[j] - g_mean - (x[j] - mean) * inverse * gu_mean);
    }
}

/* dw = sum over rows of dy u, dbias that of dy; rows in order */
static void weight_gradients(void *context, size_t begin, size_t end)
{
    const ent_node *node = context;
    const layer_norm_ctx *ctx = node->ctx;
    ent_real *dw = node->in[1]->grad, *dbias = node->in[2]->grad;
    for (size_t j = begin; j < end; j++) {
        double w_sum = 0, bias_sum = 0;
        for (size_t i = 0; i < ctx->rows; i++) {
            const double dy = (double)node->out->grad[i * ctx->n + j];
            w_sum += dy * (double)((ent_values(node->in[0])[i * ctx->n + j] - ctx->mean[i]) * ctx->inverse[i]);
            bias_sum += dy;
        }
        if (dw)
            dw[j] += (ent_real)w_sum;
        if (dbias)
            dbias[j] += (ent_real)bias_sum;
    }
}

static void backward(ent_node *node)
{
    const layer_norm_ctx *ctx = node->ctx;
    if (node->in[0]->grad)
        ent_tiles(ctx->rows, ROWS_IN_TILE, input_gradient, node);
    if (node->in[1]->grad || node->in[2]->grad)
        ent_tiles(ctx->n, COLUMNS_IN_TILE, weight_gradients, node);
}

static ent_status apply_case(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    return ent_layer_norm(y, tape, in[0], in[1], in[2], 1e-5);
}

static const ent_op_case cases[] = {
    {.name = "rows",
     .apply = apply_case,
     .in = {{.n_dims = 2, .shape = {3, 5}}, {.n_dims = 1, .shape = {5}}, {.n_dims = 1, .shape = {5}}},
     .n_in = 3},
    {.name = "several tiles, weights constant",
     .apply = apply_case,
     .in = {{.n_dims = 3, .shape = {2, 10, 4}},
            {.n_dims = 1, .shape = {4}, .constant = true},
            {.n_dims = 1, .shape = {4}, .constant = true}},
     .n_in = 3},
    {.name = "size of the bias",
     .apply = apply_case,
     .in = {{.n_dims = 2, .shape = {3, 5}}, {.n_dims = 1, .shape = {5}}, {.n_dims = 1, .shape = {3}}},
     .n_in = 3,
     .must_fail = true},
};

const ent_op ent_op_layer_norm = {"layer_norm", forward, backward, cases, sizeof cases / sizeof *cases, 0};

ent_status ent_layer_norm(ent_tensor **y, ent_tape *tape, ent_tensor *x, ent_tensor *w, ent_tensor *bias, double eps)
{
    const size_t n = ent_tensor_columns(x);
    ENT_TRY(ent_op_check_real(&ent_op_layer_norm, x));
    ENT_TRY(ent_op_check_real(&ent_op_layer_norm, w));
    ENT_TRY(ent_op_check_real(&ent_op_layer_norm, bias));
    if (x->n_dims == 0 || n == 0 || w->n_dims != 1 || w->shape[0] != n || !ent_tensor_same_shape(w, bias)) {
        ent_shape_text t[3];
        return ent_fail(ENT_EINVAL, "layer_norm: expected weight and bias of the columns of x %s, found %s and %s",
                        ent_shape_format(&t[0], x->n_dims, x->shape), ent_shape_format(&t[1], w->n_dims, w->shape),
                        ent_shape_format(&t[2], bias->n_dims, bias->shape));
    }
    ent_node *node;
    ENT_TRY(ent_node_new(&node, tape, &ent_op_layer_norm, (ent_tensor *[]){x, w, bias}, 3, sizeof(layer_norm_ctx)));
    layer_norm_ctx *ctx = node->ctx;
    *ctx = (layer_norm_ctx){.eps = eps, .rows = ent_tensor_rows(x), .n = n};
    ENT_TRY(ent_tape_buffer(&ctx->mean, tape, ctx->rows * sizeof(ent_real)));
    ENT_TRY(ent_tape_buffer(&ctx->inverse, tape, ctx->rows * sizeof(ent_real)));
    return ent_node_run(y, tape, node, x->n_dims, x->shape);
}
