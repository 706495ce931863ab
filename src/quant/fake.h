/* Whole numbers of 8 bits in place of a weight's, while it is trained: what forward rounds to, and what the run's
 * result is stored as, are one and the same.
 */
#ifndef ENT_QUANT_FAKE_H
#define ENT_QUANT_FAKE_H

#include "src/base/real.h"

enum { ENT_FAKE_MOST = 127 }; /* numbers are from -127 to 127 */

/* The least scale there is, as PyTorch's observers have it: below it a row is 0 for all purposes. */
#define ENT_FAKE_LEAST ((ent_real)0x1p-23)

/* x to the nearest whole number, ties to even, for |x| < 2^22: adding leaves no place for what is behind the point. */
static inline ent_real ent_fake_round(ent_real x)
{
#ifdef ENT_F64
    const ent_real shift = 0x1.8p52;
#else
    const ent_real shift = 0x1.8p23f;
#endif
    return x + shift - shift;
}

/* x = w / s held between the ends of the range; NaN stays. */
static inline ent_real ent_fake_hold(ent_real x)
{
    const ent_real low = x < -ENT_FAKE_MOST ? -ENT_FAKE_MOST : x;
    return low > ENT_FAKE_MOST ? ENT_FAKE_MOST : low;
}

/* What w is with the scale s > 0, as a whole number from -127 to 127. */
static inline ent_real ent_fake_code(ent_real w, ent_real s)
{
    return ent_fake_round(ent_fake_hold(w / s));
}

#endif
