/* Post-training quantisation to 8 bits: ranges of numbers, scales and zero points that follow, codes.
 *
 * A number is (q - zero) scale. Symmetric: zero 0, scale = max|x| / 127, |q| <= 127, as the core's I8 storage has it
 * (ent_int8_scale; a range below 2^-100 has scale 0 and codes of 0). Asymmetric, of a range that is widened to hold 0:
 * scale = (max - min) / 255, zero = -128 - round(min / scale), q = -128..127, as PyTorch has it for torch.qint8
 * (ao/quantization/observer.py, _calculate_qparams). Codes are rounded to nearest, ties to even.
 *
 * What is larger than the range is clipped. The range of a piece of a weight is its min and max; or, so that a few
 * outliers don't cost the others their precision, percentiles, interpolated linearly as numpy does: of |x| at P for
 * symmetric scales, of x at 100 - P and P for others. Ranges of batches that come one after the other can be averaged
 * (MovingAverageMinMaxObserver). Everything is the same bits for any number of threads.
 */
#ifndef ENT_QUANT_PTQ_H
#define ENT_QUANT_PTQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/status.h"
#include "src/tensor/tensor.h"

typedef enum { ENT_PTQ_MIN_MAX, ENT_PTQ_PERCENTILE, ENT_PTQ_MOVING_AVERAGE } ent_ptq_observer;
typedef enum { ENT_PTQ_TENSOR, ENT_PTQ_CHANNEL, ENT_PTQ_GROUP } ent_ptq_per; /* channel: a row; group: columns of one */

typedef struct ent_ptq {
    ent_ptq_observer observer; /* of weights not MOVING_AVERAGE: they are one batch */
    double percentile;         /* 50 < P <= 100, of PERCENTILE */
    ent_ptq_per per;
    size_t group_size; /* of GROUP: a divisor of the columns */
    bool asymmetric;
} ent_ptq;

typedef struct ent_ptq_range {
    float low, high;
} ent_ptq_range;

/* Scale and zero point of a range, and what x is multiplied by on its way to q. */
typedef struct ent_ptq_scale {
    float scale, inverse;
    int8_t zero;
} ent_ptq_scale;
ent_ptq_scale ent_ptq_scale_of(ent_ptq_range range, bool asymmetric);

/* The range of x (n >= 1) by `observer`, MIN_MAX or PERCENTILE; `work` (n) is overwritten by the latter. NaN where a
 * number isn't finite. */
ent_ptq_range ent_ptq_range_of(const float *x, size_t n, const ent_ptq *how, float *work);

/* One more batch x (n >= 1) of a moving average: the first sets the range, those after it move both ends by `averaging`
 * (PyTorch: 0.01) of the way. *batches counts. */
void ent_ptq_average(ent_ptq_range *range, size_t *batches, const float *x, size_t n, float averaging);

/* The value at percentile P (0..100) of x (n >= 1), which is put in another order: the linear interpolation of the two
 * neighbours, in double. */
double ent_ptq_percentile(float *x, size_t n, double percentile);

/* How many scales a weight (out, in) has: 1, out, or out in / group_size, row by row. */
size_t ent_ptq_scales(const ent_ptq *how, const ent_tensor *w);

/* scales (ent_ptq_scales) of a weight of any storage type. ENT_EINVAL if groups don't divide its rows, or for a moving
 * average; ENT_ENUMERIC naming row and column of a number that isn't finite; ENT_ENOMEM. */
ent_status ent_ptq_weight_scales(ent_ptq_scale *scales, const ent_ptq *how, const ent_tensor *w);

/* q (n) = the codes of columns first .. first + n of a row; `scales` of the whole weight. */
void ent_ptq_row(int8_t *q, const ent_ptq *how, const ent_tensor *w, const ent_ptq_scale *scales, size_t row,
                 size_t first, size_t n);

/* y = (q - zero) scale, rounded once. */
void ent_ptq_numbers(float *y, const int8_t *q, size_t n, float scale, int8_t zero);

#endif
