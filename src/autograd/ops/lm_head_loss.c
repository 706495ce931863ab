/* loss = sum over tokens with a target of: log sum exp(z) - z[target], z = w h : (V)
 *
 * Tokens with a target are gathered CHUNK at a time, so that logits of at most CHUNK x V exist. Forward goes on to the
 * gradient of h at once, while the logits are there; the gradient of w, wanted only in full training, computes them
 * again in backward.
 */
#include <string.h>

#include "src/autograd/op.h"
#include "src/autograd/ops_model.h"
#include "src/base/elementary.h"
#include "src/base/tiles.h"
#include "src/kernel/kernels.h"
#include "src/tensor/gemm.h"

enum { CHUNK = 256 };
enum { H, W };

typedef struct loss_ctx {
    const int32_t *targets;
    size_t *rows; /* tokens that have a target, in order */
    size_t n_rows;
    size_t chunk; /* rows at a time: CHUNK, or all tokens */
    ent_real *dh; /* d(loss)/dh of those rows: (n_rows, C); NULL if not wanted */
    size_t product_bytes;
} loss_ctx;

/* Scratch: what the products take, loss of each row as double (chunk), logits (chunk, V), gathered h (chunk, C). */
typedef struct chunk {
    const ent_node *node;
    size_t first, rows;
    ent_real *logits, *h;
    double *losses;
    void *scratch;
} chunk;

static chunk chunk_at(const ent_node *node, size_t first)
{
    const loss_ctx *ctx = node->ctx;
    const size_t v = node->in[W]->shape[0];
    chunk k = {.node = node, .first = first};
    k.rows = ctx->n_rows - first < ctx->chunk ? ctx->n_rows - first : ctx->chunk;
    k.scratch = node->scratch;
    k.losses = (double *)((char *)k.scratch + ctx->product_bytes);
    k.logits = (ent_real *)(k.losses + ctx->chunk);
    k.h = k.logits + ctx->chunk * v;
    return k;
}

/* One row: its loss, and the gradient of its logits, softmax(z) - onehot(target), in place. */
static void row_loss(void *context, size_t begin, size_t end)
{
    const chunk *k = context;
    const loss_ctx *ctx = k->node->ctx;
    const ent_kernels *kernels = ent_kernels_get();
    const size_t v = k->node->in[W]->shape[0];
    for (size_t r = begin; r < end; r++) {
        ent_real *z = k->logits + r * v;
        const size_t target = (size_t)ctx->targets[ctx->rows[k->first + r]];
        const ent_real at_target = z[target];
        const ent_real largest = kernels->max(z, v);
        const double sum = kernels->exp(z, z, largest, v);
        k->losses[r] = ent_log(sum) + (double)largest - (double)at_target;
        kernels->scale(z, z, (ent_real)(1 / sum), v);
        z[target] -= 1;
    }
}

static void chunk_forward(chunk *k)
{
    const loss_ctx *ctx = k->node->ctx;
    const ent_tensor *w = k->node->in[W];
    const size_t c = w->shape[1];
    for (size_t r = 0; r < k->rows; r++)
        memcpy(k->h + r * c, ent_values(k->node->in[H]) + ctx->rows[k->first + r] * c, c * sizeof *k->h);
    ent_gemm_weight(k->logits, k->rows, k->h, w, true, 0, k->scratch);
    ent_tiles(k->rows, 1, row_loss, k);
}

static void forward(ent_node *node)
{
    loss_ctx *ctx = node->ctx;
    const ent_tensor *w = node->in[W];
    const size_t c = w->shape[1];
    for (size_t t = 0; t < node->in[H]->shape[0]; t++)
        if (ctx->targets[t] >= 0)
            ctx->rows[ctx->n_rows++] = t;
    double loss = 0;
    for (size_t first = 0; first < ctx->n_rows; first += ctx->chunk) {
        chunk k = chunk_at(node, first);
        chunk_forward(&k);
        for (size_t r = 0; r < k.rows; r++)
            loss += k.losses[r];
        if (ctx->dh)
            ent_gemm_weight(ctx->dh + first * c, k.rows, k.logits, w, false, 0, k.scratch);
    }
    ent_values(node->out)[0] = (ent_real)loss;
}

static void backward(ent_node *node)
{
    const loss_ctx *ctx = node->ctx;
    const size_t v = node->in[W]->shape[0], c = node->in[W]->shape[1];
    const ent_real scale = node->out->grad[0];
    if (node->in[H]->grad)
        for (size_t r = 0; r < ctx->n_rows; r++)
            ent_kernels_get()->add_scaled(node->in[H]->grad + ctx->rows[r] * c, ctx->dh + r * c, scale, c);
    if (node->in[W]->grad == NULL)
        return;
    for (size_t first = 0; first < ctx->n_rows; first += ctx->chunk) {
        chunk k = chunk_at(node, first);
        chunk_forward(&k);
        ent_gemm(node->in[W]->grad, c, v, c, k.rows, scale, ent_matrix_of(k.logits, v, true),
                 ent_matrix_of(k.h, c, false), 1);
    }
}

static ent_status apply_case(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    static const int32_t targets[] = {2, -100, 0, 6, 2};
    return ent_lm_head_loss(y, tape, in[0], in[1], targets);
}

static ent_status apply_chunks(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    static int32_t targets[270];
    for (int t = 0; t < 270; t++)
        targets[t] = t % 20 == 3 ? -100 : t % 3;
    return ent_lm_head_loss(y, tape, in[0], in[1], targets);
}

static ent_status apply_outside(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    static const int32_t targets[] = {2, -100, 0, 7, 2};
    return ent_lm_head_loss(y, tape, in[0], in[1], targets);
}

#define INPUTS(columns)                                       \
    {                                                         \
        {.n_dims = 2, .shape = {5, 3}, .low = -2, .high = 2}, \
        {                                                     \
            .n_dims = 2, .shape = { 7, columns }              \
        }                                                     \
    }

static const ent_op_case cases[] = {
    {.name = "a token without target", .apply = apply_case, .in = INPUTS(3), .n_in = 2},
    {.name = "frozen head",
     .apply = apply_case,
     .in = {{.n_dims = 2, .shape = {5, 3}}, {.n_dims = 2, .shape = {7, 3}, .constant = true}},
     .n_in = 2},
    {.name = "more than a chunk",
     .apply = apply_chunks,
     .in = {{.n_dims = 2, .shape = {270, 2}}, {.n_dims = 2, .shape = {3, 2}}},
     .n_in = 2},
    {.name = "sizes differ", .apply = apply_case, .in = INPUTS(4), .n_in = 2, .must_fail = true},
    {.name = "target outside", .apply = apply_outside, .in = INPUTS(3), .n_in = 2, .must_fail = true},
};

const ent_op ent_op_lm_head_loss = {"lm_head_loss", forward, backward, cases, sizeof cases / sizeof *cases,
                                    ENT_UNREAD_OUT};

ent_status ent_lm_head_loss(ent_tensor **loss, ent_tape *tape, ent_tensor *h, ent_tensor *w, const int32_t *targets)
{
    ent_shape_text t[2];
    ENT_TRY(ent_op_check_real(&ent_op_lm_head_loss, h));
    if (h->n_dims != 2 || w->n_dims != 2 || h->shape[1] != w->shape[1])
        return ent_fail(ENT_EINVAL, "lm_head_loss: expected h [T,C] and w [V,C], found %s and %s",
                        ent_shape_format(&t[0], h->n_dims, h->shape), ent_shape_format(&t[1], w->n_dims, w->shape));
    const size_t n = h->shape[0], v = w->shape[0], c = w->shape[1];
    if (!ent_tape_planning(tape))
        for (size_t i = 0; i < n; i++)
            if (targets[i] != -100 && (targets[i] < 0 || (size_t)targets[i] >= v))
                return ent_fail(ENT_EINVAL, "lm_head_loss: target %d at %zu is outside the vocabulary of %zu",
                                (int)targets[i], i, v);
    ent_node *node;
    ENT_TRY(ent_node_new(&node, tape, &ent_op_lm_head_loss, (ent_tensor *[]){h, w}, 2, sizeof(loss_ctx)));
    loss_ctx *ctx = node->ctx;
    ctx->targets = targets;
    ctx->chunk = n < CHUNK ? n : CHUNK;
    ENT_TRY(ent_tape_buffer(&ctx->rows, tape, n * sizeof *ctx->rows));
    if (ent_tape_recording(tape) && h->requires_grad)
        ENT_TRY(ent_tape_buffer(&ctx->dh, tape, n * c * sizeof *ctx->dh));
    node->traits |= w->requires_grad ? 0 : ENT_UNREAD_IN(H);
    ENT_TRY(ent_gemm_weight_plan(&ctx->product_bytes, w, ctx->chunk));
    ctx->product_bytes = (ctx->product_bytes + 63) / 64 * 64;
    node->scratch_bytes = ctx->chunk * (sizeof(double) + (v + c) * sizeof(ent_real)) + ctx->product_bytes;
    return ent_node_run(loss, tape, node, 0, NULL);
}
