/* y = clamp(round(w / s), -127, 127) s, with a scale s for each row of w; the gradients are those of LSQ. */
#include "src/autograd/op.h"
#include "src/autograd/ops.h"
#include "src/autograd/ops_model.h"
#include "src/base/tiles.h"
#include "src/quant/fake.h"

enum { W, SCALE };
enum { ROWS_IN_TILE = 8, PIECE = 256, LANES = 16 };

typedef struct fake_ctx {
    ent_real gain;
} fake_ctx;

static void forward_rows(void *context, size_t begin, size_t end)
{
    const ent_node *node = context;
    const size_t n = node->out->shape[1];
    for (size_t i = begin; i < end; i++) {
        const ent_real *w = ent_values(node->in[W]) + i * n, s = ent_values(node->in[SCALE])[i];
        ent_real *y = ent_values(node->out) + i * n;
        for (size_t j = 0; j < n; j++)
            y[j] = ent_fake_code(w[j], s) * s;
    }
}

static void forward(ent_node *node)
{
    ent_tiles(node->out->shape[0], ROWS_IN_TILE, forward_rows, node);
}

/* A piece of a row, with x = w / s. dw += dy inside the range, where rounding counts as the identity, and nothing
 * outside, where y is a constant; slopes = dy dy/ds, which is round(x) - x inside, and its end outside. */
static void slopes_of(ent_real *slopes, ent_real *dw, const ent_real *dy, const ent_real *w, ent_real s, size_t n)
{
    for (size_t j = 0; j < n; j++) {
        const ent_real x = w[j] / s, rounded = ent_fake_round(ent_fake_hold(x));
        const ent_real inside = x > -ENT_FAKE_MOST && x < ENT_FAKE_MOST ? 1 : 0;
        slopes[j] = dy[j] * (rounded - (inside != 0 ? x : 0));
        dw[j] += inside * dy[j];
    }
}

static void row_gradient(ent_real *dw, ent_real *ds, const fake_ctx *ctx, const ent_real *dy, const ent_real *w,
                         ent_real s, size_t n)
{
    ent_real slopes[PIECE], unwanted[PIECE] = {0};
    double sums[LANES] = {0}, sum = 0;
    for (size_t first = 0; first < n; first += PIECE) {
        const size_t count = n - first < PIECE ? n - first : PIECE;
        slopes_of(slopes, dw ? dw + first : unwanted, dy + first, w + first, s, count);
        size_t j = 0;
        for (; j + LANES <= count; j += LANES)
            for (size_t k = 0; k < LANES; k++)
                sums[k] += (double)slopes[j + k];
        for (; j < count; j++)
            sums[j % LANES] += (double)slopes[j];
    }
    for (size_t k = 0; k < LANES; k++)
        sum += sums[k];
    if (ds)
        *ds += (ent_real)((double)ctx->gain * sum);
}

static void backward_rows(void *context, size_t begin, size_t end)
{
    const ent_node *node = context;
    const size_t n = node->out->shape[1];
    ent_real *const dw = node->in[W]->grad, *const ds = node->in[SCALE]->grad;
    for (size_t i = begin; i < end; i++)
        row_gradient(dw ? dw + i * n : NULL, ds ? ds + i : NULL, node->ctx, node->out->grad + i * n,
                     ent_values(node->in[W]) + i * n, ent_values(node->in[SCALE])[i], n);
}

static void backward(ent_node *node)
{
    ent_tiles(node->out->shape[0], ROWS_IN_TILE, backward_rows, node);
}

/* Differences see the steps of a rounding, not what LSQ puts in their place. But y is homogeneous: if w and s grow by
 * the same factor t, no number is rounded otherwise, and y grows by t. So the derivatives along t, which both gradients
 * go into, are those of differences; tests/test_fake_quantize.c has the gradients one by one. w = u t, s = c t, by
 * rows. */
static ent_status apply_grown(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    ent_tensor *grown, *w, *s;
    ENT_TRY(ent_mul(&grown, tape, in[0], in[2])); /* (columns, rows) by a factor for each row */
    ENT_TRY(ent_transpose(&w, tape, grown));
    ENT_TRY(ent_mul(&s, tape, in[1], in[2]));
    return ent_fake_quantize(y, tape, w, s, 1);
}

/* Where all is outside the range, y = +-127 s is smooth. */
static ent_status apply_plain(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    return ent_fake_quantize(y, tape, in[0], in[1], 1);
}

#define GROWN(rows, columns, least, most)                                                 \
    {                                                                                     \
        {.n_dims = 2, .shape = {columns, rows}, .constant = true},                        \
            {.n_dims = 1, .shape = {rows}, .low = least, .high = most, .constant = true}, \
        {                                                                                 \
            .n_dims = 1, .shape = {rows}, .low = 0.5, .high = 2                           \
        }                                                                                 \
    }

static const ent_op_case cases[] = {
    {.name = "inside the range", .apply = apply_grown, .in = GROWN(3, 37, 0.01, 0.02), .n_in = 3},
    {.name = "half of it outside", .apply = apply_grown, .in = GROWN(19, 5, 0.002, 0.006), .n_in = 3},
    {.name = "rows of several pieces", .apply = apply_grown, .in = GROWN(1, PIECE + 40, 0.005, 0.02), .n_in = 3},
    {.name = "above",
     .apply = apply_plain,
     .in = {{.n_dims = 2, .shape = {3, 20}, .low = 1, .high = 2},
            {.n_dims = 1, .shape = {3}, .low = 0.002, .high = 0.005}},
     .n_in = 2},
    {.name = "below",
     .apply = apply_plain,
     .in = {{.n_dims = 2, .shape = {3, 20}, .low = -2, .high = -1},
            {.n_dims = 1, .shape = {3}, .low = 0.002, .high = 0.005}},
     .n_in = 2},
    {.name = "a scale for each column",
     .apply = apply_plain,
     .in = {{.n_dims = 2, .shape = {3, 5}}, {.n_dims = 1, .shape = {5}, .low = 1, .high = 2}},
     .n_in = 2,
     .must_fail = true},
};

/* The product that y is made for reads it in backward: so it is computed also where only backward wants it. */
const ent_op ent_op_fake_quantize = {"fake_quantize", forward, backward, cases, sizeof cases / sizeof *cases,
                                     ENT_UNREAD_SAVED};

ent_status ent_fake_quantize(ent_tensor **y, ent_tape *tape, ent_tensor *w, ent_tensor *scale, ent_real gain)
{
    ent_shape_text t[2];
    ent_node *node;
    ENT_TRY(ent_op_check_real(&ent_op_fake_quantize, w));
    ENT_TRY(ent_op_check_real(&ent_op_fake_quantize, scale));
    if (w->n_dims != 2 || scale->n_dims != 1 || scale->shape[0] != w->shape[0])
        return ent_fail(ENT_EINVAL, "fake_quantize: expected w [out,in], scale [out], found %s, %s",
                        ent_shape_format(&t[0], w->n_dims, w->shape),
                        ent_shape_format(&t[1], scale->n_dims, scale->shape));
    ENT_TRY(ent_node_new(&node, tape, &ent_op_fake_quantize, (ent_tensor *[]){w, scale}, 2, sizeof(fake_ctx)));
    ((fake_ctx *)node->ctx)->gain = gain;
    return ent_node_run(y, tape, node, 2, w->shape);
}
