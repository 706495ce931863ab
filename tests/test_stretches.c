/* Files that are looked into a stretch at a time: checkpoints, safetensors of other types, the log. */
#include "file_helpers.h"

#include <math.h>

#include "io/hdf5_reader.h"
#include "io/metrics.h"
#include "io/metrics_read.h"
#include "io/safetensors.h"

enum { ROWS = 1000, COLUMNS = 700 }; /* several chunks and blocks */

static void write_checkpoint(const char *path, float *a, float *m)
{
    static float b[3] = {1, 2, 3};
    const ent_ckpt_tensor tensors[] = {
        {.name = "a", .n_dims = 2, .shape = {ROWS, COLUMNS}, .value = a, .m = m, .v = NULL},
        {.name = "b", .n_dims = 1, .shape = {3}, .value = b, .m = m, .v = NULL},
    };
    const ent_ckpt_state state = {.step = 3, .kernel = "k", .config_hash = "h"};
    for (size_t i = 0; i < (size_t)ROWS * COLUMNS; i++) {
        a[i] = (float)i;
        m[i] = -(float)i;
    }
    assert_ok(ent_hdf5_checkpoint_write(path, path, tensors, 2, &state));
}

static void a_checkpoint_is_read_from_any_place(void **state)
{
    (void)state;
    static float a[ROWS * COLUMNS], m[ROWS * COLUMNS], out[ROWS * COLUMNS];
    const char *path = in_folder(scratch("stretches"), "step-00000003.h5");
    ent_hdf5_reader *r;
    write_checkpoint(path, a, m);
    assert_ok(ent_hdf5_reader_open(&r, path));
    assert_int_equal(ent_hdf5_reader_state(r)->step, 3);
    static const char *const paths[] = {"/params/a", "/params/b", "/optimizer/m/a", "/optimizer/m/b"};
    assert_int_equal(ent_hdf5_reader_count(r), 4);
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(ent_hdf5_reader_at(r, i)->path, paths[i]);
    const ent_hdf5_dataset *d = ent_hdf5_reader_at(r, 2);
    assert_true(d->n_dims == 2 && d->shape[0] == ROWS && d->shape[1] == COLUMNS && d->count == ROWS * COLUMNS);
    static const size_t places[][2] = {
        {0, ROWS * COLUMNS}, {ROWS * COLUMNS - 1, 1}, {5, 2}, {699, 2}, {300000, 400000}};
    for (size_t k = 0; k < sizeof places / sizeof *places; k++)
        for (size_t i = 0; i < 3; i += 2) {
            const float *whole = i == 0 ? a : m;
            assert_ok(ent_hdf5_reader_read(out, r, i, places[k][0], places[k][1]));
            assert_memory_equal(out, whole + places[k][0], places[k][1] * sizeof *out);
        }
    assert_ok(ent_hdf5_reader_read(out, r, 1, 1, 2));
    assert_true(out[0] == 2 && out[1] == 3);
    ent_hdf5_reader_close(r);
}

/* A checksum is looked at where it is read, and names the dataset. */
static void a_bad_byte_is_found_in_its_dataset(void **state)
{
    (void)state;
    static float a[ROWS * COLUMNS], m[ROWS * COLUMNS], out[ROWS * COLUMNS];
    const char *path = in_folder(scratch("stretches"), "step-00000003.h5");
    ent_hdf5_reader *r;
    size_t n;
    write_checkpoint(path, a, m);
    char *file = get_file(&n, path);
    size_t at = 0; /* of the last numbers of m */
    while (memcmp(file + at, m + ROWS * COLUMNS - 4, 4 * sizeof *m) != 0)
        at++;
    file[at] ^= 1;
    put_file(path, file, n);
    free(file);
    assert_ok(ent_hdf5_reader_open(&r, path));
    assert_ok(ent_hdf5_reader_read(out, r, 2, 0, 10));
    assert_fails(ent_hdf5_reader_read(out, r, 2, 0, ROWS * COLUMNS), ENT_EFORMAT, "/optimizer/m/a: cannot read");
    ent_hdf5_reader_close(r);
}

static void moments_belong_to_parameters(void **state)
{
    (void)state;
    static float x[4];
    const char *path = in_folder(scratch("stretches"), "x.h5");
    ent_hdf5_reader *r;
    const ent_ckpt_state at = {.kernel = "k"};
    ent_ckpt_tensor t[] = {{.name = "a", .n_dims = 1, .shape = {4}, .value = x, .m = x},
                           {.name = "b", .n_dims = 1, .shape = {4}, .value = x, .m = NULL}};
    assert_ok(ent_hdf5_checkpoint_write(path, path, t, 2, &at));
    assert_fails(ent_hdf5_reader_open(&r, path), ENT_EFORMAT, "x.h5: /optimizer/m: expected 2 tensors, found 1");
    assert_null(r);
    assert_fails(ent_hdf5_reader_open(&r, "scratch/nowhere.h5"), ENT_EIO, "scratch/nowhere.h5: No such file");
}

/* Types that nothing computes with, at places that aren't aligned. */
static void safetensors_of_any_type_are_opened(void **state)
{
    (void)state;
    static const char header[] = "{\"a\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[0,3]},"
                                 "\"b\":{\"dtype\":\"C64\",\"shape\":[1],\"data_offsets\":[3,11]},"
                                 "\"c\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[11,15]}}";
    const char *path = in_folder(scratch("stretches"), "any.safetensors");
    char file[300] = {(char)(sizeof header - 1)};
    const float c = 2.5f;
    double x;
    ent_safetensors *f;
    memcpy(file + 8, header, sizeof header - 1);
    memcpy(file + 8 + sizeof header - 1, "\1\2\3", 3);
    memcpy(file + 8 + sizeof header - 1 + 11, &c, 4);
    put_file(path, file, 8 + sizeof header - 1 + 15);
    assert_fails(ent_safetensors_open(&f, path), ENT_EUNSUPPORTED, "a: expected dtype F32, BF16, F16 or F64, found U8");
    assert_ok(ent_safetensors_open_any(&f, path, false));
    const ent_st_tensor *t = ent_safetensors_find(f, "a");
    assert_true(t->type == ENT_ST_U8 && t->bytes == 3 && memcmp(t->data, "\1\2\3", 3) == 0);
    assert_true(ent_safetensors_find(f, "b")->type == ENT_ST_C64 && ent_safetensors_find(f, "b")->bytes == 8);
    t = ent_safetensors_find(f, "c");
    ent_st_values(&x, t->data, t->type, 1);
    assert_true(t->dtype == ENT_DTYPE_F32 && x == 2.5);
    ent_safetensors_close(f);
    memcpy(strstr(file + 8, "C64"), "F4\"", 3);
    memcpy(strstr(file + 8, "F4\"\""), "F4\" ", 4);
    put_file(path, file, 8 + sizeof header - 1 + 15);
    assert_fails(ent_safetensors_open_any(&f, path, false), ENT_EUNSUPPORTED, "or another of whole bytes, found F4");
}

static void the_log_is_read_back(void **state)
{
    (void)state;
    const char *path = in_folder(scratch("stretches"), "metrics.jsonl");
    ent_metrics *m;
    ent_metrics_summary s;
    int64_t missing;
    size_t n;
    assert_ok(ent_metrics_open(&m, &missing, path, 0, -1));
    assert_ok(ent_metrics_write_eval(m, 0, 9, 8000, 10));
    for (int64_t step = 1; step <= 4; step++)
        assert_ok(ent_metrics_write_step(m, &(ent_metrics_step){.step = step, .loss = 0.1 * (double)step, .lr = 1e-3}));
    assert_ok(ent_metrics_write_eval(m, 4, 3, 20, 10));
    ent_metrics_close(m);
    assert_ok(ent_metrics_read(&s, path, 3));
    assert_true(s.steps == 4 && s.evals == 2 && s.last_step == 4 && s.last_loss == 0.1 * 4);
    assert_true(s.at == 3 && s.loss_at == 0.1 * 3 && s.lr_at == 1e-3 && s.norm_at == 0);
    assert_ok(ent_metrics_read(&s, path, 5));
    assert_int_equal(s.at, -1);
    char *whole = get_file(&n, path);
    static const struct {
        const char *from, *to, *part;
    } cases[] = {
        {"\"step\": 3", "\"step\": 5", ":4: step: expected 3, found 5"},
        {"\"step\": 4, \"v", "\"step\": 3, \"v", ":6: step: expected an evaluation after step 4, found one after 3"},
        {"\"loss\": 0.2", "\"loss\": :::", ":3:"},
        {"\"tokens\"", "\"tokenz\"", ":2: tokens: expected"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *changed;
        assert_ok(ent_text_read_file(&changed, &n, path));
        char *at = strstr(changed, cases[i].from);
        assert_non_null(at);
        memcpy(at, cases[i].to, strlen(cases[i].to));
        put_file("scratch/stretches/changed.jsonl", changed, n);
        assert_fails(ent_metrics_read(&s, "scratch/stretches/changed.jsonl", 0), ENT_EFORMAT, cases[i].part);
        free(changed);
    }
    put_file("scratch/stretches/changed.jsonl", whole, n - 1);
    assert_fails(ent_metrics_read(&s, "scratch/stretches/changed.jsonl", 0), ENT_EFORMAT, ":6: expected a line");
    free(whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_checkpoint_is_read_from_any_place),
        cmocka_unit_test(a_bad_byte_is_found_in_its_dataset),
        cmocka_unit_test(moments_belong_to_parameters),
        cmocka_unit_test(safetensors_of_any_type_are_opened),
        cmocka_unit_test(the_log_is_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
