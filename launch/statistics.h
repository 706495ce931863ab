/* What is in many numbers that come a stretch at a time: moments, quantiles, a histogram. */
#ifndef ENT_LAUNCH_STATISTICS_H
#define ENT_LAUNCH_STATISTICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/status.h"

/* All but the counts of what isn't finite are of the finite numbers. Starts as {0}. */
typedef struct ent_statistics {
    size_t n_finite, n_zero, n_nan, n_plus_inf, n_minus_inf;
    double min, max;
    double mean;       /* 0 where there is none */
    double squares;    /* sum of x^2 */
    double deviations; /* sum of (x - mean)^2 */
} ent_statistics;

/* Takes in n numbers, which are overwritten. Sums of stretches are put together as Chan, Golub and LeVeque (1979) do,
 * so that a mean far from 0 costs the deviation no digits. */
void ent_statistics_add(ent_statistics *s, double *x, size_t n);

double ent_statistics_std(const ent_statistics *s);  /* of the numbers as a population; NaN: none */
double ent_statistics_norm(const ent_statistics *s); /* Euclidean */

/* The sum of squares; not finite if, and for numbers below 1e150 only if, one of the numbers isn't. */
double ent_sum_squares(const double *x, size_t n);

/* Quantiles, exactly: the smallest number that at least the share p of the finite numbers does not exceed. Numbers are
 * whole numbers in the same order, found 16 bits at a time from the top, each in a pass over all of them. */
enum { ENT_MAX_QUANTILES = 8 };
typedef struct ent_quantiles ent_quantiles;

/* n_finite > 0 numbers; `floats`: all of them are floats, which takes 2 passes, otherwise 4. ENT_ENOMEM. */
ent_status ent_quantiles_new(ent_quantiles **out, const double *shares, size_t count, size_t n_finite, bool floats);
void ent_quantiles_free(ent_quantiles *q);
size_t ent_quantiles_passes(const ent_quantiles *q);
void ent_quantiles_add(ent_quantiles *q, const double *x, size_t n); /* in each pass the same numbers, in any order */
void ent_quantiles_end_pass(ent_quantiles *q);
double ent_quantiles_at(const ent_quantiles *q, size_t i); /* after the last pass */

/* Counts in `bins` of equal width from min to max, which is in the last one; min <= max. Others are not counted. */
typedef struct ent_histogram {
    double min, max;
    size_t bins, *counts;
} ent_histogram;

void ent_histogram_add(const ent_histogram *h, const double *x, size_t n);

#endif
