/* y = sum of x / n: a scalar */
#include "src/autograd/op.h"
#include "src/autograd/ops.h"
#include "src/autograd/ops/reduce.h"

static void forward(ent_node *node)
{
    const size_t n = ent_tensor_count(node->in[0]);
    ent_values(node->out)[0] = (ent_real)(ent_reduce_values(node->scratch, ent_values(node->in[0]), n) / (double)n);
}

static void backward(ent_node *node)
{
    const size_t n = ent_tensor_count(node->in[0]);
    if (node->in[0]->grad)
        ent_reduce_spread(node->in[0]->grad, n, node->out->grad[0] / (ent_real)n);
}

static ent_status apply_case(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    return ent_mean(y, tape, in[0]);
}

static const ent_op_case cases[] = {
    {.name = "matrix", .apply = apply_case, .in = {{.n_dims = 2, .shape = {3, 5}}}, .n_in = 1},
    {.name = "several tiles", .apply = apply_case, .in = {{.n_dims = 1, .shape = {4099}}}, .n_in = 1},
    {.name = "of none", .apply = apply_case, .in = {{.n_dims = 1, .shape = {0}}}, .n_in = 1, .must_fail = true},
};

const ent_op ent_op_mean = {"mean", forward, backward, cases, sizeof cases / sizeof *cases, 0};

ent_status ent_mean(ent_tensor **y, ent_tape *tape, ent_tensor *x)
{
    const size_t n = ent_tensor_count(x);
    ENT_TRY(ent_op_check_real(&ent_op_mean, x));
    if (n == 0)
        return ent_fail(ENT_EINVAL, "mean: expected at least one element, found none");
    ent_node *node;
    ENT_TRY(ent_node_new(&node, tape, &ent_op_mean, &x, 1, 0));
    node->scratch_bytes = ent_reduce_scratch(n);
    return ent_node_run(y, tape, node, 0, NULL);
}
