/* Safetensors files: what PyTorch wrote, what we write, and what nobody should have written. */
#include "file_helpers.h"

#include "io/safetensors.h"

/* Writes a file of the given header and n bytes of data that count up; tells what opening it gives. */
static ent_status open_made(ent_safetensors **out, const char *header, size_t n)
{
    static unsigned char bytes[65536];
    const size_t length = strlen(header);
    for (size_t i = 0; i < 8; i++)
        bytes[i] = (unsigned char)((uint64_t)length >> (8 * i));
    memcpy(bytes + 8, header, length);
    for (size_t i = 0; i < n; i++)
        bytes[8 + length + i] = (unsigned char)i;
    put_file("scratch/made.safetensors", bytes, 8 + length + n);
    return ent_safetensors_open(out, "scratch/made.safetensors");
}

static void refused(const char *header, size_t n, ent_status code, const char *part)
{
    ent_safetensors *file = NULL;
    assert_fails(open_made(&file, header, n), code, part);
    assert_null(file);
    assert_non_null(strstr(ent_message(), "made.safetensors: "));
}

static void reads_what_pytorch_wrote(void **state)
{
    (void)state;
    ent_safetensors *file;
    assert_ok(ent_safetensors_open_model(&file, ENT_TEST_DATA "/oracle/llama/model"));
    assert_int_equal(ent_safetensors_count(file), 3 + 3 * 9);
    for (size_t i = 1; i < ent_safetensors_count(file); i++)
        assert_true(strcmp(ent_safetensors_at(file, i - 1)->name, ent_safetensors_at(file, i)->name) < 0);
    const ent_st_tensor *t = ent_safetensors_find(file, "model.layers.1.mlp.down_proj.weight");
    assert_non_null(t);
    assert_int_equal(t->dtype, ENT_DTYPE_F32);
    assert_int_equal(t->n_dims, 2);
    assert_int_equal(t->shape[0], 64);
    assert_int_equal(t->shape[1], 176);
    assert_int_equal(t->bytes, 64 * 176 * 4);
    assert_null(ent_safetensors_find(file, "model.layers.1.mlp.down_proj"));
    assert_string_equal(ent_safetensors_metadata(file, "format"), "pt");
    assert_null(ent_safetensors_metadata(file, "none"));
    /* the last tensor of the file ends with the file's last bytes */
    size_t n;
    char *bytes = get_file(&n, ENT_TEST_DATA "/oracle/llama/model/model.safetensors");
    t = ent_safetensors_find(file, "model.norm.weight");
    assert_non_null(t);
    assert_memory_equal(t->data, bytes + n - 64 * 4, 64 * 4);
    free(bytes);
    ent_safetensors_close(file);
    ent_safetensors_close(NULL);
}

/* PyTorch's file, read and written by us, is the same file. */
static void rewriting_gives_the_same_bytes(void **state)
{
    (void)state;
    static const char *const paths[] = {"llama/adapter_init/adapter_model.safetensors", "qwen2/model/model.safetensors",
                                        "qwen3/adapter_final/adapter_model.safetensors"};
    const char *folder = scratch("safetensors");
    for (size_t k = 0; k < sizeof paths / sizeof *paths; k++) {
        ent_safetensors *file;
        const char *path = in_folder(ENT_TEST_DATA "/oracle", paths[k]), *copy = in_folder(folder, "copy");
        assert_ok(ent_safetensors_open(&file, path));
        const size_t n = ent_safetensors_count(file);
        ent_st_tensor *tensors = calloc(n, sizeof *tensors);
        assert_non_null(tensors);
        for (size_t i = 0; i < n; i++)
            tensors[i] = *ent_safetensors_at(file, n - 1 - i);
        assert_ok(ent_safetensors_write(copy, tensors, n));
        assert_files_equal(path, copy);
        free(tensors);
        ent_safetensors_close(file);
    }
}

static void mixed_types_are_aligned(void **state)
{
    (void)state;
    static const uint16_t half[3] = {1, 2, 3};
    static const float one[1] = {1};
    static const double wide[2] = {1, 2};
    const char *path = in_folder(scratch("mixed"), "file");
    const ent_st_tensor tensors[] = {
        {.name = "a", .dtype = ENT_DTYPE_BF16, .n_dims = 1, .shape = {3}, .data = half},
        {.name = "b \"\xc3\xa9", .dtype = ENT_DTYPE_F32, .data = one},
        {.name = "c", .dtype = ENT_DTYPE_F64, .n_dims = 2, .shape = {2, 1}, .data = wide},
        {.name = "empty", .dtype = ENT_DTYPE_F16, .n_dims = 2, .shape = {0, 5}},
    };
    ent_safetensors *file;
    assert_ok(ent_safetensors_write(path, tensors, 4));
    size_t n;
    char *bytes = get_file(&n, path); /* wider types first: the file itself has them aligned, for other readers */
    assert_memory_equal(bytes + n - sizeof half, half, sizeof half);
    assert_memory_equal(bytes + n - sizeof half - sizeof one - sizeof wide, wide, sizeof wide);
    assert_int_equal((n - sizeof half - sizeof one - sizeof wide) % 8, 0);
    free(bytes);
    assert_ok(ent_safetensors_open(&file, path));
    assert_int_equal(ent_safetensors_count(file), 4);
    for (size_t i = 0; i < 4; i++) {
        const ent_st_tensor *t = ent_safetensors_find(file, tensors[i].name);
        assert_non_null(t);
        assert_int_equal((uintptr_t)t->data % ent_dtype_size(t->dtype), 0);
        if (t->bytes > 0)
            assert_memory_equal(t->data, tensors[i].data, t->bytes);
    }
    assert_int_equal(ent_safetensors_find(file, "b \"\xc3\xa9")->n_dims, 0);
    ent_safetensors_close(file);
    assert_ok(ent_safetensors_write(path, NULL, 0));
    assert_ok(ent_safetensors_open(&file, path));
    assert_int_equal(ent_safetensors_count(file), 0);
    assert_null(ent_safetensors_find(file, "a"));
    ent_safetensors_close(file);
}

/* A header may have any length: data that then can't be used in place is copied. */
static void misaligned_data_is_copied(void **state)
{
    (void)state;
    char header[200] = "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}";
    for (int i = 0; i < 8; i++) {
        ent_safetensors *file;
        assert_ok(open_made(&file, header, 8));
        const ent_st_tensor *t = ent_safetensors_at(file, 0);
        assert_int_equal((uintptr_t)t->data % 4, 0);
        assert_memory_equal(t->data, "\0\1\2\3\4\5\6\7", 8);
        ent_safetensors_close(file);
        strcat(header, " ");
    }
}

static void hostile_headers_are_refused(void **state)
{
    (void)state;
#define T(name, dtype, shape, offsets) \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"
    refused("", 0, ENT_EFORMAT, "expected a JSON value");
    refused("{", 0, ENT_EFORMAT, "the text ends too early");
    refused("[]", 0, ENT_EFORMAT, "expected an object");
    refused("{\"a\":1}", 0, ENT_EFORMAT, "a: expected an object");
    refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[]}}", 4, ENT_EFORMAT,
            "a: expected dtype, shape and data_offsets, found no data_offsets");
    refused("{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[]}}", 4, ENT_EFORMAT, "\"dtype\" stands twice");
    refused("{\"a\":{\"dtype\":\"F32\",\"strides\":[1]}}", 4, ENT_EFORMAT, "found strides");
    refused("{" T("a", "I64", "[1]", "[0,8]") "}", 8, ENT_EUNSUPPORTED,
            "a: expected dtype F32, BF16, F16 or F64, found I64");
    refused("{" T("a", "f32", "[1]", "[0,4]") "}", 4, ENT_EUNSUPPORTED, "found f32");
    refused("{" T("a", "F32", "[2]", "[0,4]") "}", 4, ENT_EFORMAT, "a: the shape takes 8 bytes, data_offsets 4");
    refused("{" T("a", "F32", "[2]", "[8,0]") "}", 8, ENT_EFORMAT, "the first not above the second");
    refused("{" T("a", "F32", "[2]", "[0,8,8]") "}", 8, ENT_EUNSUPPORTED, "at most 2 numbers");
    refused("{" T("a", "F32", "[2]", "[0]") "}", 8, ENT_EFORMAT, "expected two numbers");
    refused("{" T("a", "F32", "[-2]", "[0,8]") "}", 8, ENT_EFORMAT, "a: shape: expected whole numbers");
    refused("{" T("a", "F32", "[1.5]", "[0,6]") "}", 6, ENT_EFORMAT, "a: shape: expected whole numbers");
    refused("{" T("a", "F32", "[1e300]", "[0,8]") "}", 8, ENT_EFORMAT, "a: shape: expected whole numbers");
    refused("{" T("a", "F32", "[\"2\"]", "[0,8]") "}", 8, ENT_EFORMAT, "a: shape: expected whole numbers");
    refused("{" T("a", "F32", "2", "[0,8]") "}", 8, ENT_EFORMAT, "a: shape: expected a list");
    refused("{" T("a", "F32", "[1,1,1,1,2]", "[0,8]") "}", 8, ENT_EUNSUPPORTED, "at most 4 numbers, found 5");
    refused("{" T("a", "F32", "[4294967296,4294967296]", "[0,0]") "}", 0, ENT_EFORMAT, "more than 2^64 bytes");
    refused("{" T("a", "F32", "[4611686018427387905]", "[0,4]") "}", 4, ENT_EFORMAT, "whole numbers from 0 to 2^53");
    refused("{" T("a", "F32", "[2]", "[0,8]") "}", 7, ENT_EFORMAT, "a: data ends at byte 70, file has 69");
    refused("{" T("a", "F32", "[2]", "[0,8]") "}", 9, ENT_EFORMAT, "the tensors end at byte 70, file has 71");
    refused("{" T("a", "F32", "[2]", "[4,12]") "}", 12, ENT_EFORMAT, "(a gap)");
    refused("{" T("a", "F32", "[2]", "[0,8]") "," T("b", "F32", "[2]", "[4,12]") "}", 12, ENT_EFORMAT,
            "b: expected data from byte 8, data_offsets begin at 4 (an overlap)");
    refused("{" T("a", "F32", "[2]", "[0,8]") "," T("a", "F32", "[2]", "[8,16]") "}", 16, ENT_EFORMAT,
            "\"a\" stands twice");
    refused("{\"__metadata__\":{\"a\":1}}", 0, ENT_EFORMAT, "__metadata__: expected an object of strings");
    refused("{\"__metadata__\":{},\"__metadata__\":{}}", 0, ENT_EFORMAT, "\"__metadata__\" stands twice");
#undef T
}

static void hostile_lengths_are_refused(void **state)
{
    (void)state;
    ent_safetensors *file;
    const char *folder = scratch("lengths"), *path = in_folder(folder, "model.safetensors");
    put_file(path, "\377\377\377\377\377\377\377\177{}", 10);
    assert_fails(ent_safetensors_open_model(&file, folder), ENT_EFORMAT,
                 "model.safetensors: header length 9223372036854775807, file has 10 bytes");
    put_file(path, "\3\0\0\0\0\0\0\0{}", 10);
    assert_fails(ent_safetensors_open(&file, path), ENT_EFORMAT, "header length 3, file has 10 bytes");
    put_file(path, "\2\0\0\0\0\0\0", 7);
    assert_fails(ent_safetensors_open(&file, path), ENT_EFORMAT, "found 7 bytes");
    put_file(path, "", 0);
    assert_fails(ent_safetensors_open(&file, path), ENT_EFORMAT, "found 0 bytes");
    assert_fails(ent_safetensors_open(&file, folder), ENT_EIO, "expected a file");
    assert_fails(ent_safetensors_open(&file, "scratch/none"), ENT_EIO, "scratch/none: No such file");
    assert_fails(ent_safetensors_open_model(&file, "scratch/none"), ENT_EIO, "found neither");
    size_t n;
    char *bytes = get_file(&n, ENT_TEST_DATA "/oracle/llama/model/model.safetensors");
    put_file(path, bytes, 5000);
    assert_fails(ent_safetensors_open(&file, path), ENT_EFORMAT, "file has 5000");
    /* cut anywhere, it is refused */
    for (size_t cut = 0; cut < n; cut += cut < 3500 ? 97 : 39999) {
        put_file(path, bytes, cut);
        assert_int_equal(ent_safetensors_open(&file, path), ENT_EFORMAT);
    }
    free(bytes);
}

/* A model in two files with an index. */
static void write_part(const char *path, const char *name)
{
    static const float data[2] = {1, 2};
    const ent_st_tensor t = {.name = name, .dtype = ENT_DTYPE_F32, .n_dims = 1, .shape = {2}, .data = data};
    assert_ok(ent_safetensors_write(path, &t, 1));
}

static void index_refused(const char *folder, const char *index, const char *part)
{
    ent_safetensors *file = NULL;
    put_file(in_folder(folder, "model.safetensors.index.json"), index, strlen(index));
    assert_true(ent_safetensors_open_model(&file, folder) != ENT_OK);
    assert_null(file);
    if (strstr(ent_message(), part) == NULL)
        fail_msg("expected \"%s\" in: %s", part, ent_message());
}

static void index_joins_files(void **state)
{
    (void)state;
    ent_safetensors *file;
    const char *folder = scratch("index");
    write_part(in_folder(folder, "one"), "b");
    write_part(in_folder(folder, "two"), "a");
    write_part(in_folder(folder, "three"), "b");
    const char *good = "{\"weight_map\":{\"b\":\"one\",\"a\":\"two\"}}";
    put_file(in_folder(folder, "model.safetensors.index.json"), good, strlen(good));
    assert_ok(ent_safetensors_open_model(&file, folder));
    assert_int_equal(ent_safetensors_count(file), 2);
    assert_string_equal(ent_safetensors_at(file, 0)->name, "a");
    assert_string_equal(ent_safetensors_find(file, "b")->file, "scratch/index/one");
    ent_safetensors_close(file);
    index_refused(folder, "{\"weight_map\":{\"b\":\"one\",\"a\":\"two\",\"c\":\"two\"}}", "c: two has no such tensor");
    index_refused(folder, "{\"weight_map\":{\"b\":\"one\",\"c\":\"two\"}}",
                  "expected a, which scratch/index/two holds");
    index_refused(folder, "{\"weight_map\":{\"b\":\"two\",\"a\":\"one\"}}", "a: expected two, found one");
    index_refused(folder, "{\"weight_map\":{\"b\":\"one\",\"a\":\"three\"}}", "b: stands in");
    index_refused(folder, "{\"weight_map\":{\"b\":\"../index/one\",\"a\":\"two\"}}", "b: expected the name of a file");
    index_refused(folder, "{\"weight_map\":{\"b\":\"four\"}}", "scratch/index/four: No such file");
    index_refused(folder, "{\"weight_map\":{}}", "weight_map: expected");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_pytorch_wrote),    cmocka_unit_test(rewriting_gives_the_same_bytes),
        cmocka_unit_test(mixed_types_are_aligned),     cmocka_unit_test(misaligned_data_is_copied),
        cmocka_unit_test(hostile_headers_are_refused), cmocka_unit_test(hostile_lengths_are_refused),
        cmocka_unit_test(index_joins_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
