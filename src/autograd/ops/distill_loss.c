/* loss = sum over tokens with a target of: alpha T^2 sum_k w_k KL(p_k || q) + (1 - alpha) (log sum exp(z) - z[target])
 *
 * z = w h : (V) are the student's logits and q = softmax(z / T), p_k = softmax(w_k h_k / T) is teacher k. The gradient
 * of z is alpha T (q - sum_k w_k p_k) + (1 - alpha) (softmax(z) - onehot(target)).
 *
 * Logits exist of a chunk of rows (head_loss.h), of the student, of one teacher, and a weighted sum of the
 * probabilities if there are several.
 */
#include <string.h>

#include "src/autograd/op.h"
#include "src/autograd/ops/head_loss.h"
#include "src/autograd/ops_model.h"
#include "src/base/elementary.h"
#include "src/base/tiles.h"
#include "src/kernel/kernels.h"
#include "src/tensor/gemm.h"

enum { PIECE = 512 };

typedef struct distill_ctx {
    ent_head_loss head;
    ent_distill_teacher teachers[ENT_MAX_TEACHERS];
    size_t n_teachers, widest; /* C of the widest teacher */
    double temperature, alpha;
} distill_ctx;

/* What is known of a row: the loss so far, sums of exp(z - largest) and of exp((z - largest) / T). */
typedef struct row {
    double loss, sum, soft_sum;
    ent_real largest;
} row;

/* A chunk with a teacher's logits and hidden state, and the weighted sum of probabilities, which is in the place of the
 * logits if there is one teacher. */
typedef struct chunk {
    ent_head_chunk head;
    const ent_distill_teacher *teacher; /* the one whose logits are there */
    row *row;
    ent_real *t, *teacher_h, *p;
} chunk;

static const distill_ctx *ctx_of(const chunk *k)
{
    return k->head.node->ctx;
}

static size_t vocabulary(const chunk *k)
{
    return k->head.node->in[ENT_HEAD_W]->shape[0];
}

static size_t piece_at(size_t i, size_t n)
{
    return n - i < PIECE ? n - i : PIECE;
}

static void student_rows(void *context, size_t begin, size_t end)
{
    const chunk *k = context;
    const distill_ctx *ctx = ctx_of(k);
    const ent_kernels *kernels = ent_kernels_get();
    const size_t v = vocabulary(k);
    const ent_real inverse = (ent_real)(1 / ctx->temperature);
    ent_real e[PIECE];
    for (size_t r = begin; r < end; r++) {
        const ent_real *z = k->head.z + r * v;
        row *y = &k->row[r];
        *y = (row){.largest = kernels->max(z, v)};
        for (size_t i = 0; i < v; i += PIECE) {
            const size_t n = piece_at(i, v);
            y->sum += kernels->exp(e, z + i, y->largest, n);
            kernels->scale(e, z + i, inverse, n);
            y->soft_sum += kernels->exp(e, e, y->largest * inverse, n);
        }
    }
}

/* One row of a teacher: its part of the loss, alpha T^2 w KL(p || q), and of the weighted sum, alpha T w p. */
static void teacher_rows(void *context, size_t begin, size_t end)
{
    const chunk *k = context;
    const distill_ctx *ctx = ctx_of(k);
    const ent_kernels *kernels = ent_kernels_get();
    const size_t v = vocabulary(k);
    const ent_real inverse = (ent_real)(1 / ctx->temperature);
    const double weight = ctx->alpha * ctx->temperature * k->teacher->weight;
    ent_real e[PIECE], soft[PIECE];
    for (size_t r = begin; r < end; r++) {
        const ent_real *z = k->head.z + r * v;
        ent_real *t = k->t + r * v, *p = k->p + r * v;
        row *y = &k->row[r];
        double sum = 0, with_t = 0, with_z = 0; /* of exp(t), exp(t) t, exp(t) z / T */
        kernels->scale(t, t, inverse, v);
        const ent_real largest = kernels->max(t, v);
        for (size_t i = 0; i < v; i += PIECE) {
            const size_t n = piece_at(i, v);
            sum += kernels->exp(e, t + i, largest, n);
            with_t += kernels->dot(e, t + i, n);
            kernels->scale(soft, z + i, inverse, n);
            with_z += kernels->dot(e, soft, n);
            memcpy(t + i, e, n * sizeof *e);
        }
        const double log_p = with_t / sum - (double)largest - ent_log(sum);
        const double log_q = with_z / sum - (double)(y->largest * inverse) - ent_log(y->soft_sum);
        y->loss += weight * ctx->temperature * (log_p - log_q);
        if (k->teacher == ctx->teachers)
            kernels->scale(p, t, (ent_real)(weight / sum), v);
        else
            kernels->add_scaled(p, t, (ent_real)(weight / sum), v);
    }
}

/* The rest of the loss, and the gradient of the logits in their place. */
static void finish_rows(void *context, size_t begin, size_t end)
{
    const chunk *k = context;
    const distill_ctx *ctx = ctx_of(k);
    const ent_kernels *kernels = ent_kernels_get();
    const size_t v = vocabulary(k);
    const ent_real inverse = (ent_real)(1 / ctx->temperature);
    const double rest = 1 - ctx->alpha;
    ent_real g[PIECE], soft[PIECE];
    for (size_t r = begin; r < end; r++) {
        ent_real *z = k->head.z + r * v;
        row *y = &k->row[r];
        const size_t target = (size_t)ctx->head.targets[ctx->head.rows[k->head.first + r]];
        y->loss += rest * (ent_log(y->sum) + (double)y->largest - (double)z[target]);
        for (size_t i = 0; i < v; i += PIECE) {
            const size_t n = piece_at(i, v);
            kernels->exp(g, z + i, y->largest, n);
            kernels->scale(g, g, (ent_real)(rest / y->sum), n);
            kernels->scale(soft, z + i, inverse, n);
            kernels->add_exp(g, soft, y->largest * inverse, (ent_real)(ctx->alpha * ctx->temperature / y->soft_sum), n);
            kernels->add_scaled(g, k->p + r * v + i, -1, n);
            memcpy(z + i, g, n * sizeof *g);
        }
        z[target] -= (ent_real)rest;
    }
}

static void losses(const ent_head_chunk *head)
{
    const distill_ctx *ctx = head->node->ctx;
    const size_t v = head->node->in[ENT_HEAD_W]->shape[0], rows = ctx->head.chunk;
    chunk k = {.head = *head, .row = head->known, .t = head->h + rows * head->node->in[ENT_HEAD_W]->shape[1]};
    k.teacher_h = k.t + rows * v;
    k.p = ctx->n_teachers > 1 ? k.teacher_h + rows * ctx->widest : k.t;
    ent_tiles(head->rows, 1, student_rows, &k);
    for (size_t i = 0; i < ctx->n_teachers; i++) {
        k.teacher = &ctx->teachers[i];
        ent_head_gather(k.teacher_h, head, k.teacher->h, k.teacher->w->shape[1]);
        ent_gemm_weight(k.t, head->rows, k.teacher_h, k.teacher->w, true, 0, head->scratch);
        ent_tiles(head->rows, 1, teacher_rows, &k);
    }
    ent_tiles(head->rows, 1, finish_rows, &k);
}

static void forward(ent_node *node)
{
    ent_head_loss_forward(node, losses);
}

static void backward(ent_node *node)
{
    ent_head_loss_backward(node, losses);
}

static ent_status apply_with(ent_tensor **y, ent_tape *tape, ent_tensor *const *in, const int32_t *targets, size_t n,
                             double temperature, double alpha)
{
    const ent_distill_teacher teachers[] = {{in[2], in[3], n == 1 ? 1 : 0.75}, {in[4], in[5], 0.25}};
    const ent_distillation how = {teachers, n, temperature, alpha};
    return ent_distill_loss(y, tape, in[0], in[1], targets, &how);
}

static const int32_t case_targets[] = {2, -100, 0, 6, 2};

static ent_status apply_one(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    return apply_with(y, tape, in, case_targets, 1, 2, 0.7);
}

static ent_status apply_soft_alone(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    return apply_with(y, tape, in, case_targets, 1, 0.5, 1);
}

static ent_status apply_two(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    return apply_with(y, tape, in, case_targets, 2, 3, 0.4);
}

static ent_status apply_chunks(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    static int32_t targets[560];
    for (int t = 0; t < 560; t++)
        targets[t] = t % 20 == 3 ? -100 : t % 3;
    return apply_with(y, tape, in, targets, 1, 2, 0.5);
}

static ent_status apply_pieces(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    static const int32_t targets[] = {519};
    return apply_with(y, tape, in, targets, 1, 2, 0.5);
}

static ent_status apply_outside(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    static const int32_t targets[] = {2, -100, 0, 7, 2};
    return apply_with(y, tape, in, targets, 1, 2, 0.5);
}

#define IN(rows, columns)                                           \
    {                                                               \
        .n_dims = 2, .shape = {rows, columns}, .low = -2, .high = 2 \
    }
#define FIXED(rows, columns)                                                          \
    {                                                                                 \
        .n_dims = 2, .shape = {rows, columns}, .low = -2, .high = 2, .constant = true \
    }

static const ent_op_case cases[] = {
    {.name = "one teacher", .apply = apply_one, .in = {IN(5, 3), IN(7, 3), FIXED(5, 4), FIXED(7, 4)}, .n_in = 4},
    {.name = "frozen head", .apply = apply_one, .in = {IN(5, 3), FIXED(7, 3), FIXED(5, 4), FIXED(7, 4)}, .n_in = 4},
    {.name = "no hard part",
     .apply = apply_soft_alone,
     .in = {IN(5, 3), IN(7, 3), FIXED(5, 4), FIXED(7, 4)},
     .n_in = 4},
    {.name = "two teachers",
     .apply = apply_two,
     .in = {IN(5, 3), IN(7, 3), FIXED(5, 4), FIXED(7, 4), FIXED(5, 2), FIXED(7, 2)},
     .n_in = 6},
    {.name = "more than a chunk",
     .apply = apply_chunks,
     .in = {IN(560, 1), IN(3, 1), FIXED(560, 1), FIXED(3, 1)},
     .n_in = 4},
    {.name = "more than a piece",
     .apply = apply_pieces,
     .in = {IN(1, 2), IN(520, 2), FIXED(1, 2), FIXED(520, 2)},
     .n_in = 4},
    {.name = "vocabularies differ",
     .apply = apply_one,
     .in = {IN(5, 3), IN(7, 3), FIXED(5, 4), FIXED(8, 4)},
     .n_in = 4,
     .must_fail = true},
    {.name = "tokens differ",
     .apply = apply_one,
     .in = {IN(5, 3), IN(7, 3), FIXED(4, 4), FIXED(7, 4)},
     .n_in = 4,
     .must_fail = true},
    {.name = "target outside",
     .apply = apply_outside,
     .in = {IN(5, 3), IN(7, 3), FIXED(5, 4), FIXED(7, 4)},
     .n_in = 4,
     .must_fail = true},
};

const ent_op ent_op_distill_loss = {"distill_loss", forward, backward, cases, sizeof cases / sizeof *cases,
                                    ENT_UNREAD_OUT};

static ent_status check(const ent_tensor *h, const ent_tensor *w, const ent_distillation *how)
{
    ent_shape_text t[2];
    if (how->count == 0 || how->count > ENT_MAX_TEACHERS || !(how->temperature > 0))
        return ent_fail(ENT_EINVAL,
                        "distill_loss: expected 1 to %d teachers and a temperature above 0, found %zu and %g",
                        ENT_MAX_TEACHERS, how->count, how->temperature);
    for (size_t i = 0; i < how->count; i++) {
        const ent_tensor *th = how->teachers[i].h, *tw = how->teachers[i].w;
        ENT_TRY(ent_op_check_real(&ent_op_distill_loss, th));
        if (th->n_dims != 2 || tw->n_dims != 2 || th->shape[1] != tw->shape[1] || th->shape[0] != h->shape[0] ||
            tw->shape[0] != w->shape[0])
            return ent_fail(ENT_EINVAL, "distill_loss: teacher %zu: expected h [%zu,C] and w [%zu,C], found %s and %s",
                            i, h->shape[0], w->shape[0], ent_shape_format(&t[0], th->n_dims, th->shape),
                            ent_shape_format(&t[1], tw->n_dims, tw->shape));
    }
    return ENT_OK;
}

ent_status ent_distill_loss(ent_tensor **loss, ent_tape *tape, ent_tensor *h, ent_tensor *w, const int32_t *targets,
                            const ent_distillation *how)
{
    ent_node *node;
    ent_tensor *in[2 + 2 * ENT_MAX_TEACHERS] = {h, w};
    ENT_TRY(check(h, w, how));
    for (size_t i = 0; i < how->count; i++) {
        in[2 + 2 * i] = how->teachers[i].h;
        in[3 + 2 * i] = how->teachers[i].w;
    }
    ENT_TRY(ent_head_loss_begin(&node, tape, &ent_op_distill_loss, in, 2 + 2 * how->count, sizeof(distill_ctx),
                                sizeof(row), targets));
    distill_ctx *ctx = node->ctx;
    ctx->n_teachers = how->count;
    ctx->temperature = how->temperature;
    ctx->alpha = how->alpha;
    if (!w->requires_grad) /* nor what the teachers give */
        node->traits |= (ENT_UNREAD_IN(2 + 2 * how->count) - 1) & ~ENT_UNREAD_IN(ENT_HEAD_W);
    for (size_t i = 0; i < how->count; i++) {
        size_t bytes;
        const ent_distill_teacher *t = &how->teachers[i];
        ctx->teachers[i] = *t;
        ctx->widest = t->w->shape[1] > ctx->widest ? t->w->shape[1] : ctx->widest;
        ENT_TRY(ent_gemm_weight_plan(&bytes, t->w, ctx->head.chunk));
        ctx->head.product_bytes = bytes > ctx->head.product_bytes ? bytes : ctx->head.product_bytes;
    }
    return ent_head_loss_run(loss, tape, node, ctx->widest + w->shape[0] * (how->count > 1 ? 2 : 1));
}
