/* The general operators. Each makes *y on the tape, which owns it until the tape is rewound, and returns ENT_EINVAL for
 * shapes that don't fit and for inputs that aren't of the core's own type, ENT_ENOMEM when memory runs out. Reductions
 * are summed in double over fixed tiles: no result depends on the number of threads.
 */
#ifndef ENT_AUTOGRAD_OPS_H
#define ENT_AUTOGRAD_OPS_H

#include <stddef.h>
#include <stdint.h>

#include "src/autograd/tape.h"
#include "src/base/philox.h"

/* y = a + b, a - b, a * b, element by element. Shapes broadcast as in NumPy: aligned at the last dimension, absent
 * dimensions and those of size 1 are repeated. */
ent_status ent_add(ent_tensor **y, ent_tape *tape, ent_tensor *a, ent_tensor *b);
ent_status ent_sub(ent_tensor **y, ent_tape *tape, ent_tensor *a, ent_tensor *b);
ent_status ent_mul(ent_tensor **y, ent_tape *tape, ent_tensor *a, ent_tensor *b);

/* y = factor x */
ent_status ent_scale(ent_tensor **y, ent_tape *tape, ent_tensor *x, ent_real factor);

/* y = a b: (..., m, n) = (..., m, k) (..., k, n) of two to four dimensions; the leading ones are equal. */
ent_status ent_matmul(ent_tensor **y, ent_tape *tape, ent_tensor *a, ent_tensor *b);

/* y = x with its last two dimensions swapped: (..., n, m) from (..., m, n). */
ent_status ent_transpose(ent_tensor **y, ent_tape *tape, ent_tensor *x);

/* The sum and the mean of all elements: a scalar. ENT_EINVAL for the mean of none. */
ent_status ent_sum(ent_tensor **y, ent_tape *tape, ent_tensor *x);
ent_status ent_mean(ent_tensor **y, ent_tape *tape, ent_tensor *x);

/* y = max(x, 0); the gradient at 0 is 0. */
ent_status ent_relu(ent_tensor **y, ent_tape *tape, ent_tensor *x);

/* y = x (1 + erf(x / sqrt(2))) / 2: the exact form (Hendrycks, Gimpel 2016, arXiv:1606.08415). */
ent_status ent_gelu(ent_tensor **y, ent_tape *tape, ent_tensor *x);

/* y = x / (1 + exp(-x)) */
ent_status ent_silu(ent_tensor **y, ent_tape *tape, ent_tensor *x);

/* y = exp(x) / sum exp(x) along the last dimension. ENT_EINVAL for a scalar. */
ent_status ent_softmax(ent_tensor **y, ent_tape *tape, ent_tensor *x);

/* y = w (x - mean(x)) / sqrt(var(x) + eps) + bias along the last dimension of x (..., C); w and bias (C). var divides
 * by C. (Ba, Kiros, Hinton 2016, arXiv:1607.06450.) */
ent_status ent_layer_norm(ent_tensor **y, ent_tape *tape, ent_tensor *x, ent_tensor *w, ent_tensor *bias, double eps);

/* y = x / (1 - p) or 0, the latter with probability p in [0, 1): element i is kept if draw i of rng is at least p. With
 * p = 0 it is the identity. */
ent_status ent_dropout(ent_tensor **y, ent_tape *tape, ent_tensor *x, float p, const ent_rng *rng);

/* Means over all elements, of equal shapes: scalars. Both inputs may require a gradient. With d = prediction - target:
 *   mse    d^2
 *   l1     |d|; the gradient at 0 is 0
 *   huber  d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2); delta > 0 (Huber 1964)
 *   bce    -(t log s + (1 - t) log(1 - s)) with s = 1 / (1 + exp(-logit)), computed without overflow */
ent_status ent_mse(ent_tensor **loss, ent_tape *tape, ent_tensor *prediction, ent_tensor *target);
ent_status ent_l1(ent_tensor **loss, ent_tape *tape, ent_tensor *prediction, ent_tensor *target);
ent_status ent_huber(ent_tensor **loss, ent_tape *tape, ent_tensor *prediction, ent_tensor *target, double delta);
ent_status ent_bce_with_logits(ent_tensor **loss, ent_tape *tape, ent_tensor *logits, ent_tensor *target);

/* The mean over rows t with targets[t] >= 0 of the cross-entropy of softmax(logits[t]) and targets[t]: a scalar, from
 * logits (T, V). Other rows have targets[t] = -100. targets are borrowed until backward. ENT_EINVAL for a target
 * outside [0, V) that is not -100, and if no row has a target. */
ent_status ent_cross_entropy(ent_tensor **loss, ent_tape *tape, ent_tensor *logits, const int32_t *targets);

#endif
