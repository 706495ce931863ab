/* y = x / (1 + exp(-x)) */
#include "src/autograd/op.h"
#include "src/autograd/ops.h"
#include "src/base/tiles.h"
#include "src/kernel/kernels.h"

enum { TILE = 4096 };

static void forward_tile(void *context, size_t begin, size_t end)
{
    const ent_node *node = context;
    ent_kernels_get()->silu_mul(ent_values(node->out) + begin, ent_values(node->in[0]) + begin, NULL, end - begin);
}

static void forward(ent_node *node)
{
    ent_tiles(ent_tensor_count(node->out), TILE, forward_tile, node);
}

/* With s = 1 / (1 + exp(-x)): dx = dy s (1 + x (1 - s)) */
static void backward_tile(void *context, size_t begin, size_t end)
{
    const ent_node *node = context;
    ent_kernels_get()->silu_mul_gradient(node->in[0]->grad + begin, NULL, node->out->grad + begin,
                                         ent_values(node->in[0]) + begin, NULL, end - begin);
}

static void backward(ent_node *node)
{
    if (node->in[0]->grad)
        ent_tiles(ent_tensor_count(node->out), TILE, backward_tile, node);
}

static ent_status apply_case(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    return ent_silu(y, tape, in[0]);
}

/* A tensor of a storage type that isn't the core's. */
static ent_status apply_stored(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    ent_tensor stored = *in[0];
    stored.dtype = ENT_DTYPE_BF16;
    return ent_silu(y, tape, &stored);
}

static const ent_op_case cases[] = {
    {.name = "matrix", .apply = apply_case, .in = {{.n_dims = 2, .shape = {3, 5}, .low = -4, .high = 4}}, .n_in = 1},
    {.name = "storage type", .apply = apply_stored, .in = {{.n_dims = 1, .shape = {4}}}, .n_in = 1, .must_fail = true},
};

const ent_op ent_op_silu = {"silu", forward, backward, cases, sizeof cases / sizeof *cases, 0};

ent_status ent_silu(ent_tensor **y, ent_tape *tape, ent_tensor *x)
{
    ENT_TRY(ent_op_check_real(&ent_op_silu, x));
    ent_node *node;
    ENT_TRY(ent_node_new(&node, tape, &ent_op_silu, &x, 1, 0));
    return ent_node_run(y, tape, node, x->n_dims, x->shape);
}
