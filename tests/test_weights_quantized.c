/* Frozen matrices that are quantised in a file which is made once and mapped: their numbers, damage, and what can't be
 * quantised. */
#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/weights_cache.h"
#include "src/base/philox.h"
#include "src/base/tiles.h"
#include "src/quant/nf4.h"
#include "tests/file_helpers.h"

enum { ROWS = 70, COLUMNS = 333, N = ROWS * COLUMNS, N_TENSORS = 5 };

/* Matrices of several types, and a norm. */
typedef struct model {
    ent_params params;
    float a[N], norm[COLUMNS];
    uint16_t b[N], c[N];
    double d[N];
    const char *dir;
} model;

static void add(model *m, const char *name, size_t n_dims, ent_dtype dtype, const void *data)
{
    ent_tensor *t;
    assert_ok(ent_params_declare(&t, &m->params, name, n_dims,
                                 n_dims == 2 ? (size_t[]){ROWS, COLUMNS} : (size_t[]){COLUMNS}, false));
    t->dtype = dtype;
    t->data = data;
}

static void bind_again(model *m)
{
    ent_params_clear(&m->params);
    add(m, "a", 2, ENT_DTYPE_F32, m->a);
    add(m, "norm", 1, ENT_DTYPE_F32, m->norm);
    add(m, "b", 2, ENT_DTYPE_F16, m->b);
    add(m, "c", 2, ENT_DTYPE_BF16, m->c);
    add(m, "d", 2, ENT_DTYPE_F64, m->d);
    assert_ok(ent_params_seal(&m->params));
}

static int set_up(void **state)
{
    model *m = calloc(1, sizeof *m);
    const ent_rng rng = {.seed = 3};
    for (size_t i = 0; i < N; i++) {
        m->a[i] = ent_random_normal(&rng, i);
        m->b[i] = (uint16_t)(ent_random_u32(&rng, N + i) & 0xbfffu); /* below 2 */
        m->c[i] = ent_f32_to_bf16(ent_random_normal(&rng, 3 * N + i));
        m->d[i] = (double)ent_random_normal(&rng, 2 * N + i);
    }
    m->dir = scratch("weights_quantized");
    *state = m;
    ent_set_threads(2);
    return 0;
}

static int tear_down(void **state)
{
    model *m = *state;
    ent_params_clear(&m->params);
    free(m);
    return 0;
}

static const ent_dtype bases[] = {ENT_DTYPE_I8, ENT_DTYPE_NF4};

/* What is to be found in place of a matrix of these values, computed here: numbers, and of NF4 the bytes of the whole.
 */
static void expect_quantized(const ent_tensor *t, ent_dtype base, const float *values)
{
    const size_t rows = t->shape[0], columns = t->shape[1];
    assert_true(t->dtype == base && (uintptr_t)t->data % 64 == 0);
    if (base == ENT_DTYPE_NF4) {
        ent_nf4 layout;
        assert_ok(ent_nf4_layout(&layout, rows, columns));
        uint8_t *bytes = malloc(layout.bytes);
        float *scales = malloc(rows * layout.row_blocks * sizeof *scales);
        for (size_t r = 0; r < rows; r++)
            assert_ok(ent_nf4_put(bytes + r * layout.row_codes, scales + r * layout.row_blocks, values + r * columns,
                                  columns));
        ent_nf4_put_scales(bytes + layout.scales_at, &layout, scales);
        assert_memory_equal(t->data, bytes, layout.bytes);
        assert_null(t->row_scales);
        free(bytes), free(scales);
        return;
    }
    assert_true((uintptr_t)t->row_scales % 64 == 0);
    for (size_t r = 0; r < rows; r++) {
        float largest = 0;
        for (size_t c = 0; c < columns; c++)
            largest = fmaxf(largest, fabsf(values[r * columns + c]));
        assert_true(t->row_scales[r] == largest / 127);
        for (size_t c = 0; c < columns; c++)
            if (((const int8_t *)t->data)[r * columns + c] != lrintf(values[r * columns + c] * (127 / largest)))
                fail_msg("row %zu, column %zu", r, c);
    }
}

static void open_quantized(model *m, ent_dtype base, const char *dir, bool verify, bool noted)
{
    ent_weights_cache *cache;
    static float values[N];
    bind_again(m);
    assert_ok(ent_weights_cache_quantize(&cache, &m->params, base, dir, verify, NULL));
    assert_int_equal(ent_weights_cache_note(cache) != NULL, noted);
    expect_quantized(&m->params.items[0]->tensor, base, m->a);
    for (size_t i = 0; i < N; i++)
        values[i] = ent_f16_to_f32(m->b[i]);
    expect_quantized(&m->params.items[2]->tensor, base, values);
    for (size_t i = 0; i < N; i++)
        values[i] = (float)m->d[i];
    expect_quantized(&m->params.items[4]->tensor, base, values);
    assert_ptr_equal(m->params.items[1]->tensor.data, m->norm); /* no matrix */
    assert_true(m->params.items[3]->tensor.dtype == base);      /* bf16, but a matrix */
    size_t bytes = 128;
    for (size_t i = 0; i < N_TENSORS; i++)
        bytes += i == 1 ? 0 : (ent_tensor_bytes(&m->params.items[i]->tensor) + 63) / 64 * 64;
    assert_in_range(ent_weights_cache_bytes(cache), bytes, bytes + 4 * 64);
    ent_weights_cache_close(cache);
}

static void matrices_are_quantized(void **state)
{
    model *m = *state;
    char path[400];
    for (size_t b = 0; b < 2; b++) {
        open_quantized(m, bases[b], NULL, true, false);
        open_quantized(m, bases[b], m->dir, true, false);
        const ino_t made = only_file(path, m->dir).st_ino;
        for (int verify = 0; verify < 2; verify++) {
            open_quantized(m, bases[b], m->dir, verify, false);
            assert_int_equal(only_file(path, m->dir).st_ino, made);
        }
        unlink(path);
    }
    open_quantized(m, ENT_DTYPE_I8, m->dir, true, false); /* each has a name of its own */
    only_file(path, m->dir);
    open_quantized(m, ENT_DTYPE_NF4, m->dir, true, false);
    open_quantized(m, ENT_DTYPE_I8, m->dir, true, false);
}

/* Every part of a tensor, the first and the last: numbers, scales, groups, the offset, the gap behind. */
static void a_damaged_quantized_one_is_made_anew(void **state)
{
    model *m = *state;
    char path[400];
    for (size_t b = 0; b < 2; b++) {
        open_quantized(m, bases[b], m->dir, true, false);
        const long size = (long)only_file(path, m->dir).st_size, tensor = (size - 128) / 4;
        static const long from_end[] = {1, 4, 30, 64, 90, 300};
        for (size_t i = 0; i < 2 * 6; i++) {
            flip_bit(path, 128 + (i < 6 ? tensor : 4 * tensor) - from_end[i % 6]);
            open_quantized(m, bases[b], m->dir, true, true);
        }
        flip_bit(path, 128);
        open_quantized(m, bases[b], m->dir, true, true);
        unlink(path);
    }
}

/* Whoever doesn't verify takes the numbers as they are. */
static void others_only_map_it(void **state)
{
    model *m = *state;
    char path[400];
    ent_weights_cache *cache;
    open_quantized(m, ENT_DTYPE_I8, m->dir, true, false);
    const ino_t made = only_file(path, m->dir).st_ino;
    flip_bit(path, 128);
    bind_again(m);
    assert_ok(ent_weights_cache_quantize(&cache, &m->params, ENT_DTYPE_I8, m->dir, false, NULL));
    assert_null(ent_weights_cache_note(cache));
    assert_int_equal(only_file(path, m->dir).st_ino, made);
    ent_weights_cache_close(cache);
}

/* Rows of more numbers than are converted at once, and more rows than are written at once. */
static void a_large_one_is_made_in_pieces(void **state)
{
    enum { MANY = 2000, WIDE = 1100 };
    model *m = *state;
    float *values = malloc(MANY * WIDE * sizeof *values);
    for (size_t i = 0; i < MANY * WIDE; i++)
        values[i] = (float)(i * 2654435761u % 2048) * 0.01f - 10;
    for (size_t b = 0; b < 2; b++) {
        ent_weights_cache *cache;
        ent_params params = {0};
        ent_tensor *t;
        assert_ok(ent_params_declare(&t, &params, "large", 2, (size_t[]){MANY, WIDE}, false));
        t->data = values;
        assert_ok(ent_params_seal(&params));
        assert_ok(ent_weights_cache_quantize(&cache, &params, bases[b], m->dir, true, NULL));
        expect_quantized(t, bases[b], values);
        ent_weights_cache_close(cache);
        t->data = values;
        t->dtype = ENT_DTYPE_F32;
        const float before = values[1990 * WIDE + 1050];
        values[1990 * WIDE + 1050] = NAN;
        assert_fails(ent_weights_cache_quantize(&cache, &params, bases[b], NULL, true, NULL), ENT_ENUMERIC,
                     "large: row 1990, column 1050 is nan");
        values[1990 * WIDE + 1050] = before;
        ent_params_clear(&params);
    }
    free(values);
}

static void what_is_quantized_stays(void **state)
{
    model *m = *state;
    ent_weights_cache *cache, *second;
    for (size_t b = 0; b < 2; b++) {
        bind_again(m);
        assert_ok(ent_weights_cache_quantize(&cache, &m->params, bases[b], NULL, true, NULL));
        m->params.items[0]->tensor.compute = ENT_COMPUTE_BF16;
        m->params.items[2]->tensor.compute = ENT_COMPUTE_INT8;
        assert_ok(ent_weights_cache_open(&second, &m->params, NULL, true, NULL));
        assert_null(second);
        ent_weights_cache_close(cache);
    }
}

static void numbers_that_can_not_be_quantized_are_named(void **state)
{
    model *m = *state;
    ent_weights_cache *cache;
    static const struct {
        float x;
        const char *nf4, *int8;
    } bad[] = {{NAN, "nan", "nan"}, {-INFINITY, "-inf", "-inf"}, {0x1.8p126f, "1.27606e+38", NULL}};
    for (size_t i = 0; i < 3; i++)
        for (size_t b = 0; b < 2; b++)
            for (int in_file = 0; in_file < 2; in_file++) {
                const char *const found = b ? bad[i].nf4 : bad[i].int8;
                char want[200];
                const float before = m->a[69 * COLUMNS + 330];
                m->a[69 * COLUMNS + 330] = m->a[40 * COLUMNS + 331] = bad[i].x;
                bind_again(m);
                const ent_status st =
                    ent_weights_cache_quantize(&cache, &m->params, bases[b], in_file ? m->dir : NULL, true, NULL);
                m->a[69 * COLUMNS + 330] = m->a[40 * COLUMNS + 331] = before;
                ent_weights_cache_close(cache);
                if (found == NULL) {
                    assert_ok(st);
                    continue;
                }
                snprintf(want, sizeof want, "a: row 40, column 331 is %s, expected a finite number of size at most %s",
                         found, b ? "8.50706e+37 for NF4" : "3.40282e+38 for I8");
                assert_int_equal(st, ENT_ENUMERIC);
                assert_null(cache);
                assert_string_equal(ent_message(), want);
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(matrices_are_quantized, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_damaged_quantized_one_is_made_anew, set_up, tear_down),
        cmocka_unit_test_setup_teardown(others_only_map_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_large_one_is_made_in_pieces, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_quantized_stays, set_up, tear_down),
        cmocka_unit_test_setup_teardown(numbers_that_can_not_be_quantized_are_named, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
