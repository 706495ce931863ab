/* What an observer keeps of the operands of products. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "src/tensor/gemm.h"
#include "src/tensor/observer.h"

/* Operands with row numbers in them. */
static void the_observer_keeps_rows(void **state)
{
    (void)state;
    enum { MOST = 130, COLUMNS = 3 };
    static const size_t sizes[] = {1, 2, 4, 7, 130, 9};
    float a[MOST * COLUMNS], x[ENT_OBSERVED_ROWS * COLUMNS], dy[ENT_OBSERVED_ROWS * COLUMNS], largest[COLUMNS] = {0};
    size_t expected[64], n = 0, most = 0;
    ent_observer o = {.in = COLUMNS, .out = COLUMNS, .largest = largest, .x = x, .dy = dy};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        const size_t m = sizes[s], kept = m < 4 ? m : 4;
        for (size_t i = 0; i < m; i++)
            for (size_t j = 0; j < COLUMNS; j++)
                a[i * COLUMNS + j] = (j == 1 ? -1.0f : 1.0f) * (float)(1000 * s + 10 * i + j);
        for (size_t i = 0; i < kept; i++)
            expected[n++] = 1000 * s + 10 * (i * m / kept);
        ent_observe(&o, a, m, true);
        for (size_t i = 0; i < m * COLUMNS; i++)
            a[i] += 0.5f;
        ent_observe(&o, a, m, false);
        assert_int_equal(o.n_x, n < ENT_OBSERVED_ROWS ? n : ENT_OBSERVED_ROWS);
        assert_int_equal(o.n_dy, o.n_x);
        most = 1000 * s + 10 * (m - 1) > most ? 1000 * s + 10 * (m - 1) : most;
        for (size_t j = 0; j < COLUMNS; j++) /* of x alone */
            assert_true(largest[j] == (float)(most + j));
    }
    assert_true(n > ENT_OBSERVED_ROWS);
    for (size_t i = 0; i < ENT_OBSERVED_ROWS; i++) {
        assert_true(x[i * COLUMNS] == (float)expected[i] && x[i * COLUMNS + 1] == -(float)(expected[i] + 1));
        assert_true(dy[i * COLUMNS + 2] == (float)(expected[i] + 2) + 0.5f);
    }
}

/* A product shows its operands: x where W is transposed, dy where not. */
static void products_are_observed(void **state)
{
    (void)state;
    enum { OUT = 5, IN = 3, M = 12 };
    float w[OUT * IN], x[M * IN], dy[M * OUT], y[M * OUT], dx[M * IN], largest[IN] = {0};
    float kept_x[ENT_OBSERVED_ROWS * IN], kept_dy[ENT_OBSERVED_ROWS * OUT];
    ent_observer o = {.in = IN, .out = OUT, .largest = largest, .x = kept_x, .dy = kept_dy};
    const ent_tensor weight = {.n_dims = 2, .shape = {OUT, IN}, .dtype = ENT_DTYPE_F32, .data = w, .observer = &o};
    for (size_t i = 0; i < M * OUT; i++)
        dy[i] = (float)i;
    for (size_t i = 0; i < M * IN; i++)
        x[i] = (float)i;
    memset(w, 0, sizeof w);
    ent_gemm_weight(y, 9, x, &weight, true, 0, NULL);
    assert_true(o.n_x == 4 && o.n_dy == 0);
    ent_gemm_weight(dx, M, dy, &weight, false, 0, NULL);
    assert_true(o.n_x == 4 && o.n_dy == 4);
    for (size_t i = 0; i < 4; i++) {
        assert_memory_equal(kept_x + i * IN, x + i * 9 / 4 * IN, IN * sizeof *x);
        assert_memory_equal(kept_dy + i * OUT, dy + i * 3 * OUT, OUT * sizeof *dy);
    }
    assert_true(largest[0] == 24 && largest[IN - 1] == 26);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_observer_keeps_rows),
        cmocka_unit_test(products_are_observed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
