/* A reserved tape allocates nothing: the bytes the heap has in use don't change while it computes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <malloc.h>

#include "src/autograd/ops.h"
#include "src/base/tiles.h"

enum { ROWS = 400, COLUMNS = 300 };
static ent_real x_values[ROWS * COLUMNS];

static void network(ent_tape *tape)
{
    ent_tensor *x, *y, *loss;
    assert_int_equal(ent_tape_input(&x, tape, x_values, 2, (size_t[]){ROWS, COLUMNS}, true), ENT_OK);
    assert_int_equal(ent_silu(&y, tape, x), ENT_OK);
    assert_int_equal(ent_mul(&y, tape, y, x), ENT_OK);
    assert_int_equal(ent_sum(&loss, tape, y), ENT_OK);
    assert_int_equal(ent_tape_backward(tape, loss, 1), ENT_OK);
}

#ifdef __SANITIZE_ADDRESS__
size_t __sanitizer_get_current_allocated_bytes(void); /* <sanitizer/allocator_interface.h>, which not every gcc has */
#endif

static size_t heap_in_use(void)
{
#ifdef __SANITIZE_ADDRESS__ /* its malloc is another, which mallinfo2 knows nothing of */
    return __sanitizer_get_current_allocated_bytes();
#else
    const struct mallinfo2 m = mallinfo2();
    return m.uordblks + m.hblkhd;
#endif
}

static ent_tape *new_tape(bool planning)
{
    ent_tape *tape;
    assert_int_equal(ent_tape_new(&tape, planning), ENT_OK);
    return tape;
}

/* The measure works: a tape that isn't reserved takes its memory as it computes. */
static void other_tapes_allocate(void **state)
{
    (void)state;
    ent_tape *tape = new_tape(false);
    const size_t before = heap_in_use();
    network(tape);
    assert_true(heap_in_use() - before >= sizeof x_values);
    ent_tape_free(tape);
}

static void reserved_tape_allocates_nothing(void **state)
{
    (void)state;
    ent_tape *plan = new_tape(true), *tape = new_tape(false);
    network(plan);
    const size_t at_first = heap_in_use();
    assert_int_equal(ent_tape_reserve(tape, plan), ENT_OK);
    const size_t before = heap_in_use();
    assert_true(before - at_first >= ent_tape_peak(plan));
    for (int unit = 0; unit < 3; unit++) {
        ent_tape_rewind(tape);
        network(tape);
        assert_int_equal(heap_in_use(), before);
    }
    ent_tape_free(plan);
    ent_tape_free(tape);
}

int main(void)
{
    ent_set_threads(1); /* a team of threads takes memory of its own when it is made */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(other_tapes_allocate),
        cmocka_unit_test(reserved_tape_allocates_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
