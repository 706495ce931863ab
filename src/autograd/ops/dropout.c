/* y = x / (1 - p) where draw i is at least p, else 0 */
#include "src/autograd/op.h"
#include "src/autograd/ops.h"
#include "src/base/tiles.h"

enum { TILE = 4096 };

typedef struct dropout_ctx {
    ent_rng rng;
    float p;
    ent_real scale; /* 1 / (1 - p) */
} dropout_ctx;

/* The mask is a function of the element's index: backward draws it again. */
static ent_real mask(const dropout_ctx *ctx, size_t i)
{
    return ctx->p > 0 && ent_random_uniform(&ctx->rng, i) < ctx->p ? 0 : ctx->scale;
}

static void forward_tile(void *context, size_t begin, size_t end)
{
    const ent_node *node = context;
    const ent_real *x = ent_values(node->in[0]);
    ent_real *y = ent_values(node->out);
    const dropout_ctx *ctx = node->ctx;
    for (size_t i = begin; i < end; i++)
        y[i] = x[i] * mask(ctx, i);
}

static void forward(ent_node *node)
{
    ent_tiles(ent_tensor_count(node->out), TILE, forward_tile, node);
}

static void backward_tile(void *context, size_t begin, size_t end)
{
    const ent_node *node = context;
    const ent_real *dy = node->out->grad;
    ent_real *dx = node->in[0]->grad;
    const dropout_ctx *ctx = node->ctx;
    for (size_t i = begin; i < end; i++)
        dx[i] += dy[i] * mask(ctx, i);
}

static void backward(ent_node *node)
{
    if (node->in[0]->grad)
        ent_tiles(ent_tensor_count(node->out), TILE, backward_tile, node);
}

static ent_status apply_case(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    return ent_dropout(y, tape, in[0], 0.4f, &(ent_rng){.seed = 7, .stream = ENT_STREAM_DROPOUT});
}

/* A tensor of a storage type that isn't the core's. */
static ent_status apply_stored(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    ent_tensor stored = *in[0];
    stored.dtype = ENT_DTYPE_BF16;
    return ent_dropout(y, tape, &stored, 0.4f, &(ent_rng){.seed = 7, .stream = ENT_STREAM_DROPOUT});
}

static ent_status apply_none(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    return ent_dropout(y, tape, in[0], 0, &(ent_rng){.seed = 7});
}

static ent_status apply_all(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    return ent_dropout(y, tape, in[0], 1, &(ent_rng){.seed = 7});
}

static const ent_op_case cases[] = {
    {.name = "matrix", .apply = apply_case, .in = {{.n_dims = 2, .shape = {5, 6}}}, .n_in = 1},
    {.name = "identity", .apply = apply_none, .in = {{.n_dims = 2, .shape = {3, 5}}}, .n_in = 1},
    {.name = "everything", .apply = apply_all, .in = {{.n_dims = 2, .shape = {3, 5}}}, .n_in = 1, .must_fail = true},
    {.name = "storage type", .apply = apply_stored, .in = {{.n_dims = 1, .shape = {4}}}, .n_in = 1, .must_fail = true},
};

const ent_op ent_op_dropout = {"dropout", forward, backward, cases, sizeof cases / sizeof *cases, 0};

ent_status ent_dropout(ent_tensor **y, ent_tape *tape, ent_tensor *x, float p, const ent_rng *rng)
{
    ENT_TRY(ent_op_check_real(&ent_op_dropout, x));
    if (!(p >= 0 && p < 1))
        return ent_fail(ENT_EINVAL, "dropout: expected a probability in [0, 1), found %g", (double)p);
    ent_node *node;
    ENT_TRY(ent_node_new(&node, tape, &ent_op_dropout, &x, 1, sizeof(dropout_ctx)));
    *(dropout_ctx *)node->ctx = (dropout_ctx){*rng, p, (ent_real)(1 / (1 - (double)p))};
    return ent_node_run(y, tape, node, x->n_dims, x->shape);
}
