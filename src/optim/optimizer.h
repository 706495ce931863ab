/* Optimizers over flat arrays: one pass, element by element, with PyTorch's arithmetic. */
#ifndef ENT_OPTIM_OPTIMIZER_H
#define ENT_OPTIM_OPTIMIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/real.h"

typedef enum { ENT_OPTIMIZER_SGD, ENT_OPTIMIZER_ADAM, ENT_OPTIMIZER_ADAMW } ent_optimizer_kind;

typedef struct ent_optimizer {
    ent_optimizer_kind kind;
    double beta1, beta2, eps; /* Adam (Kingma, Ba 2015, arXiv:1412.6980) and AdamW */
    double momentum;          /* SGD: m = momentum m + g, x -= lr m (the first m is g) */
    double weight_decay;      /* AdamW: x *= 1 - lr weight_decay (Loshchilov, Hutter 2019, arXiv:1711.05101);
                               * Adam, SGD: g += weight_decay x */
} ent_optimizer;

/* One step on n elements: x and moments m, v (v unused by SGD) from gradient g. `step` counts from 1; `decay` false
 * leaves weight decay out (norms and biases). Shared by the threads of the rank. */
void ent_optimizer_step(const ent_optimizer *optimizer, ent_real *x, ent_real *m, ent_real *v, const ent_real *g,
                        size_t n, int64_t step, double lr, bool decay);

/* The same from gradient clip * g. */
void ent_optimizer_step_clipped(const ent_optimizer *optimizer, ent_real *x, ent_real *m, ent_real *v,
                                const ent_real *g, double clip, size_t n, int64_t step, double lr, bool decay);

/* The factor that brings a gradient of norm `norm` down to max_norm: min(1, max_norm / (norm + 1e-6)), as PyTorch's
 * clip_grad_norm_; 1 if max_norm is 0. */
double ent_clip_factor(double norm, double max_norm);

/* sqrt(sum g^2), in double, over fixed tiles in order. */
double ent_global_norm(const ent_real *g, size_t n);

#endif
