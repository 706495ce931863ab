/* y = silu(g) u = g u / (1 + exp(-g)) */
#include <string.h>

#include "src/autograd/op.h"
#include "src/autograd/ops_model.h"
#include "src/base/tiles.h"
#include "src/kernel/kernels.h"

enum { TILE = 4096 };

static void forward_tile(void *context, size_t begin, size_t end)
{
    const ent_node *node = context;
    ent_kernels_get()->silu_mul(ent_values(node->out) + begin, ent_values(node->in[0]) + begin,
                                ent_values(node->in[1]) + begin, end - begin);
}

static void forward(ent_node *node)
{
    ent_tiles(ent_tensor_count(node->out), TILE, forward_tile, node);
}

/* With s = 1 / (1 + exp(-g)): dg = dy u s (1 + g (1 - s)), du = dy g s */
static void backward_tile(void *context, size_t begin, size_t end)
{
    const ent_node *node = context;
    ent_real *dgate = node->in[0]->grad, *dup = node->in[1]->grad;
    for (int i = 0; i < 2; i++)
        if (node->fresh >> i & 1)
            memset(node->in[i]->grad + begin, 0, (end - begin) * sizeof(ent_real));
    ent_kernels_get()->silu_mul_gradient(dgate ? dgate + begin : NULL, dup ? dup + begin : NULL,
                                         node->out->grad + begin, ent_values(node->in[0]) + begin,
                                         ent_values(node->in[1]) + begin, end - begin);
}

static void backward(ent_node *node)
{
    ent_tiles(ent_tensor_count(node->out), TILE, backward_tile, node);
}

static ent_status apply_case(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    return ent_silu_mul(y, tape, in[0], in[1]);
}

static const ent_op_case cases[] = {
    {.name = "matrix",
     .apply = apply_case,
     .in = {{.n_dims = 2, .shape = {3, 5}, .low = -4, .high = 4}, {.n_dims = 2, .shape = {3, 5}}},
     .n_in = 2},
    {.name = "shapes differ",
     .apply = apply_case,
     .in = {{.n_dims = 2, .shape = {3, 5}}, {.n_dims = 2, .shape = {5, 3}}},
     .n_in = 2,
     .must_fail = true},
};

const ent_op ent_op_silu_mul = {"silu_mul",
                                forward,
                                backward,
                                cases,
                                sizeof cases / sizeof *cases,
                                ENT_UNREAD_OUT | ENT_UNREAD_SAVED | ENT_SETS_IN(0) | ENT_SETS_IN(1)};

ent_status ent_silu_mul(ent_tensor **y, ent_tape *tape, ent_tensor *gate, ent_tensor *up)
{
    ent_shape_text t[2];
    ENT_TRY(ent_op_check_real(&ent_op_silu_mul, gate));
    ENT_TRY(ent_op_check_real(&ent_op_silu_mul, up));
    if (!ent_tensor_same_shape(gate, up))
        return ent_fail(ENT_EINVAL, "silu_mul: expected equal shapes, found %s and %s",
                        ent_shape_format(&t[0], gate->n_dims, gate->shape),
                        ent_shape_format(&t[1], up->n_dims, up->shape));
    ent_node *node;
    ENT_TRY(ent_node_new(&node, tape, &ent_op_silu_mul, (ent_tensor *[]){gate, up}, 2, 0));
    return ent_node_run(y, tape, node, gate->n_dims, gate->shape);
}
