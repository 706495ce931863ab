#include "src/autograd/ops/head_loss.h"

#include <string.h>

#include "src/kernel/kernels.h"
#include "src/tensor/gemm.h"

/* A weight is packed once for each chunk; logits of 64 MiB at most, or of 256 rows. */
enum { CHUNK = 256, LARGE_CHUNK = 512, LARGE_IF = 32768 };

static ent_head_chunk chunk_at(const ent_node *node, size_t first)
{
    const ent_head_loss *ctx = node->ctx;
    ent_head_chunk k = {.node = node, .first = first, .scratch = node->scratch};
    k.rows = ctx->n_rows - first < ctx->chunk ? ctx->n_rows - first : ctx->chunk;
    k.known = (char *)k.scratch + ctx->product_bytes;
    k.z = (ent_real *)(void *)((char *)k.known + ctx->chunk * ctx->row_bytes);
    k.h = k.z + ctx->chunk * node->in[ENT_HEAD_W]->shape[0];
    return k;
}

void ent_head_gather(ent_real *to, const ent_head_chunk *k, const ent_tensor *h, size_t c)
{
    const size_t *rows = ((const ent_head_loss *)k->node->ctx)->rows + k->first;
    for (size_t r = 0; r < k->rows; r++)
        memcpy(to + r * c, (const ent_real *)h->data + rows[r] * c, c * sizeof *to);
}

static ent_head_chunk compute(const ent_node *node, size_t first, ent_head_losses *losses)
{
    const ent_head_chunk k = chunk_at(node, first);
    const ent_tensor *w = node->in[ENT_HEAD_W];
    ent_head_gather(k.h, &k, node->in[ENT_HEAD_H], w->shape[1]);
    ent_gemm_weight(k.z, k.rows, k.h, w, true, 0, k.scratch);
    losses(&k);
    return k;
}

void ent_head_loss_forward(ent_node *node, ent_head_losses *losses)
{
    ent_head_loss *ctx = node->ctx;
    const ent_tensor *w = node->in[ENT_HEAD_W];
    for (size_t t = 0; t < node->in[ENT_HEAD_H]->shape[0]; t++)
        if (ctx->targets[t] >= 0)
            ctx->rows[ctx->n_rows++] = t;
    double loss = 0;
    for (size_t first = 0; first < ctx->n_rows; first += ctx->chunk) {
        const ent_head_chunk k = compute(node, first, losses);
        for (size_t r = 0; r < k.rows; r++)
            loss += *(const double *)(const void *)((const char *)k.known + r * ctx->row_bytes);
        if (ctx->dh)
            ent_gemm_weight(ctx->dh + first * w->shape[1], k.rows, k.z, w, false, 0, k.scratch);
    }
    ent_values(node->out)[0] = (ent_real)loss;
}

void ent_head_loss_backward(ent_node *node, ent_head_losses *losses)
{
    const ent_head_loss *ctx = node->ctx;
    ent_tensor *h = node->in[ENT_HEAD_H], *w = node->in[ENT_HEAD_W];
    const size_t v = w->shape[0], c = w->shape[1];
    const ent_real scale = node->out->grad[0];
    if (h->grad)
        for (size_t r = 0; r < ctx->n_rows; r++)
            ent_kernels_get()->add_scaled(h->grad + ctx->rows[r] * c, ctx->dh + r * c, scale, c);
    if (w->grad == NULL)
        return;
    for (size_t first = 0; first < ctx->n_rows; first += ctx->chunk) {
        const ent_head_chunk k = compute(node, first, losses);
        ent_gemm(w->grad, c, v, c, k.rows, scale, ent_matrix_of(k.z, v, true), ent_matrix_of(k.h, c, false), 1);
    }
}

static ent_status check(const ent_tape *tape, const ent_op *op, const ent_tensor *h, const ent_tensor *w,
                        const int32_t *targets)
{
    ent_shape_text t[2];
    ENT_TRY(ent_op_check_real(op, h));
    if (h->n_dims != 2 || w->n_dims != 2 || h->shape[1] != w->shape[1])
        return ent_fail(ENT_EINVAL, "%s: expected h [T,C] and w [V,C], found %s and %s", op->name,
                        ent_shape_format(&t[0], h->n_dims, h->shape), ent_shape_format(&t[1], w->n_dims, w->shape));
    for (size_t i = 0; i < h->shape[0] && !ent_tape_planning(tape); i++)
        if (targets[i] != -100 && (targets[i] < 0 || (size_t)targets[i] >= w->shape[0]))
            return ent_fail(ENT_EINVAL, "%s: target %d at %zu is outside the vocabulary of %zu", op->name,
                            (int)targets[i], i, w->shape[0]);
    return ENT_OK;
}

ent_status ent_head_loss_begin(ent_node **out, ent_tape *tape, const ent_op *op, ent_tensor *const *in, size_t n_in,
                               size_t ctx_bytes, size_t row_bytes, const int32_t *targets)
{
    const ent_tensor *h = in[ENT_HEAD_H], *w = in[ENT_HEAD_W];
    ENT_TRY(check(tape, op, h, w, targets));
    const size_t n = h->shape[0];
    ENT_TRY(ent_node_new(out, tape, op, in, n_in, ctx_bytes));
    ent_head_loss *ctx = (*out)->ctx;
    ctx->targets = targets;
    ctx->chunk = w->shape[0] <= LARGE_IF ? LARGE_CHUNK : CHUNK;
    if (n < ctx->chunk)
        ctx->chunk = n;
    ctx->row_bytes = row_bytes;
    ENT_TRY(ent_tape_buffer(&ctx->rows, tape, n * sizeof *ctx->rows));
    if (ent_tape_recording(tape) && h->requires_grad)
        ENT_TRY(ent_tape_buffer(&ctx->dh, tape, n * h->shape[1] * sizeof *ctx->dh));
    (*out)->traits |= w->requires_grad ? 0 : ENT_UNREAD_IN(ENT_HEAD_H);
    return ent_gemm_weight_plan(&ctx->product_bytes, w, ctx->chunk);
}

ent_status ent_head_loss_run(ent_tensor **loss, ent_tape *tape, ent_node *node, size_t own)
{
    ent_head_loss *ctx = node->ctx;
    const ent_tensor *w = node->in[ENT_HEAD_W];
    const size_t numbers = w->shape[0] + w->shape[1] + own;
    ctx->product_bytes = (ctx->product_bytes + 63) / 64 * 64;
    node->scratch_bytes = ctx->chunk * (ctx->row_bytes + numbers * sizeof(ent_real)) + ctx->product_bytes;
    return ent_node_run(loss, tape, node, 0, NULL);
}
