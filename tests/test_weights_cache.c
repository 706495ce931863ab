/* Weights as bf16 and int8 in a file that is made once and mapped: of models stored as f32, bf16, f16 and f64, where it
 * is damaged, and where the model or what it becomes has changed. */
#include <math.h>
#include <unistd.h>

#include "io/weights_cache.h"
#include "src/base/philox.h"
#include "src/base/tiles.h"
#include "tests/file_helpers.h"

enum { ROWS = 70, COLUMNS = 333, N = ROWS * COLUMNS };

/* Two weights of products, one of another type in place, a norm that stays, a weight that is bf16 already. */
typedef struct model {
    ent_params params;
    float a[N], norm[COLUMNS], factors[2][COLUMNS];
    uint16_t b[N], c[N];
    double d[N];
    char dir[64];
} model;

static ent_tensor *add(model *m, const char *name, size_t n_dims, ent_dtype dtype, const void *data,
                       ent_compute compute)
{
    ent_tensor *t;
    assert_ok(ent_params_declare(&t, &m->params, name, n_dims,
                                 n_dims == 2 ? (size_t[]){ROWS, COLUMNS} : (size_t[]){COLUMNS}, false));
    t->dtype = dtype;
    t->data = data;
    t->compute = compute;
    return t;
}

static void bind_again(model *m)
{
    ent_params_clear(&m->params);
    add(m, "a", 2, ENT_DTYPE_F32, m->a, ENT_COMPUTE_BF16);
    add(m, "norm", 1, ENT_DTYPE_F32, m->norm, ENT_COMPUTE_FP32);
    add(m, "b", 2, ENT_DTYPE_F16, m->b, ENT_COMPUTE_BF16);
    add(m, "c", 2, ENT_DTYPE_BF16, m->c, ENT_COMPUTE_BF16);
    add(m, "d", 2, ENT_DTYPE_F64, m->d, ENT_COMPUTE_BF16);
    assert_ok(ent_params_seal(&m->params));
}

/* The same with two of int8, from f32 and from bf16, between and behind those of bf16. */
static void bind_int8(model *m)
{
    ent_params_clear(&m->params);
    add(m, "a", 2, ENT_DTYPE_F32, m->a, ENT_COMPUTE_BF16);
    add(m, "e", 2, ENT_DTYPE_F32, m->a, ENT_COMPUTE_INT8)->column_factors = m->factors[0];
    add(m, "norm", 1, ENT_DTYPE_F32, m->norm, ENT_COMPUTE_FP32);
    add(m, "b", 2, ENT_DTYPE_F16, m->b, ENT_COMPUTE_BF16);
    add(m, "g", 2, ENT_DTYPE_F16, m->b, ENT_COMPUTE_INT8)->column_factors = m->factors[1];
    assert_ok(ent_params_seal(&m->params));
}

static int set_up(void **state)
{
    model *m = calloc(1, sizeof *m);
    const ent_rng rng = {.seed = 3};
    for (size_t i = 0; i < N; i++) {
        m->a[i] = ent_random_normal(&rng, i);
        m->b[i] = (uint16_t)(ent_random_u32(&rng, N + i) & 0xbfffu); /* below 2 */
        m->c[i] = (uint16_t)i;
        m->d[i] = (double)ent_random_normal(&rng, 2 * N + i);
    }
    for (size_t j = 0; j < COLUMNS; j++) {
        m->factors[0][j] = ldexpf(1, (int)(j % 9) - 4);
        m->factors[1][j] = 1;
    }
    strcpy(m->dir, "/tmp/weights_cache_XXXXXX");
    *state = m;
    bind_again(m);
    ent_set_threads(2);
    return mkdtemp(m->dir) == NULL;
}

static int tear_down(void **state)
{
    model *m = *state;
    ent_remove_tree(m->dir);
    ent_params_clear(&m->params);
    free(m);
    return 0;
}

static void check_values(const model *m)
{
    const ent_tensor *a = &m->params.items[0]->tensor, *b = &m->params.items[2]->tensor,
                     *d = &m->params.items[4]->tensor;
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(((const uint16_t *)a->data)[i], ent_f32_to_bf16(m->a[i]));
        assert_int_equal(((const uint16_t *)b->data)[i], ent_f32_to_bf16(ent_f16_to_f32(m->b[i])));
        assert_int_equal(((const uint16_t *)d->data)[i], ent_f32_to_bf16((float)m->d[i]));
    }
    assert_true(a->dtype == ENT_DTYPE_BF16 && b->dtype == ENT_DTYPE_BF16 && d->dtype == ENT_DTYPE_BF16);
    assert_true((uintptr_t)a->data % 64 == 0 && (uintptr_t)b->data % 64 == 0 && (uintptr_t)d->data % 64 == 0);
    assert_ptr_equal(m->params.items[1]->tensor.data, m->norm); /* used as they are */
    assert_ptr_equal(m->params.items[3]->tensor.data, m->c);
}

static void open_and_check(model *m, bool verify, bool noted)
{
    ent_weights_cache *cache;
    bind_again(m);
    assert_ok(ent_weights_cache_open(&cache, &m->params, m->dir, verify, NULL));
    assert_non_null(cache);
    check_values(m);
    assert_int_equal(ent_weights_cache_note(cache) != NULL, noted);
    ent_weights_cache_close(cache);
}

static void it_is_made_once(void **state)
{
    model *m = *state;
    char path[400];
    open_and_check(m, true, false);
    const struct stat made = only_file(path, m->dir);
    assert_int_equal(made.st_size, 128 + 3 * ((N * 2 + 63) / 64 * 64));
    for (int verify = 0; verify < 2; verify++) {
        open_and_check(m, verify, false);
        assert_int_equal(only_file(path, m->dir).st_ino, made.st_ino);
    }
}

static void a_rank_that_finds_none_makes_it(void **state)
{
    char path[400];
    open_and_check(*state, false, false);
    only_file(path, ((const model *)*state)->dir);
}

static void in_memory_nothing_is_written(void **state)
{
    model *m = *state;
    ent_weights_cache *cache;
    assert_ok(ent_weights_cache_open(&cache, &m->params, NULL, true, NULL));
    check_values(m);
    ent_weights_cache_close(cache);
    assert_int_equal(rmdir(m->dir), 0);
}

static void nothing_is_made_of_nothing(void **state)
{
    model *m = *state;
    ent_weights_cache *cache;
    for (size_t i = 0; i < m->params.count; i++)
        m->params.items[i]->tensor.compute = ENT_COMPUTE_FP32;
    assert_ok(ent_weights_cache_open(&cache, &m->params, m->dir, true, NULL));
    assert_null(cache);
    assert_int_equal(rmdir(m->dir), 0);
}

/* More numbers than are written at once, rows of more than are converted at once. */
static void a_large_one_is_written_in_pieces(void **state)
{
    enum { LARGE = 600 * 1000 };
    model *m = *state;
    ent_weights_cache *cache;
    ent_params params = {0};
    ent_tensor *t;
    float *values = malloc(LARGE * sizeof *values);
    for (size_t i = 0; i < LARGE; i++)
        values[i] = (float)i;
    assert_ok(ent_params_declare(&t, &params, "large", 2, (size_t[]){400, 1500}, false));
    t->data = values;
    t->compute = ENT_COMPUTE_BF16;
    assert_ok(ent_params_seal(&params));
    assert_ok(ent_weights_cache_open(&cache, &params, m->dir, true, NULL));
    for (size_t i = 0; i < LARGE; i++)
        assert_int_equal(((const uint16_t *)t->data)[i], ent_f32_to_bf16(values[i]));
    ent_weights_cache_close(cache);
    ent_params_clear(&params);
    free(values);
}

/* One byte at `at`, or the end cut off. */
static void damage(const char *path, long at, long size)
{
    if (at == size) {
        assert_int_equal(truncate(path, size - 1), 0);
        return;
    }
    flip_bit(path, at);
}

static void a_damaged_one_is_made_anew(void **state)
{
    model *m = *state;
    char path[400];
    open_and_check(m, true, false);
    const long size = (long)only_file(path, m->dir).st_size;
    const long places[] = {0, 20, 74, 100, 128, 128 + N, 128 + 2 * N - 1, size - 64 - N, size};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        damage(path, places[i], size);
        open_and_check(m, true, true);
        assert_int_equal(only_file(path, m->dir).st_size, size);
        open_and_check(m, true, false);
    }
}

/* Rows of W F^-1, each with a scale of its own. */
static void check_rows(const ent_tensor *t, const float *values, const float *factors)
{
    const size_t rows = t->shape[0], columns = t->shape[1];
    assert_int_equal(t->dtype, ENT_DTYPE_I8);
    assert_true((uintptr_t)t->data % 64 == 0 && (uintptr_t)t->row_scales % 64 == 0);
    assert_ptr_equal(t->column_factors, factors);
    for (size_t i = 0; i < rows; i++) {
        const float *row = values + i * columns;
        float largest = 0;
        for (size_t j = 0; j < columns; j++)
            largest = fmaxf(largest, fabsf(row[j] / factors[j]));
        assert_true(t->row_scales[i] == largest / 127);
        const float inverse = 127 / largest;
        for (size_t j = 0; j < columns; j++)
            if (((const int8_t *)t->data)[i * columns + j] != lrintf(row[j] / factors[j] * inverse))
                fail_msg("%s: another number at %zu, %zu", t->name, i, j);
    }
}

static void check_int8(const model *m)
{
    static float values[N];
    const ent_tensor *a = &m->params.items[0]->tensor, *b = &m->params.items[3]->tensor;
    for (size_t i = 0; i < N; i++) {
        values[i] = ent_f16_to_f32(m->b[i]);
        assert_int_equal(((const uint16_t *)a->data)[i], ent_f32_to_bf16(m->a[i]));
        assert_int_equal(((const uint16_t *)b->data)[i], ent_f32_to_bf16(values[i]));
    }
    check_rows(&m->params.items[1]->tensor, m->a, m->factors[0]);
    check_rows(&m->params.items[4]->tensor, values, m->factors[1]);
    assert_true(a->row_scales == NULL && a->dtype == ENT_DTYPE_BF16 && b->dtype == ENT_DTYPE_BF16);
    assert_ptr_equal(m->params.items[2]->tensor.data, m->norm);
}

static void open_int8(model *m, bool verify, bool noted)
{
    ent_weights_cache *cache;
    bind_int8(m);
    assert_ok(ent_weights_cache_open(&cache, &m->params, m->dir, verify, NULL));
    check_int8(m);
    assert_int_equal(ent_weights_cache_note(cache) != NULL, noted);
    ent_weights_cache_close(cache);
}

enum { BF16 = (N * 2 + 63) / 64 * 64, NUMBERS = (N + 63) / 64 * 64, SCALES = (ROWS * 4 + 63) / 64 * 64 };

static void int8_stands_beside_bf16(void **state)
{
    model *m = *state;
    char path[400];
    ent_weights_cache *cache;
    bind_int8(m);
    assert_ok(ent_weights_cache_open(&cache, &m->params, NULL, true, NULL));
    check_int8(m);
    ent_weights_cache_close(cache);
    open_int8(m, true, false);
    const struct stat made = only_file(path, m->dir);
    assert_int_equal(made.st_size, 128 + 2 * (BF16 + NUMBERS + SCALES));
    for (int verify = 0; verify < 2; verify++) {
        open_int8(m, verify, false);
        assert_int_equal(only_file(path, m->dir).st_ino, made.st_ino);
    }
}

static void damage_of_int8_is_seen(void **state)
{
    model *m = *state;
    char path[400];
    open_int8(m, true, false);
    const long size = (long)only_file(path, m->dir).st_size, first = 128 + BF16, second = size - NUMBERS - SCALES;
    const long places[] = {first,
                           first + N - 1,
                           first + NUMBERS,
                           first + NUMBERS + ROWS * 4 - 1,
                           first + NUMBERS + SCALES,
                           second + N / 2,
                           second + NUMBERS + ROWS * 2,
                           size};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        damage(path, places[i], size);
        open_int8(m, true, true);
        assert_int_equal(only_file(path, m->dir).st_size, size);
        open_int8(m, true, false);
    }
}

static int files_in(const char *folder)
{
    int count = 0;
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir));)
        count += e->d_name[0] != '.';
    closedir(dir);
    return count;
}

static void other_factors_or_types_are_another_file(void **state)
{
    model *m = *state;
    ent_weights_cache *cache;
    open_int8(m, true, false);
    m->factors[1][COLUMNS - 1] = 2;
    open_int8(m, true, false);
    assert_int_equal(files_in(m->dir), 2);
    m->factors[1][COLUMNS - 1] = 1;
    open_int8(m, true, false); /* the first is still there */
    assert_int_equal(files_in(m->dir), 2);
    bind_int8(m);
    m->params.items[4]->tensor.compute = ENT_COMPUTE_BF16; /* chosen otherwise */
    assert_ok(ent_weights_cache_open(&cache, &m->params, m->dir, true, NULL));
    assert_int_equal(m->params.items[4]->tensor.dtype, ENT_DTYPE_BF16);
    ent_weights_cache_close(cache);
    assert_int_equal(files_in(m->dir), 3);
}

/* More numbers than are written at once: the scales of later pieces follow those of the first. */
static void large_int8_is_written_in_pieces(void **state)
{
    enum { MANY = 1500, WIDE = 1000 };
    model *m = *state;
    ent_weights_cache *cache;
    ent_params params = {0};
    ent_tensor *t;
    float *values = malloc(MANY * WIDE * sizeof *values), factors[WIDE];
    for (size_t i = 0; i < MANY * WIDE; i++)
        values[i] = (float)(i % 7919) - (float)(i % 613 * i / WIDE);
    for (size_t j = 0; j < WIDE; j++)
        factors[j] = j % 2 ? 2 : 0.5f;
    for (int again = 0; again < 2; again++) {
        assert_ok(ent_params_declare(&t, &params, "large", 2, (size_t[]){MANY, WIDE}, false));
        t->data = values;
        t->compute = ENT_COMPUTE_INT8;
        t->column_factors = factors;
        assert_ok(ent_params_seal(&params));
        assert_ok(ent_weights_cache_open(&cache, &params, m->dir, true, NULL));
        if (again)
            check_rows(t, values, factors);
        assert_null(ent_weights_cache_note(cache));
        ent_weights_cache_close(cache);
        ent_params_clear(&params);
    }
    free(values);
}

/* A weight of which no sample is taken for the name. */
static void a_changed_model_makes_it_anew(void **state)
{
    model *m = *state;
    open_and_check(m, true, false);
    m->a[1] += 1;
    open_and_check(m, true, true);
    m->a[N / 2] += 1; /* and one of the sample: another name */
    bind_again(m);
    ent_weights_cache *cache;
    assert_ok(ent_weights_cache_open(&cache, &m->params, m->dir, false, NULL));
    check_values(m);
    ent_weights_cache_close(cache);
}

static void a_folder_that_can_not_be_made_is_named(void **state)
{
    model *m = *state;
    ent_weights_cache *cache;
    char dir[128];
    snprintf(dir, sizeof dir, "%s/none/cache", m->dir);
    assert_int_equal(ent_weights_cache_open(&cache, &m->params, dir, true, NULL), ENT_EIO);
    assert_non_null(strstr(ent_message(), dir));
    assert_null(cache);
}

static int asked, asked_until_yes;

static bool stops(void)
{
    return ++asked > asked_until_yes;
}

/* At whatever piece: while it is written, read back, or compared when it is there. */
static void it_stops_between_pieces(void **state)
{
    model *m = *state;
    ent_weights_cache *cache;
    char path[400];
    for (int there = 0; there < 2; there++) {
        ino_t before = there ? only_file(path, m->dir).st_ino : 0;
        ent_status st = ENT_ESTOPPED;
        for (asked_until_yes = 0; st == ENT_ESTOPPED; asked_until_yes++) {
            asked = 0;
            bind_again(m);
            st = ent_weights_cache_open(&cache, &m->params, m->dir, true, stops);
            if (st == ENT_ESTOPPED) {
                assert_null(cache);
                assert_string_equal(ent_message(), "stopped");
                assert_ptr_equal(m->params.items[0]->tensor.data, m->a);
                if (there)
                    assert_int_equal(only_file(path, m->dir).st_ino, before);
                else
                    assert_int_equal(rmdir(m->dir), 0);
            }
        }
        assert_ok(st);
        assert_int_equal(asked, there ? 3 : 6);
        check_values(m);
        assert_null(ent_weights_cache_note(cache));
        ent_weights_cache_close(cache);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_is_made_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_rank_that_finds_none_makes_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(in_memory_nothing_is_written, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nothing_is_made_of_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_large_one_is_written_in_pieces, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_damaged_one_is_made_anew, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_changed_model_makes_it_anew, set_up, tear_down),
        cmocka_unit_test_setup_teardown(it_stops_between_pieces, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_folder_that_can_not_be_made_is_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(int8_stands_beside_bf16, set_up, tear_down),
        cmocka_unit_test_setup_teardown(damage_of_int8_is_seen, set_up, tear_down),
        cmocka_unit_test_setup_teardown(other_factors_or_types_are_another_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(large_int8_is_written_in_pieces, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
