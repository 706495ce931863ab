/* Rows of a norm that are rounded as they are made: what they are, and which products take them. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "src/autograd/ops.h"
#include "src/autograd/ops_model.h"
#include "src/base/philox.h"
#include "src/quant/int8_choice.h"
#include "src/tensor/gemm.h"

enum { ROWS = 37, IN = 70, OUT = 50 };

static float x[ROWS * IN], addend[ROWS * IN], norm[IN], ones[IN], powers[IN];
static int8_t q[OUT * IN];
static float scales[OUT];
static ent_tensor weight;
static void *scratch;

static int set_up(void **state)
{
    const ent_rng rng = {.seed = 5};
    static float w[OUT * IN];
    size_t bytes;
    (void)state;
    for (uint64_t i = 0; i < ROWS * IN; i++) {
        x[i] = (float)ent_random_normal(&rng, i);
        addend[i] = (float)ent_random_normal(&rng, i + 100000);
    }
    for (uint64_t i = 0; i < OUT * IN; i++)
        w[i] = (float)ent_random_normal(&rng, i + 200000);
    for (int j = 0; j < IN; j++) {
        norm[j] = 1 + 0.01f * (float)j;
        ones[j] = 1;
        powers[j] = j % 3 ? 1 : 4;
    }
    const ent_tensor stored = ent_tensor_view(w, 2, (size_t[]){OUT, IN});
    ent_int8_rows(q, scales, &stored, NULL, 0, OUT);
    weight = stored;
    weight.dtype = ENT_DTYPE_I8;
    weight.data = q;
    weight.row_scales = scales;
    weight.compute = ENT_COMPUTE_INT8;
    assert_int_equal(ent_gemm_weight_plan(&bytes, &weight, ROWS), ENT_OK);
    scratch = aligned_alloc(64, (bytes + 63) / 64 * 64);
    return scratch == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    free(scratch);
    return 0;
}

typedef struct rows {
    float scales[ROWS];
    int8_t q[ROWS * IN];
} rows;

static ent_rounded_rows in(rows *r, const float *factors)
{
    memset(r, 0, sizeof *r);
    return (ent_rounded_rows){factors, r->scales, r->q};
}

/* The norm of x, or of x + addend, with its rows, is that without; the rows are its numbers, to half a step. */
static void rows_are_those_of_the_norm(void **state)
{
    (void)state;
    for (int with_addend = 0; with_addend < 2; with_addend++) {
        static rows r;
        const ent_rounded_rows wanted = in(&r, powers);
        ent_tape *tape;
        ent_tensor *tx, *ta, *tw, *plain, *y, *sum;
        assert_int_equal(ent_tape_new(&tape, false), ENT_OK);
        assert_int_equal(ent_tape_input(&tx, tape, x, 2, (size_t[]){ROWS, IN}, false), ENT_OK);
        assert_int_equal(ent_tape_input(&ta, tape, addend, 2, (size_t[]){ROWS, IN}, false), ENT_OK);
        assert_int_equal(ent_tape_input(&tw, tape, norm, 1, (size_t[]){IN}, false), ENT_OK);
        if (with_addend) {
            assert_int_equal(ent_add_rmsnorm(&y, &sum, tape, tx, ta, tw, 1e-5, &wanted), ENT_OK);
            assert_int_equal(ent_add(&tx, tape, tx, ta), ENT_OK);
            assert_memory_equal(ent_values(sum), ent_values(tx), sizeof x);
        } else {
            assert_int_equal(ent_rmsnorm(&y, tape, tx, tw, 1e-5, &wanted), ENT_OK);
        }
        assert_int_equal(ent_rmsnorm(&plain, tape, tx, tw, 1e-5, NULL), ENT_OK);
        assert_memory_equal(ent_values(y), ent_values(plain), sizeof x);
        assert_null(plain->rounded);
        assert_non_null(y->rounded);
        for (int i = 0; i < ROWS; i++) {
            int largest = 0;
            for (int j = 0; j < IN; j++) {
                const float back = r.scales[i] * (float)r.q[i * IN + j] / powers[j];
                largest = abs(r.q[i * IN + j]) > largest ? abs(r.q[i * IN + j]) : largest;
                assert_true(fabsf(back - ent_values(y)[i * IN + j]) <= 0.5001f * r.scales[i] / powers[j]);
            }
            assert_int_equal(largest, 127);
        }
        ent_tape_free(tape);
    }
}

/* y = x W^T with x's rows as they come: those given are 0, and so is y where they are taken. */
static bool takes(const float *given, const float *needed)
{
    static rows r;
    static float y[ROWS * OUT], expected[ROWS * OUT];
    const ent_rounded_rows zeros = in(&r, given);
    ent_tensor tx = ent_tensor_view(x, 2, (size_t[]){ROWS, IN}), w = weight;
    w.column_factors = needed;
    ent_gemm_weight(expected, ROWS, x, &w, true, 0, scratch);
    tx.rounded = &zeros;
    ent_gemm_weight_of(y, &tx, &w, scratch);
    if (memcmp(y, expected, sizeof y) == 0)
        return false;
    for (size_t i = 0; i < ROWS * OUT; i++)
        assert_true(y[i] == 0);
    return true;
}

static void products_take_rows_of_their_factors(void **state)
{
    static float same[IN];
    (void)state;
    memcpy(same, powers, sizeof same);
    assert_true(takes(NULL, NULL));
    assert_true(takes(powers, powers));
    assert_true(takes(same, powers));
    assert_false(takes(ones, powers));
    assert_false(takes(NULL, powers));
    assert_false(takes(powers, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_those_of_the_norm),
        cmocka_unit_test(products_take_rows_of_their_factors),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
