#include <math.h>

#include "src/base/elementary.h"
#include "src/kernel/kernels.h"
#include "src/merge/merge.h"

void ent_merge_slerp_sums(double sums[3], const float *x, const float *y, size_t n)
{
    sums[0] = ent_kernels_get()->dot(x, x, n);
    sums[1] = ent_kernels_get()->dot(y, y, n);
    sums[2] = ent_kernels_get()->dot(x, y, n);
}

/* arccos, |cosine| < 1: Newton's method on cos(a) - cosine from pi / 2, which comes nearer from one side. */
static double angle_of(double cosine)
{
    double a = 0x1.921fb54442d18p0;
    for (int i = 0; i < 30; i++)
        a += (ent_cos(a) - cosine) / ent_sin(a);
    return a;
}

void ent_merge_slerp_factors(double factors[2], const double sums[3], double t)
{
    const double shortest = 1e-8, parallel = 0.9995;
    const double length[2] = {sqrt(sums[0]), sqrt(sums[1])};
    const double cosine = sums[2] / (length[0] > shortest ? length[0] : 1) / (length[1] > shortest ? length[1] : 1);
    const bool straight = !(length[0] > shortest && length[1] > shortest) || fabs(cosine) > parallel;
    const double a = straight ? 0 : angle_of(cosine);
    factors[0] = straight ? 1 - t : ent_sin((1 - t) * a) / ent_sin(a);
    factors[1] = straight ? t : ent_sin(t * a) / ent_sin(a);
}
