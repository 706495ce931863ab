/* Segments: pieces of a computation that are done again in backward. */
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

/* What a segment of the tests is told. */
typedef struct story {
    ent_tensor *w;    /* a parameter: not of the tape */
    int depth;        /* segments inside segments */
    const int *fails; /* fails on that run, if not NULL */
    int *runs;
} story;

/* y = gelu(x w) w, and for the depth told that of that */
static ent_status twist(ent_tensor **y, ent_tape *tape, ent_tensor *x, const void *context)
{
    story s = *(const story *)context;
    if (++*s.runs == (s.fails ? *s.fails : 0))
        return ent_fail(ENT_ENUMERIC, "the test's segment");
    ENT_TRY(ent_mul(y, tape, x, s.w));
    ENT_TRY(ent_gelu(y, tape, *y));
    if (s.depth-- > 0) {
        ENT_TRY(ent_tape_recompute(y, tape, *y, twist, &s, sizeof s));
        ENT_TRY(ent_add(y, tape, *y, x));
    }
    return ent_mul(y, tape, *y, s.w);
}

static ent_real w_gradient[6], x_gradient[6];
static const size_t two_by_three[] = {2, 3};

/* loss = mean(twist(twist(2 x))), directly or as segments, with gradients of x and w. */
static ent_status twisted(ent_real *loss, ent_tape *tape, bool segments, story s, bool train_w, bool train_x)
{
    ent_tensor w = ent_tensor_view(w_values, 2, two_by_three), *x, *h, *mean;
    w.requires_grad = train_w;
    w.grad = train_w ? w_gradient : NULL;
    s.w = &w;
    memset(w_gradient, 0, sizeof w_gradient);
    memset(x_gradient, 0, sizeof x_gradient);
    ENT_TRY(ent_tape_input(&x, tape, x_values, 2, two_by_three, train_x));
    ENT_TRY(ent_scale(&h, tape, x, 2));
    for (int i = 0; i < 2; i++)
        ENT_TRY(segments ? ent_tape_recompute(&h, tape, h, twist, &s, sizeof s) : twist(&h, tape, h, &s));
    ENT_TRY(ent_mean(&mean, tape, h));
    ENT_TRY(ent_tape_backward(tape, mean, 1));
    if (ent_tape_planning(tape))
        return ENT_OK;
    *loss = ent_values(mean)[0];
    if (train_x && ent_tape_recording(tape))
        memcpy(x_gradient, x->grad, sizeof x_gradient);
    return ENT_OK;
}

/* For each depth and for what trains: the bits of a direct call, in the memory of a plan. */
static void segments_give_the_same_bits(void **state)
{
    (void)state;
    for (int i = 0; i < 4 * 3; i++) {
        const bool train_w = i & 1, train_x = i & 2;
        int runs = 0;
        const story s = {.depth = i / 4, .runs = &runs};
        ent_real direct, again, w_direct[6], x_direct[6];
        ent_tape *tape = new_tape(false), *plan = new_tape(true), *reserved = new_tape(false);
        assert_int_equal(twisted(&direct, tape, false, s, train_w, train_x), ENT_OK);
        memcpy(w_direct, w_gradient, sizeof w_gradient);
        memcpy(x_direct, x_gradient, sizeof x_gradient);
        assert_int_equal(twisted(NULL, plan, true, s, train_w, train_x), ENT_OK);
        assert_int_equal(ent_tape_reserve(reserved, plan), ENT_OK);
        for (int times = 0; times < 2; times++) {
            ent_tape_rewind(reserved);
            runs = 0;
            assert_int_equal(twisted(&again, reserved, true, s, train_w, train_x), ENT_OK);
            /* each forward runs each depth once; backward, if there is one, a depth as often as it lies deep */
            const int once = 2 * (s.depth + 1);
            assert_int_equal(runs, once + (train_w || train_x ? once + s.depth * (s.depth + 1) : 0));
            assert_true(direct == again);
            assert_memory_equal(w_direct, w_gradient, sizeof w_gradient);
            assert_memory_equal(x_direct, x_gradient, sizeof x_gradient);
            assert_true(ent_tape_peak(reserved) == ent_tape_peak(plan));
        }
        assert_true((w_direct[0] != 0) == train_w && (x_direct[0] != 0) == train_x);
        ent_tape_free(tape);
        ent_tape_free(plan);
        ent_tape_free(reserved);
    }
}

static void segments_take_part_only_when_recorded(void **state)
{
    (void)state;
    int runs = 0;
    ent_real loss;
    ent_tape *tape = new_tape(false);
    ent_tape_record(tape, false);
    assert_int_equal(twisted(&loss, tape, true, (story){.runs = &runs}, true, true), ENT_OK);
    assert_int_equal(runs, 2);
    assert_false(ent_tape_recording(tape));
    assert_true(w_gradient[0] == 0);
    ent_tape_free(tape);
}

/* A segment that fails in forward or in backward, at any depth, leaves a tape that can be used after a rewind. */
static void failed_segments_leave_the_tape_whole(void **state)
{
    (void)state;
    ent_tape *tape = new_tape(false);
    ent_real whole, loss;
    int runs = 0, all;
    const story calm = {.depth = 2, .runs = &runs};
    assert_int_equal(twisted(&whole, tape, true, calm, true, true), ENT_OK);
    all = runs;
    for (int fails = 1; fails <= all; fails++) {
        story s = calm;
        s.fails = &fails;
        runs = 0;
        ent_tape_rewind(tape);
        assert_int_equal(twisted(&loss, tape, true, s, true, true), ENT_ENUMERIC);
        assert_string_equal(ent_message(), "the test's segment");
        assert_int_equal(runs, fails);
        assert_true(ent_tape_recording(tape));
        ent_tape_rewind(tape);
        assert_int_equal(twisted(&loss, tape, true, calm, true, true), ENT_OK);
        assert_true(loss == whole);
    }
    ent_tape_free(tape);
}

static int forwards;

static void count_copy(ent_node *node)
{
    memcpy(ent_values(node->out), node->in[0]->data, ent_tensor_count(node->out) * sizeof(ent_real));
    forwards++;
}

static void copy_back(ent_node *node)
{
    for (size_t i = 0; i < ent_tensor_count(node->out); i++)
        node->in[0]->grad[i] += node->out->grad[i];
}

/* y = x, counted; backward reads what it says. */
static ent_status counted(ent_tensor **y, ent_tape *tape, ent_tensor *x, unsigned unread)
{
    static const ent_op copy = {.name = "copy", .forward = count_copy, .backward = copy_back};
    ent_node *node;
    ENT_TRY(ent_node_new(&node, tape, &copy, &x, 1, 0));
    node->traits = unread;
    return ent_node_run(y, tape, node, 2, x->shape);
}

enum { READS_NONE = ENT_UNREAD_IN(0) | ENT_UNREAD_OUT | ENT_UNREAD_SAVED, READS_OUT = ENT_UNREAD_SAVED };

/* y = 2 gelu(x), with a tail of three copies, of which the first is needed again as far as `context` says. */
static ent_status with_tail(ent_tensor **y, ent_tape *tape, ent_tensor *x, const void *context)
{
    ENT_TRY(ent_gelu(y, tape, x));
    ENT_TRY(ent_scale(y, tape, *y, 2));
    ent_tape_tail(tape);
    for (int i = 0; i < 3; i++)
        ENT_TRY(counted(y, tape, *y, ((const unsigned *)context)[i]));
    return ENT_OK;
}

static ent_status run_with_tail(ent_real *gradient, ent_tape *tape, const unsigned *unread, bool again)
{
    ent_tensor *x, *y, *loss;
    forwards = 0;
    ent_tape_rewind(tape);
    ENT_TRY(ent_tape_input(&x, tape, x_values, 2, two_by_three, true));
    ENT_TRY(ent_mul(&y, tape, x, x));
    ENT_TRY(again ? ent_tape_recompute(&y, tape, y, with_tail, unread, 3 * sizeof *unread)
                  : with_tail(&y, tape, y, unread));
    ENT_TRY(ent_sum(&loss, tape, y));
    ENT_TRY(ent_tape_backward(tape, loss, 1));
    memcpy(gradient, x->grad, 6 * sizeof *gradient);
    return ENT_OK;
}

/* Of the tail, what backward reads is computed again, and nothing else. */
static void tails_are_not_computed_again(void **state)
{
    (void)state;
    ent_real direct[6], again[6];
    ent_tape *tape = new_tape(false);
    const unsigned none[] = {READS_NONE, READS_NONE, READS_NONE}, first[] = {READS_OUT, READS_NONE, READS_NONE};
    const unsigned both[] = {READS_OUT, 0, READS_NONE}, late[] = {READS_NONE, READS_NONE, READS_OUT};
    assert_int_equal(run_with_tail(direct, tape, none, false), ENT_OK);
    assert_int_equal(forwards, 3);
    const unsigned *const tails[] = {none, first, both};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(run_with_tail(again, tape, tails[i], true), ENT_OK);
        assert_int_equal(forwards, 3 + i);
        assert_memory_equal(direct, again, sizeof direct);
    }
    assert_int_equal(run_with_tail(again, tape, late, true), ENT_EINVAL);
    assert_string_equal(ent_message(), "copy: input 0 has no values, released or not computed again");
    ent_tape_free(tape);
}

static ent_status segment_in_tail(ent_tensor **y, ent_tape *tape, ent_tensor *x, const void *context)
{
    ent_tape_tail(tape);
    return ent_tape_recompute(y, tape, x, with_tail, context, 3 * sizeof(unsigned));
}

static ent_status changes_shape(ent_tensor **y, ent_tape *tape, ent_tensor *x, const void *context)
{
    (void)context;
    return ent_transpose(y, tape, x);
}

static ent_status does_nothing(ent_tensor **y, ent_tape *tape, ent_tensor *x, const void *context)
{
    (void)tape, (void)context;
    *y = x;
    return ENT_OK;
}

static void segments_of_other_kinds_are_refused(void **state)
{
    (void)state;
    ent_tape *tape = new_tape(false);
    ent_tensor *x = matrix(tape, x_values, 2, 3, true), *y;
    assert_int_equal(ent_tape_recompute(&y, tape, x, changes_shape, NULL, 0), ENT_EINVAL);
    assert_string_equal(ent_message(), "a segment: expected a result of the shape of its input, [2,3], found [3,2]");
    assert_int_equal(ent_tape_recompute(&y, tape, x, does_nothing, NULL, 0), ENT_EINVAL);
    assert_string_equal(ent_message(), "a segment: its result is its input");
    const unsigned none[] = {READS_NONE, READS_NONE, READS_NONE};
    assert_int_equal(ent_tape_recompute(&y, tape, x, segment_in_tail, none, sizeof none), ENT_OK);
    assert_int_equal(ent_sum(&y, tape, y), ENT_OK);
    assert_int_equal(ent_tape_backward(tape, y, 1), ENT_EINVAL);
    assert_string_equal(ent_message(), "a segment in the tail of another");
    ent_tape_free(tape);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(segments_give_the_same_bits),          cmocka_unit_test(segments_take_part_only_when_recorded),
        cmocka_unit_test(failed_segments_leave_the_tape_whole), cmocka_unit_test(segments_of_other_kinds_are_refused),
        cmocka_unit_test(tails_are_not_computed_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
