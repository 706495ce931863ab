/* y = factor x */
#include "src/autograd/op.h"
#include "src/autograd/ops.h"
#include "src/base/tiles.h"
#include "src/kernel/kernels.h"

enum { TILE = 4096 };

static void forward_tile(void *context, size_t begin, size_t end)
{
    const ent_node *node = context;
    const ent_real factor = *(const ent_real *)node->ctx;
    ent_kernels_get()->scale(ent_values(node->out) + begin, ent_values(node->in[0]) + begin, factor, end - begin);
}

static void forward(ent_node *node)
{
    ent_tiles(ent_tensor_count(node->out), TILE, forward_tile, node);
}

static void backward_tile(void *context, size_t begin, size_t end)
{
    const ent_node *node = context;
    const ent_real factor = *(const ent_real *)node->ctx;
    ent_kernels_get()->add_scaled(node->in[0]->grad + begin, node->out->grad + begin, factor, end - begin);
}

static void backward(ent_node *node)
{
    if (node->in[0]->grad)
        ent_tiles(ent_tensor_count(node->out), TILE, backward_tile, node);
}

static ent_status apply_case(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    return ent_scale(y, tape, in[0], (ent_real)-2.5);
}

/* A tensor of a storage type that isn't the core's. */
static ent_status apply_stored(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    ent_tensor stored = *in[0];
    stored.dtype = ENT_DTYPE_BF16;
    return ent_scale(y, tape, &stored, (ent_real)-2.5);
}

static const ent_op_case cases[] = {
    {.name = "matrix", .apply = apply_case, .in = {{.n_dims = 2, .shape = {3, 5}}}, .n_in = 1},
    {.name = "scalar", .apply = apply_case, .in = {{.n_dims = 0}}, .n_in = 1},
    {.name = "storage type", .apply = apply_stored, .in = {{.n_dims = 1, .shape = {4}}}, .n_in = 1, .must_fail = true},
};

const ent_op ent_op_scale = {"scale",
                             forward,
                             backward,
                             cases,
                             sizeof cases / sizeof *cases,
                             ENT_UNREAD_IN(0) | ENT_UNREAD_OUT | ENT_UNREAD_SAVED};

ent_status ent_scale(ent_tensor **y, ent_tape *tape, ent_tensor *x, ent_real factor)
{
    ENT_TRY(ent_op_check_real(&ent_op_scale, x));
    ent_node *node;
    ENT_TRY(ent_node_new(&node, tape, &ent_op_scale, &x, 1, sizeof factor));
    *(ent_real *)node->ctx = factor;
    return ent_node_run(y, tape, node, x->n_dims, x->shape);
}
