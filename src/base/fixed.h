/* Sums that don't depend on order: 64-bit fixed-point numbers. Integer addition is associative, so neither the order of
 * units, nor the number of ranks, nor the algorithm of a reduction can change a bit.
 */
#ifndef ENT_BASE_FIXED_H
#define ENT_BASE_FIXED_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ENT_GRAD_BIT 0x1p-40 /* least bit of a gradient sum */
#define ENT_LOSS_BIT 0x1p-32 /* least bit of a loss sum */
#define ENT_EVAL_BIT 0x1p-20 /* of a loss sum over a whole data set, which may hold millions of units */
#define ENT_EVAL_LIMIT 0x1p42
#define ENT_LOSS_LIMIT 0x1p30 /* as ENT_GRAD_LIMIT, for losses */
#define ENT_GRAD_LIMIT 0x1p22 /* |sum over a step| stays below this: a unit's gradient below it over batch_size */

static inline int64_t ent_to_fixed(double x, double bit)
{
    return (int64_t)llrint(x / bit);
}

static inline double ent_from_fixed(int64_t x, double bit)
{
    return (double)x * bit;
}

#endif
