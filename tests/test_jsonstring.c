/* Single JSON strings, with U+0000. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "io/jsonstring.h"

static void strings_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *json, *value;
        size_t n;
    } cases[] = {
        {"\"\"", "", 0},
        {" \t\"a\" \r", "a", 1},
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t", 8},
        {"\"x\\u0000y\"", "x\0y", 3},
        {"\"\\u00e9\\u20AC\\ud83d\\uDE00\"", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 9},
        {"\"\xc3\xa9\x7f\"", "\xc3\xa9\x7f", 3},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *s;
        size_t n;
        if (ent_jsonstring_read(&s, &n, cases[i].json, strlen(cases[i].json), "line 1") != ENT_OK)
            fail_msg("%s: %s", cases[i].json, ent_message());
        assert_int_equal(n, cases[i].n);
        assert_memory_equal(s, cases[i].value, n + 1);
        free(s);
    }
}

static void faults_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *json, *message;
    } cases[] = {
        {"", "line 7: column 1: expected a JSON string"},
        {"12", "line 7: column 1: expected a JSON string"},
        {"\"a", "line 7: column 3: a string without an end"},
        {"\"a\" 1", "line 7: column 5: something follows the JSON string"},
        {"\"a\tb\"", "line 7: column 3: a control character inside a string"},
        {"\"\xff\"", "line 7: column 2: not UTF-8"},
        {"\"\xed\xa0\x80\"", "line 7: column 2: not UTF-8"},
        {"\"\\x\"", "line 7: column 2: unknown escape"},
        {"\"\\", "line 7: column 2: unknown escape"},
        {"\"\\u12g4\"", "line 7: column 2: expected \\u and four hexadecimal digits"},
        {"\"\\u12", "line 7: column 2: expected \\u and four hexadecimal digits"},
        {"\"\\ud800\"", "line 7: column 2: a surrogate without its other half"},
        {"\"\\ud800\\u0041\"", "line 7: column 2: a surrogate without its other half"},
        {"\"\\udc00\"", "line 7: column 2: a surrogate without its other half"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *s;
        size_t n;
        assert_int_equal(ent_jsonstring_read(&s, &n, cases[i].json, strlen(cases[i].json), "line 7"), ENT_EFORMAT);
        assert_string_equal(ent_message(), cases[i].message);
        assert_null(s);
    }
}

static void written_strings_read_back(void **state)
{
    (void)state;
    static const char value[] = "a\0b\"\\\b\f\n\r\t\x1f\x7f\xc3\xa9\xf0\x9f\x98\x80/\xc2\x85\xe2\x80\xa8\xe2\x80\xa7";
    ent_text text = {0};
    char *json, *back;
    size_t n;
    ent_jsonstring_put(&text, value, sizeof value - 1);
    assert_int_equal(ent_text_finish(&json, &text), ENT_OK);
    assert_string_equal(
        json, "\"a\\u0000b\\\"\\\\\\b\\f\\n\\r\\t\\u001f\x7f\xc3\xa9\xf0\x9f\x98\x80/\\u0085\\u2028\xe2\x80\xa7\"");
    assert_int_equal(ent_jsonstring_read(&back, &n, json, strlen(json), "here"), ENT_OK);
    assert_int_equal(n, sizeof value - 1);
    assert_memory_equal(back, value, n);
    free(json);
    free(back);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_are_read),
        cmocka_unit_test(faults_are_named),
        cmocka_unit_test(written_strings_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
