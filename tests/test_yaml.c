/* YAML: trees with lines, what is refused, scalars by the core schema, and JSON trees there and back. */
#include <float.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/yaml.h"
#include "io/yaml_json.h"

static void trees_know_their_lines(void **state)
{
    (void)state;
    static const char text[] = "# comment\na: {b: 1, \"c\": 'two words'}\nlist:\n  - x\n  - [y, 'null']\nempty:\n";
    ent_yaml *root;
    assert_int_equal(ent_yaml_parse(&root, text, strlen(text), "t.yaml"), ENT_OK);
    assert_int_equal(root->kind, ENT_YAML_MAPPING);
    const ent_yaml *a = ent_yaml_member(root, "a"), *c = ent_yaml_member(a, "c"), *list = ent_yaml_member(root, "list");
    assert_int_equal(a->line, 2);
    assert_string_equal(c->text, "two words");
    assert_true(c->quoted && !ent_yaml_member(a, "b")->quoted);
    assert_int_equal(list->line, 3);
    assert_int_equal(list->kind, ENT_YAML_SEQUENCE);
    assert_int_equal(list->first->line, 4);
    assert_null(list->first->key);
    assert_string_equal(list->first->next->first->next->text, "null");
    assert_int_equal(list->first->next->line, 5);
    assert_string_equal(ent_yaml_member(root, "empty")->text, "");
    assert_int_equal(ent_yaml_member(root, "empty")->line, 6);
    assert_null(ent_yaml_member(root, "b"));
    assert_null(ent_yaml_member(list, "x"));
    ent_yaml_free(root);
    assert_int_equal(ent_yaml_parse(&root, "# nothing\n", 10, "t.yaml"), ENT_OK);
    assert_int_equal(root->kind, ENT_YAML_SCALAR);
    assert_string_equal(root->text, "");
    ent_yaml_free(root);
    assert_int_equal(ent_yaml_read_file(&root, "nowhere.yaml"), ENT_EIO);
    assert_string_equal(ent_message(), "nowhere.yaml: No such file or directory");
}

static void other_yaml_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        ent_status st;
        const char *message; /* how it begins */
    } cases[] = {
        {"a: 1\nb: 2\na: 3\n", ENT_EFORMAT, "t:3: key a stands here for the second time, first in line 1"},
        {"a: {x: 1, y: 2, x: 3}\n", ENT_EFORMAT, "t:1: key x stands here for the second time, first in line 1"},
        {"a: 1\n\"a\": 3\n", ENT_EFORMAT, "t:2: key a stands"},
        {"a: &x 1\nb: *x\n", ENT_EUNSUPPORTED, "t:1: YAML anchors are not supported"},
        {"a: 1\nb: *x\n", ENT_EUNSUPPORTED, "t:2: YAML aliases are not supported"},
        {"a: !!str 1\n", ENT_EUNSUPPORTED, "t:1: YAML tags are not supported"},
        {"a: 1\n---\nb: 1\n", ENT_EUNSUPPORTED, "t:2: a second document"},
        {"? [a, b]\n: 1\n", ENT_EUNSUPPORTED, "t:1: expected a key"},
        {"a: \"x\\0y\"\n", ENT_EUNSUPPORTED, "t:1: \\0 in a string"},
        {"a: 1\n b: 2\n", ENT_EFORMAT, "t:2: "},
        {"a: [1, 2\n", ENT_EFORMAT, "t:2: "},
        {"a: b: c\n", ENT_EFORMAT, "t:1: mapping values are not allowed in this context"},
        {"a: 1\n\tb: 2\n", ENT_EFORMAT, "t:2: "},
        {"a: 1\nb: \xff\n", ENT_EFORMAT, "t:2: "},
        {"a: \x01\n", ENT_EFORMAT, "t:1: control characters are not allowed"},
        {"a: %\n", ENT_EFORMAT, "t:1: "},
        {"a: 'x\n", ENT_EFORMAT, "t:2: "},
        {"%YAML 3.0\n---\na: 1\n", ENT_EFORMAT, "t:1: "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ent_yaml *root;
        const ent_status st = ent_yaml_parse(&root, cases[i].text, strlen(cases[i].text), "t");
        if (st != cases[i].st || strncmp(ent_message(), cases[i].message, strlen(cases[i].message)) != 0)
            fail_msg("case %zu: status %d, %s", i, st, st ? ent_message() : "taken");
        assert_null(root);
    }
}

static void depth_is_limited(void **state)
{
    (void)state;
    enum { HUGE = 200000 };
    char *text = malloc(HUGE);
    ent_yaml *root;
    for (size_t depth = 63; depth < 67; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        assert_int_equal(ent_yaml_parse(&root, text, 2 * depth, "t"), depth <= 64 ? ENT_OK : ENT_EFORMAT);
        ent_yaml_free(root);
    }
    memset(text, '[', HUGE);
    assert_int_equal(ent_yaml_parse(&root, text, HUGE, "t"), ENT_EFORMAT);
    memset(text, '{', HUGE);
    assert_int_not_equal(ent_yaml_parse(&root, text, HUGE, "t"), ENT_OK);
    for (size_t i = 0; i < HUGE; i += 2)
        memcpy(text + i, "- ", 2);
    assert_int_equal(ent_yaml_parse(&root, text, HUGE, "t"), ENT_EFORMAT);
    free(text);
}

static void scalars_have_types(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        ent_yaml_type type;
    } cases[] = {
        {"", ENT_YAML_NULL},      {"~", ENT_YAML_NULL},      {"null", ENT_YAML_NULL},    {"Null", ENT_YAML_NULL},
        {"NULL", ENT_YAML_NULL},  {"nULL", ENT_YAML_STRING}, {"true", ENT_YAML_BOOL},    {"False", ENT_YAML_BOOL},
        {"TRUE", ENT_YAML_BOOL},  {"yes", ENT_YAML_STRING},  {"tr", ENT_YAML_STRING},    {"0", ENT_YAML_INT},
        {"-12", ENT_YAML_INT},    {"+012", ENT_YAML_INT},    {"0x1F", ENT_YAML_INT},     {"0o17", ENT_YAML_INT},
        {"0x", ENT_YAML_STRING},  {"0o8", ENT_YAML_STRING},  {"-0x1", ENT_YAML_STRING},  {"1.5", ENT_YAML_FLOAT},
        {"1.", ENT_YAML_FLOAT},   {".5", ENT_YAML_FLOAT},    {"1e3", ENT_YAML_FLOAT},    {"1.0E-8", ENT_YAML_FLOAT},
        {"1e", ENT_YAML_STRING},  {".", ENT_YAML_STRING},    {"-", ENT_YAML_STRING},     {"e5", ENT_YAML_STRING},
        {".inf", ENT_YAML_FLOAT}, {"-.INF", ENT_YAML_FLOAT}, {".NaN", ENT_YAML_FLOAT},   {"inf", ENT_YAML_STRING},
        {"1 2", ENT_YAML_STRING}, {"1_0", ENT_YAML_STRING},  {"1.2.3", ENT_YAML_STRING}, {"-.nan", ENT_YAML_STRING},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (ent_yaml_type_of(cases[i].text, false) != cases[i].type)
            fail_msg("%s has type %d", cases[i].text, ent_yaml_type_of(cases[i].text, false));
    assert_int_equal(ent_yaml_type_of("1", true), ENT_YAML_STRING);
}

/* Strings that are easily taken for something else, as values, keys and list elements, come back as they were. */
static void strings_come_back(void **state)
{
    (void)state;
    static const char *const strings[] = {"",
                                          " ",
                                          "a b",
                                          " a",
                                          "a ",
                                          "a: b",
                                          "a #b",
                                          "#a",
                                          "- a",
                                          "-",
                                          "?",
                                          ":",
                                          "a:",
                                          "null",
                                          "~",
                                          "True",
                                          "no",
                                          "Off",
                                          "1",
                                          "-1",
                                          "1.5",
                                          "1e3",
                                          ".5",
                                          ".inf",
                                          "0x1F",
                                          "0o17",
                                          "1_000",
                                          "12:30:45",
                                          "2024-01-01",
                                          "<<",
                                          "=",
                                          "[",
                                          "]",
                                          "{a}",
                                          "&a",
                                          "*a",
                                          "!a",
                                          "!!str",
                                          "|",
                                          ">",
                                          "%",
                                          "@a",
                                          "`a",
                                          "'",
                                          "\"",
                                          "it's",
                                          "say \"x\"",
                                          "\\",
                                          "a\\nb",
                                          "a\nb",
                                          "\n",
                                          "a\tb",
                                          "\t",
                                          "\r\n",
                                          "\x01\x1f\x7f",
                                          "e\xc3\xa9",
                                          "\xc2\x80\xc2\x85",
                                          "\xe2\x80\xa8",
                                          "\xef\xbb\xbf",
                                          "\xef\xbf\xbf",
                                          "\xf0\x9f\x98\x80",
                                          "---",
                                          "...",
                                          "../a",
                                          "./a",
                                          "/a/b.c",
                                          "a,b",
                                          "q_proj",
                                          "_",
                                          ".",
                                          "123e4567",
                                          "e3b0c442",
                                          "a/",
                                          "y",
                                          "n",
                                          "0",
                                          "a-b+c@d"};
    const size_t n = sizeof strings / sizeof *strings;
    ent_json *json = ent_json_new_object(), *back;
    ent_json *list = ent_json_add_array(json, "list"), *keys = ent_json_add_object(json, "keys");
    ent_json *deep = ent_json_add_object(ent_json_add_array(ent_json_add_array(json, "deep"), NULL), NULL);
    for (size_t i = 0; i < n; i++) {
        ent_json_add_string(list, NULL, strings[i]);
        ent_json_add_int(keys, strings[i], (int64_t)i);
        ent_json_add_string(ent_json_add_array(deep, strings[i]), NULL, strings[i]);
    }
    char *text, *want, *got;
    assert_int_equal(ent_yaml_from_json(&text, json), ENT_OK);
    if (ent_yaml_to_json(&back, text, strlen(text), "t") != ENT_OK)
        fail_msg("%s\n%s", ent_message(), text);
    assert_int_equal(ent_json_print(&want, json, true), ENT_OK);
    assert_int_equal(ent_json_print(&got, back, true), ENT_OK);
    assert_string_equal(got, want);
    free(text);
    free(want);
    free(got);
    ent_json_free(json);
    ent_json_free(back);
}

static void trees_come_back(void **state)
{
    (void)state;
    char key[1500]; /* longer than a plain key may be */
    memset(key, 'k', sizeof key - 1);
    key[sizeof key - 1] = 0;
    ent_json *json = ent_json_new_object(), *back;
    ent_json_add_int(json, "max", INT64_MAX);
    ent_json_add_int(json, "min", INT64_MIN);
    ent_json_add_double(json, "lr", 1e-4);
    ent_json_add_double(json, "eps", 1e-8);
    ent_json_add_double(json, "third", 1.0 / 3);
    ent_json_add_double(json, "huge", DBL_MAX);
    ent_json_add_double(json, "whole", 3);
    ent_json_add_null(json, "none");
    ent_json_add_bool(json, "yes", true);
    ent_json_add_string(json, "word", "no");
    ent_json_add_object(json, "empty");
    ent_json_add_array(json, "void");
    ent_json *parameters = ent_json_add_array(json, "parameters");
    for (int i = 0; i < 3; i++) {
        ent_json *p = ent_json_add_object(parameters, NULL), *shape;
        ent_json_add_string(p, "name", "layers.0.q_proj");
        shape = ent_json_add_array(p, "shape");
        for (int j = 0; j < 80; j++)
            ent_json_add_double(shape, NULL, j / 7.0);
    }
    ent_json_add_array(ent_json_add_array(parameters, NULL), NULL);
    ent_json_add_object(parameters, NULL);
    ent_json_add_string(ent_json_add_object(ent_json_add_object(json, key), key), key, key);
    char *text, *want, *got;
    assert_int_equal(ent_yaml_from_json(&text, json), ENT_OK);
    assert_non_null(strstr(text, "\neps: 1.0e-08\n"));
    assert_non_null(strstr(text, "\nword: \"no\"\n")); /* a boolean to readers of YAML 1.1 */
    assert_non_null(strstr(text, "\nparameters:\n  - name: layers.0.q_proj\n    shape: [0, "));
    if (ent_yaml_to_json(&back, text, strlen(text), "t") != ENT_OK)
        fail_msg("%s\n%s", ent_message(), text);
    assert_int_equal(ent_json_print(&want, json, true), ENT_OK);
    assert_int_equal(ent_json_print(&got, back, true), ENT_OK);
    assert_string_equal(got, want);
    free(text);
    free(want);
    free(got);
    ent_json_free(json);
    ent_json_free(back);
    assert_int_equal(ent_yaml_from_json(&text, NULL), ENT_ENOMEM);
    static const char *const bad[] = {"a: .inf\n", "a: [-.nan, .nan]\n", "a: 1e999\n", "- 1\n", "", "a: [*b]\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_not_equal(ent_yaml_to_json(&back, bad[i], strlen(bad[i]), "t"), ENT_OK);
        assert_memory_equal(ent_message(), "t:1: ", 5);
        assert_null(back);
    }
    static const char ints[] = "{a: 0x1F, b: 0o17, c: 18446744073709551616, d: +012, e: -0}";
    assert_int_equal(ent_yaml_to_json(&back, ints, strlen(ints), "t"), ENT_OK);
    assert_int_equal(ent_json_print(&got, back, false), ENT_OK);
    assert_string_equal(got, "{\"a\":31,\"b\":15,\"c\":1.8446744073709552e+19,\"d\":12,\"e\":0}");
    free(got);
    ent_json_free(back);
}

/* Every way to change one byte: read or refused, and nothing breaks (run with the sanitizers). */
static void damage_is_harmless(void **state)
{
    (void)state;
    static const char good[] = "a: {b: [1, 'x'], c: \"y\\n\"}\nd:\n  - e: |\n      t\n  - 2.5\n";
    for (size_t i = 0; i < sizeof good - 1; i++)
        for (int c = 0; c < 256; c++) {
            const size_t n = c == 0 ? i : sizeof good - 1;
            char *bad = malloc(sizeof good), *text;
            memcpy(bad, good, sizeof good);
            bad[i] = (char)c;
            ent_json *json;
            if (ent_yaml_to_json(&json, bad, n, "t") == ENT_OK) {
                assert_int_equal(ent_yaml_from_json(&text, json), ENT_OK);
                ent_json_free(json);
                if (ent_yaml_to_json(&json, text, strlen(text), "t") != ENT_OK)
                    fail_msg("%s", text);
                free(text);
            }
            ent_json_free(json);
            free(bad);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trees_know_their_lines), cmocka_unit_test(other_yaml_is_refused),
        cmocka_unit_test(depth_is_limited),       cmocka_unit_test(scalars_have_types),
        cmocka_unit_test(strings_come_back),      cmocka_unit_test(trees_come_back),
        cmocka_unit_test(damage_is_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
