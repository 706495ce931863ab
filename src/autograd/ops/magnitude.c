/* y = z (m / norms) + bias */
#include <string.h>

#include "src/autograd/op.h"
#include "src/autograd/ops_model.h"
#include "src/base/tiles.h"

enum { Z, M, BIAS, ROWS_IN_TILE = 16, COLUMNS_IN_TILE = 64 };

typedef struct magnitude_ctx {
    const ent_real *norms;
} magnitude_ctx;

/* m / norms and the bias (0 where there is none), as numbers: (2, out), in scratch. */
static ent_real *read_vectors(ent_node *node)
{
    const magnitude_ctx *ctx = node->ctx;
    const size_t out = node->in[M]->shape[0];
    ent_real *gain = node->scratch, *bias = gain + out;
    ent_tensor_read(gain, node->in[M], 0, 0, out);
    for (size_t j = 0; j < out; j++)
        gain[j] = (ent_real)((double)gain[j] / (double)ctx->norms[j]);
    if (node->in[BIAS])
        ent_tensor_read(bias, node->in[BIAS], 0, 0, out);
    else
        memset(bias, 0, out * sizeof *bias);
    return gain;
}

static void forward_rows(void *context, size_t begin, size_t end)
{
    const ent_node *node = context;
    const size_t out = node->in[M]->shape[0];
    const ent_real *gain = node->scratch, *bias = gain + out;
    for (size_t t = begin; t < end; t++) {
        const ent_real *z = ent_values(node->in[Z]) + t * out;
        ent_real *y = ent_values(node->out) + t * out;
        for (size_t j = 0; j < out; j++)
            y[j] = z[j] * gain[j] + bias[j];
    }
}

static void forward(ent_node *node)
{
    read_vectors(node);
    ent_tiles(node->in[Z]->shape[0], ROWS_IN_TILE, forward_rows, node);
}

static void input_gradient(void *context, size_t begin, size_t end)
{
    const ent_node *node = context;
    const size_t out = node->in[M]->shape[0];
    const ent_real *gain = node->scratch;
    const bool sets = node->fresh >> Z & 1;
    for (size_t t = begin; t < end; t++) {
        const ent_real *dy = node->out->grad + t * out;
        ent_real *dz = node->in[Z]->grad + t * out;
        for (size_t j = 0; j < out; j++)
            dz[j] = sets ? dy[j] * gain[j] : dz[j] + dy[j] * gain[j];
    }
}

/* dm = sum over t of dy z / norms, dbias = sum of dy; in double, in the order of the rows. */
static void vector_gradients(void *context, size_t begin, size_t end)
{
    const ent_node *node = context;
    const magnitude_ctx *ctx = node->ctx;
    const size_t out = node->in[M]->shape[0];
    ent_real *dm = node->in[M]->grad, *dbias = node->in[BIAS] ? node->in[BIAS]->grad : NULL;
    double products[COLUMNS_IN_TILE] = {0}, sums[COLUMNS_IN_TILE] = {0};
    for (size_t t = 0; t < node->in[Z]->shape[0]; t++) {
        const ent_real *dy = node->out->grad + t * out;
        for (size_t j = begin; dm && j < end; j++)
            products[j - begin] += (double)dy[j] * (double)ent_values(node->in[Z])[t * out + j];
        for (size_t j = begin; dbias && j < end; j++)
            sums[j - begin] += (double)dy[j];
    }
    for (size_t j = begin; dm && j < end; j++)
        dm[j] += (ent_real)(products[j - begin] / (double)ctx->norms[j]);
    for (size_t j = begin; dbias && j < end; j++)
        dbias[j] += (ent_real)sums[j - begin];
}

static void backward(ent_node *node)
{
    if (node->in[Z]->grad) {
        read_vectors(node);
        ent_tiles(node->in[Z]->shape[0], ROWS_IN_TILE, input_gradient, node);
    }
    if (node->in[M]->grad || (node->in[BIAS] && node->in[BIAS]->grad))
        ent_tiles(node->in[M]->shape[0], COLUMNS_IN_TILE, vector_gradients, node);
}

static const ent_real case_norms[] = {(ent_real)0.5, 2, (ent_real)0.25};

static ent_status apply_plain(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    return ent_magnitude(y, tape, in[0], in[1], NULL, case_norms);
}

static ent_status apply_bias(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    return ent_magnitude(y, tape, in[0], in[1], in[2], case_norms);
}

/* The adapted product as a decoder has it: the norms stay, whatever W, A and B are. */
static ent_status apply_adapted(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    ent_tensor *z;
    ENT_TRY(ent_linear(&z, tape, in[0], in[1], NULL, &(ent_adapter){.a = in[2], .b = in[3], .scale = (ent_real)1.5}));
    return ent_magnitude(y, tape, z, in[4], in[5], case_norms);
}

static const ent_op_case cases[] = {
    {.name = "plain",
     .apply = apply_plain,
     .in = {{.n_dims = 2, .shape = {4, 3}}, {.n_dims = 1, .shape = {3}}},
     .n_in = 2},
    {.name = "bias",
     .apply = apply_bias,
     .in = {{.n_dims = 2, .shape = {20, 3}}, {.n_dims = 1, .shape = {3}}, {.n_dims = 1, .shape = {3}}},
     .n_in = 3},
    {.name = "adapted",
     .apply = apply_adapted,
     .in = {{.n_dims = 2, .shape = {4, 5}},
            {.n_dims = 2, .shape = {3, 5}, .constant = true},
            {.n_dims = 2, .shape = {2, 5}},
            {.n_dims = 2, .shape = {3, 2}},
            {.n_dims = 1, .shape = {3}},
            {.n_dims = 1, .shape = {3}, .constant = true}},
     .n_in = 6},
    {.name = "sizes differ",
     .apply = apply_plain,
     .in = {{.n_dims = 2, .shape = {4, 3}}, {.n_dims = 1, .shape = {2}}},
     .n_in = 2,
     .must_fail = true},
    {.name = "bias of another size",
     .apply = apply_bias,
     .in = {{.n_dims = 2, .shape = {4, 3}}, {.n_dims = 1, .shape = {3}}, {.n_dims = 1, .shape = {4}}},
     .n_in = 3,
     .must_fail = true},
};

const ent_op ent_op_magnitude = {"magnitude",
                                 forward,
                                 backward,
                                 cases,
                                 sizeof cases / sizeof *cases,
                                 ENT_UNREAD_OUT | ENT_UNREAD_SAVED | ENT_SETS_IN(Z)};

ent_status ent_magnitude(ent_tensor **y, ent_tape *tape, ent_tensor *z, ent_tensor *m, ent_tensor *bias,
                         const ent_real *norms)
{
    ent_shape_text t[3];
    ENT_TRY(ent_op_check_real(&ent_op_magnitude, z));
    if (z->n_dims != 2 || m->n_dims != 1 || m->shape[0] != z->shape[1] ||
        (bias && (bias->n_dims != 1 || bias->shape[0] != z->shape[1])))
        return ent_fail(ENT_EINVAL, "magnitude: expected z [T,out], m [out], bias [out], found %s, %s, %s",
                        ent_shape_format(&t[0], z->n_dims, z->shape), ent_shape_format(&t[1], m->n_dims, m->shape),
                        bias ? ent_shape_format(&t[2], bias->n_dims, bias->shape) : "none");
    ent_node *node;
    ENT_TRY(ent_node_new(&node, tape, &ent_op_magnitude, (ent_tensor *[]){z, m, bias}, 3, sizeof(magnitude_ctx)));
    ((magnitude_ctx *)node->ctx)->norms = norms;
    node->scratch_bytes = 2 * m->shape[0] * sizeof(ent_real);
    if (!m->requires_grad)
        node->traits |= ENT_UNREAD_IN(Z);
    return ent_node_run(y, tape, node, 2, z->shape);
}
