/* y = exp(x) / sum exp(x) along the last dimension */
#include "src/autograd/op.h"
#include "src/autograd/ops.h"
#include "src/base/tiles.h"
#include "src/kernel/kernels.h"

enum { ROWS_IN_TILE = 16 };

static void forward_rows(void *context, size_t begin, size_t end)
{
    const ent_node *node = context;
    const ent_kernels *k = ent_kernels_get();
    const size_t n = ent_tensor_columns(node->out);
    for (size_t i = begin; i < end; i++) {
        const ent_real *x = ent_values(node->in[0]) + i * n;
        ent_real *y = ent_values(node->out) + i * n;
        const double sum = k->exp(y, x, k->max(x, n), n);
        k->scale(y, y, (ent_real)(1 / sum), n);
    }
}

/* dx = y (dy - sum(dy y)) */
static void backward_rows(void *context, size_t begin, size_t end)
{
    const ent_node *node = context;
    const ent_kernels *k = ent_kernels_get();
    const size_t n = ent_tensor_columns(node->out);
    for (size_t i = begin; i < end; i++) {
        const ent_real *y = ent_values(node->out) + i * n, *dy = node->out->grad + i * n;
        k->softmax_gradient(node->in[0]->grad + i * n, dy, y, (ent_real)k->dot(dy, y, n), n);
    }
}

static void forward(ent_node *node)
{
    ent_tiles(ent_tensor_rows(node->out), ROWS_IN_TILE, forward_rows, node);
}

static void backward(ent_node *node)
{
    if (node->in[0]->grad)
        ent_tiles(ent_tensor_rows(node->out), ROWS_IN_TILE, backward_rows, node);
}

static ent_status apply_case(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    return ent_softmax(y, tape, in[0]);
}

static const ent_op_case cases[] = {
    {.name = "rows", .apply = apply_case, .in = {{.n_dims = 2, .shape = {3, 5}, .low = -4, .high = 4}}, .n_in = 1},
    {.name = "several tiles", .apply = apply_case, .in = {{.n_dims = 3, .shape = {2, 20, 3}}}, .n_in = 1},
    {.name = "scalar", .apply = apply_case, .in = {{.n_dims = 0}}, .n_in = 1, .must_fail = true},
};

const ent_op ent_op_softmax = {"softmax", forward, backward, cases, sizeof cases / sizeof *cases, 0};

ent_status ent_softmax(ent_tensor **y, ent_tape *tape, ent_tensor *x)
{
    ENT_TRY(ent_op_check_real(&ent_op_softmax, x));
    if (x->n_dims == 0 || ent_tensor_columns(x) == 0) {
        ent_shape_text text;
        return ent_fail(ENT_EINVAL, "softmax: expected a last dimension that isn't empty, found %s",
                        ent_shape_format(&text, x->n_dims, x->shape));
    }
    ent_node *node;
    ENT_TRY(ent_node_new(&node, tape, &ent_op_softmax, &x, 1, 0));
    return ent_node_run(y, tape, node, x->n_dims, x->shape);
}
