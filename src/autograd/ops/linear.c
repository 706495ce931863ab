/* y = x w^T + bias + scale (drop(x) A^T) B^T - scale (x A0^T) B0^T */
#include <string.h>

#include "src/autograd/op.h"
#include "src/autograd/ops_model.h"
#include "src/base/tiles.h"
#include "src/tensor/gemm.h"

enum { X, W, BIAS, A, B, FIRST_A, FIRST_B };

typedef struct linear_ctx {
    ent_real scale;
    float dropout;
    ent_rng rng;
    ent_real *u; /* drop(x) A^T : (T, r) */
} linear_ctx;

/* The mask of the dropout for element i: 0, or 1 / (1 - p). */
static ent_real mask(const linear_ctx *ctx, uint64_t i)
{
    return ent_random_uniform(&ctx->rng, i) < ctx->dropout ? 0 : (ent_real)(1.0 / (1.0 - (double)ctx->dropout));
}

static void mask_rows(void *context, size_t begin, size_t end)
{
    const ent_node *node = context;
    const ent_real *x = ent_values(node->in[X]);
    ent_real *out = node->scratch;
    for (size_t i = begin; i < end; i++)
        out[i] = x[i] * mask(node->ctx, i);
}

/* drop(x), in scratch where there is a dropout. */
static const ent_real *dropped_input(ent_node *node)
{
    const linear_ctx *ctx = node->ctx;
    if (ctx->dropout == 0)
        return ent_values(node->in[X]);
    ent_tiles(ent_tensor_count(node->in[X]), 4096, mask_rows, node);
    return node->scratch;
}

static void add_bias(void *context, size_t begin, size_t end)
{
    const ent_node *node = context;
    const size_t out = node->in[W]->shape[0];
    ent_real *y = ent_values(node->out);
    for (size_t j = begin; j < end; j++) {
        ent_real bias;
        ent_tensor_read(&bias, node->in[BIAS], 0, j, 1);
        for (size_t t = 0; t < node->in[X]->shape[0]; t++)
            y[t * out + j] += bias;
    }
}

static void adapter_down(ent_node *node)
{
    const linear_ctx *ctx = node->ctx;
    const size_t n = node->in[X]->shape[0], in = node->in[X]->shape[1], r = node->in[A]->shape[0];
    ent_gemm(ctx->u, r, n, r, in, 1, ent_matrix_of(dropped_input(node), in, false),
             ent_matrix_stored(node->in[A], true), 0);
}

/* What A0 and B0 subtract of y, and give dx; scratch holds x A0^T, or dy B0. */
static void subtract_first(ent_node *node)
{
    const linear_ctx *ctx = node->ctx;
    const ent_tensor *a = node->in[FIRST_A], *b = node->in[FIRST_B];
    const size_t n = node->in[X]->shape[0], in = a->shape[1], out = b->shape[0], r = a->shape[0];
    ent_real *u = node->scratch;
    ent_gemm(u, r, n, r, in, 1, ent_matrix_stored(node->in[X], false), ent_matrix_stored(a, true), 0);
    ent_gemm(ent_values(node->out), out, n, out, r, -ctx->scale, ent_matrix_of(u, r, false), ent_matrix_stored(b, true),
             1);
}

static void first_backward(ent_node *node)
{
    const linear_ctx *ctx = node->ctx;
    const ent_tensor *a = node->in[FIRST_A], *b = node->in[FIRST_B];
    const size_t n = node->in[X]->shape[0], in = a->shape[1], out = b->shape[0], r = a->shape[0];
    ent_real *du = node->scratch;
    ent_gemm(du, r, n, r, out, -ctx->scale, ent_matrix_of(node->out->grad, out, false), ent_matrix_stored(b, false), 0);
    ent_gemm(node->in[X]->grad, in, n, in, r, 1, ent_matrix_of(du, r, false), ent_matrix_stored(a, false), 1);
}

static void forward(ent_node *node)
{
    const linear_ctx *ctx = node->ctx;
    const size_t n = node->in[X]->shape[0], out = node->in[W]->shape[0];
    ent_real *y = ent_values(node->out);
    if (node->out_unwanted) {
        if (node->in[A])
            adapter_down(node);
        return;
    }
    ent_gemm_weight_of(y, node->in[X], node->in[W], node->scratch);
    if (node->in[BIAS])
        ent_tiles(out, 64, add_bias, node);
    if (node->in[A] == NULL)
        return;
    const size_t r = node->in[A]->shape[0];
    adapter_down(node);
    ent_gemm(y, out, n, out, r, ctx->scale, ent_matrix_of(ctx->u, r, false), ent_matrix_stored(node->in[B], true), 1);
    if (node->in[FIRST_A])
        subtract_first(node);
}

static void bias_gradient(void *context, size_t begin, size_t end)
{
    const ent_node *node = context;
    const size_t out = node->in[W]->shape[0];
    for (size_t t = 0; t < node->in[X]->shape[0]; t++)
        for (size_t j = begin; j < end; j++)
            node->in[BIAS]->grad[j] += node->out->grad[t * out + j];
}

typedef struct masked_add {
    const ent_node *node;
    const ent_real *dx;
} masked_add;

static void add_masked(void *context, size_t begin, size_t end)
{
    const masked_add *m = context;
    for (size_t i = begin; i < end; i++)
        m->node->in[X]->grad[i] += m->dx[i] * mask(m->node->ctx, i);
}

/* Scratch holds drop(x) (T, in) if there is a dropout, then du (T, r); before that, what the product with w takes. */
static void adapter_backward(ent_node *node)
{
    const linear_ctx *ctx = node->ctx;
    const ent_tensor *a = node->in[A], *b = node->in[B];
    const size_t n = node->in[X]->shape[0], in = node->in[X]->shape[1], out = b->shape[0], r = a->shape[0];
    const ent_real *dy = node->out->grad;
    ent_real *big = node->scratch;
    ent_real *du = big + (ctx->dropout > 0 ? n * in : 0);
    if (b->grad)
        ent_gemm(b->grad, r, out, r, n, ctx->scale, ent_matrix_of(dy, out, true), ent_matrix_of(ctx->u, r, false), 1);
    ent_gemm(du, r, n, r, out, ctx->scale, ent_matrix_of(dy, out, false), ent_matrix_stored(b, false), 0);
    if (a->grad)
        ent_gemm(a->grad, in, r, in, n, 1, ent_matrix_of(du, r, true), ent_matrix_of(dropped_input(node), in, false),
                 1);
    if (node->in[X]->grad == NULL)
        return;
    if (ctx->dropout == 0) {
        ent_gemm(node->in[X]->grad, in, n, in, r, 1, ent_matrix_of(du, r, false), ent_matrix_stored(a, false), 1);
        return;
    }
    ent_gemm(big, in, n, in, r, 1, ent_matrix_of(du, r, false), ent_matrix_stored(a, false), 0);
    ent_tiles(n * in, 4096, add_masked, &(masked_add){node, big});
}

static void backward(ent_node *node)
{
    const ent_tensor *x = node->in[X], *w = node->in[W];
    const size_t n = x->shape[0], in = x->shape[1], out = w->shape[0];
    const ent_real *dy = node->out->grad;
    if (x->grad)
        ent_gemm_weight(x->grad, n, dy, w, false, node->fresh >> X & 1 ? 0 : 1, node->scratch);
    if (w->grad)
        ent_gemm(w->grad, in, out, in, n, 1, ent_matrix_of(dy, out, true), ent_matrix_stored(x, false), 1);
    if (node->in[BIAS] && node->in[BIAS]->grad)
        ent_tiles(out, 256, bias_gradient, node);
    if (node->in[A])
        adapter_backward(node);
    if (node->in[FIRST_A] && x->grad)
        first_backward(node);
}

static ent_status apply_plain(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    return ent_linear(y, tape, in[0], in[1], NULL, NULL);
}

static ent_status apply_bias(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    return ent_linear(y, tape, in[0], in[1], in[2], NULL);
}

static ent_status apply_adapter(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    return ent_linear(y, tape, in[0], in[1], in[2], &(ent_adapter){.a = in[3], .b = in[4], .scale = (ent_real)1.5});
}

static ent_status apply_dropout(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    const ent_adapter adapter = {.a = in[3],
                                 .b = in[4],
                                 .scale = 2,
                                 .dropout = 0.4f,
                                 .rng = {.seed = 7, .stream = ENT_STREAM_DROPOUT, .step = 3}};
    return ent_linear(y, tape, in[0], in[1], in[2], &adapter);
}

static ent_status apply_first(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    const ent_adapter adapter = {.a = in[3],
                                 .b = in[4],
                                 .first_a = in[5],
                                 .first_b = in[6],
                                 .scale = 2,
                                 .dropout = 0.4f,
                                 .rng = {.seed = 7, .stream = ENT_STREAM_DROPOUT, .step = 3}};
    return ent_linear(y, tape, in[0], in[1], in[2], &adapter);
}

#define INPUTS(r)                                                                                    \
    {                                                                                                \
        {.n_dims = 2, .shape = {4, 5}}, {.n_dims = 2, .shape = {3, 5}}, {.n_dims = 1, .shape = {3}}, \
            {.n_dims = 2, .shape = {2, 5}},                                                          \
        {                                                                                            \
            .n_dims = 2, .shape = { 3, r }                                                           \
        }                                                                                            \
    }

static const ent_op_case cases[] = {
    {.name = "plain", .apply = apply_plain, .in = INPUTS(2), .n_in = 2},
    {.name = "bias", .apply = apply_bias, .in = INPUTS(2), .n_in = 3},
    {.name = "adapter", .apply = apply_adapter, .in = INPUTS(2), .n_in = 5},
    {.name = "adapter with dropout", .apply = apply_dropout, .in = INPUTS(2), .n_in = 5},
    {.name = "frozen weight",
     .apply = apply_adapter,
     .in = {{.n_dims = 2, .shape = {4, 5}},
            {.n_dims = 2, .shape = {300, 5}, .constant = true},
            {.n_dims = 1, .shape = {300}, .constant = true},
            {.n_dims = 2, .shape = {2, 5}},
            {.n_dims = 2, .shape = {300, 2}}},
     .n_in = 5},
    {.name = "adapter beside its beginning",
     .apply = apply_first,
     .in = {{.n_dims = 2, .shape = {4, 5}},
            {.n_dims = 2, .shape = {3, 5}, .constant = true},
            {.n_dims = 1, .shape = {3}, .constant = true},
            {.n_dims = 2, .shape = {2, 5}},
            {.n_dims = 2, .shape = {3, 2}},
            {.n_dims = 2, .shape = {2, 5}, .constant = true},
            {.n_dims = 2, .shape = {3, 2}, .constant = true}},
     .n_in = 7},
    {.name = "ranks differ", .apply = apply_adapter, .in = INPUTS(3), .n_in = 5, .must_fail = true},
    {.name = "inner sizes differ",
     .apply = apply_plain,
     .in = {{.n_dims = 2, .shape = {4, 5}}, {.n_dims = 2, .shape = {3, 4}}},
     .n_in = 2,
     .must_fail = true},
};

const ent_op ent_op_linear = {
    "linear", forward, backward, cases, sizeof cases / sizeof *cases, ENT_UNREAD_OUT | ENT_SETS_IN(X)};

static ent_status check(const ent_tensor *x, const ent_tensor *w, const ent_tensor *bias, const ent_adapter *adapter)
{
    ent_shape_text t[4];
    ENT_TRY(ent_op_check_real(&ent_op_linear, x));
    if (x->n_dims != 2 || w->n_dims != 2 || x->shape[1] != w->shape[1] ||
        (bias && (bias->n_dims != 1 || bias->shape[0] != w->shape[0])))
        return ent_fail(ENT_EINVAL, "linear: expected x [T,in], w [out,in], bias [out], found %s, %s, %s",
                        ent_shape_format(&t[0], x->n_dims, x->shape), ent_shape_format(&t[1], w->n_dims, w->shape),
                        bias ? ent_shape_format(&t[2], bias->n_dims, bias->shape) : "none");
    if (adapter == NULL)
        return ENT_OK;
    const ent_tensor *a = adapter->a, *b = adapter->b;
    if (a->n_dims != 2 || b->n_dims != 2 || a->shape[1] != w->shape[1] || b->shape[0] != w->shape[0] ||
        b->shape[1] != a->shape[0])
        return ent_fail(ENT_EINVAL, "linear: expected lora_a [r,in], lora_b [out,r] for w %s, found %s, %s",
                        ent_shape_format(&t[0], 2, w->shape), ent_shape_format(&t[1], a->n_dims, a->shape),
                        ent_shape_format(&t[2], b->n_dims, b->shape));
    if (adapter->first_a &&
        (!ent_tensor_same_shape(a, adapter->first_a) || !ent_tensor_same_shape(b, adapter->first_b)))
        return ent_fail(ENT_EINVAL, "linear: expected what an adapter began with to have its shapes");
    return ENT_OK;
}

ent_status ent_linear(ent_tensor **y, ent_tape *tape, ent_tensor *x, ent_tensor *w, ent_tensor *bias,
                      const ent_adapter *adapter)
{
    ENT_TRY(check(x, w, bias, adapter));
    ent_tensor *const in[] = {x,
                              w,
                              bias,
                              adapter ? adapter->a : NULL,
                              adapter ? adapter->b : NULL,
                              adapter ? adapter->first_a : NULL,
                              adapter ? adapter->first_b : NULL};
    const size_t n = x->shape[0];
    ent_node *node;
    ENT_TRY(ent_node_new(&node, tape, &ent_op_linear, in, 7, sizeof(linear_ctx)));
    ENT_TRY(ent_gemm_weight_plan(&node->scratch_bytes, w, n));
    if (adapter) {
        const size_t r = adapter->a->shape[0];
        linear_ctx *ctx = node->ctx;
        *ctx = (linear_ctx){.scale = adapter->scale, .dropout = adapter->dropout, .rng = adapter->rng};
        ENT_TRY(ent_tape_buffer(&ctx->u, tape, n * r * sizeof(ent_real)));
        const size_t bytes = (n * r + (adapter->dropout > 0 ? n * x->shape[1] : 0)) * sizeof(ent_real);
        if (bytes > node->scratch_bytes)
            node->scratch_bytes = bytes;
    } else {
        node->traits |= ENT_UNREAD_SAVED | (w->requires_grad ? 0 : ENT_UNREAD_IN(X));
    }
    return ent_node_run(y, tape, node, 2, (size_t[]){n, w->shape[0]});
}
