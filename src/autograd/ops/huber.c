/* loss = mean of d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2), with d = prediction - target */
#include <math.h>

#include "src/autograd/op.h"
#include "src/autograd/ops.h"
#include "src/autograd/ops/mean_loss.h"

static double value(double p, double t, double delta)
{
    const double d = fabs(p - t);
    return d <= delta ? 0.5 * d * d : delta * (d - 0.5 * delta);
}

static double slope(double p, double t, double delta)
{
    const double d = p - t;
    return fabs(d) <= delta ? d : d > 0 ? delta : -delta;
}

static const ent_mean_loss kind = {value, slope, NULL};

static void forward(ent_node *node)
{
    ent_mean_loss_forward(node, &kind);
}

static void backward(ent_node *node)
{
    ent_mean_loss_backward(node, &kind);
}

static ent_status apply_case(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    return ent_huber(y, tape, in[0], in[1], 0.75);
}

static ent_status apply_zero(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    return ent_huber(y, tape, in[0], in[1], 0);
}

static const ent_op_case cases[] = {
    {.name = "near",
     .apply = apply_case,
     .in = {{.n_dims = 2, .shape = {3, 5}, .low = -0.3, .high = 0.3},
            {.n_dims = 2, .shape = {3, 5}, .low = -0.3, .high = 0.3}},
     .n_in = 2},
    {.name = "above",
     .apply = apply_case,
     .in = {{.n_dims = 2, .shape = {3, 5}, .low = 1, .high = 2}, {.n_dims = 2, .shape = {3, 5}, .low = -1, .high = 0}},
     .n_in = 2},
    {.name = "below",
     .apply = apply_case,
     .in = {{.n_dims = 2, .shape = {3, 5}, .low = -2, .high = -1}, {.n_dims = 2, .shape = {3, 5}, .low = 0, .high = 1}},
     .n_in = 2},
    {.name = "delta of zero",
     .apply = apply_zero,
     .in = {{.n_dims = 1, .shape = {3}}, {.n_dims = 1, .shape = {3}}},
     .n_in = 2,
     .must_fail = true},
    {.name = "shapes differ",
     .apply = apply_case,
     .in = {{.n_dims = 2, .shape = {3, 5}}, {.n_dims = 2, .shape = {5, 3}}},
     .n_in = 2,
     .must_fail = true},
    {.name = "no elements",
     .apply = apply_case,
     .in = {{.n_dims = 1, .shape = {0}}, {.n_dims = 1, .shape = {0}}},
     .n_in = 2,
     .must_fail = true},
};

const ent_op ent_op_huber = {"huber", forward, backward, cases, sizeof cases / sizeof *cases, 0};

ent_status ent_huber(ent_tensor **loss, ent_tape *tape, ent_tensor *prediction, ent_tensor *target, double delta)
{
    if (!(delta > 0))
        return ent_fail(ENT_EINVAL, "huber: expected a delta above 0, found %g", delta);
    return ent_mean_loss_node(loss, tape, &ent_op_huber, prediction, target, delta);
}
