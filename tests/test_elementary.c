/* The elementary functions against the C library's in long double (64 bits of precision on x86): dense samples of their
 * whole range, the values where they end, and that the errors are those that elementary.h states. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "src/base/elementary.h"
#include "src/base/philox.h"

enum { SAMPLES = 100000 };

static double uniform(uint64_t i, double low, double high)
{
    const ent_rng rng = {.seed = 5};
    const double u =
        ((double)ent_random_u32(&rng, 2 * i) + (double)ent_random_u32(&rng, 2 * i + 1) * 0x1p-32) * 0x1p-32;
    return low + (high - low) * u;
}

/* |found - exact| in ulps of exact; of a subnormal: in units of 2^-1074. */
static double ulps(double found, long double exact)
{
    if ((double)exact == found)
        return fabsl((long double)found - exact) > 0 ? 0.5 : 0;
    int e;
    frexpl(exact, &e);
    return (double)(fabsl((long double)found - exact) / ldexpl(1, e - 53 < -1074 ? -1074 : e - 53));
}

static void check(const char *name, double (*f)(double), long double (*exact)(long double), double low, double high,
                  double most)
{
    double worst = 0, at = 0;
    for (uint64_t i = 0; i < SAMPLES; i++) {
        const double x = uniform(i, low, high), error = ulps(f(x), exact((long double)x));
        if (!(error <= worst))
            worst = error, at = x;
    }
    printf("%s of %g to %g: %.3f ulp at %.17g\n", name, low, high, worst, at);
    if (!(worst <= most))
        fail_msg("%s(%.17g) = %.17g is %.3f ulp off, at most %.3f", name, at, f(at), worst, most);
}

static void check_absolute(const char *name, double (*f)(double), long double (*exact)(long double), double range)
{
    double worst = 0, at = 0;
    for (uint64_t i = 0; i < SAMPLES; i++) {
        const double x = uniform(i, -range, range);
        const double error = (double)fabsl((long double)f(x) - exact((long double)x));
        if (!(error <= worst))
            worst = error, at = x;
    }
    printf("%s up to %g: within %.3g at %.17g\n", name, range, worst, at);
    if (!(worst <= 0x1p-52))
        fail_msg("%s(%.17g) is %.3g off, at most 2^-52", name, at, worst);
}

static void exp_is_exact(void **state)
{
    (void)state;
    check("exp", ent_exp, expl, -1, 1, 1);
    check("exp", ent_exp, expl, -708, 709.7, 1);
    check("exp", ent_exp, expl, -745, -708, 1);
    assert_true(ent_exp(0) == 1 && ent_exp(INFINITY) == INFINITY && ent_exp(-INFINITY) == 0);
    assert_true(ent_exp(709.79) == INFINITY && ent_exp(-746) == 0 && ent_exp(-745.2) == 0 && isnan(ent_exp(NAN)));
    assert_true(ent_exp(709.78) < INFINITY && ent_exp(-745.1) == 0x1p-1074);
}

static void log_is_exact(void **state)
{
    (void)state;
    check("log", ent_log, logl, 0, 2, 0.6);
    check("log", ent_log, logl, 0.999, 1.001, 0.6);
    check("log", ent_log, logl, 0, 1e300, 0.6);
    check("log", ent_log, logl, 0, 1e-310, 0.6);
    check("log1p", ent_log1p, log1pl, -0.9, 10, 3);
    check("log1p", ent_log1p, log1pl, -1e-8, 1e-8, 3);
    assert_true(ent_log(1) == 0 && ent_log(0) == -INFINITY && ent_log(INFINITY) == INFINITY);
    assert_true(isnan(ent_log(-1)) && isnan(ent_log(NAN)) && ent_log1p(0) == 0 && ent_log1p(INFINITY) == INFINITY);
}

static void check_pow(double low, double high, double range, double most)
{
    double worst = 0, at = 0, at_y = 0;
    for (uint64_t i = 0; i < SAMPLES; i++) {
        const double x = uniform(2 * i, low, high), y = uniform(2 * i + 1, -range, range) / fabs(log(x));
        const double error = ulps(ent_pow(x, y), powl((long double)x, (long double)y));
        if (!(error <= worst))
            worst = error, at = x, at_y = y;
    }
    printf("pow of %g to %g: %.3f ulp at %.17g^%.17g\n", low, high, worst, at, at_y);
    if (!(worst <= most))
        fail_msg("%.17g^%.17g is %.3f ulp off, at most %.3f", at, at_y, worst, most);
}

static void pow_is_exact(void **state)
{
    (void)state;
    check_pow(0.5, 2, 24 * 0.693, 1.5);
    check_pow(0, 1e6, 24 * 0.693, 1.5);
    check_pow(0, 1e6, 700, 10);
    check_pow(0.999, 1.001, 700, 10);
    assert_true(ent_pow(0, 3) == 0 && ent_pow(0, 0) == 1 && ent_pow(5, 0) == 1 && ent_pow(0, -1) == INFINITY);
    assert_true(ent_pow(10, 400) == INFINITY && ent_pow(10, -400) == 0 && ent_pow(0.5, 2000) == 0);
    assert_true(ent_pow(1, INFINITY) == 1 && ent_pow(2, INFINITY) == INFINITY && ent_pow(INFINITY, -2) == 0);
    assert_true(isnan(ent_pow(-1, 2)) && isnan(ent_pow(NAN, 2)) && isnan(ent_pow(2, NAN)));
}

static void angles_are_exact(void **state)
{
    (void)state;
    static const double ranges[] = {0.8, 7, 1e5, 0x1p27};
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        check_absolute("sin", ent_sin, sinl, ranges[i]);
        check_absolute("cos", ent_cos, cosl, ranges[i]);
    }
    assert_true(ent_sin(0) == 0 && ent_cos(0) == 1);
    assert_true(isnan(ent_sin(NAN)) && isnan(ent_cos(INFINITY)) && isnan(ent_cos(2e8)));
}

static void erf_is_exact(void **state)
{
    (void)state;
    check("erf", ent_erf, erfl, -6.5, 6.5, 5);
    check("erf", ent_erf, erfl, -1, 1, 5);
    check("erf", ent_erf, erfl, -1e-5, 1e-5, 5);
    assert_true(ent_erf(0) == 0 && ent_erf(INFINITY) == 1 && ent_erf(-7) == -1 && isnan(ent_erf(NAN)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exp_is_exact),     cmocka_unit_test(log_is_exact), cmocka_unit_test(pow_is_exact),
        cmocka_unit_test(angles_are_exact), cmocka_unit_test(erf_is_exact),
    };
    if (LDBL_MANT_DIG < 64) {
        fprintf(stderr, "SKIPPED: long double is no more exact than double here\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
