/* Kernels over rows of numbers, vectorised: one source (level.c) compiled for the plain CPU, AVX2 and AVX-512, chosen
 * at run time. Every level gives the same bits: an element is always the same operations, fused within exp and nowhere
 * else, and a sum always goes over the same 16 lanes (element i to lane i % 16), which are then added in the same
 * order.
 *
 * Kernels allocate nothing and cannot fail. A result may be one of the inputs itself, but not overlap it otherwise;
 * rows need no alignment, and n may be 0 where nothing else is said. Gradients are added to what is there.
 */
#ifndef ENT_KERNEL_KERNELS_H
#define ENT_KERNEL_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/real.h"
#include "src/kernel/product.h"

/* What a step of Adam (AdamW) does to every element:
 * g' = scale g + l2 x, m = beta1 m + rest1 g', v = beta2 v + rest2 g'^2, x = keep x - rate m / (sqrt(v) / root + eps)
 */
typedef struct ent_adam_step {
    ent_real scale, l2, beta1, rest1, beta2, rest2, keep, rate, root, eps;
} ent_adam_step;

/* And SGD: g' = scale g + l2 x, m = momentum m + g' (g' if `first`), x = x - rate m; m stays where momentum is 0. */
typedef struct ent_sgd_step {
    ent_real scale, l2, momentum, rate;
    bool first;
} ent_sgd_step;

typedef struct ent_kernels {
    const char *name; /* "plain", "avx2", "avx512", "avx512vnni" */
    const ent_product_kernels *products;

    /* Largest x of n >= 1. Sums of x^2, a b and a b c, in double. */
    ent_real (*max)(const ent_real *x, size_t n);
    double (*sum_squares)(const ent_real *x, size_t n);
    double (*dot)(const ent_real *a, const ent_real *b, size_t n);
    double (*dot3)(const ent_real *a, const ent_real *b, const ent_real *c, size_t n);

    /* y = exp(x - shift); returns the sum of y in double. In float the error is below 1.1 ulp, results
     * below 2^-126 are 0. add_exp: y += factor exp(x - shift). */
    double (*exp)(ent_real *y, const ent_real *x, ent_real shift, size_t n);
    void (*add_exp)(ent_real *y, const ent_real *x, ent_real shift, ent_real factor, size_t n);

    void (*scale)(ent_real *y, const ent_real *x, ent_real factor, size_t n);      /* y = factor x */
    void (*add_scaled)(ent_real *y, const ent_real *x, ent_real factor, size_t n); /* y += factor x */
    void (*add)(ent_real *y, const ent_real *a, const ent_real *b, size_t n);      /* y = a + b */

    /* dx += y (dy - dot). Of attention: dp = p (dp - dot) factor. */
    void (*softmax_gradient)(ent_real *dx, const ent_real *dy, const ent_real *y, ent_real dot, size_t n);
    void (*score_gradient)(ent_real *dp, const ent_real *p, ent_real dot, ent_real factor, size_t n);

    /* y = silu(gate) up, silu(x) = x s, s = 1 / (1 + exp(-x)); dgate += dy up s (1 + gate (1 - s)), dup += dy gate s.
     * up NULL: y = silu(gate). dgate or dup NULL: not wanted. */
    void (*silu_mul)(ent_real *y, const ent_real *gate, const ent_real *up, size_t n);
    void (*silu_mul_gradient)(ent_real *dgate, ent_real *dup, const ent_real *dy, const ent_real *gate,
                              const ent_real *up, size_t n);

    /* y = w (x inverse); dx += inverse (dy w - x shift); dw += dy x inverse. */
    void (*norm)(ent_real *y, const ent_real *x, const ent_real *w, ent_real inverse, size_t n);
    void (*norm_gradient)(ent_real *dx, const ent_real *dy, const ent_real *x, const ent_real *w, ent_real inverse,
                          ent_real shift, size_t n);
    void (*norm_weight_gradient)(ent_real *dw, const ent_real *dy, const ent_real *x, ent_real inverse, size_t n);

    /* One head of 2 half numbers, turned by direction (1, -1) times the angles: y[j] = x[j] c[j] - x[j + half] s[j],
     * y[j + half] = x[j + half] c[j] + x[j] s[j]; rotate_add: y += . */
    void (*rotate)(ent_real *y, const ent_real *x, const float *c, const float *s, ent_real direction, size_t half);
    void (*rotate_add)(ent_real *y, const ent_real *x, const float *c, const float *s, ent_real direction, size_t half);

    void (*adam)(ent_real *x, ent_real *m, ent_real *v, const ent_real *g, const ent_adam_step *step, size_t n);
    void (*sgd)(ent_real *x, ent_real *m, const ent_real *g, const ent_sgd_step *step, size_t n);

    /* sums += g as fixed-point numbers of least bit ENT_GRAD_BIT, rounded to nearest, ties to even; false if an element
     * is not below limit <= ENT_GRAD_LIMIT in size, or not a number: then the sums are of no use. fixed_mean: y =
     * factor times such a sum. */
    bool (*add_fixed)(int64_t *sums, const ent_real *g, double limit, size_t n);
    void (*fixed_mean)(ent_real *y, const int64_t *sums, double factor, size_t n);

    /* Storage types; to_bf16 rounds to nearest, ties to even. */
    void (*from_bf16)(ent_real *y, const uint16_t *x, size_t n);
    void (*from_f16)(ent_real *y, const uint16_t *x, size_t n);
    void (*to_bf16)(uint16_t *y, const ent_real *x, size_t n);
    void (*round_bf16)(ent_real *y, const ent_real *x, size_t n); /* to_bf16, and back */

    void (*from_int8)(ent_real *y, const int8_t *x, float scale, size_t n); /* y = x scale */

    /* To int8: the largest |x f|, NaN or infinite if one is; q = x f inverse to nearest, ties to even, |q| <= 127. f:
     * `factors`, 1 where NULL. */
    float (*largest)(const ent_real *x, const float *factors, size_t n);
    void (*to_int8)(int8_t *q, const ent_real *x, const float *factors, float inverse, size_t n);
} ent_kernels;

/* The scale of a row of int8 whose numbers are at most `largest`, and what they are multiplied by to get there. A row
 * of numbers below 2^-100 is 0; of one that has a number that is not finite the scale is NaN. */
static inline float ent_int8_scale(float largest, float *inverse)
{
    const bool normal = largest >= 0x1p-100f && largest < INFINITY;
    *inverse = normal ? 127 / largest : 0;
    return normal ? largest / 127 : largest < INFINITY ? 0 : NAN;
}

/* The best level that this CPU has. */
const ent_kernels *ent_kernels_get(void);
const char *ent_simd_name(void);

/* A level by its name; NULL if this CPU or this build doesn't have it. */
const ent_kernels *ent_kernels_find(const char *name);

#endif
