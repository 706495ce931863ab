/* loss = sum over tokens with a target of: log sum exp(z) - z[target], z = w h : (V) */
#include "src/autograd/op.h"
#include "src/autograd/ops/head_loss.h"
#include "src/autograd/ops_model.h"
#include "src/base/elementary.h"
#include "src/base/tiles.h"
#include "src/kernel/kernels.h"

/* One row: its loss, and the gradient of its logits, softmax(z) - onehot(target), in place. */
static void row_loss(void *context, size_t begin, size_t end)
{
    const ent_head_chunk *k = context;
    const ent_head_loss *ctx = k->node->ctx;
    const ent_kernels *kernels = ent_kernels_get();
    const size_t v = k->node->in[ENT_HEAD_W]->shape[0];
    double *losses = k->known;
    for (size_t r = begin; r < end; r++) {
        ent_real *z = k->z + r * v;
        const size_t target = (size_t)ctx->targets[ctx->rows[k->first + r]];
        const ent_real at_target = z[target];
        const ent_real largest = kernels->max(z, v);
        const double sum = kernels->exp(z, z, largest, v);
        losses[r] = ent_log(sum) + (double)largest - (double)at_target;
        kernels->scale(z, z, (ent_real)(1 / sum), v);
        z[target] -= 1;
    }
}

static void losses(const ent_head_chunk *k)
{
    ent_tiles(k->rows, 1, row_loss, (void *)k);
}

static void forward(ent_node *node)
{
    ent_head_loss_forward(node, losses);
}

static void backward(ent_node *node)
{
    ent_head_loss_backward(node, losses);
}

static ent_status apply_case(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    static const int32_t targets[] = {2, -100, 0, 6, 2};
    return ent_lm_head_loss(y, tape, in[0], in[1], targets);
}

static ent_status apply_chunks(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    static int32_t targets[560];
    for (int t = 0; t < 560; t++)
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
     .in = {{.n_dims = 2, .shape = {560, 1}}, {.n_dims = 2, .shape = {3, 1}}},
     .n_in = 2},
    {.name = "sizes differ", .apply = apply_case, .in = INPUTS(4), .n_in = 2, .must_fail = true},
    {.name = "target outside", .apply = apply_outside, .in = INPUTS(3), .n_in = 2, .must_fail = true},
};

const ent_op ent_op_lm_head_loss = {"lm_head_loss", forward, backward, cases, sizeof cases / sizeof *cases,
                                    ENT_UNREAD_OUT};

ent_status ent_lm_head_loss(ent_tensor **loss, ent_tape *tape, ent_tensor *h, ent_tensor *w, const int32_t *targets)
{
    ent_node *node;
    ENT_TRY(ent_head_loss_begin(&node, tape, &ent_op_lm_head_loss, (ent_tensor *[]){h, w}, 2, sizeof(ent_head_loss),
                                sizeof(double), targets));
    return ent_head_loss_run(loss, tape, node, 0);
}
