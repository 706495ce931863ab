/* Stand-alone model files: the same model in every format, read by others' programs too. */
#include <float.h>
#include <locale.h>
#include <math.h>

#include "model_file_models.h"

enum { ODD = 4000 };

static float from_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static bool is_yaml(const char *name)
{
    return strstr(name, ".y") != NULL;
}

/* Loads what was saved, and saves it again: both files are the same. */
static void assert_round_trip(const char *folder, const char *name, const ent_model_file *model)
{
    ent_model_file *back;
    const char *path = in_folder(folder, name), *again = in_folder(folder, "again");
    char other[300];
    snprintf(other, sizeof other, "%s%s", again, strchr(name, '.'));
    assert_ok(ent_model_save(path, model));
    assert_ok(ent_model_load(&back, path));
    assert_same_model(model, back, is_yaml(name));
    assert_ok(ent_model_save(other, back));
    assert_files_equal(path, other);
    ent_model_file_free(back);
}

static void a_model_reads_back(void **state)
{
    (void)state;
    const char *folder = scratch("model_file");
    for (size_t i = 0; i < ENDINGS; i++)
        assert_round_trip(folder, endings[i], &mlp);
}

static void a_model_of_nothing_reads_back(void **state)
{
    (void)state;
    const char *folder = scratch("model_file");
    const ent_model_file nothing = {"", "", "", NULL, 0, NULL, 0};
    for (size_t i = 0; i < ENDINGS; i++)
        assert_round_trip(folder, endings[i], &nothing);
}

/* Bit patterns of all exponents, and the ends of the ranges. */
static void fill_odd(float *data, bool finite)
{
    static const float ends[] = {0.0f,         -0.0f,         FLT_MAX,  -FLT_MAX,          FLT_MIN,
                                 FLT_TRUE_MIN, -FLT_TRUE_MIN, 1 / 3.f,  0x1.fffffcp-127f,  16777216.f,
                                 1e10f,        1e-5f,         123456.f, 9007199254740993.f};
    uint32_t bits = 12345;
    for (size_t i = 0; i < ODD; i++) {
        bits = bits * 1664525u + 1013904223u;
        data[i] = i < sizeof ends / sizeof *ends ? ends[i] : from_bits(bits);
        if (finite && !isfinite(data[i]))
            data[i] = 1.0f + (float)i / 7;
    }
    if (finite)
        return;
    const uint32_t others[] = {0x7f800000, 0xff800000, 0x7fc00000, 0xffc00000, 0x7fc12345, 0x7f812345};
    memcpy(data + 100, others, sizeof others);
}

static const ent_model_file_entry odd_custom[] = {
    {"z last, but first", ENT_MODEL_FILE_TEXT, {.text = "yes"}},
    {"empty", ENT_MODEL_FILE_TEXT, {.text = ""}},
    {"a \"quoted\" \\ key: #\n",
     ENT_MODEL_FILE_TEXT,
     {.text = "tab\t, \"quotes\", \xc3\xa9, \xf0\x9f\x98\x80, \x01 and \x7f\n"}},
    {"digits", ENT_MODEL_FILE_TEXT, {.text = "one \" 1, two 2"}},
    {"true", ENT_MODEL_FILE_TEXT, {.text = "true"}},
    {"1", ENT_MODEL_FILE_TEXT, {.text = "1"}},
    {"null", ENT_MODEL_FILE_TEXT, {.text = "1.5"}},
    {"yes", ENT_MODEL_FILE_BOOL, {.boolean = true}},
    {"no/slash", ENT_MODEL_FILE_BOOL, {.boolean = false}},
    {"least", ENT_MODEL_FILE_INTEGER, {.integer = INT64_MIN}},
    {"most", ENT_MODEL_FILE_INTEGER, {.integer = INT64_MAX}},
    {"2^53 + 1", ENT_MODEL_FILE_INTEGER, {.integer = 9007199254740993}},
    {"zero", ENT_MODEL_FILE_INTEGER, {.integer = 0}},
    {"whole", ENT_MODEL_FILE_FLOATING, {.floating = 1}},
    {"minus zero", ENT_MODEL_FILE_FLOATING, {.floating = -0.0}},
    {"third", ENT_MODEL_FILE_FLOATING, {.floating = 1.0 / 3}},
    {"large", ENT_MODEL_FILE_FLOATING, {.floating = 1e300}},
    {"small", ENT_MODEL_FILE_FLOATING, {.floating = 5e-324}},
    {"2^60", ENT_MODEL_FILE_FLOATING, {.floating = 0x1p60}},
};

/* Names at their longest, texts at theirs, four dimensions, names in no order. */
static void odd_models_read_back(void **state)
{
    (void)state;
    static float data[ODD];
    static char long_name[ENT_MODEL_FILE_MAX_NAME + 1], long_key[ENT_MODEL_FILE_MAX_NAME + 1],
        long_text[ENT_MODEL_FILE_MAX_TEXT + 1];
    enum { N = sizeof odd_custom / sizeof *odd_custom };
    ent_model_file_entry custom[N + 1];
    memset(long_name, 1, sizeof long_name - 1); /* its escapes take six times as much */
    memset(long_key, 'k', sizeof long_key - 1);
    memset(long_text, 2, sizeof long_text - 1);
    memcpy(custom, odd_custom, sizeof odd_custom);
    custom[N] = (ent_model_file_entry){long_key, ENT_MODEL_FILE_TEXT, {.text = long_text}};
    const ent_model_file_param params[] = {
        {"z", 1, {ODD}, false, data},
        {"a", 4, {2, 5, 40, 10}, true, data},
        {"~: [\"x\"] #\xc3\xa9 \n", 2, {1, ODD}, true, data},
        {"null", 3, {1, 1, 1}, false, data + 3},
        {long_name, 2, {ODD, 1}, true, data},
    };
    const ent_model_file odd = {"null", "1.5", long_text, custom, N + 1, params, 5};
    const char *folder = scratch("model_file");
    for (size_t i = 0; i < ENDINGS; i++) {
        fill_odd(data, strcmp(endings[i], "m.json") == 0);
        assert_round_trip(folder, endings[i], &odd);
    }
}

/* More than a chunk of HDF5, and more than a piece that is read back. */
static void large_parameters_read_back(void **state)
{
    (void)state;
    enum { ROWS = 700, COLUMNS = 1000 };
    float *data = malloc(ROWS * COLUMNS * sizeof *data);
    for (size_t i = 0; i < ROWS * COLUMNS; i++)
        data[i] = (float)i * 0.37f - 1e5f;
    const ent_model_file_param param = {"w", 2, {ROWS, COLUMNS}, true, data};
    const ent_model_file model = {"n", "a", "v", NULL, 0, &param, 1};
    const char *folder = scratch("model_file");
    assert_round_trip(folder, "m.h5", &model);
    assert_round_trip(folder, "m.safetensors", &model);
    free(data);
}

/* From one format to the next, and round: the file is the one that is saved directly. */
static void formats_hold_the_same(void **state)
{
    (void)state;
    static float data[ODD];
    fill_odd(data, true);
    const ent_model_file_param params[] = {
        mlp_params[0], {"first.of.all", 2, {4, ODD / 4}, false, data}, mlp_params[3]};
    const ent_model_file model = {"x", "y", "2", odd_custom, sizeof odd_custom / sizeof *odd_custom, params, 3};
    const char *folder = scratch("model_file");
    assert_ok(ent_make_dirs(in_folder(folder, "other")));
    for (size_t i = 0; i < ENDINGS; i++)
        assert_ok(ent_model_save(in_folder(folder, endings[i]), &model));
    for (size_t from = 0; from < ENDINGS; from++) {
        const char *to = endings[(from + 1) % ENDINGS];
        ent_model_file *m;
        char path[300];
        snprintf(path, sizeof path, "%s/other/%s", folder, to);
        assert_ok(ent_model_load(&m, in_folder(folder, endings[from])));
        assert_same_model(&model, m, false);
        assert_ok(ent_model_save(path, m));
        assert_files_equal(path, in_folder(folder, to));
        ent_model_file_free(m);
    }
}

static void assert_text(const char *path, const char *expected)
{
    size_t n;
    char *text = get_file(&n, path);
    assert_string_equal(text, expected);
    free(text);
}

static void text_is_as_described(void **state)
{
    (void)state;
    static const float data[] = {1, -0.0f, 1e-5f, 1e10f, 1 / 3.f, 16777216};
    static const ent_model_file_param params[] = {{"w", 2, {2, 3}, true, data}};
    static const ent_model_file_entry custom[] = {{"input_dim", ENT_MODEL_FILE_INTEGER, {.integer = 4}},
                                                  {"rate", ENT_MODEL_FILE_FLOATING, {.floating = 1}},
                                                  {"tied", ENT_MODEL_FILE_BOOL, {.boolean = false}},
                                                  {"activation", ENT_MODEL_FILE_TEXT, {.text = "relu"}}};
    static const ent_model_file model = {"mlp", "", "1.0", custom, 4, params, 1};
    const char *folder = scratch("model_file");
    assert_ok(ent_model_save(in_folder(folder, "m.json"), &model));
    assert_text(in_folder(folder, "m.json"),
                "{\n  \"metadata\": {\n    \"name\": \"mlp\",\n    \"architecture\": \"\",\n    \"version\": \"1.0\",\n"
                "    \"custom\": {\n      \"input_dim\": 4,\n      \"rate\": 1.0,\n      \"tied\": false,\n"
                "      \"activation\": \"relu\"\n    }\n  },\n  \"parameters\": [\n"
                "    {\"name\": \"w\", \"shape\": [2, 3], \"dtype\": \"f32\", \"requires_grad\": true}\n  ],\n"
                "  \"data\": {\n    \"w\": [1.0, -0.0, 1.0e-05, 1.0e+10, 0.33333334, 16777216.0]\n  }\n}\n");
    assert_ok(ent_model_save(in_folder(folder, "m.yaml"), &model));
    assert_text(in_folder(folder, "m.yaml"),
                "metadata:\n  name: mlp\n  architecture: \"\"\n  version: \"1.0\"\n  custom:\n    input_dim: 4\n"
                "    rate: 1.0\n    tied: false\n    activation: relu\nparameters:\n  - name: w\n    shape: [2, 3]\n"
                "    dtype: f32\n    requires_grad: true\n"
                "data:\n  w: [1.0, -0.0, 1.0e-05, 1.0e+10, 0.33333334, 16777216.0]\n");
}

static void run(const char *format, const char *folder)
{
    char command[3000];
    snprintf(command, sizeof command, format, folder);
    if (system(command) != 0)
        fail_msg("failed: %s", command);
}

/* Python's parsers of JSON and YAML, and the header of safetensors as its description says. */
static void python_reads_the_same(void **state)
{
    (void)state;
    const char *folder = scratch("model_file");
    for (size_t i = 0; i < ENDINGS; i++)
        assert_ok(ent_model_save(in_folder(folder, endings[i]), &mlp));
    run("cd '%s' && python3 -c '\n"
        "import json, struct\n"
        "w = {\"layer1.weight\": [0.1, 0.2, 0.3, 0.4], \"layer1.bias\": [0.01, 0.02],\n"
        "     \"layer2.weight\": [0.5, 0.6], \"layer2.bias\": [0.1]}\n"
        "c = {\"input_dim\": 4, \"hidden_dim\": 2, \"output_dim\": 1, \"activation\": \"relu\"}\n"
        "t = {\"metadata\": {\"name\": \"mlp\", \"architecture\": \"feed-forward\", \"version\": \"1.0\", \"custom\": "
        "c},\n"
        "     \"parameters\": [{\"name\": k, \"shape\": [len(v)], \"dtype\": \"f32\",\n"
        "                     \"requires_grad\": k != \"layer2.bias\"} for k, v in w.items()], \"data\": w}\n"
        "j = json.load(open(\"m.json\"))\n"
        "assert j == t and list(j[\"data\"]) == list(w) and list(j[\"metadata\"][\"custom\"]) == list(c)\n"
        "b = open(\"m.safetensors\", \"rb\").read()\n"
        "n = struct.unpack(\"<Q\", b[:8])[0]\n"
        "h = json.loads(b[8:8 + n])\n"
        "m = h.pop(\"__metadata__\")\n"
        "for k, v in w.items():\n"
        "    a, e = h[k][\"data_offsets\"]\n"
        "    assert b[8 + n + a:8 + n + e] == struct.pack(\"<%%df\" %% len(v), *v) and h[k][\"shape\"] == [len(v)]\n"
        "assert m[\"format\"] == \"pt\" and m[\"name\"] == \"mlp\" and m[\"version\"] == \"1.0\"\n"
        "assert json.loads(m[\"parameters\"]) == list(w) and json.loads(m[\"requires_grad\"]) == list(w)[:3]\n"
        "assert {k: json.loads(m[\"custom.\" + k]) for k in json.loads(m[\"custom\"])} == c\n"
        "try: import yaml\n"
        "except ImportError: yaml = None\n"
        "assert yaml is None or yaml.safe_load(open(\"m.yaml\")) == t\n"
        "'",
        folder);
}

static void h5dump_reads_the_same(void **state)
{
    (void)state;
    const char *folder = scratch("model_file");
    assert_ok(ent_model_save(in_folder(folder, "m.h5"), &mlp));
    run("cd '%s' && h5dump -p -q creation_order m.h5 | tr -s ' \\n' ' ' >dump && "
        "for x in 'GROUP \"custom\" { ATTRIBUTE \"input_dim\" { DATATYPE H5T_STD_I64LE DATASPACE SCALAR DATA { (0): 4 "
        "}' "
        "'STRSIZE 4; STRPAD H5T_STR_NULLPAD; CSET H5T_CSET_UTF8; CTYPE H5T_C_S1; } DATASPACE SCALAR DATA { (0): "
        "\"relu\"' "
        "'DATASET \"layer1.weight\" { DATATYPE H5T_IEEE_F32LE DATASPACE SIMPLE { ( 4 ) / ( 4 ) } STORAGE_LAYOUT { "
        "CHUNKED' "
        "'CHECKSUM FLETCHER32' '(0): 0.1, 0.2, 0.3, 0.4' "
        "'ATTRIBUTE \"requires_grad\" { DATATYPE H5T_ENUM { H5T_STD_I8LE; \"FALSE\" 0; \"TRUE\" 1; }' "
        "'(0): FALSE' 'ATTRIBUTE \"version\"'; do "
        "grep -qF \"$x\" dump || { echo \"no $x\"; exit 1; }; done; "
        "grep -q 'input_dim.*hidden_dim.*output_dim.*activation' dump && grep -qv 'H5T_.*_CUSTOM' dump && "
        "h5ls m.h5/parameters >/dev/null",
        folder);
}

/* A comma for a point is what many locales have. */
static void the_locale_does_not_matter(void **state)
{
    (void)state;
    const char *folder = scratch("model_file");
    assert_ok(ent_model_save(in_folder(folder, "point.json"), &mlp));
    const bool comma = setlocale(LC_ALL, "de_DE.UTF-8") || setlocale(LC_ALL, "fr_FR.UTF-8");
    assert_round_trip(folder, "m.json", &mlp);
    assert_round_trip(folder, "m.yaml", &mlp);
    setlocale(LC_ALL, "C");
    assert_files_equal(in_folder(folder, "point.json"), in_folder(folder, "m.json"));
    if (!comma)
        print_message("no such locale here: compared in C\n");
}

/* Any order of keys and data, digits and exponents as others write them; YAML in its other notations. */
static void files_of_others_are_read(void **state)
{
    (void)state;
    static const float v[] = {1, -0.0f, 1e5f, 2.5f}, w[] = {7};
    static const ent_model_file_param params[] = {{"v", 2, {2, 2}, false, v}, {"w", 1, {1}, true, w}};
    static const ent_model_file_entry custom[] = {{"x", ENT_MODEL_FILE_FLOATING, {.floating = 4}}};
    static const ent_model_file model = {"n\xc3\xa9", "a", "1.0", custom, 1, params, 2};
    static const char json[] =
        "{\"data\":{\"w\":[7],\"v\":[1,-0,1E+5,25e-1]},\"parameters\":[{\"shape\":[2,2],\"name\":\"v\",\"dtype\":"
        "\"f32\","
        "\"requires_grad\":false},{\"name\":\"w\",\"dtype\":\"f32\",\"requires_grad\":true,\"shape\":[1]}],\n"
        "\t\"metadata\":{\"custom\":{\"x\":4.0},\"version\":\"1.0\",\"architecture\":\"a\",\"name\":\"n\\u00e9\"}}";
    static const char yaml[] =
        "data: {w: [7], v: [1, -0, 1.0e+5, 2.50]}\nparameters:\n- {name: v, shape: [2, 2], dtype: 'f32', "
        "requires_grad: "
        "False}\n- {name: \"w\", shape:\n    [1], dtype: f32, requires_grad: TRUE}\n# a comment\nmetadata: {name: "
        "n\xc3\xa9, architecture: a, version: '1.0', custom: {x: 4.}}\n";
    const char *folder = scratch("model_file");
    ent_model_file *m;
    put_file(in_folder(folder, "m.json"), json, sizeof json - 1);
    assert_ok(ent_model_load(&m, in_folder(folder, "m.json")));
    assert_same_model(&model, m, false);
    ent_model_file_free(m);
    put_file(in_folder(folder, "m.yml"), yaml, sizeof yaml - 1);
    assert_ok(ent_model_load(&m, in_folder(folder, "m.yml")));
    assert_same_model(&model, m, false);
    ent_model_file_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_model_reads_back),         cmocka_unit_test(a_model_of_nothing_reads_back),
        cmocka_unit_test(odd_models_read_back),       cmocka_unit_test(large_parameters_read_back),
        cmocka_unit_test(formats_hold_the_same),      cmocka_unit_test(text_is_as_described),
        cmocka_unit_test(python_reads_the_same),      cmocka_unit_test(h5dump_reads_the_same),
        cmocka_unit_test(the_locale_does_not_matter), cmocka_unit_test(files_of_others_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
