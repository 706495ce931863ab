/* loss = factor sum over tokens with a target of the mean over C of sum_k w_k (h - t_k)^2
 *
 * t_k : (T, C) is the hidden state of teacher k. The gradient of h, 2 factor / C sum_k w_k (h - t_k), is made in
 * forward and kept, so that neither h nor t_k is.
 */
#include "src/autograd/op.h"
#include "src/autograd/ops_model.h"
#include "src/base/tiles.h"
#include "src/kernel/kernels.h"

typedef struct hidden_ctx {
    const int32_t *targets;
    double weights[ENT_MAX_TEACHERS], factor;
    ent_real *dh; /* (T, C), of tokens with a target; NULL: not wanted */
} hidden_ctx;

/* Of one token: its loss in scratch, and the gradient. */
static void rows(void *context, size_t begin, size_t end)
{
    const ent_node *node = context;
    const hidden_ctx *ctx = node->ctx;
    const size_t columns = node->in[0]->shape[1];
    double *loss = node->scratch;
    for (size_t r = begin; r < end; r++) {
        const ent_real *h = ent_values(node->in[0]) + r * columns;
        loss[r] = 0;
        for (size_t k = 1; k < node->n_in && ctx->targets[r] >= 0; k++) {
            const ent_real *t = ent_values(node->in[k]) + r * columns;
            const double weight = ctx->weights[k - 1] * ctx->factor / (double)columns;
            const ent_real slope = (ent_real)(2 * weight);
            double sum = 0;
            for (size_t i = 0; i < columns; i++) {
                const ent_real d = h[i] - t[i];
                sum += (double)d * (double)d;
                if (ctx->dh)
                    ctx->dh[r * columns + i] = slope * d + (k > 1 ? ctx->dh[r * columns + i] : 0);
            }
            loss[r] += weight * sum;
        }
    }
}

static void forward(ent_node *node)
{
    const size_t n = node->in[0]->shape[0];
    const double *loss = node->scratch;
    double sum = 0;
    ent_tiles(n, 1, rows, node);
    for (size_t r = 0; r < n; r++)
        sum += loss[r];
    ent_values(node->out)[0] = (ent_real)sum;
}

static void add_rows(void *context, size_t begin, size_t end)
{
    const ent_node *node = context;
    const hidden_ctx *ctx = node->ctx;
    const size_t columns = node->in[0]->shape[1];
    for (size_t r = begin; r < end; r++)
        if (ctx->targets[r] >= 0)
            ent_kernels_get()->add_scaled(node->in[0]->grad + r * columns, ctx->dh + r * columns, node->out->grad[0],
                                          columns);
}

static void backward(ent_node *node)
{
    if (node->in[0]->grad)
        ent_tiles(node->in[0]->shape[0], 1, add_rows, node);
}

static ent_status apply_with(ent_tensor **y, ent_tape *tape, ent_tensor *const *in, size_t n)
{
    static const int32_t targets[] = {2, -100, 0, 6, 2};
    const double weights[] = {n == 1 ? 1 : 0.75, 0.25};
    return ent_hidden_loss(y, tape, in[0], targets, in + 1, weights, n, 0.7);
}

static ent_status apply_one(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    return apply_with(y, tape, in, 1);
}

static ent_status apply_two(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    return apply_with(y, tape, in, 2);
}

static ent_status apply_none(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    return apply_with(y, tape, in, 0);
}

#define IN(rows, columns)                       \
    {                                           \
        .n_dims = 2, .shape = { rows, columns } \
    }
#define FIXED(rows, columns)                                    \
    {                                                           \
        .n_dims = 2, .shape = {rows, columns}, .constant = true \
    }

static const ent_op_case cases[] = {
    {.name = "one teacher", .apply = apply_one, .in = {IN(5, 3), FIXED(5, 3)}, .n_in = 2},
    {.name = "two teachers", .apply = apply_two, .in = {IN(5, 4), FIXED(5, 4), FIXED(5, 4)}, .n_in = 3},
    {.name = "no teacher", .apply = apply_none, .in = {IN(5, 3)}, .n_in = 1, .must_fail = true},
    {.name = "sizes differ", .apply = apply_one, .in = {IN(5, 3), FIXED(5, 4)}, .n_in = 2, .must_fail = true},
    {.name = "tokens differ", .apply = apply_one, .in = {IN(5, 3), FIXED(4, 3)}, .n_in = 2, .must_fail = true},
};

const ent_op ent_op_hidden_loss = {"hidden_loss",
                                   forward,
                                   backward,
                                   cases,
                                   sizeof cases / sizeof *cases,
                                   ENT_UNREAD_OUT | (ENT_UNREAD_IN(1 + ENT_MAX_TEACHERS) - 1)};

ent_status ent_hidden_loss(ent_tensor **loss, ent_tape *tape, ent_tensor *h, const int32_t *targets,
                           ent_tensor *const *teachers, const double *weights, size_t count, double factor)
{
    ent_node *node;
    ent_tensor *in[1 + ENT_MAX_TEACHERS] = {h};
    ent_shape_text t[2];
    ENT_TRY(ent_op_check_real(&ent_op_hidden_loss, h));
    if (h->n_dims != 2 || count == 0 || count > ENT_MAX_TEACHERS)
        return ent_fail(ENT_EINVAL, "hidden_loss: expected h [T,C] and 1 to %d teachers, found %s and %zu",
                        ENT_MAX_TEACHERS, ent_shape_format(&t[0], h->n_dims, h->shape), count);
    for (size_t k = 0; k < count; k++) {
        ENT_TRY(ent_op_check_real(&ent_op_hidden_loss, teachers[k]));
        if (!ent_tensor_same_shape(h, teachers[k]))
            return ent_fail(ENT_EINVAL, "hidden_loss: teacher %zu: expected the shape of h, %s, found %s", k,
                            ent_shape_format(&t[0], h->n_dims, h->shape),
                            ent_shape_format(&t[1], teachers[k]->n_dims, teachers[k]->shape));
        in[1 + k] = teachers[k];
    }
    ENT_TRY(ent_node_new(&node, tape, &ent_op_hidden_loss, in, 1 + count, sizeof(hidden_ctx)));
    hidden_ctx *ctx = node->ctx;
    ctx->targets = targets;
    ctx->factor = factor;
    for (size_t k = 0; k < count; k++)
        ctx->weights[k] = weights[k];
    if (ent_tape_recording(tape) && h->requires_grad)
        ENT_TRY(ent_tape_buffer(&ctx->dh, tape, ent_tensor_count(h) * sizeof *ctx->dh));
    node->scratch_bytes = h->shape[0] * sizeof(double);
    return ent_node_run(loss, tape, node, 0, NULL);
}
