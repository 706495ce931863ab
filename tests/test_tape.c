/* The tape: memory, recording, and where backward goes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "src/autograd/op.h"
#include "src/autograd/ops.h"

static const ent_real x_values[] = {1, 2, 3, 4, 5, 6}, w_values[] = {1, -1, 2, 0.5f, 3, -2};

static ent_tape *new_tape(bool planning)
{
    ent_tape *tape;
    assert_int_equal(ent_tape_new(&tape, planning), ENT_OK);
    return tape;
}

static ent_tensor *matrix(ent_tape *tape, const ent_real *data, size_t rows, size_t columns, bool requires_grad)
{
    ent_tensor *t;
    assert_int_equal(ent_tape_input(&t, tape, data, 2, (size_t[]){rows, columns}, requires_grad), ENT_OK);
    return t;
}

/* loss = mean(gelu(x w)^2), with values that operators save, scratch and a gradient that is summed twice. */
static ent_tensor *network(ent_tape *tape, size_t rows)
{
    ent_tensor *w = matrix(tape, w_values, 2, 3, true), *x = matrix(tape, x_values, rows, 2, false), *h, *loss;
    assert_int_equal(ent_matmul(&h, tape, x, w), ENT_OK);
    assert_int_equal(ent_gelu(&h, tape, h), ENT_OK);
    assert_int_equal(ent_softmax(&h, tape, h), ENT_OK);
    assert_int_equal(ent_mul(&h, tape, h, h), ENT_OK);
    assert_int_equal(ent_mean(&loss, tape, h), ENT_OK);
    assert_int_equal(ent_tape_backward(tape, loss, 1), ENT_OK);
    return loss;
}

static void a_plan_measures_what_the_tape_takes(void **state)
{
    (void)state;
    ent_tape *plan = new_tape(true), *tape = new_tape(false), *reserved = new_tape(false);
    for (size_t rows = 1; rows <= 3; rows++) {
        ent_tape_rewind(plan);
        network(plan, rows);
        ent_tape_rewind(tape);
        network(tape, rows);
        assert_int_equal(ent_tape_peak(plan), ent_tape_peak(tape));
    }
    const size_t peak = ent_tape_peak(plan);
    assert_true(peak > 0);
    assert_int_equal(ent_tape_reserve(reserved, plan), ENT_OK);
    for (size_t rows = 1; rows <= 3; rows++) { /* up to the measured size, nothing is taken */
        ent_tape_rewind(reserved);
        network(reserved, rows);
        assert_true(ent_tape_peak(reserved) <= peak);
    }
    assert_int_equal(ent_tape_peak(reserved), peak);
    ent_tape_free(plan);
    ent_tape_free(tape);
    ent_tape_free(reserved);
}

static void a_rewound_tape_gives_the_same_again(void **state)
{
    (void)state;
    ent_tape *tape = new_tape(false);
    const ent_tensor *loss = network(tape, 3);
    const ent_real first = ent_values(loss)[0], *where = loss->data;
    const size_t peak = ent_tape_peak(tape);
    network(tape, 3); /* without a rewind, memory grows */
    const size_t grown = ent_tape_peak(tape);
    assert_true(grown > peak);
    for (int i = 0; i < 3; i++) {
        ent_tape_rewind(tape);
        loss = network(tape, 3);
        assert_true(ent_values(loss)[0] == first);
        if (i == 0)
            where = loss->data;
        assert_ptr_equal(loss->data, where);
        assert_int_equal(ent_tape_peak(tape), grown);
    }
    ent_tape_free(tape);
}

static void nothing_is_recorded_when_off(void **state)
{
    (void)state;
    ent_tape *tape = new_tape(false);
    ent_tensor *x = matrix(tape, x_values, 2, 3, true), *y, *loss;
    assert_true(ent_tape_recording(tape));
    ent_tape_record(tape, false);
    assert_false(ent_tape_recording(tape));
    assert_int_equal(ent_scale(&y, tape, x, 2), ENT_OK);
    assert_int_equal(ent_sum(&loss, tape, y), ENT_OK);
    assert_true(ent_values(loss)[0] == 42);
    assert_false(loss->requires_grad);
    assert_int_equal(ent_tape_backward(tape, loss, 1), ENT_OK);
    assert_null(loss->grad);
    for (size_t i = 0; i < 6; i++)
        assert_true(x->grad[i] == 0);
    ent_tape_record(tape, true);
    assert_int_equal(ent_sum(&loss, tape, x), ENT_OK);
    assert_int_equal(ent_tape_backward(tape, loss, (ent_real)0.5), ENT_OK);
    for (size_t i = 0; i < 6; i++)
        assert_true(x->grad[i] == (ent_real)0.5);
    ent_tape_free(tape);
}

static void backward_wants_a_scalar(void **state)
{
    (void)state;
    ent_tape *tape = new_tape(false);
    ent_tensor *x = matrix(tape, x_values, 2, 3, true), *y;
    assert_int_equal(ent_scale(&y, tape, x, 2), ENT_OK);
    assert_int_equal(ent_tape_backward(tape, y, 1), ENT_EINVAL);
    assert_string_equal(ent_message(), "backward: expected a scalar loss, found [2,3]");
    assert_true(x->grad[0] == 0);
    ent_tape_free(tape);
}

static void what_the_loss_does_not_depend_on_gets_nothing(void **state)
{
    (void)state;
    ent_tape *tape = new_tape(false);
    ent_tensor *x = matrix(tape, x_values, 2, 3, true), *w = matrix(tape, w_values, 2, 3, true);
    ent_tensor *aside, *loss;
    assert_int_equal(ent_mul(&aside, tape, x, w), ENT_OK);
    assert_int_equal(ent_sum(&loss, tape, x), ENT_OK);
    assert_int_equal(ent_sum(&aside, tape, aside), ENT_OK);
    assert_int_equal(ent_tape_backward(tape, loss, 1), ENT_OK);
    for (size_t i = 0; i < 6; i++) {
        assert_true(x->grad[i] == 1);
        assert_true(w->grad[i] == 0);
    }
    assert_null(aside->grad);
    ent_tape_free(tape);
}

/* loss = sum(x x + x): dx = 2 x + 1, and as often as backward runs */
static void uses_add_up(void **state)
{
    (void)state;
    ent_tape *tape = new_tape(false);
    ent_tensor *x = matrix(tape, x_values, 2, 3, true), *y, *loss;
    assert_int_equal(ent_mul(&y, tape, x, x), ENT_OK);
    assert_int_equal(ent_add(&y, tape, y, x), ENT_OK);
    assert_int_equal(ent_sum(&loss, tape, y), ENT_OK);
    for (int times = 1; times <= 5; times++) {
        assert_int_equal(ent_tape_backward(tape, loss, 1), ENT_OK);
        for (size_t i = 0; i < 6; i++)
            assert_true(x->grad[i] == (ent_real)times * (2 * x_values[i] + 1));
    }
    ent_tape_free(tape);
}

static int forbidden_calls;

static void count_forward(ent_node *node)
{
    memset(ent_values(node->out), 0, ent_tensor_count(node->out) * sizeof(ent_real));
}

static void count_backward(ent_node *node)
{
    (void)node;
    forbidden_calls++;
}

/* An operator on frozen inputs stands below the lowest one that trains: its backward never runs. */
static void nothing_goes_below_what_trains(void **state)
{
    (void)state;
    static const ent_op frozen = {.name = "frozen", .forward = count_forward, .backward = count_backward};
    ent_tape *tape = new_tape(false);
    ent_tensor *x = matrix(tape, x_values, 2, 3, false), *w = matrix(tape, w_values, 2, 3, true), *below, *y, *loss;
    ent_node *node;
    assert_int_equal(ent_node_new(&node, tape, &frozen, &x, 1, 0), ENT_OK);
    assert_int_equal(ent_node_run(&below, tape, node, 2, x->shape), ENT_OK);
    assert_false(below->requires_grad);
    assert_int_equal(ent_add(&y, tape, below, w), ENT_OK);
    assert_int_equal(ent_sum(&loss, tape, y), ENT_OK);
    assert_int_equal(ent_tape_backward(tape, loss, 1), ENT_OK);
    assert_int_equal(forbidden_calls, 0);
    assert_null(below->grad);
    assert_null(x->grad);
    assert_true(w->grad[5] == 1);
    ent_tape_free(tape);
}

/* Released values make room for others, unless backward reads them; gradients go through as before. */
static void released_values_are_used_again(void **state)
{
    (void)state;
    for (int recorded = 0; recorded < 2; recorded++) {
        ent_tape *tape = new_tape(false);
        ent_tensor *x = matrix(tape, x_values, 2, 3, true), *a, *b, *c, *loss;
        ent_tape_record(tape, recorded);
        assert_int_equal(ent_scale(&a, tape, x, 2), ENT_OK);
        assert_int_equal(ent_scale(&b, tape, a, 3), ENT_OK);
        const void *memory = a->data;
        ent_tape_release(tape, x);
        assert_ptr_equal(x->data, x_values);
        ent_tape_release(tape, a);
        ent_tape_release(tape, a); /* a second time does nothing */
        assert_null(a->data);
        assert_int_equal(ent_scale(&c, tape, b, (ent_real)0.5), ENT_OK);
        assert_ptr_equal(c->data, memory);
        assert_int_equal(ent_mul(&a, tape, b, c), ENT_OK); /* 18 x^2: reads both in backward */
        memory = b->data;
        ent_tape_release(tape, b);
        assert_int_equal(ent_sum(&loss, tape, a), ENT_OK);
        assert_true(b->data == (recorded ? memory : NULL));
        assert_true(ent_values(loss)[0] == 18 * 91);
        for (int times = 1; times <= 2; times++) {
            assert_int_equal(ent_tape_backward(tape, loss, 1), ENT_OK);
            for (size_t i = 0; i < 6; i++)
                assert_true(x->grad[i] == (recorded ? (ent_real)times * 36 * x_values[i] : 0));
        }
        ent_tape_free(tape);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plan_measures_what_the_tape_takes),
        cmocka_unit_test(a_rewound_tape_gives_the_same_again),
        cmocka_unit_test(nothing_is_recorded_when_off),
        cmocka_unit_test(backward_wants_a_scalar),
        cmocka_unit_test(what_the_loss_does_not_depend_on_gets_nothing),
        cmocka_unit_test(uses_add_up),
        cmocka_unit_test(nothing_goes_below_what_trains),
        cmocka_unit_test(released_values_are_used_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
