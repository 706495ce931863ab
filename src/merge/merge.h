/* Merging models: functions over a piece of one tensor at a time, so that models larger than memory merge too. What has
 * to be known of a whole tensor (a threshold, an angle) is gathered in passes over its pieces, without copies.
 *
 * Inputs are fp32, which holds F32, BF16 and F16 exactly; arithmetic is in double, and a result is rounded to fp32
 * once. Nothing depends on how a tensor is cut into pieces. Functions are pure, allocate nothing and cannot fail.
 *
 * A task vector is what fine-tuning has added: delta = x - base (Ilharco et al. 2023, arXiv:2212.04089).
 */
#ifndef ENT_MERGE_MERGE_H
#define ENT_MERGE_MERGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/philox.h"

typedef enum {
    ENT_MERGE_AVERAGE,  /* sum w x / sum w (model soups, Wortsman et al. 2022, arXiv:2203.05482) */
    ENT_MERGE_SLERP,    /* two models, along the arc between them (Shoemake 1985), a tensor as one vector */
    ENT_MERGE_TASK,     /* base + sum w delta (task arithmetic, Ilharco et al. 2023) */
    ENT_MERGE_TIES,     /* trim, elect sign, disjoint merge (Yadav et al. 2023, arXiv:2306.01708), a tensor at a time */
    ENT_MERGE_DARE,     /* drop and rescale (Yu et al. 2024, arXiv:2311.03099), then as TASK */
    ENT_MERGE_DARE_TIES /* the same, then elect sign and disjoint merge */
} ent_merge_method;

typedef struct ent_merge {
    ent_merge_method method;
    size_t models;         /* >= 1; SLERP: 2 */
    const double *weights; /* one a model; above 0 but for TASK and DARE. SLERP reads none */
    double density;        /* TIES, DARE: the share of each delta that stays, 0 < density <= 1 */
    double t;              /* SLERP: 0 gives the first model, 1 the second */
    uint64_t seed;         /* DARE: of what is dropped */
} ent_merge;

/* What has to be known of a tensor as a whole. */
typedef struct ent_merge_tensor {
    uint32_t number;         /* DARE: which tensor it is, below 2^24: part of its draws */
    const float *thresholds; /* TIES: one a model, by ent_merge_select */
    double factors[2];       /* SLERP: by ent_merge_slerp_factors */
} ent_merge_tensor;

/* y = n numbers of the merged tensor, from number `first` on. x[model * stride + i] and base[i] (NULL where the method
 * has none) are the same numbers of the models; delta: room for models * n numbers. */
void ent_merge_piece(float *y, const ent_merge *merge, const ent_merge_tensor *tensor, const float *base,
                     const float *x, size_t stride, double *delta, uint64_t first, size_t n);

/* The parts of the methods, over n numbers; x[model * stride + i], delta[model * n + i]. */

/* y = sum of w x / divisor */
void ent_merge_sum(float *y, const float *x, size_t stride, const double *weights, size_t models, double divisor,
                   size_t n);

/* delta = x - base */
void ent_merge_delta(double *delta, const float *x, const float *base, size_t n);

/* y = base + sum of w delta / divisor */
void ent_merge_add(float *y, const float *base, const double *delta, const double *weights, size_t models,
                   double divisor, size_t n);

/* TIES: the sign of sum w delta is elected (0: y = base), and y = base + the mean, weighted by w, of the deltas that
 * have it / divisor. */
void ent_merge_elect(float *y, const float *base, const double *delta, const double *weights, size_t models,
                     double divisor, size_t n);

/* TIES: deltas whose magnitude, in fp32, is below the threshold become 0. */
void ent_merge_trim(double *delta, float threshold, size_t n);

/* The threshold: the k-th largest magnitude of a task vector, k = density times its length, rounded, at least 1. Those
 * that equal it stay too, as in the authors' code. Exact, in two passes over the deltas in any order: their upper bits
 * are counted, then the lower bits of those that share the upper ones of the k-th. */
typedef struct ent_merge_select {
    uint64_t counts[1 << 16];
    uint64_t rank; /* of the k-th among those that are counted, from above */
    uint32_t high; /* its upper bits, in the second pass */
    bool second;
} ent_merge_select;

void ent_merge_select_begin(ent_merge_select *select, uint64_t length, double density);
void ent_merge_select_count(ent_merge_select *select, const double *delta, size_t n);
bool ent_merge_select_end(float *threshold, ent_merge_select *select); /* of a pass; false: another one is needed */

/* DARE: each delta becomes 0 with probability 1 - density, where a draw, of 32 bits, isn't below it. Draws are a
 * function of (seed, tensor, model, number): the number of the first delta is `first`. What stays is to be divided by
 * the density; that is left to the sum (its divisor), so that deltas that cancel do so exactly. */
void ent_merge_drop(double *delta, double density, uint64_t seed, uint32_t tensor, uint32_t model, uint64_t first,
                    size_t n);

/* SLERP: sums of x x, y y, x y; and the factors of the two models, from the sums over the whole tensor. With the angle
 * a between them: sin((1 - t) a) / sin a, sin(t a) / sin a; near parallel (|cos a| > 0.9995) and for tensors of length
 * up to 1e-8 the straight line, 1 - t and t, as mergekit has it. */
void ent_merge_slerp_sums(double sums[3], const float *x, const float *y, size_t n);
void ent_merge_slerp_factors(double factors[2], const double sums[3], double t);

/* LoRA folded into its weight: y = gain (W + scale B A), n numbers of one row. b: that row of B (r numbers); a: A (r,
 * stride) at the first of the columns. scale = alpha / r, or alpha / sqrt(r) with use_rslora; gain: of that row, 1, or
 * with DoRA its magnitude by the norm of the row of W + scale B A. */
void ent_merge_fold(float *y, const float *w, const float *b, const float *a, size_t stride, size_t r, double scale,
                    double gain, size_t n);

#endif
