/* loss = mean of max(x, 0) - x t + log(1 + exp(-|x|)), which is -(t log s + (1 - t) log(1 - s)) for s = sigmoid(x) */
#include <math.h>

#include "src/autograd/op.h"
#include "src/autograd/ops.h"
#include "src/autograd/ops/mean_loss.h"
#include "src/base/elementary.h"

static double value(double p, double t, double parameter)
{
    (void)parameter;
    return (p > 0 ? p : 0) - p * t + ent_log1p(ent_exp(-fabs(p)));
}

static double slope(double p, double t, double parameter)
{
    (void)parameter;
    return 1 / (1 + ent_exp(-p)) - t;
}

static double target_slope(double p, double t, double parameter)
{
    (void)t;
    (void)parameter;
    return -p;
}

static const ent_mean_loss kind = {value, slope, target_slope};

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
    return ent_bce_with_logits(y, tape, in[0], in[1]);
}

static const ent_op_case cases[] = {
    {.name = "both",
     .apply = apply_case,
     .in = {{.n_dims = 2, .shape = {3, 5}, .low = -3, .high = 3}, {.n_dims = 2, .shape = {3, 5}, .low = 0, .high = 1}},
     .n_in = 2},
    {.name = "target constant",
     .apply = apply_case,
     .in = {{.n_dims = 2, .shape = {3, 5}, .low = -3, .high = 3},
            {.n_dims = 2, .shape = {3, 5}, .low = 0, .high = 1, .constant = true}},
     .n_in = 2},
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

const ent_op ent_op_bce_with_logits = {"bce_with_logits", forward, backward, cases, sizeof cases / sizeof *cases, 0};

ent_status ent_bce_with_logits(ent_tensor **loss, ent_tape *tape, ent_tensor *logits, ent_tensor *target)
{
    return ent_mean_loss_node(loss, tape, &ent_op_bce_with_logits, logits, target, 0);
}
