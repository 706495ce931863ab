/* y = softmax(q k^T / sqrt(head_dim)) v, causal, within documents and window.
 *
 * Work is cut into blocks of BLOCK query rows of one head. A block looks at one run of keys [first, end): what lies
 * outside is skipped, what is masked inside is set to zero after the product. Blocks begin at the same tokens whether
 * all queries are there or only the last ones, and so do their keys: a row of y has the same bits either way. Backward
 * computes the weights again (Dao et al. 2022, arXiv:2205.14135, section 3.1), from q and k alone, so that it reads
 * nothing of forward's; and it gives each query head its own dk and dv, which are then summed over the group in order:
 * no result depends on the number of threads.
 */
#include <math.h>
#include <string.h>

#include "src/autograd/op.h"
#include "src/autograd/ops_model.h"
#include "src/base/tiles.h"
#include "src/kernel/kernels.h"
#include "src/tensor/gemm.h"

enum { BLOCK = 96 }; /* whole tiles of every level */
enum { Q, K, V };

typedef struct attention_ctx {
    ent_attention_shape shape;
    size_t n; /* keys: the tokens before and T */
} attention_ctx;

/* One block of query rows of one head, and the keys it looks at. Rows are counted as keys are. */
typedef struct block {
    size_t head, first_row, rows, first_key, keys;
    size_t q_columns, k_columns, head_dim;
    size_t q_at, k_at; /* where the block's q and y, and its k and v begin */
} block;

/* The first token that token t sees. Doesn't decrease with t. */
static size_t first_seen(const attention_ctx *ctx, size_t t)
{
    const size_t document = (size_t)ctx->shape.doc_start[t], window = ctx->shape.window;
    const size_t seen = window && t + 1 > window ? t + 1 - window : 0;
    return seen > document ? seen : document;
}

/* Block i of the tokens that have a query: the first may have lost rows to the tokens before. */
static block block_at(const attention_ctx *ctx, size_t head, size_t i)
{
    const ent_attention_shape *s = &ctx->shape;
    const size_t begin = (s->before / BLOCK + i) * BLOCK, end = ctx->n - begin < BLOCK ? ctx->n : begin + BLOCK;
    block b = {.head = head, .first_row = begin > s->before ? begin : s->before, .head_dim = s->head_dim};
    b.rows = end - b.first_row;
    b.first_key = first_seen(ctx, begin);
    b.keys = end - b.first_key;
    b.q_columns = s->n_heads * s->head_dim;
    b.k_columns = s->n_kv_heads * s->head_dim;
    b.q_at = (b.first_row - s->before) * b.q_columns + head * s->head_dim;
    b.k_at = b.first_key * b.k_columns + head / (s->n_heads / s->n_kv_heads) * s->head_dim;
    return b;
}

/* Row r of a block sees no key behind r + diagonal. */
static size_t diagonal(const block *b)
{
    return b->first_row - b->first_key;
}

/* scores = q k^T / sqrt(head_dim): (rows, keys), where a key may be seen */
static void block_scores(ent_real *scores, const ent_node *node, const block *b)
{
    ent_gemm_causal(ENT_SEEN_OF_C, diagonal(b), scores, b->keys, b->rows, b->keys, b->head_dim,
                    (ent_real)(1 / sqrt((double)b->head_dim)),
                    ent_matrix_of(ent_values(node->in[Q]) + b->q_at, b->q_columns, false),
                    ent_matrix_of(ent_values(node->in[K]) + b->k_at, b->k_columns, true), 0);
}

/* The keys that row r of a block sees: [*from, *to), counted from the block's first key. */
static void seen_keys(size_t *from, size_t *to, const attention_ctx *ctx, const block *b, size_t r)
{
    const size_t t = b->first_row + r;
    *from = first_seen(ctx, t) - b->first_key;
    *to = t + 1 - b->first_key;
}

static void clear_masked(ent_real *row, size_t from, size_t to, size_t keys)
{
    memset(row, 0, from * sizeof *row);
    memset(row + to, 0, (keys - to) * sizeof *row);
}

/* Softmax of one row of scores in place; masked keys become 0. */
static void softmax_row(ent_real *row, size_t from, size_t to, size_t keys)
{
    const ent_kernels *k = ent_kernels_get();
    ent_real *seen = row + from;
    const ent_real largest = k->max(seen, to - from);
    const double sum = k->exp(seen, seen, largest, to - from);
    k->scale(seen, seen, (ent_real)(1 / sum), to - from);
    clear_masked(row, from, to, keys);
}

static size_t blocks_of(const attention_ctx *ctx)
{
    return (ctx->n + BLOCK - 1) / BLOCK - ctx->shape.before / BLOCK;
}

static void forward_blocks(void *context, size_t begin, size_t end)
{
    const ent_node *node = context;
    const attention_ctx *ctx = node->ctx;
    const size_t blocks = blocks_of(ctx);
    ent_real *weights = (ent_real *)node->scratch + (size_t)ent_thread() * BLOCK * ctx->n;
    for (size_t i = begin; i < end; i++) {
        const block b = block_at(ctx, i / blocks, i % blocks);
        block_scores(weights, node, &b);
        for (size_t r = 0; r < b.rows; r++) {
            size_t from, to;
            seen_keys(&from, &to, ctx, &b, r);
            softmax_row(weights + r * b.keys, from, to, b.keys);
        }
        ent_gemm_causal(ENT_SEEN_OF_A, diagonal(&b), ent_values(node->out) + b.q_at, b.q_columns, b.rows, b.head_dim,
                        b.keys, 1, ent_matrix_of(weights, b.keys, false),
                        ent_matrix_of(ent_values(node->in[V]) + b.k_at, b.k_columns, false), 0);
    }
}

static void forward(ent_node *node)
{
    const attention_ctx *ctx = node->ctx;
    ent_tiles(ctx->shape.n_heads * blocks_of(ctx), 1, forward_blocks, node);
}

/* p = softmax(scores), in place; ds = p (dp - sum(p dp)) / sqrt(head_dim), into dp. */
static void score_gradients(ent_real *p, ent_real *dp, const ent_node *node, const block *b)
{
    const attention_ctx *ctx = node->ctx;
    const ent_kernels *k = ent_kernels_get();
    const ent_real scale = (ent_real)(1 / sqrt((double)b->head_dim));
    for (size_t r = 0; r < b->rows; r++) {
        ent_real *prow = p + r * b->keys, *drow = dp + r * b->keys;
        size_t from, to;
        seen_keys(&from, &to, ctx, b, r);
        softmax_row(prow, from, to, b->keys);
        k->score_gradient(drow + from, prow + from, (ent_real)k->dot(prow + from, drow + from, to - from), scale,
                          to - from);
        clear_masked(drow, from, to, b->keys);
    }
}

/* Scratch: dk and dv of each query head (n_heads, T, head_dim), then p and dp of each thread. */
static ent_real *head_gradient(const ent_node *node, bool value, size_t head)
{
    const attention_ctx *ctx = node->ctx;
    const size_t heads = ctx->shape.n_heads;
    return (ent_real *)node->scratch + ((value ? heads : 0) + head) * ctx->n * ctx->shape.head_dim;
}

static void backward_block(const ent_node *node, const block *b, ent_real *p, ent_real *dp)
{
    const ent_matrix q = ent_matrix_of(ent_values(node->in[Q]) + b->q_at, b->q_columns, false);
    const ent_matrix k = ent_matrix_of(ent_values(node->in[K]) + b->k_at, b->k_columns, false);
    const ent_matrix v = ent_matrix_of(ent_values(node->in[V]) + b->k_at, b->k_columns, true);
    const ent_matrix dy = ent_matrix_of(node->out->grad + b->q_at, b->q_columns, false);
    const size_t d = b->head_dim, at = b->first_key * d;
    block_scores(p, node, b);
    ent_gemm_causal(ENT_SEEN_OF_C, diagonal(b), dp, b->keys, b->rows, b->keys, d, 1, dy, v, 0);
    score_gradients(p, dp, node, b);
    if (node->in[Q]->grad)
        ent_gemm_causal(ENT_SEEN_OF_A, diagonal(b), node->in[Q]->grad + b->q_at, b->q_columns, b->rows, d, b->keys, 1,
                        ent_matrix_of(dp, b->keys, false), k, 1);
    ent_gemm_causal(ENT_SEEING_OF_A, diagonal(b), head_gradient(node, false, b->head) + at, d, b->keys, d, b->rows, 1,
                    ent_matrix_of(dp, b->keys, true), q, 1);
    ent_gemm_causal(ENT_SEEING_OF_A, diagonal(b), head_gradient(node, true, b->head) + at, d, b->keys, d, b->rows, 1,
                    ent_matrix_of(p, b->keys, true), dy, 1);
}

static void backward_heads(void *context, size_t begin, size_t end)
{
    const ent_node *node = context;
    const attention_ctx *ctx = node->ctx;
    const size_t size = ctx->n * ctx->shape.head_dim;
    ent_real *p = head_gradient(node, true, ctx->shape.n_heads) + (size_t)ent_thread() * 2 * BLOCK * ctx->n;
    for (size_t head = begin; head < end; head++) {
        memset(head_gradient(node, false, head), 0, size * sizeof(ent_real));
        memset(head_gradient(node, true, head), 0, size * sizeof(ent_real));
        for (size_t i = 0; i < blocks_of(ctx); i++) {
            const block b = block_at(ctx, head, i);
            backward_block(node, &b, p, p + BLOCK * ctx->n);
        }
    }
}

/* Adds the gradients of a group's query heads to its k and v. */
static void sum_groups(void *context, size_t begin, size_t end)
{
    const ent_node *node = context;
    const attention_ctx *ctx = node->ctx;
    const size_t d = ctx->shape.head_dim, group = ctx->shape.n_heads / ctx->shape.n_kv_heads;
    for (int value = 0; value < 2; value++) {
        const ent_tensor *in = node->in[value ? V : K];
        if (in->grad == NULL)
            continue;
        for (size_t t = begin; t < end; t++) {
            for (size_t head = 0; head < ctx->shape.n_heads; head++) {
                const ent_real *from = head_gradient(node, value, head) + t * d;
                ent_real *to = in->grad + (t * ctx->shape.n_kv_heads + head / group) * d;
                ent_kernels_get()->add(to, to, from, d);
            }
        }
    }
}

static void backward(ent_node *node)
{
    const attention_ctx *ctx = node->ctx;
    ent_tiles(ctx->shape.n_heads, 1, backward_heads, node);
    ent_tiles(ctx->n, 64, sum_groups, node);
}

static ent_status apply_documents(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    static const int32_t doc_start[] = {0, 0, 0, 3, 3, 3};
    return ent_attention(y, tape, in[0], in[1], in[2],
                         &(ent_attention_shape){.n_heads = 4, .n_kv_heads = 2, .head_dim = 3, .doc_start = doc_start});
}

static ent_status apply_window(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    static const int32_t doc_start[] = {0, 0, 0, 0, 0, 0};
    return ent_attention(
        y, tape, in[0], in[1], in[2],
        &(ent_attention_shape){.n_heads = 4, .n_kv_heads = 2, .head_dim = 3, .window = 3, .doc_start = doc_start});
}

/* More rows than a block, one key-value head for all, a document boundary inside a block. */
static ent_status apply_blocks(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    static int32_t doc_start[70];
    for (int t = 0; t < 70; t++)
        doc_start[t] = t < 30 ? 0 : 30;
    return ent_attention(
        y, tape, in[0], in[1], in[2],
        &(ent_attention_shape){.n_heads = 2, .n_kv_heads = 1, .head_dim = 2, .window = 9, .doc_start = doc_start});
}

/* Queries of the last 10 of 70 tokens, which begin inside a block and see keys of the one before. */
static ent_status apply_before(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    static const int32_t doc_start[70];
    return ent_attention(
        y, tape, in[0], in[1], in[2],
        &(ent_attention_shape){
            .n_heads = 2, .n_kv_heads = 1, .head_dim = 2, .window = 50, .doc_start = doc_start, .before = 60});
}

#define INPUTS(kv_columns)                                                 \
    {                                                                      \
        {.n_dims = 2, .shape = {6, 12}, .low = -2, .high = 2},             \
            {.n_dims = 2, .shape = {6, kv_columns}, .low = -2, .high = 2}, \
        {                                                                  \
            .n_dims = 2, .shape = { 6, kv_columns }                        \
        }                                                                  \
    }

static const ent_op_case cases[] = {
    {.name = "grouped heads, two documents", .apply = apply_documents, .in = INPUTS(6), .n_in = 3},
    {.name = "sliding window", .apply = apply_window, .in = INPUTS(6), .n_in = 3},
    {.name = "several blocks",
     .apply = apply_blocks,
     .in = {{.n_dims = 2, .shape = {70, 4}}, {.n_dims = 2, .shape = {70, 2}}, {.n_dims = 2, .shape = {70, 2}}},
     .n_in = 3},
    {.name = "queries of the last tokens",
     .apply = apply_before,
     .in = {{.n_dims = 2, .shape = {10, 4}}, {.n_dims = 2, .shape = {70, 2}}, {.n_dims = 2, .shape = {70, 2}}},
     .n_in = 3},
    {.name = "fewer keys than tokens",
     .apply = apply_before,
     .in = {{.n_dims = 2, .shape = {10, 4}}, {.n_dims = 2, .shape = {10, 2}}, {.n_dims = 2, .shape = {10, 2}}},
     .n_in = 3,
     .must_fail = true},
    {.name = "shapes of k and v don't fit", .apply = apply_documents, .in = INPUTS(9), .n_in = 3, .must_fail = true},
};

const ent_op ent_op_attention = {
    "attention", forward, backward, cases, sizeof cases / sizeof *cases, ENT_UNREAD_OUT | ENT_UNREAD_SAVED};

ent_status ent_attention(ent_tensor **y, ent_tape *tape, ent_tensor *q, ent_tensor *k, ent_tensor *v,
                         const ent_attention_shape *shape)
{
    const ent_attention_shape *s = shape;
    ent_shape_text t[3];
    ENT_TRY(ent_op_check_real(&ent_op_attention, q));
    ENT_TRY(ent_op_check_real(&ent_op_attention, k));
    ENT_TRY(ent_op_check_real(&ent_op_attention, v));
    if (s->n_kv_heads == 0 || s->n_heads % s->n_kv_heads || q->n_dims != 2 || k->n_dims != 2 ||
        q->shape[1] != s->n_heads * s->head_dim || k->shape[1] != s->n_kv_heads * s->head_dim ||
        k->shape[0] != s->before + q->shape[0] || !ent_tensor_same_shape(k, v))
        return ent_fail(ENT_EINVAL, "attention: expected q [T,%zu*%zu] and k, v [T+%zu,%zu*%zu], found %s, %s, %s",
                        s->n_heads, s->head_dim, s->before, s->n_kv_heads, s->head_dim,
                        ent_shape_format(&t[0], q->n_dims, q->shape), ent_shape_format(&t[1], k->n_dims, k->shape),
                        ent_shape_format(&t[2], v->n_dims, v->shape));
    const size_t n = k->shape[0];
    ent_node *node;
    ENT_TRY(ent_node_new(&node, tape, &ent_op_attention, (ent_tensor *[]){q, k, v}, 3, sizeof(attention_ctx)));
    attention_ctx *ctx = node->ctx;
    *ctx = (attention_ctx){.shape = *shape, .n = n};
    const size_t heads = ent_tape_recording(tape) ? 2 * s->n_heads * n * s->head_dim : 0;
    node->scratch_bytes = (heads + (size_t)ent_threads() * 2 * BLOCK * n) * sizeof(ent_real);
    return ent_node_run(y, tape, node, 2, q->shape);
}
