/* loss = mean over rows with a target of log sum exp(logits) - logits[target] */
#include "src/autograd/op.h"
#include "src/autograd/ops.h"
#include "src/base/elementary.h"
#include "src/base/tiles.h"
#include "src/kernel/kernels.h"

typedef struct cross_entropy_ctx {
    const int32_t *targets;
    struct row {
        ent_real max; /* of the logits */
        double sum;   /* sum exp(x - max) */
    } * rows;         /* those that have a target */
    size_t n_targets;
} cross_entropy_ctx;

enum { ROWS_IN_TILE = 16, IGNORED = -100, PIECE = 512 };

static void forward_rows(void *context, size_t begin, size_t end)
{
    const ent_node *node = context;
    const cross_entropy_ctx *ctx = node->ctx;
    const ent_kernels *k = ent_kernels_get();
    const size_t v = node->in[0]->shape[1];
    ent_real piece[PIECE];
    for (size_t t = begin; t < end; t++) {
        const ent_real *x = ent_values(node->in[0]) + t * v;
        if (ctx->targets[t] == IGNORED)
            continue;
        struct row *row = &ctx->rows[t];
        *row = (struct row){.max = k->max(x, v)};
        for (size_t j = 0; j < v; j += PIECE)
            row->sum += k->exp(piece, x + j, row->max, v - j < PIECE ? v - j : PIECE);
    }
}

static void forward(ent_node *node)
{
    const cross_entropy_ctx *ctx = node->ctx;
    const size_t rows = node->in[0]->shape[0], v = node->in[0]->shape[1];
    double sum = 0;
    ent_tiles(rows, ROWS_IN_TILE, forward_rows, node);
    for (size_t t = 0; t < rows; t++)
        if (ctx->targets[t] != IGNORED)
            sum += ent_log(ctx->rows[t].sum) + (double)ctx->rows[t].max -
                   (double)ent_values(node->in[0])[t * v + (size_t)ctx->targets[t]];
    ent_values(node->out)[0] = (ent_real)(sum / (double)ctx->n_targets);
}

/* dx = dloss / n (softmax(x) - onehot(target)) */
static void backward_rows(void *context, size_t begin, size_t end)
{
    const ent_node *node = context;
    const cross_entropy_ctx *ctx = node->ctx;
    const size_t v = node->in[0]->shape[1];
    const ent_real factor = (ent_real)((double)node->out->grad[0] / (double)ctx->n_targets);
    for (size_t t = begin; t < end; t++) {
        const ent_real *x = ent_values(node->in[0]) + t * v;
        ent_real *dx = node->in[0]->grad + t * v;
        if (ctx->targets[t] == IGNORED)
            continue;
        const struct row *row = &ctx->rows[t];
        ent_kernels_get()->add_exp(dx, x, row->max, (ent_real)((double)factor / row->sum), v);
        dx[ctx->targets[t]] -= factor;
    }
}

static void backward(ent_node *node)
{
    if (node->in[0]->grad)
        ent_tiles(node->in[0]->shape[0], ROWS_IN_TILE, backward_rows, node);
}

static ent_status apply_case(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    static const int32_t targets[] = {4, IGNORED, 0};
    return ent_cross_entropy(y, tape, in[0], targets);
}

static ent_status apply_ignored(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    static const int32_t targets[] = {IGNORED, IGNORED, IGNORED};
    return ent_cross_entropy(y, tape, in[0], targets);
}

static ent_status apply_outside(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    static const int32_t targets[] = {0, 5, 1};
    return ent_cross_entropy(y, tape, in[0], targets);
}

static ent_status apply_negative(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    static const int32_t targets[] = {0, -1, 1};
    return ent_cross_entropy(y, tape, in[0], targets);
}

static const ent_op_case cases[] = {
    {.name = "one ignored",
     .apply = apply_case,
     .in = {{.n_dims = 2, .shape = {3, 5}, .low = -4, .high = 4}},
     .n_in = 1},
    {.name = "all ignored",
     .apply = apply_ignored,
     .in = {{.n_dims = 2, .shape = {3, 5}}},
     .n_in = 1,
     .must_fail = true},
    {.name = "target outside",
     .apply = apply_outside,
     .in = {{.n_dims = 2, .shape = {3, 5}}},
     .n_in = 1,
     .must_fail = true},
    {.name = "target of -1",
     .apply = apply_negative,
     .in = {{.n_dims = 2, .shape = {3, 5}}},
     .n_in = 1,
     .must_fail = true},
    {.name = "no matrix", .apply = apply_case, .in = {{.n_dims = 1, .shape = {5}}}, .n_in = 1, .must_fail = true},
};

const ent_op ent_op_cross_entropy = {"cross_entropy", forward, backward, cases, sizeof cases / sizeof *cases, 0};

/* Counts the rows that have a target. */
static ent_status count_targets(size_t *n, const ent_tensor *logits, const int32_t *targets)
{
    *n = 0;
    for (size_t t = 0; t < logits->shape[0]; t++) {
        if (targets[t] == IGNORED)
            continue;
        if (targets[t] < 0 || (size_t)targets[t] >= logits->shape[1])
            return ent_fail(ENT_EINVAL, "cross_entropy: target %d at %zu is outside the vocabulary of %zu",
                            (int)targets[t], t, logits->shape[1]);
        ++*n;
    }
    if (*n == 0)
        return ent_fail(ENT_EINVAL, "cross_entropy: expected at least one target, all %zu are ignored",
                        logits->shape[0]);
    return ENT_OK;
}

ent_status ent_cross_entropy(ent_tensor **loss, ent_tape *tape, ent_tensor *logits, const int32_t *targets)
{
    ENT_TRY(ent_op_check_real(&ent_op_cross_entropy, logits));
    if (logits->n_dims != 2) {
        ent_shape_text text;
        return ent_fail(ENT_EINVAL, "cross_entropy: expected logits of shape [T,V], found %s",
                        ent_shape_format(&text, logits->n_dims, logits->shape));
    }
    size_t n = 0;
    if (!ent_tape_planning(tape))
        ENT_TRY(count_targets(&n, logits, targets));
    ent_node *node;
    ENT_TRY(ent_node_new(&node, tape, &ent_op_cross_entropy, &logits, 1, sizeof(cross_entropy_ctx)));
    cross_entropy_ctx *ctx = node->ctx;
    *ctx = (cross_entropy_ctx){.targets = targets, .n_targets = n};
    ENT_TRY(ent_tape_buffer(&ctx->rows, tape, logits->shape[0] * sizeof *ctx->rows));
    return ent_node_run(loss, tape, node, 0, NULL);
}
