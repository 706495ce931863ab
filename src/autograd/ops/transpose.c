/* y = x with its last two dimensions swapped */
#include "src/autograd/op.h"
#include "src/autograd/ops.h"
#include "src/base/tiles.h"

/* Row i of the result, of all matrices in turn, is column i of its matrix in x. */
static void forward_rows(void *context, size_t begin, size_t end)
{
    const ent_node *node = context;
    const ent_tensor *out = node->out;
    const size_t rows = out->shape[out->n_dims - 2], columns = out->shape[out->n_dims - 1];
    for (size_t i = begin; i < end; i++) {
        const ent_real *x = ent_values(node->in[0]) + i / rows * rows * columns + i % rows;
        for (size_t j = 0; j < columns; j++)
            ent_values(out)[i * columns + j] = x[j * rows];
    }
}

static void backward_rows(void *context, size_t begin, size_t end)
{
    const ent_node *node = context;
    const ent_tensor *out = node->out;
    const size_t rows = out->shape[out->n_dims - 2], columns = out->shape[out->n_dims - 1];
    for (size_t i = begin; i < end; i++) {
        ent_real *dx = node->in[0]->grad + i / rows * rows * columns + i % rows;
        for (size_t j = 0; j < columns; j++)
            dx[j * rows] += out->grad[i * columns + j];
    }
}

static void forward(ent_node *node)
{
    ent_tiles(ent_tensor_rows(node->out), 64, forward_rows, node);
}

static void backward(ent_node *node)
{
    if (node->in[0]->grad)
        ent_tiles(ent_tensor_rows(node->out), 64, backward_rows, node);
}

static ent_status apply_case(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    return ent_transpose(y, tape, in[0]);
}

static const ent_op_case cases[] = {
    {.name = "matrix", .apply = apply_case, .in = {{.n_dims = 2, .shape = {3, 5}}}, .n_in = 1},
    {.name = "batch", .apply = apply_case, .in = {{.n_dims = 4, .shape = {2, 2, 3, 4}}}, .n_in = 1},
    {.name = "vector", .apply = apply_case, .in = {{.n_dims = 1, .shape = {3}}}, .n_in = 1, .must_fail = true},
};

const ent_op ent_op_transpose = {"transpose", forward, backward, cases, sizeof cases / sizeof *cases, 0};

ent_status ent_transpose(ent_tensor **y, ent_tape *tape, ent_tensor *x)
{
    ENT_TRY(ent_op_check_real(&ent_op_transpose, x));
    if (x->n_dims < 2) {
        ent_shape_text text;
        return ent_fail(ENT_EINVAL, "transpose: expected at least two dimensions, found %s",
                        ent_shape_format(&text, x->n_dims, x->shape));
    }
    ent_tensor result = *x;
    result.shape[x->n_dims - 2] = x->shape[x->n_dims - 1];
    result.shape[x->n_dims - 1] = x->shape[x->n_dims - 2];
    ent_node *node;
    ENT_TRY(ent_node_new(&node, tape, &ent_op_transpose, &x, 1, 0));
    return ent_node_run(y, tape, node, x->n_dims, result.shape);
}
