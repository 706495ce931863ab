/* What the kernels of every level share: sums over lanes, and exp of a number. Loops have a known length or carry
 * nothing from turn to turn, so that the compiler makes vectors of them.
 */
#ifndef ENT_KERNEL_LANES_H
#define ENT_KERNEL_LANES_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "src/base/elementary.h"
#include "src/base/real.h"

enum { LANES = 16 };

static inline uint32_t bits_of(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static inline float float_of(uint32_t u)
{
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

static inline uint64_t bits_of_double(double x)
{
    uint64_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

/* ((l0 + l8) + (l4 + l12)) + ... : halves, down to one. */
static inline double sum_of_lanes(double lane[LANES])
{
    for (size_t width = LANES / 2; width; width /= 2)
        for (size_t l = 0; l < width; l++)
            lane[l] += lane[l + width];
    return lane[0];
}

/* Adding and taking away 1.5 * 2^23 leaves the nearest integer (ties to even), |x| < 2^22; and the sum's low bits are
 * it. */
#define ROUND_F32 0x1.8p23f
#define ROUND_F64 0x1.8p52

#ifdef ENT_F64
static inline ent_real exp_real(ent_real x)
{
    return ent_exp(x);
}
#else
/* 2^n exp(r), n = round(x / ln 2), |r| <= ln 2 / 2; exp(r) = 1 + r + r^2 q(r), where q is Chebyshev's interpolation
 * (mpmath: chebyfit((exp(r) - 1 - r) / r^2, +-ln 2 / 2, 5)), rounded to float. ln 2 is in two parts: n times the first
 * is exact. */
static inline ent_real exp_real(ent_real x)
{
    const float t = fmaf(x, 1.44269504f, ROUND_F32), n = t - ROUND_F32;
    const float r = fmaf(n, 2.12194440e-4f, fmaf(n, -0.693359375f, x));
    float q = 0x1.6d10fcp-10f;
    q = fmaf(q, r, 0x1.120b62p-7f);
    q = fmaf(q, r, 0x1.55551ap-5f);
    q = fmaf(q, r, 0x1.5554dep-3f);
    q = fmaf(q, r, 0.5f);
    float y = float_of(bits_of(1 + fmaf(r * r, q, r)) + (bits_of(t) << 23));
    y = x < -87.3365402f ? 0 : y;               /* below 2^-126 */
    return x <= 88.7228317f ? y : x + INFINITY; /* too large, or not a number */
}
#endif

static inline ent_real sigmoid(ent_real x)
{
    return 1 / (1 + exp_real(-x));
}

#endif
