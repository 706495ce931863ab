/* The block formats of GGUF: bytes and numbers of llama.cpp's library (data/quant/PROVENANCE.md), their errors against
 * the formats' definition, f16 against its neighbours. */
#include <float.h>
#include <math.h>

#include "src/base/philox.h"
#include "src/base/real.h"
#include "src/quant/blocks.h"
#include "tests/file_helpers.h"

enum { NUMBERS = 1760, N_FORMATS = 6, MOST = 2048 };
static const struct known {
    const char *name;
    uint32_t type;
    size_t numbers, bytes;
    float too_large; /* the first */
} known[N_FORMATS] = {
    {"F16", 1, 1, 2, 65520},         {"Q4_0", 2, 32, 18, 65520 * 8},      {"Q4_1", 3, 32, 20, 65520 * 15},
    {"Q5_0", 6, 32, 22, 65520 * 16}, {"Q8_0", 8, 32, 34, 65520 * 127.0f}, {"BF16", 30, 1, 2, 0x1.ffp127f},
};

static const ent_block_format *format_of(size_t i)
{
    const ent_block_format *format = ent_block_format_by_name(known[i].name);
    assert_non_null(format);
    return format;
}

static void read_data(void *out, size_t bytes, const char *name, const char *kind)
{
    char path[300];
    snprintf(path, sizeof path, "%s/quant/%s.%s", ENT_TEST_DATA, name, kind);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    assert_int_equal(fread(out, 1, bytes, f), bytes);
    assert_int_equal(fgetc(f), EOF);
    fclose(f);
}

static float uniform(uint64_t i, uint32_t unit)
{
    const ent_rng rng = {.seed = 5, .unit = unit};
    return 2 * ent_random_uniform(&rng, i) - 1;
}

static void formats_have_ggmls_numbers(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_FORMATS; i++) {
        const ent_block_format *f = format_of(i);
        assert_ptr_equal(f, ent_block_format_by_type(known[i].type));
        assert_string_equal(f->name, known[i].name);
        assert_true(f->ggml_type == known[i].type && f->numbers == known[i].numbers && f->bytes == known[i].bytes);
        size_t bytes = 1;
        assert_ok(ent_block_row_bytes(&bytes, f, 0));
        assert_int_equal(bytes, 0);
        assert_ok(ent_block_row_bytes(&bytes, f, 4096));
        assert_int_equal(bytes, 4096 / known[i].numbers * known[i].bytes);
    }
    assert_null(ent_block_format_by_name("Q4_K"));
    assert_null(ent_block_format_by_name("q4_0"));
    assert_null(ent_block_format_by_type(0));
    assert_null(ent_block_format_by_type(7));
}

static void bytes_are_ggmls(void **state)
{
    (void)state;
    static float x[NUMBERS], expected[NUMBERS], y[NUMBERS];
    static uint8_t expected_bytes[2 * NUMBERS], bytes[2 * NUMBERS + 1];
    read_data(x, sizeof x, "numbers", "f32");
    for (size_t i = 0; i < N_FORMATS; i++) {
        const ent_block_format *f = format_of(i);
        size_t n;
        assert_ok(ent_block_row_bytes(&n, f, NUMBERS));
        read_data(expected_bytes, n, f->name, "bytes");
        read_data(expected, sizeof expected, f->name, "f32");
        bytes[n] = 0xa5;
        assert_ok(ent_block_quantize(bytes, f, x, NUMBERS));
        for (size_t k = 0; k < n; k++)
            if (bytes[k] != expected_bytes[k])
                fail_msg("%s: byte %zu of block %zu is %02x, ggml's is %02x", f->name, k % f->bytes, k / f->bytes,
                         bytes[k], expected_bytes[k]);
        assert_int_equal(bytes[n], 0xa5);
        assert_ok(ent_block_dequantize(y, f, expected_bytes, NUMBERS));
        for (size_t k = 0; k < NUMBERS; k++)
            if (memcmp(&y[k], &expected[k], sizeof y[k]) != 0)
                fail_msg("%s: number %zu is %g, ggml's is %g", f->name, k, (double)y[k], (double)expected[k]);
    }
}

static void lengths_are_checked(void **state)
{
    (void)state;
    float x[64] = {0};
    uint8_t bytes[128];
    size_t n;
    for (size_t i = 0; i < N_FORMATS; i++) {
        const ent_block_format *f = format_of(i);
        if (f->numbers == 1) {
            assert_fails(ent_block_row_bytes(&n, f, SIZE_MAX), ENT_EINVAL, "is too large");
            continue;
        }
        assert_fails(ent_block_row_bytes(&n, f, 33), ENT_EINVAL, "a row of 33 numbers, expected a multiple of 32");
        assert_fails(ent_block_quantize(bytes, f, x, 31), ENT_EINVAL, f->name);
        assert_fails(ent_block_dequantize(x, f, bytes, 63), ENT_EINVAL, "a row of 63 numbers");
    }
}

/* The largest number that fits, and the next; in a block after a good one. */
static void large_numbers_are_refused(void **state)
{
    (void)state;
    float x[64] = {0}, y[64];
    uint8_t bytes[128];
    for (size_t i = 0; i < N_FORMATS; i++) {
        const ent_block_format *f = format_of(i);
        const float limit = i == 5 ? 0x1.ff0001p127f : known[i].too_large; /* bf16: half a last bit more */
        x[37] = nextafterf(i == 5 ? 0x1.ffp127f : limit, 0);
        assert_ok(ent_block_quantize(bytes, f, x, 64));
        assert_ok(ent_block_dequantize(y, f, bytes, 64));
        assert_true(isfinite(y[37]) && fabsf(y[37] / x[37] - 1) < 0.04f);
        x[37] = limit;
        assert_fails(ent_block_quantize(bytes, f, x, 64), ENT_ENUMERIC, "element 37 is");
        assert_fails(ent_block_quantize(bytes, f, x, 64), ENT_ENUMERIC, f->name);
        static const float bad[] = {NAN, INFINITY, -INFINITY};
        for (size_t k = 0; k < 3; k++) {
            x[37] = bad[k];
            assert_fails(ent_block_quantize(bytes, f, x, 64), ENT_ENUMERIC, "element 37 is");
            x[37] = 0, x[63] = bad[k];
            assert_fails(ent_block_quantize(bytes, f, x, 64), ENT_ENUMERIC, "element 63 is");
            x[63] = 0;
        }
    }
    x[5] = -65520; /* the smallest number, which Q4_1 keeps */
    assert_fails(ent_block_quantize(bytes, ent_block_format_by_name("Q4_1"), x, 64), ENT_ENUMERIC,
                 "element 5 is -65520");
}

/* Half a step, the last step of Q4_0 and Q5_0 (their codes reach 7/8 and 15/16 on the other side), and d as f16. */
static void errors_are_bounded(void **state)
{
    (void)state;
    static const float steps[N_FORMATS] = {0, 8, 15, 16, 127, 0};
    static float x[MOST], y[MOST];
    static uint8_t bytes[2 * MOST];
    for (size_t i = 1; i < 5; i++) {
        for (size_t k = 0; k < MOST; k++)
            x[k] = uniform(k, (uint32_t)i) * (1 + (float)(k / 32));
        assert_ok(ent_block_quantize(bytes, format_of(i), x, MOST));
        assert_ok(ent_block_dequantize(y, format_of(i), bytes, MOST));
        for (size_t b = 0; b < MOST; b += 32) {
            const float range = (i == 2 ? 2.0f : 1.0f) * (1 + (float)(b / 32)), step = range / steps[i];
            for (size_t k = b; k < b + 32; k++)
                if (!(fabsf(x[k] - y[k]) <= step * (i % 2 ? 1.0f : 0.5f) + range * 0x1p-10f))
                    fail_msg("%s: %g became %g, a step is %g", known[i].name, (double)x[k], (double)y[k], (double)step);
        }
    }
}

static void f16_is_the_nearest(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 0x7c00; h++) {
        const float a = ent_f16_to_f32((uint16_t)h);
        assert_int_equal(ent_f32_to_f16(a), h);
        assert_int_equal(ent_f32_to_f16(-a), h | 0x8000);
        const float b = h == 0x7bff ? 65536 : ent_f16_to_f32((uint16_t)(h + 1)), middle = (a + b) / 2;
        assert_int_equal(ent_f32_to_f16(middle), h + (h & 1));
        assert_int_equal(ent_f32_to_f16(nextafterf(middle, 0)), h);
        assert_int_equal(ent_f32_to_f16(nextafterf(-middle, -INFINITY)), (h + 1) | 0x8000);
    }
    assert_int_equal(ent_f32_to_f16(INFINITY), 0x7c00);
    assert_int_equal(ent_f32_to_f16(FLT_MAX), 0x7c00);
    assert_int_equal(ent_f32_to_f16(-INFINITY), 0xfc00);
    assert_int_equal(ent_f32_to_f16(copysignf(NAN, 1)), 0x7e00);
    assert_int_equal(ent_f32_to_f16(copysignf(NAN, -1)), 0xfe00);
    assert_int_equal(ent_f32_to_f16(0x1p-149f), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats_have_ggmls_numbers),
        cmocka_unit_test(bytes_are_ggmls),
        cmocka_unit_test(lengths_are_checked),
        cmocka_unit_test(large_numbers_are_refused),
        cmocka_unit_test(errors_are_bounded),
        cmocka_unit_test(f16_is_the_nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
