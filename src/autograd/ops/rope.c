/* y[j] = x[j] cos - x[j + half] sin, y[j + half] = x[j + half] cos + x[j] sin, for j < half = head_dim / 2 */
#include "src/autograd/op.h"
#include "src/autograd/ops_model.h"
#include "src/base/tiles.h"
#include "src/kernel/kernels.h"

typedef struct rope_ctx {
    size_t head_dim;
    const float *cosines, *sines;
    const int32_t *doc_start;
} rope_ctx;

enum { TOKENS_IN_TILE = 16 };

/* Turns the heads of tokens [begin, end) by direction times their angles: y = R x, or y += R x. */
static void turn(ent_real *y, const ent_real *x, const ent_node *node, size_t begin, size_t end, ent_real direction,
                 bool add)
{
    const rope_ctx *ctx = node->ctx;
    const size_t columns = ent_tensor_columns(node->out), half = ctx->head_dim / 2;
    const ent_kernels *k = ent_kernels_get();
    for (size_t t = begin; t < end; t++) {
        const size_t at = (t - (size_t)ctx->doc_start[t]) * half;
        for (size_t i = t * columns; i < (t + 1) * columns; i += ctx->head_dim)
            (add ? k->rotate_add : k->rotate)(y + i, x + i, ctx->cosines + at, ctx->sines + at, direction, half);
    }
}

static void forward_tokens(void *context, size_t begin, size_t end)
{
    const ent_node *node = context;
    turn(ent_values(node->out), ent_values(node->in[0]), node, begin, end, 1, false);
}

static void backward_tokens(void *context, size_t begin, size_t end)
{
    const ent_node *node = context;
    turn(node->in[0]->grad, node->out->grad, node, begin, end, -1, !(node->fresh & 1));
}

static void forward(ent_node *node)
{
    ent_tiles(node->out->shape[0], TOKENS_IN_TILE, forward_tokens, node);
}

static void backward(ent_node *node)
{
    if (node->in[0]->grad)
        ent_tiles(node->out->shape[0], TOKENS_IN_TILE, backward_tokens, node);
}

static ent_status apply_case(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    static const float cosines[] = {1, 1, 0.540302306f, 0.999950000f, -0.416146837f, 0.999800007f};
    static const float sines[] = {0, 0, 0.841470985f, 0.009999833f, 0.909297427f, 0.019998667f};
    static const int32_t doc_start[] = {0, 0, 0, 3};
    return ent_rope(y, tape, in[0], 4, cosines, sines, doc_start);
}

static const ent_op_case cases[] = {
    {.name = "two heads, two documents", .apply = apply_case, .in = {{.n_dims = 2, .shape = {4, 8}}}, .n_in = 1},
    {.name = "no whole head",
     .apply = apply_case,
     .in = {{.n_dims = 2, .shape = {4, 6}}},
     .n_in = 1,
     .must_fail = true},
};

const ent_op ent_op_rope = {"rope",
                            forward,
                            backward,
                            cases,
                            sizeof cases / sizeof *cases,
                            ENT_UNREAD_IN(0) | ENT_UNREAD_OUT | ENT_UNREAD_SAVED | ENT_SETS_IN(0)};

ent_status ent_rope(ent_tensor **y, ent_tape *tape, ent_tensor *x, size_t head_dim, const float *cosines,
                    const float *sines, const int32_t *doc_start)
{
    ent_shape_text text;
    ENT_TRY(ent_op_check_real(&ent_op_rope, x));
    if (x->n_dims != 2 || head_dim == 0 || head_dim % 2 || x->shape[1] % head_dim)
        return ent_fail(ENT_EINVAL, "rope: expected x [T, heads * %zu] with an even head_dim, found %s", head_dim,
                        ent_shape_format(&text, x->n_dims, x->shape));
    ent_node *node;
    ENT_TRY(ent_node_new(&node, tape, &ent_op_rope, &x, 1, sizeof(rope_ctx)));
    *(rope_ctx *)node->ctx = (rope_ctx){head_dim, cosines, sines, doc_start};
    return ent_node_run(y, tape, node, 2, x->shape);
}
