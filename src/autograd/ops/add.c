/* y = a + b */
#include "src/autograd/op.h"
#include "src/autograd/ops.h"
#include "src/autograd/ops/broadcast.h"
#include "src/base/tiles.h"
#include "src/kernel/kernels.h"

static void forward_tile(void *context, size_t begin, size_t end)
{
    const ent_node *node = context;
    ent_broadcast_run run = {.y = begin};
    while (ent_broadcast_next(&run, node, end)) {
        const ent_real *a = ent_values(node->in[0]) + run.in[0], *b = ent_values(node->in[1]) + run.in[1];
        ent_real *y = ent_values(node->out) + run.y;
        const size_t step_a = run.step[0], step_b = run.step[1];
        if (step_a == 1 && step_b == 1)
            ent_kernels_get()->add(y, a, b, run.n);
        else
            for (size_t i = 0; i < run.n; i++)
                y[i] = a[i * step_a] + b[i * step_b];
    }
}

static void forward(ent_node *node)
{
    ent_tiles(ent_tensor_count(node->out), ENT_BROADCAST_TILE, forward_tile, node);
}

static void backward(ent_node *node)
{
    ent_broadcast_gradient(node, 0, 1, NULL);
    ent_broadcast_gradient(node, 1, 1, NULL);
}

static ent_status apply_case(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    return ent_add(y, tape, in[0], in[1]);
}

static ent_status apply_twice(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    return ent_add(y, tape, in[0], in[0]);
}

static const ent_op_case cases[] = {
    {.name = "equal shapes",
     .apply = apply_case,
     .in = {{.n_dims = 2, .shape = {3, 4}}, {.n_dims = 2, .shape = {3, 4}}},
     .n_in = 2},
    {.name = "row",
     .apply = apply_case,
     .in = {{.n_dims = 2, .shape = {3, 4}}, {.n_dims = 1, .shape = {4}}},
     .n_in = 2},
    {.name = "both repeated",
     .apply = apply_case,
     .in = {{.n_dims = 4, .shape = {2, 1, 3, 1}}, {.n_dims = 3, .shape = {4, 1, 5}}},
     .n_in = 2},
    {.name = "scalar", .apply = apply_case, .in = {{.n_dims = 0}, {.n_dims = 2, .shape = {3, 4}}}, .n_in = 2},
    {.name = "constant",
     .apply = apply_case,
     .in = {{.n_dims = 1, .shape = {4}}, {.n_dims = 2, .shape = {3, 1}, .constant = true}},
     .n_in = 2},
    {.name = "with itself", .apply = apply_twice, .in = {{.n_dims = 2, .shape = {2, 3}}}, .n_in = 1},
    {.name = "shapes don't broadcast",
     .apply = apply_case,
     .in = {{.n_dims = 2, .shape = {3, 4}}, {.n_dims = 2, .shape = {2, 4}}},
     .n_in = 2,
     .must_fail = true},
};

const ent_op ent_op_add = {"add",
                           forward,
                           backward,
                           cases,
                           sizeof cases / sizeof *cases,
                           ENT_UNREAD_IN(0) | ENT_UNREAD_IN(1) | ENT_UNREAD_OUT | ENT_UNREAD_SAVED};

ent_status ent_add(ent_tensor **y, ent_tape *tape, ent_tensor *a, ent_tensor *b)
{
    return ent_broadcast_node(y, tape, &ent_op_add, a, b);
}
