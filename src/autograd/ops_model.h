/* The operators of a decoder. T is the number of tokens of a unit, C the hidden size, V the vocabulary. Weights may be
 * stored as F32, BF16 or F16; a weight that requires a gradient is of the core's own type.
 */
#ifndef ENT_AUTOGRAD_OPS_MODEL_H
#define ENT_AUTOGRAD_OPS_MODEL_H

#include <stddef.h>
#include <stdint.h>

#include "src/autograd/tape.h"
#include "src/base/philox.h"

/* y = rows `ids` of w: (n, C) from w (V, C). ids are borrowed until backward. ENT_EINVAL for an id outside [0, V). */
ent_status ent_embedding(ent_tensor **y, ent_tape *tape, ent_tensor *w, const int32_t *ids, size_t n);

/* A low-rank adapter of a linear operator: y += scale * (dropout(x) A^T) B^T (Hu et al. 2021, arXiv:2106.09685); and,
 * if they are there, y -= scale * (x A0^T) B0^T with the constants A0 and B0, which are a part of W. */
typedef struct ent_adapter {
    ent_tensor *a, *b;             /* (r, in), (out, r) */
    ent_tensor *first_a, *first_b; /* A0, B0: of the same shapes; NULL: none */
    ent_real scale;                /* alpha / r, or alpha / sqrt(r) */
    float dropout;                 /* of the adapter's input; 0: none */
    ent_rng rng;                   /* draws of the dropout, indexed by element of x */
} ent_adapter;

/* y = x w^T + bias: (T, out) from x (T, in), w (out, in), bias (out) or NULL; and the adapter's part, if not NULL. */
ent_status ent_linear(ent_tensor **y, ent_tape *tape, ent_tensor *x, ent_tensor *w, ent_tensor *bias,
                      const ent_adapter *adapter);

/* y(i, j) = clamp(round(w(i, j) / s(i)), -127, 127) s(i), ties to even: (out, in) from w (out, in) and scales s (out),
 * which are above 0. Gradients are those of learned step sizes (Esser et al. 2020, arXiv:1902.08153, eq. 1, 3 and 5):
 * dw = dy where |w / s| < 127, 0 elsewhere; ds = gain sum_j dy (round(w / s) - w / s, or +-127 elsewhere). The paper's
 * gain is 1 / sqrt(127 n) for n weights of a scale. */
ent_status ent_fake_quantize(ent_tensor **y, ent_tape *tape, ent_tensor *w, ent_tensor *scale, ent_real gain);

/* y = z (m / norms) + bias: (T, out) from z (T, out), m (out), bias (out) or NULL. With z = x (W + s B A)^T and norms
 * the lengths of the rows of W + s B A it is DoRA (Liu et al. 2024, arXiv:2402.09353, eq. 5 and 11): no gradient goes
 * through norms, which are (out), above 0, and borrowed until backward. */
ent_status ent_magnitude(ent_tensor **y, ent_tape *tape, ent_tensor *z, ent_tensor *m, ent_tensor *bias,
                         const ent_real *norms);

/* y = w * x / sqrt(mean(x^2) + eps), over runs of n numbers along x's rows, for w (n): n divides the last dimension of
 * x. (Zhang, Sennrich 2019, arXiv:1910.07467.) With n = C it is a layer's norm, with n = head_dim Qwen3's q and k norm.
 *
 * `rounded`, for a layer's norm in float: where rows of y are rounded too while they are in the cache, for products
 * with weights in INT8 whose column_factors are its factors; memory that stays as it is until those products are done.
 * NULL, or of no q: they aren't. */
ent_status ent_rmsnorm(ent_tensor **y, ent_tape *tape, ent_tensor *x, ent_tensor *w, double eps,
                       const ent_rounded_rows *rounded);

/* *sum = x + addend, of one shape, and *y = its norm, while a row of it is in the cache: the same bits as ent_add and
 * ent_rmsnorm. */
ent_status ent_add_rmsnorm(ent_tensor **y, ent_tensor **sum, ent_tape *tape, ent_tensor *x, ent_tensor *addend,
                           ent_tensor *w, double eps, const ent_rounded_rows *rounded);

/* Rotary position embedding in the rotate-half order (Su et al. 2021, arXiv:2104.09864): of each head of x (T, heads *
 * head_dim), the pair (j, j + head_dim / 2) is turned by the angle whose cosine and sine stand at [position * head_dim
 * / 2
 * + j]. The position of token t is t - doc_start[t]. Tables and doc_start are borrowed until backward. */
ent_status ent_rope(ent_tensor **y, ent_tape *tape, ent_tensor *x, size_t head_dim, const float *cosines,
                    const float *sines, const int32_t *doc_start);

/* How attention looks back: token t sees tokens s with doc_start[t] <= s <= t, and s > t - window if window > 0. */
typedef struct ent_attention_shape {
    size_t n_heads, n_kv_heads, head_dim; /* n_heads is a multiple of n_kv_heads: grouped heads share k and v */
    size_t window;
    const int32_t *doc_start; /* of each key, doc_start[t] <= t, not decreasing; borrowed until backward */
    size_t before;            /* tokens that have keys and values, but no query: the first ones */
} ent_attention_shape;

/* y = softmax(q k^T / sqrt(head_dim)) v for each head: (T, n_heads * head_dim) from q of the same shape and k, v
 * (before + T, n_kv_heads * head_dim). A row has the bits that it has if all tokens have a query. No T x T matrix is
 * stored; backward computes the weights again. */
ent_status ent_attention(ent_tensor **y, ent_tape *tape, ent_tensor *q, ent_tensor *k, ent_tensor *v,
                         const ent_attention_shape *shape);

/* y = silu(gate) * up = gate / (1 + exp(-gate)) * up, of equal shapes. */
ent_status ent_silu_mul(ent_tensor **y, ent_tape *tape, ent_tensor *gate, ent_tensor *up);

/* The sum over tokens t with targets[t] >= 0 of the cross-entropy of softmax(w h[t]) and targets[t]: a scalar, from h
 * (T, C) and w (V, C). Other tokens have targets[t] = -100. Logits exist for a few rows at a time, never as a whole.
 * targets are borrowed until backward. ENT_EINVAL for a target outside [0, V) that is not -100. */
ent_status ent_lm_head_loss(ent_tensor **loss, ent_tape *tape, ent_tensor *h, ent_tensor *w, const int32_t *targets);

/* What a student learns from: teachers by their final hidden state of the same T tokens and their head of the same V
 * rows, with weights that add up to 1. */
enum { ENT_MAX_TEACHERS = 3 };
typedef struct ent_distill_teacher {
    ent_tensor *h, *w; /* (T, its C), (V, its C): no gradient goes there */
    double weight;
} ent_distill_teacher;
typedef struct ent_distillation {
    const ent_distill_teacher *teachers;
    size_t count;              /* 1 to ENT_MAX_TEACHERS */
    double temperature, alpha; /* T > 0; share of the teachers, in [0, 1] */
} ent_distillation;

/* The sum over tokens with targets[t] >= 0 of alpha T^2 sum_k weight_k KL(p_k || q) + (1 - alpha) cross-entropy, where
 * q = softmax(w h / T), p_k the same of teacher k, and the cross-entropy is of softmax(w h). (Hinton, Vinyals, Dean
 * 2015, arXiv:1503.02531; for several teachers the gradient is that of the KL from their weighted mean.) Otherwise as
 * ent_lm_head_loss; `how` is copied. ENT_EINVAL if shapes don't fit. */
ent_status ent_distill_loss(ent_tensor **loss, ent_tape *tape, ent_tensor *h, ent_tensor *w, const int32_t *targets,
                            const ent_distillation *how);

/* factor times the sum over tokens with targets[t] >= 0 of the mean over C of sum_k weights[k] (h - teachers[k])^2: a
 * scalar, from hidden states h and teachers[k] (T, C) of a layer each, 1 to ENT_MAX_TEACHERS of them, to which no
 * gradient goes. (Romero et al. 2015, arXiv:1412.6550, equation 3: the mean for half the sum, no regressor.) targets
 * are borrowed until backward. ENT_EINVAL if shapes differ. */
ent_status ent_hidden_loss(ent_tensor **loss, ent_tape *tape, ent_tensor *h, const int32_t *targets,
                           ent_tensor *const *teachers, const double *weights, size_t count, double factor);

#endif
