/* y = sum of x: a scalar */
#include "src/autograd/op.h"
#include "src/autograd/ops.h"
#include "src/autograd/ops/reduce.h"

static void forward(ent_node *node)
{
    const size_t n = ent_tensor_count(node->in[0]);
    ent_values(node->out)[0] = (ent_real)ent_reduce_values(node->scratch, ent_values(node->in[0]), n);
}

static void backward(ent_node *node)
{
    const size_t n = ent_tensor_count(node->in[0]);
    if (node->in[0]->grad)
        ent_reduce_spread(node->in[0]->grad, n, node->out->grad[0]);
}

static ent_status apply_case(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    return ent_sum(y, tape, in[0]);
}

/* A tensor of a storage type that isn't the core's. */
static ent_status apply_stored(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    ent_tensor stored = *in[0];
    stored.dtype = ENT_DTYPE_BF16;
    return ent_sum(y, tape, &stored);
}

static const ent_op_case cases[] = {
    {.name = "matrix", .apply = apply_case, .in = {{.n_dims = 2, .shape = {3, 5}}}, .n_in = 1},
    {.name = "several tiles", .apply = apply_case, .in = {{.n_dims = 1, .shape = {4099}}}, .n_in = 1},
    {.name = "storage type", .apply = apply_stored, .in = {{.n_dims = 1, .shape = {4}}}, .n_in = 1, .must_fail = true},
};

const ent_op ent_op_sum = {"sum", forward, backward, cases, sizeof cases / sizeof *cases, 0};

ent_status ent_sum(ent_tensor **y, ent_tape *tape, ent_tensor *x)
{
    const size_t n = ent_tensor_count(x);
    ENT_TRY(ent_op_check_real(&ent_op_sum, x));
    ent_node *node;
    ENT_TRY(ent_node_new(&node, tape, &ent_op_sum, &x, 1, 0));
    node->scratch_bytes = ent_reduce_scratch(n);
    return ent_node_run(y, tape, node, 0, NULL);
}
