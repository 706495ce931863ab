/* y[t] = w[ids[t]] */
#include "src/autograd/op.h"
#include "src/autograd/ops_model.h"
#include "src/base/tiles.h"
#include "src/kernel/kernels.h"

typedef struct embedding_ctx {
    const int32_t *ids;
    size_t n;
} embedding_ctx;

static void forward(ent_node *node)
{
    const embedding_ctx *ctx = node->ctx;
    const ent_tensor *w = node->in[0];
    const size_t c = w->shape[1];
    ent_real *y = ent_values(node->out);
    for (size_t t = 0; t < ctx->n; t++)
        ent_tensor_read(y + t * c, w, (size_t)ctx->ids[t], 0, c);
}

static void backward_columns(void *context, size_t begin, size_t end)
{
    const ent_node *node = context;
    const embedding_ctx *ctx = node->ctx;
    const size_t c = node->in[0]->shape[1];
    for (size_t t = 0; t < ctx->n; t++) { /* in order of t: an id may come more than once */
        ent_real *dw = node->in[0]->grad + (size_t)ctx->ids[t] * c;
        const ent_real *dy = node->out->grad + t * c;
        ent_kernels_get()->add(dw + begin, dw + begin, dy + begin, end - begin);
    }
}

static void backward(ent_node *node)
{
    if (node->in[0]->grad)
        ent_tiles(node->in[0]->shape[1], 256, backward_columns, node);
}

static ent_status apply_case(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    static const int32_t ids[] = {2, 0, 2, 3};
    return ent_embedding(y, tape, in[0], ids, 4);
}

static ent_status apply_outside(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    static const int32_t ids[] = {0, 4};
    return ent_embedding(y, tape, in[0], ids, 2);
}

static const ent_op_case cases[] = {
    {.name = "repeated ids", .apply = apply_case, .in = {{.n_dims = 2, .shape = {4, 3}}}, .n_in = 1},
    {.name = "id outside",
     .apply = apply_outside,
     .in = {{.n_dims = 2, .shape = {4, 3}}},
     .n_in = 1,
     .must_fail = true},
    {.name = "no matrix", .apply = apply_case, .in = {{.n_dims = 1, .shape = {4}}}, .n_in = 1, .must_fail = true},
};

const ent_op ent_op_embedding = {"embedding",
                                 forward,
                                 backward,
                                 cases,
                                 sizeof cases / sizeof *cases,
                                 ENT_UNREAD_IN(0) | ENT_UNREAD_OUT | ENT_UNREAD_SAVED};

ent_status ent_embedding(ent_tensor **y, ent_tape *tape, ent_tensor *w, const int32_t *ids, size_t n)
{
    if (w->n_dims != 2) {
        ent_shape_text text;
        return ent_fail(ENT_EINVAL, "embedding: expected weights of shape [V,C], found %s",
                        ent_shape_format(&text, w->n_dims, w->shape));
    }
    if (!ent_tape_planning(tape))
        for (size_t t = 0; t < n; t++)
            if (ids[t] < 0 || (size_t)ids[t] >= w->shape[0])
                return ent_fail(ENT_EINVAL, "embedding: id %d at %zu is outside the vocabulary of %zu", (int)ids[t], t,
                                w->shape[0]);
    ent_node *node;
    ENT_TRY(ent_node_new(&node, tape, &ent_op_embedding, &w, 1, sizeof(embedding_ctx)));
    *(embedding_ctx *)node->ctx = (embedding_ctx){ids, n};
    return ent_node_run(y, tape, node, 2, (size_t[]){n, w->shape[1]});
}
