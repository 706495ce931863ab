/* The profile: phases nest and sum to the whole, products are counted where they run, and nothing is counted when off.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include <time.h>

#include "src/autograd/op.h"
#include "src/autograd/ops.h"
#include "src/autograd/ops_model.h"
#include "src/base/profile.h"
#include "src/base/tiles.h"
#include "src/tensor/gemm.h"

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Works for a hundredth of a second by this process's own clock. */
static void work(void)
{
    const double begin = now();
    while (now() < begin + 0.01)
        ;
}

static void phases_nest(void **state)
{
    (void)state;
    ent_profile p;
    const double before = now();
    ent_profile_start();
    const double begin = now();
    assert_true(ent_profile_on());
    assert_int_equal(ent_profile_enter(ENT_PHASE_LOSS), ENT_PHASE_OTHER);
    const ent_phase outer = ent_profile_enter(ENT_PHASE_PRODUCTS);
    assert_int_equal(outer, ENT_PHASE_LOSS);
    work();
    assert_int_equal(ent_profile_enter(outer), ENT_PHASE_PRODUCTS);
    assert_int_equal(ent_profile_enter(ENT_PHASE_OTHER), ENT_PHASE_LOSS);
    const double end = now();
    ent_profile_stop(&p);
    const double after = now();
    double sum = 0;
    for (int i = 0; i < ENT_N_PHASES; i++)
        sum += p.seconds[i];
    assert_true(p.seconds[ENT_PHASE_PRODUCTS] >= 0.01);
    assert_true(p.seconds[ENT_PHASE_LOSS] >= 0);
    assert_true(p.seconds[ENT_PHASE_LOSS] + p.seconds[ENT_PHASE_PRODUCTS] <= end - begin + 1e-8);
    assert_true(sum >= end - begin - 1e-8 && sum <= after - before + 1e-8);
    assert_true(p.seconds[ENT_PHASE_NORMS] == 0 && p.seconds[ENT_PHASE_WAITING] == 0);
    assert_false(ent_profile_on());
}

static void products(void)
{
    static ent_real a[300 * 40], b[40 * 700], c[300 * 700];
    static uint16_t h[40 * 700];
    ent_gemm(c, 700, 300, 700, 40, 1, ent_matrix_of(a, 40, false), ent_matrix_of(b, 700, false), 0);
    ent_gemm(c, 700, 3, 700, 40, 1, ent_matrix_of(a, 40, false),
             (ent_matrix){.data = h, .dtype = ENT_DTYPE_BF16, .stride = 700}, 0);
    ent_gemm_serial(c, 7, 5, 7, 11, 1, ent_matrix_of(a, 11, false), ent_matrix_of(b, 7, false), 0);
    ent_gemm(c, 7, 0, 7, 11, 1, ent_matrix_of(a, 11, false), ent_matrix_of(b, 7, false), 0);
}

static void products_are_counted_once(void **state)
{
    (void)state;
    for (int threads = 1; threads <= 3; threads++) {
        ent_profile p;
        ent_set_threads(threads);
        products(); /* off: not counted */
        ent_profile_start();
        products();
        ent_profile_stop(&p);
        assert_int_equal(p.flops[ENT_FLOPS_FP32], 2 * (300 * 700 * 40 + 3 * 700 * 40 + 5 * 7 * 11));
        assert_int_equal(p.flops[ENT_FLOPS_BF16], 0);
        assert_int_equal(p.flops[ENT_FLOPS_INT8], 0);
        assert_true(p.seconds[ENT_PHASE_PRODUCTS] > 0);
    }
    ent_set_threads(1);
}

static void count_some(void *context, size_t begin, size_t end)
{
    (void)context;
    for (size_t i = begin; i < end; i++) {
        ent_profile_count(ENT_FLOPS_INT8, 1, 1, i);
        ent_profile_enter(ENT_PHASE_NORMS); /* a thread that didn't start the profile changes nothing */
        ent_profile_enter(ENT_PHASE_OTHER);
    }
}

static void threads_count_together(void **state)
{
    (void)state;
    ent_profile p;
    ent_set_threads(4);
    ent_profile_start();
    ent_tiles(10000, 10, count_some, NULL);
    ent_profile_stop(&p);
    assert_int_equal(p.flops[ENT_FLOPS_INT8], 2 * (9999 * 10000 / 2));
    ent_set_threads(1);
}

/* Each operator's time is that of its phase; a planning tape runs nothing. */
static void operators_have_phases(void **state)
{
    (void)state;
    static ent_real x[64 * 64], w[64];
    for (int planning = 0; planning < 2; planning++) {
        ent_tape *tape;
        ent_tensor *t, *weight, *y, *loss;
        ent_profile p;
        assert_int_equal(ent_tape_new(&tape, planning), ENT_OK);
        ent_profile_start();
        assert_int_equal(ent_tape_input(&t, tape, x, 2, (size_t[]){64, 64}, true), ENT_OK);
        assert_int_equal(ent_tape_input(&weight, tape, w, 1, (size_t[]){64}, false), ENT_OK);
        assert_int_equal(ent_rmsnorm(&y, tape, t, weight, 1e-5, NULL), ENT_OK);
        assert_int_equal(ent_matmul(&y, tape, y, y), ENT_OK);
        assert_int_equal(ent_silu(&y, tape, y), ENT_OK);
        assert_int_equal(ent_mse(&loss, tape, y, t), ENT_OK);
        assert_int_equal(ent_tape_backward(tape, loss, 1), ENT_OK);
        ent_profile_stop(&p);
        ent_tape_free(tape);
        const ent_phase ran[] = {ENT_PHASE_NORMS, ENT_PHASE_PRODUCTS, ENT_PHASE_ELEMENTWISE, ENT_PHASE_LOSS};
        for (int i = 0; i < 4; i++)
            assert_true(planning ? p.seconds[ran[i]] == 0 : p.seconds[ran[i]] > 0);
        assert_true(p.seconds[ENT_PHASE_ATTENTION] == 0 && p.seconds[ENT_PHASE_OPTIMIZER] == 0);
        assert_int_equal(p.flops[ENT_FLOPS_FP32], planning ? 0 : 3 * 2 * 64 * 64 * 64);
    }
}

static void phases_have_names(void **state)
{
    (void)state;
    for (int i = 0; i < ENT_N_PHASES; i++)
        for (int j = 0; j < i; j++)
            assert_string_not_equal(ent_phase_name((ent_phase)i), ent_phase_name((ent_phase)j));
    assert_string_equal(ent_phase_name(ENT_PHASE_WAITING), "waiting");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(phases_nest),
        cmocka_unit_test(products_are_counted_once),
        cmocka_unit_test(threads_count_together),
        cmocka_unit_test(operators_have_phases),
        cmocka_unit_test(phases_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
