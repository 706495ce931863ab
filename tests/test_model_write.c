/* Model folders that are computed while they are written: what is in them, how they are cut into files, and that a
 * fault leaves nothing. */
#include "file_helpers.h"

#include <dirent.h>
#include <math.h>

#include "io/json.h"
#include "io/model_write.h"

enum { LONG = ENT_MODEL_PIECE + 12345, WIDE = 300 };

/* Two types, one tensor of more than a piece. */
static const ent_st_tensor tensors[] = {
    {.name = "model.b", .dtype = ENT_DTYPE_BF16, .n_dims = 1, .shape = {LONG}},
    {.name = "model.a", .dtype = ENT_DTYPE_F32, .n_dims = 2, .shape = {3, WIDE / 3}},
    {.name = "model.d", .dtype = ENT_DTYPE_F16, .n_dims = 2, .shape = {WIDE / 3, 3}},
    {.name = "model.c", .dtype = ENT_DTYPE_F32, .n_dims = 1, .shape = {7}},
};
enum { COUNT = sizeof tensors / sizeof *tensors };

typedef struct numbers {
    size_t fault_tensor, fault_number; /* which is `fault`; tensor COUNT: none */
    float fault;
    size_t fails_at; /* the call that fails; 0: none */
    size_t calls;
    size_t tensor, next; /* what must be asked for next */
} numbers;

static float number(size_t tensor, size_t i)
{
    return (float)((i * 2654435761u + tensor * 977) % 100003) / 1000 - 50;
}

static ent_status compute(float *out, void *context, size_t tensor, size_t first, size_t n)
{
    numbers *x = context;
    if (++x->calls == x->fails_at)
        return ent_fail(ENT_EINVAL, "no more numbers");
    assert_in_range(n, 1, ENT_MODEL_PIECE);
    assert_int_equal(first, first == 0 ? 0 : x->next);
    assert_true(first == 0 || tensor == x->tensor);
    for (size_t i = 0; i < n; i++)
        out[i] = tensor == x->fault_tensor && first + i == x->fault_number ? x->fault : number(tensor, first + i);
    x->tensor = tensor;
    x->next = first + n;
    return ENT_OK;
}

static const char *from, *out; /* folders of a test */

static void begin(const char *test)
{
    begin_in_scratch(test, &from, &out);
    put_file(in_folder(from, "config.json"), "{\"torch_dtype\": \"float32\", \"eps\": 1e-05}", 40);
    put_file(in_folder(from, "tokenizer.json"), "tokens", 6);
    put_file(in_folder(from, "README.md"), "not copied", 10);
}

static ent_status write(const ent_model_write_options *options, numbers *x)
{
    numbers plain = {.fault_tensor = COUNT};
    return ent_model_write(out, tensors, COUNT, options, compute, x ? x : &plain);
}

static size_t entries(const char *folder)
{
    size_t n = 0;
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n - 2;
}

/* The other way round: from the file to the number, through the nearest one of the type. */
static void check_numbers(void)
{
    ent_safetensors *file;
    assert_ok(ent_safetensors_open_model(&file, out));
    assert_int_equal(ent_safetensors_count(file), COUNT);
    for (size_t k = 0; k < COUNT; k++) {
        const ent_st_tensor *t = ent_safetensors_find(file, tensors[k].name);
        assert_non_null(t);
        assert_int_equal(t->dtype, tensors[k].dtype);
        assert_int_equal(t->n_dims, tensors[k].n_dims);
        assert_memory_equal(t->shape, tensors[k].shape, sizeof t->shape);
        for (size_t i = 0; i < t->bytes / ent_dtype_size(t->dtype); i++) {
            float f;
            const float x = number(k, i);
            ent_convert(&f, (const char *)t->data + i * ent_dtype_size(t->dtype), t->dtype, 1);
            const float step = t->dtype == ENT_DTYPE_F32 ? 0 : ldexpf(1, t->dtype == ENT_DTYPE_BF16 ? -9 : -12);
            assert_true(fabsf(f - x) <= step * fabsf(x) * 2 && (step == 0 || fabsf(f - x) <= step * 64));
        }
    }
    ent_safetensors_close(file);
}

static void one_file(void **state)
{
    (void)state;
    begin("model_write");
    assert_ok(write(&(ent_model_write_options){.from = from}, NULL));
    check_numbers();
    assert_int_equal(entries(out), 3);
    assert_files_equal(in_folder(from, "config.json"), in_folder(out, "config.json"));
    assert_files_equal(in_folder(from, "tokenizer.json"), in_folder(out, "tokenizer.json"));
    assert_int_equal(entries("scratch/model_write"), 2);
    /* the same bytes as if all had been in memory */
    ent_safetensors *file;
    ent_st_tensor whole[COUNT];
    assert_ok(ent_safetensors_open_model(&file, out));
    for (size_t k = 0; k < COUNT; k++)
        whole[k] = *ent_safetensors_at(file, k);
    assert_ok(ent_safetensors_write("scratch/model_write/whole", whole, COUNT));
    ent_safetensors_close(file);
    assert_files_equal("scratch/model_write/whole", in_folder(out, "model.safetensors"));
}

static void check_files(size_t file_bytes, size_t n, const size_t *expected)
{
    ent_json *index;
    char name[64];
    begin("model_write_files");
    assert_ok(write(&(ent_model_write_options){.from = from, .file_bytes = file_bytes}, NULL));
    check_numbers();
    assert_int_equal(entries(out), n + 3);
    assert_ok(ent_json_read_file(&index, in_folder(out, "model.safetensors.index.json")));
    assert_true(ent_json_number(ent_json_member(ent_json_member(index, "metadata"), "total_size")) ==
                LONG * 2 + WIDE * 6 + 28);
    for (size_t k = 0; k < COUNT; k++) {
        snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", expected[k], n);
        assert_string_equal(ent_json_string(ent_json_member(ent_json_member(index, "weight_map"), tensors[k].name)),
                            name);
    }
    ent_json_free(index);
}

static void several_files(void **state)
{
    (void)state;
    check_files(1800, 3, (size_t[]){1, 2, 2, 3}); /* model.a and model.d fill it to the byte */
    check_files(1799, 3, (size_t[]){1, 2, 3, 3});
    check_files(1, 4, (size_t[]){1, 2, 3, 4});
    check_files(LONG * 2 + 1200, 2, (size_t[]){1, 1, 2, 2});
}

static void config_names_the_type(void **state)
{
    (void)state;
    static const struct {
        ent_dtype dtype;
        const char *name;
    } types[] = {{ENT_DTYPE_F32, "float32"}, {ENT_DTYPE_BF16, "bfloat16"}, {ENT_DTYPE_F16, "float16"}};
    for (size_t i = 0; i < 3; i++) {
        ent_json *config;
        begin("model_write_dtype");
        assert_ok(write(&(ent_model_write_options){.from = from, .dtype = &types[i].dtype}, NULL));
        assert_ok(ent_json_read_file(&config, in_folder(out, "config.json")));
        assert_string_equal(ent_json_string(ent_json_member(config, "torch_dtype")), types[i].name);
        assert_null(ent_json_member(config, "dtype"));
        assert_true(ent_json_number(ent_json_member(config, "eps")) == 1e-5);
        ent_json_free(config);
    }
}

static void a_number_that_does_not_fit(void **state)
{
    (void)state;
    static const struct {
        size_t tensor, number;
        float value;
        const char *message;
    } faults[] = {
        {2, 299, 65520, "out: model.d: number 299 is 65520: expected one that is finite as F16"},
        {0, ENT_MODEL_PIECE + 3, NAN, "out: model.b: number 1048579 is "},
        {0, 5, 3.4e38f, "out: model.b: number 5 is 3.4e+38: expected one that is finite as BF16"},
        {1, 0, -INFINITY, "out: model.a: number 0 is -inf: expected one that is finite as F32"},
    };
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        begin("model_write_fault");
        numbers x = {faults[i].tensor, faults[i].number, faults[i].value, 0, 0, 0, 0};
        assert_fails(write(&(ent_model_write_options){.from = from, .file_bytes = 1500}, &x), ENT_ENUMERIC,
                     faults[i].message);
        assert_int_equal(entries("scratch/model_write_fault"), 1);
    }
    begin("model_write_fault");
    numbers largest = {2, 0, 65519, 0, 0, 0, 0};
    assert_ok(write(&(ent_model_write_options){.from = from}, &largest));
}

/* Whichever call fails, what stood there is as it was. */
static void a_source_that_fails(void **state)
{
    (void)state;
    for (size_t at = 1; at <= COUNT + 1; at++) {
        numbers x = {.fault_tensor = COUNT, .fails_at = at};
        begin("model_write_source");
        assert_fails(write(&(ent_model_write_options){.from = from, .file_bytes = 1}, &x), ENT_EINVAL, "no more");
        assert_int_equal(entries("scratch/model_write_source"), 1);
    }
}

static void overwriting(void **state)
{
    (void)state;
    begin("model_write_over");
    numbers failing = {.fault_tensor = COUNT, .fails_at = 2};
    const ent_model_write_options plain = {.from = from}, over = {.from = from, .overwrite = true};
    assert_ok(ent_make_dirs(out));
    put_file(in_folder(out, "mine"), "x", 1);
    assert_fails(write(&plain, NULL), ENT_ECONFIG, "out: is there already");
    assert_fails(write(&over, NULL), ENT_ECONFIG, "out: is no model");
    assert_fails(ent_model_write_check(in_folder(from, "config.json"), true), ENT_ECONFIG, "is no model");
    assert_ok(ent_model_write_check("scratch/model_write_over/other", false));
    put_file(in_folder(out, "config.json"), "{}", 2);
    assert_int_equal(write(&over, &failing), ENT_EINVAL);
    assert_int_equal(entries(out), 2);
    out = "scratch/model_write_over/out//";
    assert_ok(write(&over, NULL));
    out = "scratch/model_write_over/out";
    check_numbers();
    assert_int_equal(entries(out), 3);
    assert_int_equal(entries("scratch/model_write_over"), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_file),
        cmocka_unit_test(several_files),
        cmocka_unit_test(config_names_the_type),
        cmocka_unit_test(a_number_that_does_not_fit),
        cmocka_unit_test(a_source_that_fails),
        cmocka_unit_test(overwriting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
