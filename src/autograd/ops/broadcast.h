/* Operators of two inputs whose shapes broadcast as in NumPy. Results are walked in runs along the last dimension, in
 * which an input advances by one element or stands still.
 */
#ifndef ENT_AUTOGRAD_OPS_BROADCAST_H
#define ENT_AUTOGRAD_OPS_BROADCAST_H

#include <stdbool.h>
#include <stddef.h>

#include "src/autograd/op.h"

enum { ENT_BROADCAST_TILE = 4096 };

/* A piece of the result: elements [y, y + n), made from element in[k] + i * step[k] of input k. */
typedef struct ent_broadcast_run {
    size_t y, n, in[2], step[2];
} ent_broadcast_run;

/* Makes a node of `op` on a and b, of the shape they broadcast to, and runs it: ENT_EINVAL if they don't. */
ent_status ent_broadcast_node(ent_tensor **y, ent_tape *tape, const ent_op *op, ent_tensor *a, ent_tensor *b);

/* The next run that ends at or before element `end` of the result; the first starts at the run.y that the caller sets,
 * with run.n = 0. False when there is none. */
bool ent_broadcast_next(ent_broadcast_run *run, const ent_node *node, size_t end);

/* Adds factor * dy * other to the gradient of input k, if it wants one, summed in double where k is repeated; `other`
 * is the values of the other input, or NULL for 1. */
void ent_broadcast_gradient(ent_node *node, size_t k, ent_real factor, const ent_real *other);

#endif
