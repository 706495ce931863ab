#include "src/base/elementary.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

/* ln 2 and pi / 2 in parts: products of the first ones with the integers that occur are exact. */
static const double ln2_high = 0x1.62e42feep-1, ln2_low = 0x1.a39ef35793c76p-33;
static const double half_pi[] = {0x1.921fb5p+0, 0x1.110b46p-26, 0x1.1a6263p-54, 0x1.8a2e03707344ap-81};

static const double log2_e = 1.4426950408889634, two_over_pi = 0.6366197723675814,
                    two_over_root_pi = 1.1283791670955126;

static uint64_t bits_of(double x)
{
    uint64_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

/* 2^n for -1022 <= n <= 1023. */
static double power_of_two(int n)
{
    const uint64_t u = (uint64_t)(n + 1023) << 52;
    double x;
    memcpy(&x, &u, sizeof x);
    return x;
}

/* a b = *high + *low exactly (Dekker 1971): the factors are split into halves of 26 bits. */
static void product(double *high, double *low, double a, double b)
{
    const double ca = 0x1.0000002p27 * a, cb = 0x1.0000002p27 * b;
    const double ah = ca - (ca - a), bh = cb - (cb - b), al = a - ah, bl = b - bh;
    *high = a * b;
    *low = ((ah * bh - *high) + ah * bl + al * bh) + al * bl;
}

/* exp(high + low), |low| small: 2^n exp(r), |r| <= ln 2 / 2, exp(r) by Taylor's series. */
static double exp_of_pair(double high, double low)
{
    static const double c[] = {1.0 / 6227020800, 1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800,
                               1.0 / 362880,     1.0 / 40320,     1.0 / 5040,     1.0 / 720,
                               1.0 / 120,        1.0 / 24,        1.0 / 6,        1.0 / 2};
    if (isnan(high))
        return high;
    if (high > 710)
        return INFINITY;
    if (high < -746)
        return 0;
    const double n = rint(high * log2_e);
    const double r = (high - n * ln2_high) - (n * ln2_low - low);
    double q = c[0];
    for (size_t i = 1; i < sizeof c / sizeof *c; i++)
        q = q * r + c[i];
    const int first = (int)n / 2; /* in two steps: 2^n may be out of range where the result is not */
    return (1 + (r + r * r * q)) * power_of_two(first) * power_of_two((int)n - first);
}

double ent_exp(double x)
{
    return exp_of_pair(x, 0);
}

/* log(x) = *high + *low to about 2^-60, 0 < x < inf. With x = 2^e m, m within sqrt(1/2) and sqrt(2), and
 * s = (m - 1) / (m + 1): e ln 2 + 2 s + 2 s^3 / 3 + 2 s^5 / 5 + ... */
static void log_pair(double *high, double *low, double x)
{
    static const double c[] = {2.0 / 23, 2.0 / 21, 2.0 / 19, 2.0 / 17, 2.0 / 15, 2.0 / 13,
                               2.0 / 11, 2.0 / 9,  2.0 / 7,  2.0 / 5,  2.0 / 3};
    const int subnormal = x < 0x1p-1022;
    const uint64_t u = bits_of(subnormal ? x * 0x1p54 : x) - bits_of(M_SQRT1_2);
    const int e = (int)((int64_t)u >> 52);
    const uint64_t m_bits = (u & 0xfffffffffffff) + bits_of(M_SQRT1_2);
    double m, p, p_low;
    memcpy(&m, &m_bits, sizeof m);
    const double f = m - 1, sum = 2 + f, sum_low = f - (sum - 2);
    const double s = f / sum;
    product(&p, &p_low, s, sum);
    const double s_low = (((f - p) - p_low) - s * sum_low) / sum;
    double q = c[0];
    for (size_t i = 1; i < sizeof c / sizeof *c; i++)
        q = q * (s * s) + c[i];
    const double n = e - (subnormal ? 54 : 0), a = n * ln2_high, h = a + 2 * s;
    const double l = ((a - h) + 2 * s) + (2 * s_low + s * (s * s) * q + n * ln2_low);
    *high = h + l;
    *low = l - (*high - h);
}

double ent_log(double x)
{
    double high, low;
    if (isnan(x) || x < 0)
        return NAN;
    if (x == 0)
        return -INFINITY;
    if (isinf(x))
        return x;
    log_pair(&high, &low, x);
    return high;
}

/* The rounding of 1 + x is made up for by the quotient (Kahan). */
double ent_log1p(double x)
{
    const double u = 1 + x;
    return u == 1 ? x : isinf(u) ? u : ent_log(u) * (x / (u - 1));
}

double ent_pow(double x, double y)
{
    double high, low, p, p_low;
    if (y == 0 || x == 1)
        return 1;
    if (isnan(x) || isnan(y) || x < 0)
        return NAN;
    if (x == 0 || isinf(x))
        return (x == 0) == (y > 0) ? 0 : INFINITY;
    log_pair(&high, &low, x);
    if (!(fabs(high * y) < 800))
        return high * y > 0 ? INFINITY : 0;
    product(&p, &p_low, high, y);
    return exp_of_pair(p, p_low + low * y);
}

/* r + *quarter pi / 2 = x, |r| <= pi / 4. */
static double reduced(unsigned *quarter, double x)
{
    const double n = rint(x * two_over_pi);
    *quarter = (unsigned)((int64_t)n & 3);
    return (((x - n * half_pi[0]) - n * half_pi[1]) - n * half_pi[2]) - n * half_pi[3];
}

/* Taylor's series of the sine (first = 1) or cosine (first = 0) for |r| <= pi / 4. */
static double sine_or_cosine(double r, int cosine)
{
    static const double sine[] = {1.0 / 355687428096000, -1.0 / 1307674368000, 1.0 / 6227020800, -1.0 / 39916800,
                                  1.0 / 362880,          -1.0 / 5040,          1.0 / 120,        -1.0 / 6};
    static const double cosines[] = {1.0 / 20922789888000, -1.0 / 87178291200, 1.0 / 479001600, -1.0 / 3628800,
                                     1.0 / 40320,          -1.0 / 720,         1.0 / 24,        -1.0 / 2};
    const double *c = cosine ? cosines : sine, r2 = r * r;
    double q = c[0];
    for (int i = 1; i < 8; i++)
        q = q * r2 + c[i];
    return cosine ? 1 + r2 * q : r + r * (r2 * q);
}

static double turned(double x, unsigned quarters)
{
    unsigned quarter;
    if (!(fabs(x) <= 0x1p27))
        return NAN;
    const double r = reduced(&quarter, x);
    quarter += quarters;
    const double y = sine_or_cosine(r, quarter & 1);
    return quarter & 2 ? -y : y;
}

double ent_sin(double x)
{
    return turned(x, 0);
}

double ent_cos(double x)
{
    return turned(x, 1);
}

/* Below 1/2 Taylor's series; then 1 - exp(-x^2) p(3 / (3 + |x|)), p fitted to exp(x^2) erfc(x) up to 6 within 1e-18
 * (mpmath: chebyfit, 18 coefficients). */
double ent_erf(double x)
{
    static const double taylor[] = {1.0 / 11975040000, -1.0 / 918086400, 1.0 / 76204800, -1.0 / 6894720,
                                    1.0 / 685440,      -1.0 / 75600,     1.0 / 9360,     -1.0 / 1320,
                                    1.0 / 216,         -1.0 / 42,        1.0 / 10,       -1.0 / 3};
    static const double p[] = {
        0.0075833430429321398, -0.084124154213290392, 0.42511178000945715,    -1.2883810294599634, 2.6026953764366882,
        -3.715069227526274,    3.9347037840143511,    -3.2388995734946295,    2.0833475852700185,  -1.0351849283651899,
        0.48786745868901704,   -0.046237459557550521, 0.16198376862131803,    0.14998984336897173, 0.1785772339969309,
        0.18796721094714447,   0.18806916229423579,   -1.7407380476159586e-07};
    const double square = x * x;
    if (!(fabs(x) < 6))
        return isnan(x) ? x : x > 0 ? 1 : -1;
    if (fabs(x) < 0.5) {
        double q = taylor[0];
        for (size_t i = 1; i < sizeof taylor / sizeof *taylor; i++)
            q = q * square + taylor[i];
        return two_over_root_pi * (x + x * (square * q));
    }
    const double t = 3 / (3 + fabs(x));
    double q = p[0];
    for (size_t i = 1; i < sizeof p / sizeof *p; i++)
        q = q * t + p[i];
    const double y = 1 - ent_exp(-square) * q;
    return x > 0 ? y : -y;
}
