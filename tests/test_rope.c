/* The angles of RoPE against transformers' formulas: default, linear, llama3. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "src/nn/rope_table.h"

enum { HALF = 8, POSITIONS = 64 };

static void check(const ent_model_config *config, const double *frequencies)
{
    float cosines[POSITIONS * HALF], sines[POSITIONS * HALF];
    ent_rope_table(cosines, sines, config, POSITIONS);
    for (int p = 0; p < POSITIONS; p++) {
        for (int j = 0; j < HALF; j++) { /* angles are floats: their last bit is 4e-6 at position 63 */
            assert_true(fabs((double)cosines[p * HALF + j] - cos(p * frequencies[j])) < 5e-6);
            assert_true(fabs((double)sines[p * HALF + j] - sin(p * frequencies[j])) < 5e-6);
        }
    }
}

static void default_frequencies(void **state)
{
    (void)state;
    double want[HALF];
    for (int j = 0; j < HALF; j++)
        want[j] = pow(10000, -2.0 * j / 16);
    check(&(ent_model_config){.head_dim = 16, .rope_theta = 10000}, want);
}

static void linear_frequencies(void **state)
{
    (void)state;
    double want[HALF];
    for (int j = 0; j < HALF; j++)
        want[j] = pow(10000, -2.0 * j / 16) / 4;
    check(&(ent_model_config){.head_dim = 16, .rope_theta = 10000, .rope_scaling = ENT_ROPE_LINEAR, .rope_factor = 4},
          want);
}

/* From transformers 4.48's _compute_llama3_parameters, evaluated in double: theta 500000, factor 8, low 1, high 4,
 * original positions 64. The first is kept, the second is in between, the rest are divided. */
static void llama3_frequencies(void **state)
{
    (void)state;
    static const double want[HALF] = {1.000000000e+00, 7.940300918e-02, 4.700753866e-03, 9.115830922e-04,
                                      1.767766953e-04, 3.428102196e-05, 6.647869871e-06, 1.289173172e-06};
    check(&(ent_model_config){.head_dim = 16,
                              .rope_theta = 500000,
                              .rope_scaling = ENT_ROPE_LLAMA3,
                              .rope_factor = 8,
                              .rope_low_freq_factor = 1,
                              .rope_high_freq_factor = 4,
                              .rope_original_max_positions = 64},
          want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(default_frequencies),
        cmocka_unit_test(linear_frequencies),
        cmocka_unit_test(llama3_frequencies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
