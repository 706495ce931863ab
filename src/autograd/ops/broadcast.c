#include "src/autograd/ops/broadcast.h"

#include <string.h>

#include "src/base/tiles.h"
#include "src/kernel/kernels.h"

typedef struct broadcast_ctx {
    size_t n_dims, shape[ENT_MAX_DIMS]; /* of the result, at least one dimension */
    size_t stride[2][ENT_MAX_DIMS];     /* of each input, in elements; 0 where it is repeated */
} broadcast_ctx;

static size_t dimension(const ent_tensor *t, size_t n_dims, size_t i)
{
    const size_t absent = n_dims - t->n_dims;
    return i < absent ? 1 : t->shape[i - absent];
}

/* The shape of the result and the strides of both inputs. False if they don't broadcast. */
static bool plan(broadcast_ctx *ctx, const ent_tensor *const in[2])
{
    size_t next[2] = {1, 1};
    ctx->n_dims = in[0]->n_dims > in[1]->n_dims ? in[0]->n_dims : in[1]->n_dims;
    for (size_t i = ctx->n_dims; i-- > 0;) {
        const size_t size[2] = {dimension(in[0], ctx->n_dims, i), dimension(in[1], ctx->n_dims, i)};
        if (size[0] != size[1] && size[0] != 1 && size[1] != 1)
            return false;
        ctx->shape[i] = size[0] == 1 ? size[1] : size[0];
        for (int k = 0; k < 2; k++) {
            ctx->stride[k][i] = size[k] == 1 ? 0 : next[k];
            next[k] *= size[k];
        }
    }
    return true;
}

/* Equal shapes are one long run. */
static void flatten(broadcast_ctx *ctx, size_t count)
{
    *ctx = (broadcast_ctx){.n_dims = 1, .shape = {count}, .stride = {{1}, {1}}};
}

ent_status ent_broadcast_node(ent_tensor **y, ent_tape *tape, const ent_op *op, ent_tensor *a, ent_tensor *b)
{
    broadcast_ctx ctx = {0};
    ENT_TRY(ent_op_check_real(op, a));
    ENT_TRY(ent_op_check_real(op, b));
    if (!plan(&ctx, (const ent_tensor *[]){a, b})) {
        ent_shape_text t[2];
        return ent_fail(ENT_EINVAL, "%s: shapes %s and %s don't broadcast", op->name,
                        ent_shape_format(&t[0], a->n_dims, a->shape), ent_shape_format(&t[1], b->n_dims, b->shape));
    }
    const ent_tensor result = ent_tensor_view(NULL, ctx.n_dims, ctx.shape);
    const size_t count = ent_tensor_count(&result);
    if (ent_tensor_same_shape(a, b))
        flatten(&ctx, count);
    ent_node *node;
    ENT_TRY(ent_node_new(&node, tape, op, (ent_tensor *[]){a, b}, 2, sizeof ctx));
    memcpy(node->ctx, &ctx, sizeof ctx);
    for (size_t k = 0; k < 2; k++) { /* doubles for the gradient of a repeated input */
        const size_t n = ent_tensor_count(node->in[k]);
        if (n != count && n * sizeof(double) > node->scratch_bytes)
            node->scratch_bytes = n * sizeof(double);
    }
    return ent_node_run(y, tape, node, result.n_dims, result.shape);
}

bool ent_broadcast_next(ent_broadcast_run *run, const ent_node *node, size_t end)
{
    const broadcast_ctx *ctx = node->ctx;
    const size_t last = ctx->n_dims - 1, columns = ctx->shape[last];
    run->y += run->n;
    if (run->y >= end)
        return false;
    const size_t column = run->y % columns;
    run->n = columns - column < end - run->y ? columns - column : end - run->y;
    for (int k = 0; k < 2; k++) {
        run->step[k] = ctx->stride[k][last];
        run->in[k] = column * run->step[k];
        size_t rest = run->y / columns;
        for (size_t i = last; i-- > 0; rest /= ctx->shape[i])
            run->in[k] += rest % ctx->shape[i] * ctx->stride[k][i];
    }
    return true;
}

typedef struct gradient {
    const ent_node *node;
    size_t k;
    ent_real factor;
    const ent_real *other;
} gradient;

/* The input has an element for each of the result. */
static void gradient_tile(void *context, size_t begin, size_t end)
{
    const gradient *g = context;
    const ent_real *dy = g->node->out->grad;
    ent_broadcast_run run = {.y = begin};
    while (ent_broadcast_next(&run, g->node, end)) {
        ent_real *d = g->node->in[g->k]->grad + run.y;
        const size_t from = run.in[1 - g->k], step = run.step[1 - g->k];
        if (g->other == NULL) {
            ent_kernels_get()->add_scaled(d, dy + run.y, g->factor, run.n);
            continue;
        }
        for (size_t i = 0; i < run.n; i++)
            d[i] += g->factor * dy[run.y + i] * g->other[from + i * step];
    }
}

/* The input is repeated: its elements are sums, taken in order of the result's. */
static void repeated_gradient(const gradient *g, size_t count)
{
    const ent_real *dy = g->node->out->grad;
    const ent_tensor *in = g->node->in[g->k];
    const size_t n = ent_tensor_count(in);
    double *sum = g->node->scratch;
    memset(sum, 0, n * sizeof *sum);
    ent_broadcast_run run = {0};
    while (ent_broadcast_next(&run, g->node, count)) {
        const size_t from = run.in[1 - g->k], step = run.step[1 - g->k];
        double *s = sum + run.in[g->k];
        for (size_t i = 0; i < run.n; i++)
            s[i * run.step[g->k]] += (double)dy[run.y + i] * (double)(g->other ? g->other[from + i * step] : 1);
    }
    for (size_t i = 0; i < n; i++)
        in->grad[i] += (ent_real)((double)g->factor * sum[i]);
}

void ent_broadcast_gradient(ent_node *node, size_t k, ent_real factor, const ent_real *other)
{
    gradient g = {node, k, factor, other};
    const size_t count = ent_tensor_count(node->out);
    if (node->in[k]->grad == NULL)
        return;
    if (ent_tensor_count(node->in[k]) == count)
        ent_tiles(count, ENT_BROADCAST_TILE, gradient_tile, &g);
    else
        repeated_gradient(&g, count);
}
