/* loss = mean of (prediction - target)^2 */
#include "src/autograd/op.h"
#include "src/autograd/ops.h"
#include "src/autograd/ops/mean_loss.h"

static double value(double p, double t, double parameter)
{
    (void)parameter;
    return (p - t) * (p - t);
}

static double slope(double p, double t, double parameter)
{
    (void)parameter;
    return 2 * (p - t);
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
    return ent_mse(y, tape, in[0], in[1]);
}

static const ent_op_case cases[] = {
    {.name = "both",
     .apply = apply_case,
     .in = {{.n_dims = 2, .shape = {3, 5}}, {.n_dims = 2, .shape = {3, 5}}},
     .n_in = 2},
    {.name = "target constant",
     .apply = apply_case,
     .in = {{.n_dims = 2, .shape = {3, 5}}, {.n_dims = 2, .shape = {3, 5}, .constant = true}},
     .n_in = 2},
    {.name = "several tiles",
     .apply = apply_case,
     .in = {{.n_dims = 1, .shape = {4099}}, {.n_dims = 1, .shape = {4099}, .constant = true}},
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

const ent_op ent_op_mse = {"mse", forward, backward, cases, sizeof cases / sizeof *cases, 0};

ent_status ent_mse(ent_tensor **loss, ent_tape *tape, ent_tensor *prediction, ent_tensor *target)
{
    return ent_mean_loss_node(loss, tape, &ent_op_mse, prediction, target, 0);
}
