/* Model files that are refused: models that can't be saved, files that say something else, damage. */
#include <math.h>

#include "io/safetensors.h"
#include "model_file_models.h"

static const char *folder;

static int make_folder(void **state)
{
    (void)state;
    folder = scratch("model_file_errors");
    return 0;
}

/* `model` is refused in every format, in the same words. */
static void assert_not_saved(const ent_model_file *model, const char *message)
{
    for (size_t i = 0; i < ENDINGS; i++) {
        assert_fails(ent_model_save(in_folder(folder, endings[i]), model), ENT_EINVAL, message);
        assert_non_null(strstr(ent_message(), endings[i]));
        assert_false(ent_path_is_file(in_folder(folder, endings[i])));
    }
}

static void models_that_are_none(void **state)
{
    (void)state;
    static const char bad[] = "a\xff";
    ent_model_file_param params[2] = {mlp_params[0], mlp_params[1]};
    ent_model_file_entry custom[2] = {mlp_custom[0], mlp_custom[3]};
    ent_model_file m = {"n", "a", "v", custom, 2, params, 2};
#define REFUSED(thing, value, message)        \
    do {                                      \
        const __typeof__(thing) was_ = thing; \
        thing = value;                        \
        assert_not_saved(&m, message);        \
        thing = was_;                         \
    } while (0)
    char *longer = calloc(ENT_MODEL_FILE_MAX_TEXT + 2, 1);
    memset(longer, 'x', ENT_MODEL_FILE_MAX_TEXT + 1);
    REFUSED(m.name, NULL, "metadata.name: expected a text, found nothing");
    REFUSED(m.version, longer, "metadata.version: expected at most 32767 bytes, found 32768");
    REFUSED(m.architecture, bad, "metadata.architecture: expected UTF-8");
    REFUSED(m.n_custom, 4097, "metadata.custom: expected at most 4096 entries, found 4097");
    REFUSED(custom[1].key, "", "key 1 of metadata.custom: expected a key");
    REFUSED(custom[1].key, NULL, "key 1 of metadata.custom: expected a text");
    REFUSED(custom[1].key, longer, "key 1 of metadata.custom: expected at most 255 bytes");
    REFUSED(custom[1].key, "input_dim", "metadata.custom: expected each once, found \"input_dim\" twice");
    REFUSED(custom[1].value.text, bad, "metadata.custom.activation: expected UTF-8");
    REFUSED(custom[1].value.text, NULL, "metadata.custom.activation: expected a text, found nothing");
    REFUSED(custom[1].kind, 4, "metadata.custom.activation: expected a kind");
    REFUSED(custom[1], ((ent_model_file_entry){"x", ENT_MODEL_FILE_FLOATING, {.floating = NAN}}),
            "metadata.custom.x: expected a finite number, found nan");
    REFUSED(params[1].name, NULL, "parameters[1].name: expected a text");
    REFUSED(params[1].name, "", "parameters[1].name: expected a name");
    REFUSED(params[1].name, "a/b", "parameters[1].name: expected a name without /, found \"a/b\"");
    REFUSED(params[1].name, ".", "parameters[1].name: expected a name");
    REFUSED(params[1].name, "__metadata__", "parameters[1].name: expected a name");
    REFUSED(params[1].name, longer, "parameters[1].name: expected at most 255 bytes");
    REFUSED(params[1].name, "layer1.weight", "parameters: expected each once, found \"layer1.weight\" twice");
    REFUSED(params[1].n_dims, 0, "parameters[1].shape: expected 1 to 4 dimensions, found 0");
    REFUSED(params[1].n_dims, 5, "parameters[1].shape: expected 1 to 4 dimensions, found 5");
    REFUSED(params[1].shape[0], 0, "parameters[1].shape[0]: expected 1 or more");
    REFUSED(params[1].shape[0], SIZE_MAX / 4 + 1, "parameters[1].shape[0]: expected 1 or more, and fewer");
    REFUSED(params[1].data, NULL, "data.layer1.bias: expected 2 numbers, found nothing");
    free(longer);
}

static void json_holds_finite_numbers(void **state)
{
    (void)state;
    const float data[] = {1, 2, -INFINITY};
    const ent_model_file_param params[] = {mlp_params[0], {"w.x", 1, {3}, true, data}};
    const ent_model_file m = {"n", "a", "v", NULL, 0, params, 2};
    assert_fails(ent_model_save(in_folder(folder, "m.json"), &m), ENT_EUNSUPPORTED,
                 "m.json: data.w.x[2]: expected a finite number, as JSON has no others, found -inf");
    assert_false(ent_path_is_file(in_folder(folder, "m.json")));
}

static void endings_name_the_format(void **state)
{
    (void)state;
    ent_model_file *m;
    static const char *const others[] = {"m.bin", "m", "json", "m.JSON", "m.h5.old"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        const char *message = "expected a name that ends in .json, .yaml, .h5 or .safetensors";
        assert_fails(ent_model_save(in_folder(folder, others[i]), &mlp), ENT_EUNSUPPORTED, message);
        assert_fails(ent_model_load(&m, in_folder(folder, others[i])), ENT_EUNSUPPORTED, message);
        assert_null(m);
    }
    for (size_t i = 0; i < ENDINGS; i++) {
        assert_fails(ent_model_load(&m, in_folder(folder, endings[i])), ENT_EIO, "No such file or directory");
        assert_null(m);
        char path[300];
        snprintf(path, sizeof path, "%s/none/%s", folder, endings[i]);
        assert_fails(ent_model_save(path, &mlp), ENT_EIO, "No such file or directory");
    }
}

/* The JSON of a small model, in which `from` is replaced by `to`, is refused; as JSON, and as YAML, which it is too. */
static void assert_no_tree(const char *from, const char *to, const char *message)
{
    static const char good[] =
        "{\"metadata\": {\"name\": \"n\", \"architecture\": \"a\", \"version\": \"v\", \"custom\": {\"k\": 4}}, "
        "\"parameters\": [{\"name\": \"p\", \"shape\": [2, 2], \"dtype\": \"f32\", \"requires_grad\": true}, "
        "{\"name\": \"q\", \"shape\": [1], \"dtype\": \"f32\", \"requires_grad\": false}], "
        "\"data\": {\"p\": [1.0, 2.0, 3.0, 4.0], \"q\": [5.0]}}";
    static const char *const names[] = {"m.json", "m.yaml"};
    const char *at = strstr(good, from);
    char text[2000], expected[400];
    ent_model_file *m;
    assert_non_null(at);
    snprintf(text, sizeof text, "%.*s%s%s", (int)(at - good), good, to, at + strlen(from));
    for (size_t i = 0; i < 2; i++) {
        put_file(in_folder(folder, names[i]), text, strlen(text));
        snprintf(expected, sizeof expected, "%s/%s: %s", folder, names[i], message);
        if (*message == 0) {
            assert_ok(ent_model_load(&m, in_folder(folder, names[i])));
            ent_model_file_free(m);
            continue;
        }
        assert_fails(ent_model_load(&m, in_folder(folder, names[i])), ENT_EFORMAT, expected);
        assert_null(m);
    }
}

static void trees_that_say_something_else(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"5.0", "6.0", ""},
        {"\"metadata\": {", "\"extra\": 1, \"metadata\": {", "extra: is not expected there"},
        {"\"data\"", "\"dato\"", "dato: is not expected there"},
        {", \"custom\": {\"k\": 4}", "", "metadata.custom: is missing"},
        {"\"version\": \"v\", ", "", "metadata.version: is missing"},
        {"\"version\"", "\"version2\"", "metadata.version2: is not expected there"},
        {"\"v\"", "1", "metadata.version: expected a text, found 1"},
        {"\"n\"", "null", "metadata.name: expected a text, found null"},
        {"\"a\"", "[\"a\"]", "metadata.architecture: expected a text, found a list"},
        {"{\"k\": 4}", "[4]", "metadata.custom: expected a mapping, found a list"},
        {"4}", "[4]}", "metadata.custom.k: expected a text, a number or a bool, found a list"},
        {"4}", "null}", "metadata.custom.k: expected a text, a 64-bit integer, a finite number or a bool, found null"},
        {"\"k\"", "\"\"", "key 0 of metadata.custom: expected a key, found an empty text"},
        {"{\"name\": \"p\"", "3, {\"name\": \"p\"", "parameters[0]: expected a mapping, found 3"},
        {"\"p\"", "\"a/b\"", "data.a/b: is missing"},
        {"\"p\"", "7", "parameters[0].name: expected a text, found 7"},
        {"[2, 2]", "4", "parameters[0].shape: expected a list, found 4"},
        {"[2, 2]", "[2, 2.5]", "parameters[0].shape: expected whole numbers, found 2.5"},
        {"[2, 2]", "[2, -2]", "parameters[0].shape: expected whole numbers, found -2"},
        {"[2, 2]", "[2, \"2\"]", "parameters[0].shape: expected whole numbers, found 2"},
        {"[2, 2]", "[]", "parameters[0].shape: expected 1 to 4 dimensions, found 0"},
        {"[2, 2]", "[1, 1, 1, 2, 2]", "parameters[0].shape: expected 1 to 4 dimensions, found 5"},
        {"[2, 2]", "[0, 2]", "parameters[0].shape[0]: expected 1 or more"},
        {"[2, 2]", "[4294967296, 4294967296]", "parameters[0].shape[1]: expected 1 or more, and fewer than 2^62"},
        {"[2, 2]", "[2, 3]", "data.p: expected 6 numbers, found 4"},
        {"f32", "f64", "parameters[0].dtype: expected f32, found f64"},
        {"\"f32\"", "32", "parameters[0].dtype: expected f32, found 32"},
        {"true", "1", "parameters[0].requires_grad: expected true or false, found 1"},
        {", \"requires_grad\": true", "", "parameters[0].requires_grad: is missing"},
        {"\"shape\": [1], ", "", "parameters[1].shape: is missing"},
        {"[1], ", "[1], \"extra\": 1, ", "parameters[1].extra: is not expected there"},
        {"\"name\": \"q\"", "\"name\": \"p\"", "parameters[1].name: expected another name, found p again"},
        {"\"q\": [5.0]", "\"r\": [5.0]", "data.q: is missing"},
        {", \"q\": [5.0]", "", "data.q: is missing"},
        {"[5.0]", "[5.0], \"r\": []", "data.r: is not among the parameters"},
        {"[5.0]", "5.0", "data.q: expected a list, found 5.0"},
        {"[5.0]", "[5.0, 6.0]", "data.q: expected 1 numbers, found 2"},
        {"3.0", "\"3.0\"", "data.p[2]: expected a number that a float holds, found 3.0"},
        {"3.0", "1e39", "data.p[2]: expected a number that a float holds, found 1e39"},
        {"3.0", "null", "data.p[2]: expected a number that a float holds, found null"},
        {"3.0", "[3.0]", "data.p[2]: expected a number that a float holds, found a list"},
        {"3.0", "true", "data.p[2]: expected a number that a float holds, found true"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_no_tree(cases[i][0], cases[i][1], cases[i][2]);
    ent_model_file *m;
    put_file(in_folder(folder, "m.yaml"), "- 1\n", 4);
    assert_fails(ent_model_load(&m, in_folder(folder, "m.yaml")), ENT_EFORMAT,
                 "the file: expected a mapping, found a list");
    put_file(in_folder(folder, "m.json"), "3", 1);
    assert_fails(ent_model_load(&m, in_folder(folder, "m.json")), ENT_EFORMAT, "the file: expected a mapping, found 3");
}

/* A key that stands twice is the parsers' to find. */
static void keys_stand_once(void **state)
{
    (void)state;
    static const char *const twice[] = {"{\"data\": {}, \"data\": {}}", "{\"data\": {\"a\": [1.0], \"a\": [1.0]}}"};
    ent_model_file *m;
    for (size_t i = 0; i < 2; i++) {
        put_file(in_folder(folder, "m.json"), twice[i], strlen(twice[i]));
        put_file(in_folder(folder, "m.yaml"), twice[i], strlen(twice[i]));
        assert_int_equal(ent_model_load(&m, in_folder(folder, "m.json")), ENT_EFORMAT);
        assert_fails(ent_model_load(&m, in_folder(folder, "m.yaml")), ENT_EFORMAT, "second time");
    }
}

static void safetensors_that_say_something_else(void **state)
{
    (void)state;
    static const struct {
        size_t pair;
        const char *value, *message;
    } cases[] = {
        {0, NULL, "__metadata__.name: is missing"},
        {3, "[\"p\"]", "__metadata__.parameters: expected all 2 tensors, found 1"},
        {3, "[\"p\", \"p\"]", "__metadata__.parameters: expected each once, found \"p\" twice"},
        {3, "[\"p\", \"r\"]", "parameters[1]: r: is not among the tensors"},
        {3, "[\"p\", 1]", "__metadata__.parameters: expected a list of texts"},
        {3, "{\"p\": \"q\"}", "__metadata__.parameters: expected a list of texts"},
        {3, "[\"p\", \"q\"", "__metadata__.parameters: line 1"},
        {4, "[\"q\", \"p\"]", "__metadata__.requires_grad: expected some of the parameters, in their order, found p"},
        {4, NULL, "__metadata__.requires_grad: is missing"},
        {5, "[\"k\", \"l\"]", "__metadata__.custom.l: is missing"},
        {6, "[4]", "__metadata__.custom.k: expected a text, a number or a bool, found [4]"},
        {6, " 4", "__metadata__.custom.k: expected a text, a number or a bool, found  4"},
        {6, "nan", "__metadata__.custom.k: line 1"},
        {6, "null", "metadata.custom.k: expected a text, a 64-bit integer"},
        {6, "\"x", "__metadata__.custom.k: column"},
        {6, "\"\\u0000\"", "__metadata__.custom.k: expected a text without U+0000"},
    };
    const float x[] = {1, 2, 3, 4};
    ent_st_tensor tensors[] = {{.name = "p", .dtype = ENT_DTYPE_F32, .n_dims = 1, .shape = {4}, .data = x},
                               {.name = "q", .dtype = ENT_DTYPE_F32, .n_dims = 1, .shape = {1}, .data = x}};
    const ent_st_pair good[] = {
        {"name", "n"},           {"architecture", "a"}, {"version", "v"}, {"parameters", "[\"q\",\"p\"]"},
        {"requires_grad", "[]"}, {"custom", "[\"k\"]"}, {"custom.k", "4"}};
    const char *path = in_folder(folder, "m.safetensors");
    ent_model_file *m;
    assert_ok(ent_safetensors_write_with(path, tensors, 2, good, 7));
    assert_ok(ent_model_load(&m, path));
    assert_string_equal(m->params[0].name, "q");
    ent_model_file_free(m);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ent_st_pair pairs[7];
        memcpy(pairs, good, sizeof good);
        if (cases[i].value)
            pairs[cases[i].pair].value = cases[i].value;
        else
            pairs[cases[i].pair].key = "another";
        if (cases[i].pair == 4)
            pairs[3].value = "[\"p\", \"q\"]";
        assert_ok(ent_safetensors_write_with(path, tensors, 2, pairs, 7));
        assert_fails(ent_model_load(&m, path), ENT_EFORMAT, cases[i].message);
        assert_null(m);
    }
    tensors[0].dtype = ENT_DTYPE_BF16;
    assert_ok(ent_safetensors_write_with(path, tensors, 2, good, 7));
    assert_fails(ent_model_load(&m, path), ENT_EFORMAT, "parameters[1].dtype: expected F32, found BF16");
    tensors[0] = (ent_st_tensor){.name = "p", .dtype = ENT_DTYPE_F32, .n_dims = 0, .data = x};
    assert_ok(ent_safetensors_write_with(path, tensors, 2, good, 7));
    assert_fails(ent_model_load(&m, path), ENT_EFORMAT, "parameters[1].shape: expected 1 to 4 dimensions, found 0");
}

/* A file that was cut is refused; one with a changed byte too, or is some model. HDF5 has checksums over all of it:
 * what is read in spite of a change is what was written. */
static void damage_is_found_or_harmless(void **state)
{
    (void)state;
    for (size_t e = 0; e < ENDINGS; e++) {
        if (strcmp(endings[e], "m.yml") == 0)
            continue;
        const char *path = in_folder(folder, endings[e]), *hurt = in_folder(folder, "hurt");
        char name[300];
        const bool is_hdf5 = strcmp(endings[e], "m.h5") == 0;
        size_t n, harmless = 0, tries = 0;
        ent_model_file *m;
        snprintf(name, sizeof name, "%s%s", hurt, strchr(endings[e], '.'));
        assert_ok(ent_model_save(path, &mlp));
        char *data = get_file(&n, path);
        for (size_t cut = 0; cut < n; cut += is_hdf5 ? 23 : 7) {
            put_file(name, data, cut);
            const ent_status st = ent_model_load(&m, name);
            if (st == ENT_OK) /* but for the end of the last line, or digits of the last number */
                assert_true(cut + 8 > n && strchr("jy", endings[e][2]));
            ent_model_file_free(m);
        }
        for (size_t at = 0; at < n; at += is_hdf5 ? 5 : 3, tries++) {
            data[at] ^= (char)(1 << at % 8);
            put_file(name, data, n);
            data[at] ^= (char)(1 << at % 8);
            if (ent_model_load(&m, name) == ENT_OK) {
                harmless++;
                if (is_hdf5)
                    assert_same_model(&mlp, m, false);
            }
            ent_model_file_free(m);
        }
        assert_true(harmless < tries / 2);
        free(data);
    }
}

/* As many custom entries as there may be. */
static void limits_are_reached(void **state)
{
    (void)state;
    static ent_model_file_entry custom[ENT_MODEL_FILE_MAX_CUSTOM];
    static char keys[ENT_MODEL_FILE_MAX_CUSTOM][8];
    for (size_t i = 0; i < ENT_MODEL_FILE_MAX_CUSTOM; i++) {
        snprintf(keys[i], sizeof keys[i], "k%zu", ENT_MODEL_FILE_MAX_CUSTOM - i);
        custom[i] = (ent_model_file_entry){keys[i], ENT_MODEL_FILE_INTEGER, {.integer = (int64_t)i}};
    }
    const ent_model_file model = {"n", "a", "v", custom, ENT_MODEL_FILE_MAX_CUSTOM, mlp_params, 4};
    for (size_t i = 0; i < ENDINGS; i++) {
        ent_model_file *m;
        assert_ok(ent_model_save(in_folder(folder, endings[i]), &model));
        assert_ok(ent_model_load(&m, in_folder(folder, endings[i])));
        assert_same_model(&model, m, false);
        ent_model_file_free(m);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, make_folder)
    const struct CMUnitTest tests[] = {
        TEST(models_that_are_none),          TEST(json_holds_finite_numbers), TEST(endings_name_the_format),
        TEST(trees_that_say_something_else), TEST(keys_stand_once),           TEST(safetensors_that_say_something_else),
        TEST(damage_is_found_or_harmless),   TEST(limits_are_reached),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
