/* Losses that are the mean over elements of a function of a prediction and a target, computed in double. */
#ifndef ENT_AUTOGRAD_OPS_MEAN_LOSS_H
#define ENT_AUTOGRAD_OPS_MEAN_LOSS_H

#include "src/autograd/op.h"

/* Of one element: the value, its derivative by the prediction and that by the target (NULL: minus the first). */
typedef struct ent_mean_loss {
    double (*value)(double p, double t, double parameter);
    double (*slope)(double p, double t, double parameter);
    double (*target_slope)(double p, double t, double parameter);
} ent_mean_loss;

/* Makes and runs a node of `op` on two inputs of equal shape; ENT_EINVAL if shapes differ or have no elements. */
ent_status ent_mean_loss_node(ent_tensor **loss, ent_tape *tape, const ent_op *op, ent_tensor *prediction,
                              ent_tensor *target, double parameter);

void ent_mean_loss_forward(ent_node *node, const ent_mean_loss *kind);
void ent_mean_loss_backward(ent_node *node, const ent_mean_loss *kind);

#endif
