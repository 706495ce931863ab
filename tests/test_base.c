/* Status, arena, Philox and storage types. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/arena.h"
#include "src/base/mem.h"
#include "src/base/philox.h"
#include "src/base/real.h"

static void message_is_one_line(void **state)
{
    (void)state;
    assert_int_equal(ent_fail(ENT_EIO, "%s: line\nbreak", "file"), ENT_EIO);
    assert_string_equal(ent_message(), "file: line break");
}

static void allocation_refuses_overflow(void **state)
{
    (void)state;
    char *p = NULL;
    assert_int_equal(ent_calloc(&p, SIZE_MAX / 2, 3, "a test"), ENT_ENOMEM);
    assert_null(p);
    size_t capacity = 0;
    assert_int_equal(ent_grow(&p, &capacity, SIZE_MAX - 1, 8, "a test"), ENT_ENOMEM);
}

/* Known answers of the Random123 distribution (kat_vectors, philox4x32 10). */
static void philox_known_answers(void **state)
{
    (void)state;
    static const struct {
        uint32_t counter[4], key[2], out[4];
    } cases[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t out[4];
        ent_philox_block(out, cases[i].counter, cases[i].key);
        assert_memory_equal(out, cases[i].out, sizeof out);
    }
}

static void draws_are_uniform_and_normal(void **state)
{
    (void)state;
    const ent_rng rng = {.seed = 42, .stream = ENT_STREAM_INIT};
    double sum = 0, squares = 0, uniform = 0;
    const int n = 20000;
    unsigned count[3] = {0};
    for (int i = 0; i < n; i++) {
        const double x = ent_random_normal(&rng, (uint64_t)i);
        sum += x;
        squares += x * x;
        uniform += ent_random_uniform(&rng, (uint64_t)i);
        count[ent_random_below(&rng, (uint64_t)i, 3)]++;
    }
    assert_true(fabs(sum / n) < 0.03);
    assert_true(fabs(squares / n - 1) < 0.05);
    assert_true(fabs(uniform / n - 0.5) < 0.01);
    for (int i = 0; i < 3; i++)
        assert_true(count[i] > 6300 && count[i] < 7000);
}

static void storage_types_convert(void **state)
{
    (void)state;
    static const struct {
        uint16_t half;
        float value;
    } f16[] = {{0x0000, 0.f},       {0x3c00, 1.f},         {0xc000, -2.f},
               {0x7bff, 65504.f},   {0x0001, 0x1p-24f},    {0x03ff, 1023 * 0x1p-24f},
               {0x8400, -0x1p-14f}, {0x3555, 0x1.554p-2f}, {0x7c00, INFINITY}};
    for (size_t i = 0; i < sizeof f16 / sizeof *f16; i++)
        assert_true(ent_f16_to_f32(f16[i].half) == f16[i].value);
    assert_true(isnan(ent_f16_to_f32(0x7e00)));
    assert_true(signbit(ent_f16_to_f32(0x8000)));
    const uint16_t bf16[2] = {0x3f80, 0xc040};
    ent_real out[2];
    ent_convert(out, bf16, ENT_DTYPE_BF16, 2);
    assert_true(out[0] == 1 && out[1] == -3);
}

static void arena_rewinds_into_the_same_memory(void **state)
{
    (void)state;
    ent_arena *a;
    assert_int_equal(ent_arena_new(&a, "a test", false), ENT_OK);
    char *first, *second, *big, *again;
    assert_int_equal(ent_arena_alloc(&first, a, 100), ENT_OK);
    assert_int_equal(ent_arena_alloc(&second, a, 100), ENT_OK);
    assert_int_equal(ent_arena_alloc(&big, a, 3 << 20), ENT_OK);
    memset(big, 1, 3 << 20);
    assert_int_equal((uintptr_t)second % 64, 0);
    assert_true(second >= first + 100);
    assert_int_equal(ent_arena_peak(a), 128 * 2 + (3 << 20));
    ent_arena_rewind(a); /* it had outgrown its first block: now there is one for all */
    assert_int_equal(ent_arena_alloc(&first, a, 100), ENT_OK);
    assert_int_equal(ent_arena_alloc(&big, a, 3 << 20), ENT_OK);
    assert_ptr_equal(big, first + 128);
    ent_arena_rewind(a);
    assert_int_equal(ent_arena_alloc(&again, a, 100), ENT_OK);
    assert_ptr_equal(first, again);
    assert_int_equal(ent_arena_alloc(&again, a, 3 << 20), ENT_OK);
    assert_ptr_equal(big, again);
    assert_int_equal(ent_arena_alloc(&again, a, SIZE_MAX - 64), ENT_ENOMEM);
    ent_arena_free(a);
}

static void counting_arena_counts_alike(void **state)
{
    (void)state;
    ent_arena *real, *counting;
    assert_int_equal(ent_arena_new(&real, "a test", false), ENT_OK);
    assert_int_equal(ent_arena_new(&counting, "a test", true), ENT_OK);
    for (size_t i = 1; i < 100; i++) {
        void *p;
        assert_int_equal(ent_arena_alloc(&p, real, i * 77), ENT_OK);
        assert_int_equal(ent_arena_alloc(&p, counting, i * 77), ENT_OK);
    }
    assert_int_equal(ent_arena_peak(real), ent_arena_peak(counting));
    ent_arena_free(real);
    ent_arena_free(counting);
}

static void numbers_are_aligned_and_refuse_what_is_not_there(void **state)
{
    (void)state;
    const size_t sizes[] = {0, 1, 100, ((size_t)4 << 20) - 1, (size_t)4 << 20, ((size_t)6 << 20) + 5};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char *p;
        assert_int_equal(ent_numbers(&p, sizes[i], "numbers"), ENT_OK);
        assert_int_equal((uintptr_t)p % (sizes[i] < (4 << 20) ? 64 : 2 << 20), 0);
        memset(p, 1, sizes[i]);
        free(p);
    }
    void *p;
    assert_int_equal(ent_numbers(&p, SIZE_MAX - 5, "numbers"), ENT_ENOMEM);
    assert_null(p);
    assert_string_equal(ent_message(), "out of memory: 18446744073709551610 bytes for numbers");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(message_is_one_line),
        cmocka_unit_test(allocation_refuses_overflow),
        cmocka_unit_test(numbers_are_aligned_and_refuse_what_is_not_there),
        cmocka_unit_test(philox_known_answers),
        cmocka_unit_test(draws_are_uniform_and_normal),
        cmocka_unit_test(storage_types_convert),
        cmocka_unit_test(arena_rewinds_into_the_same_memory),
        cmocka_unit_test(counting_arena_counts_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
