/* Elementary functions in double, of our own: from additions, products, divisions and square roots alone, which IEEE
 * 754 fixes bit for bit. So no result depends on the C library or on what the compiler contracts. Errors are the
 * largest that test_elementary meets, in units of the last place (ulp) of the result. Kernels have their own exp for
 * rows of numbers (src/kernel/kernels.h).
 */
#ifndef ENT_BASE_ELEMENTARY_H
#define ENT_BASE_ELEMENTARY_H

double ent_exp(double x);   /* 1 ulp; one unit of 2^-1074 where the result is subnormal */
double ent_log(double x);   /* 0.6 ulp; -inf at 0, NaN below */
double ent_log1p(double x); /* log(1 + x), x > -1: 3 ulp */

/* x^y for x >= 0: 1.5 ulp where the result is within 2^-24 and 2^24, 10 ulp elsewhere. NaN for x < 0. */
double ent_pow(double x, double y);

/* |x| <= 2^27: within 2^-52. NaN beyond. */
double ent_sin(double x);
double ent_cos(double x);

double ent_erf(double x); /* 5 ulp */

#endif
