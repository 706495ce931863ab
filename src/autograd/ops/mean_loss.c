#include "src/autograd/ops/mean_loss.h"

#include "src/autograd/ops/reduce.h"
#include "src/base/tiles.h"

enum { TILE = 4096 };

typedef struct job {
    const ent_node *node;
    const ent_mean_loss *kind;
    double parameter;
} job;

static double value_tile(const void *context, size_t begin, size_t end)
{
    const job *j = context;
    const ent_real *p = ent_values(j->node->in[0]), *t = ent_values(j->node->in[1]);
    double sum = 0;
    for (size_t i = begin; i < end; i++)
        sum += j->kind->value((double)p[i], (double)t[i], j->parameter);
    return sum;
}

void ent_mean_loss_forward(ent_node *node, const ent_mean_loss *kind)
{
    const job j = {node, kind, *(const double *)node->ctx};
    const size_t n = ent_tensor_count(node->in[0]);
    ent_values(node->out)[0] = (ent_real)(ent_reduce(node->scratch, n, value_tile, &j) / (double)n);
}

static void gradient_tile(void *context, size_t begin, size_t end)
{
    const job *j = context;
    const ent_tensor *const *in = (const ent_tensor *const *)j->node->in;
    const double factor = (double)j->node->out->grad[0] / (double)ent_tensor_count(in[0]);
    for (size_t i = begin; i < end; i++) {
        const double p = (double)ent_values(in[0])[i], t = (double)ent_values(in[1])[i];
        const double slope = j->kind->slope(p, t, j->parameter);
        if (in[0]->grad)
            in[0]->grad[i] += (ent_real)(factor * slope);
        if (in[1]->grad)
            in[1]->grad[i] +=
                (ent_real)(factor * (j->kind->target_slope ? j->kind->target_slope(p, t, j->parameter) : -slope));
    }
}

void ent_mean_loss_backward(ent_node *node, const ent_mean_loss *kind)
{
    job j = {node, kind, *(const double *)node->ctx};
    ent_tiles(ent_tensor_count(node->in[0]), TILE, gradient_tile, &j);
}

ent_status ent_mean_loss_node(ent_tensor **loss, ent_tape *tape, const ent_op *op, ent_tensor *prediction,
                              ent_tensor *target, double parameter)
{
    ent_shape_text t[2];
    const size_t n = ent_tensor_count(prediction);
    ENT_TRY(ent_op_check_real(op, prediction));
    ENT_TRY(ent_op_check_real(op, target));
    if (!ent_tensor_same_shape(prediction, target) || n == 0)
        return ent_fail(ENT_EINVAL, "%s: expected equal shapes that aren't empty, found %s and %s", op->name,
                        ent_shape_format(&t[0], prediction->n_dims, prediction->shape),
                        ent_shape_format(&t[1], target->n_dims, target->shape));
    ent_node *node;
    ENT_TRY(ent_node_new(&node, tape, op, (ent_tensor *[]){prediction, target}, 2, sizeof parameter));
    *(double *)node->ctx = parameter;
    node->scratch_bytes = ent_reduce_scratch(n);
    return ent_node_run(loss, tape, node, 0, NULL);
}
