/* JSON reading and printing: what is read, what is refused and where, and that numbers come back exactly. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/json.h"

static ent_json *parse(const char *text)
{
    ent_json *json;
    if (ent_json_parse(&json, text, strlen(text), "t") != ENT_OK)
        fail_msg("%s: %s", text, ent_message());
    return json;
}

static void values_are_read(void **state)
{
    (void)state;
    ent_json *json = parse(" {\"s\": \"a\\u00e9\\n\", \"i\": -12, \"d\": 2.5e-3, \"t\": true, \"n\": null,\n"
                           "\"list\": [1, \"x\", {}], \"I\": 3}\r\n");
    const char *s;
    double d;
    int64_t i;
    bool b;
    assert_int_equal(ent_json_get_string(&s, json, "s", "t"), ENT_OK);
    assert_string_equal(s, "a\xc3\xa9\n");
    assert_int_equal(ent_json_get_int(&i, json, "i", "t"), ENT_OK);
    assert_int_equal(i, -12);
    assert_int_equal(ent_json_get_int(&i, json, "I", "t"), ENT_OK); /* case counts */
    assert_int_equal(i, 3);
    assert_int_equal(ent_json_get_double(&d, json, "d", "t"), ENT_OK);
    assert_true(d == 2.5e-3);
    assert_int_equal(ent_json_get_bool(&b, json, "t", "t"), ENT_OK);
    assert_true(b);
    assert_true(ent_json_is_null(ent_json_member(json, "n")) && ent_json_is_null(ent_json_member(json, "absent")));
    const ent_json *list = ent_json_member(json, "list");
    assert_int_equal(ent_json_count(list), 3);
    assert_string_equal(ent_json_string(ent_json_next(ent_json_first(list))), "x");
    assert_string_equal(ent_json_key(ent_json_next(ent_json_first(json))), "i");
    assert_null(ent_json_member(list, "s"));
    assert_null(ent_json_string(list));
    assert_true(isnan(ent_json_number(list)));
    assert_int_equal(ent_json_get_int_or(&i, json, "n", 7, "t"), ENT_OK);
    assert_int_equal(i, 7);
    assert_int_equal(ent_json_get_double_or(&d, json, "absent", 0.5, "t"), ENT_OK);
    assert_true(d == 0.5);
    assert_int_equal(ent_json_get_string_or(&s, json, "absent", NULL, "t"), ENT_OK);
    assert_null(s);
    assert_int_equal(ent_json_get_bool_or(&b, json, "absent", true, "t"), ENT_OK);
    assert_true(b);
    ent_json_free(json);
    ent_json_free(NULL);
}

static void wrong_types_are_named(void **state)
{
    (void)state;
    ent_json *json =
        parse("{\"half\": 0.5, \"s\": \"x\", \"big\": 9007199254740993, \"o\": {}, \"a\": [], \"t\": true}");
    int64_t i;
    bool b;
    const char *s;
    double d;
    assert_int_equal(ent_json_get_int(&i, json, "half", "f.json"), ENT_EFORMAT);
    assert_string_equal(ent_message(), "f.json: half: expected an integer, found 0.5");
    assert_int_equal(ent_json_get_int(&i, json, "big", "f.json"), ENT_EFORMAT);
    assert_int_equal(ent_json_get_int(&i, json, "s", "f.json"), ENT_EFORMAT);
    assert_string_equal(ent_message(), "f.json: s: expected an integer, found \"x\"");
    assert_int_equal(ent_json_get_bool(&b, json, "o", "f.json"), ENT_EFORMAT);
    assert_string_equal(ent_message(), "f.json: o: expected true or false, found an object");
    assert_int_equal(ent_json_get_double(&d, json, "a", "f.json"), ENT_EFORMAT);
    assert_string_equal(ent_message(), "f.json: a: expected a number, found an array");
    assert_int_equal(ent_json_get_string(&s, json, "none", "f.json"), ENT_EFORMAT);
    assert_string_equal(ent_message(), "f.json: none: expected a string, found nothing");
    assert_int_equal(ent_json_get_string(&s, json, "t", "f.json"), ENT_EFORMAT);
    assert_int_equal(ent_json_get_int_or(&i, json, "s", 1, "f.json"), ENT_EFORMAT);
    assert_int_equal(ent_json_get_int_or(&i, ent_json_member(json, "a"), "k", 1, "f.json"), ENT_EFORMAT);
    ent_json_free(json);
}

static void bad_text_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message; /* message NULL: any */
    } cases[] = {
        {"", "t: line 1 column 1: expected a JSON value, found nothing"},
        {" \n ", "t: line 2 column 1: expected a JSON value, found nothing"},
        {"{\"a\":1} x", "t: line 1 column 9: something follows the JSON value"},
        {"{}\n{}", "t: line 2 column 1: something follows the JSON value"},
        {"{\"a\":\n  trX}", "t: line 2 column 5: invalid token near 'trX'"},
        {"{\"a\":1", "t: line 1 column 6: the text ends too early"},
        {"[1,", "t: line 1 column 3: the text ends too early"},
        {"[\n\"abc", "t: line 2 column 4: the text ends too early"},
        {"tru\n", "t: line 1 column 3: invalid token near 'tru', at the end of the text"},
        {"[1,]", NULL},
        {"{\"a\" 1}", "t: line 1 column 6: ':' expected near '1'"},
        {"{a:1}", NULL},
        {"]", NULL},
        {"[\"abc\\", NULL},
        {"[\"\\x\"]", "t: line 1 column 4: invalid escape near '\"\\x'"},
        {"[\"\\ud800\"]", NULL},
        {"[\"\\ude00\\ud800\"]", NULL},
        {"[\"a\\u0000b\"]", "t: line 1 column 11: \\u0000 in a string is not supported"},
        {"{\"\\u0000\":1}", "t: line 1 column 9: \\u0000 in a string is not supported"},
        {"[\"a\nb\"]", "t: line 1 column 3: unexpected newline near '\"a'"},
        {"[\"a\tb\"]", NULL},
        {"[\"\xff\"]", "t: line 1 column 3: not UTF-8"},
        {"[\"\xed\xa0\x80\"]", NULL},
        {"[\"\xc0\x80\"]", NULL},
        {"[\"\xc3", NULL},
        {"\xff", "t: line 1 column 1: not UTF-8"},
        {"[01]", NULL},
        {"[1.]", NULL},
        {"[.5]", NULL},
        {"[-]", NULL},
        {"[1e]", NULL},
        {"[+1]", NULL},
        {"[0x10]", NULL},
        {"[1e400]", "t: line 1 column 6: number too large"},
        {"[-1e400]", NULL},
        {"[NaN]", NULL},
        {"[Infinity]", NULL},
        {"[1\x01]", "t: line 1 column 3: ']' expected near '?'"},
        {"[1\x7f]", "t: line 1 column 3: ']' expected near '?'"},
        {"\xef\xbb\xbf\xef\xbb\xbf{}", NULL},
    };
    ent_json *json;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (ent_json_parse(&json, cases[i].text, strlen(cases[i].text), "t") != ENT_EFORMAT)
            fail_msg("case %zu is taken: %s", i, cases[i].text);
        assert_null(json);
        assert_memory_equal(ent_message(), "t: line ", 8);
        assert_null(strpbrk(ent_message(), "\n\x01\x7f"));
        if (cases[i].message)
            assert_string_equal(ent_message(), cases[i].message);
    }
    json = parse("\"\\\\u0000\""); /* a backslash, then letters */
    assert_string_equal(ent_json_string(json), "\\u0000");
    ent_json_free(json);
    json = parse("\xef\xbb\xbf{}"); /* a byte order mark */
    assert_true(ent_json_is_object(json));
    ent_json_free(json);
}

/* A zero byte anywhere: no value may end before it, and none go on behind it. */
static void zero_bytes_are_refused(void **state)
{
    (void)state;
    static const char good[] = " {\"a\": [1, true, \"x\"]}\n";
    for (size_t i = 0; i < sizeof good; i++) {
        char bad[sizeof good], message[80];
        ent_json *json;
        memcpy(bad, good, i);
        bad[i] = 0;
        memcpy(bad + i + 1, good + i, sizeof good - 1 - i);
        assert_int_equal(ent_json_parse(&json, bad, sizeof bad, "t"), ENT_EFORMAT);
        assert_null(json);
        const bool last = i == sizeof good - 1; /* on the line behind the line's end */
        snprintf(message, sizeof message, "t: line %d column %zu: control character", last ? 2 : 1, last ? 1 : i + 1);
        assert_string_equal(ent_message(), message);
    }
}

/* In every object, whatever the values; named as they are written, also where they are long or hold escapes. */
static void keys_that_stand_twice_are_refused(void **state)
{
    (void)state;
#define LONG "a_key_that_is_longer_than_what_a_message_has_room_for_or_than_"
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"{\"a\":1,\"b\":2,\n \"a\":3}", "t: line 2 column 4: \"a\" stands twice in its object"},
        {"{\"a\":1,\"a\":1}", "t: line 1 column 10: \"a\" stands twice in its object"},
        {"[{\"o\":{\"max_position_embeddings\":1,\"max_position_embeddings\":null}}]",
         "t: line 1 column 60: \"max_position_embeddings\" stands twice in its object"},
        {"{\"\":1,\"\":2}", "t: line 1 column 8: \"\" stands twice in its object"},
        {"{\"a\":1,\"\\u0061\":2}", "t: line 1 column 15: \"\\u0061\" stands twice in its object"},
        {"{\"q\\\"\\\\\":1,\"q\\\"\\\\\":2}", "t: line 1 column 18: \"q\\\"\\\\\" stands twice in its object"},
        {"{\"\\\\\\\"\":1,\"\\\\\\\"\":2}", "t: line 1 column 16: \"\\\\\\\"\" stands twice in its object"},
        {"{\"\\\\\":\"\\\\\",\"\\\\\":2}", "t: line 1 column 15: \"\\\\\" stands twice in its object"},
        {"{\"" LONG "\":1,\"" LONG "\":2}",
         "t: line 1 column 132: \"a_key_that_is_longer_than_what_a_message_has_room_for_or_th stands twice in its "
         "object"},
    };
#undef LONG
    ent_json *json;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(ent_json_parse(&json, cases[i].text, strlen(cases[i].text), "t"), ENT_EFORMAT);
        assert_null(json);
        assert_string_equal(ent_message(), cases[i].message);
    }
    json = parse("[{\"a\":{\"a\":[{\"a\":1}]},\"A\":2},{\"a\":3}]"); /* not in the same object, or not the same */
    ent_json_free(json);
}

/* Members and elements keep the order of the text, and are all there. */
static void order_is_kept(void **state)
{
    (void)state;
    enum { N = 1000 };
    char text[30 * N], *to = text, key[20];
    to += sprintf(to, "{");
    for (int i = 0; i < N; i++)
        to += sprintf(to, "%s\"k%d\":[%d,\"%d\",{}]", i ? "," : "", i * 7919 % N, i, -i);
    sprintf(to, "}");
    ent_json *json = parse(text);
    assert_int_equal(ent_json_count(json), N);
    int i = 0;
    for (const ent_json *item = ent_json_first(json); item; item = ent_json_next(item), i++) {
        sprintf(key, "k%d", i * 7919 % N);
        assert_string_equal(ent_json_key(item), key);
        assert_ptr_equal(ent_json_member(json, key), item);
        assert_int_equal(ent_json_count(item), 3);
        const ent_json *first = ent_json_first(item);
        assert_true(ent_json_number(first) == i);
        assert_null(ent_json_key(first));
        sprintf(key, "%d", -i);
        assert_string_equal(ent_json_string(ent_json_next(first)), key);
        assert_true(ent_json_is_object(ent_json_next(ent_json_next(first))));
    }
    assert_int_equal(i, N);
    ent_json_free(json);
}

/* Integers of any length are numbers, the nearest double; they are integers within 2^53. */
static void numbers_are_doubles(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double value;
        bool integer;
    } cases[] = {
        {"0", 0, true},
        {"-0", -0.0, true},
        {"9007199254740991", 9007199254740991.0, true},
        {"-9007199254740991", -9007199254740991.0, true},
        {"9007199254740992", 9007199254740992.0, false},
        {"9007199254740993", 9007199254740992.0, false},
        {"9223372036854775807", 0x1p63, false},
        {"18446744073709551616", 0x1p64, false},
        {"-123456789012345678901234567890", -123456789012345678901234567890.0, false},
        {"1000000000000000000000000000000000000000000000000000000000000000000000", 1e69, false},
        {"1e2", 100, true},
        {"2.50", 2.5, false},
        {"0.30000000000000004440892098500626161694526672363281250000000000000000", 0.30000000000000004, false},
        {"1.7976931348623157e308", DBL_MAX, false},
        {"4.9e-324", 5e-324, false},
        {"1E-400", 0, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[100];
        int64_t integer;
        snprintf(text, sizeof text, "{\"x\":%s}", cases[i].text);
        ent_json *json = parse(text);
        const double x = ent_json_number(ent_json_member(json, "x"));
        assert_memory_equal(&x, &cases[i].value, sizeof x); /* the sign of zero, too */
        assert_int_equal(ent_json_get_int(&integer, json, "x", "t"), cases[i].integer ? ENT_OK : ENT_EFORMAT);
        if (cases[i].integer)
            assert_true((double)integer == x);
        ent_json_free(json);
    }
}

static void depth_is_limited(void **state)
{
    (void)state;
    ent_json *json;
    char text[800];
    for (size_t depth = 63; depth < 67; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        assert_int_equal(ent_json_parse(&json, text, 2 * depth, "t"), depth <= 64 ? ENT_OK : ENT_EFORMAT);
        assert_true((json != NULL) == (depth <= 64));
        ent_json_free(json);
        char *to = text;
        for (size_t i = 0; i < depth; i++)
            to += sprintf(to, "{\"k\":");
        to += sprintf(to, "7");
        memset(to, '}', depth);
        const size_t n = (size_t)(to - text) + depth;
        assert_int_equal(ent_json_parse(&json, text, n, "t"), depth <= 64 ? ENT_OK : ENT_EFORMAT);
        if (depth > 64)
            assert_string_equal(ent_message(), "t: nested more than 64 deep");
        const ent_json *inner = json;
        for (size_t i = 0; json && i < depth; i++)
            inner = ent_json_member(inner, "k");
        assert_true(json == NULL || ent_json_number(inner) == 7);
        ent_json_free(json);
    }
    char *deep;
    assert_non_null(deep = malloc(1 << 20));
    memset(deep, '[', 1 << 20);
    assert_int_equal(ent_json_parse(&json, deep, 1 << 20, "t"), ENT_EFORMAT);
    assert_non_null(strstr(ent_message(), "nested more than 64 deep"));
    free(deep);
}

/* Every way to cut or flip a byte of a document: it is read or refused, and nothing breaks (run with the sanitizers).
 */
static void damage_is_harmless(void **state)
{
    (void)state;
    static const char good[] = "{\"a\": [1, -2.5e-3, \"x\\u00e9\\n\xc3\xa9\"], \"b\": {\"c\": null, \"d\": true}}";
    char bad[sizeof good];
    for (size_t i = 0; i < sizeof good; i++)
        for (int c = 0; c < 256; c++) {
            char *exact = malloc(sizeof good - 1), *printed; /* no terminator, so that reading beyond is found */
            memcpy(bad, good, sizeof good);
            bad[i] = (char)c;
            memcpy(exact, bad, sizeof good - 1);
            const size_t n = c == 0 ? i : sizeof good - 1;
            ent_json *json;
            if (ent_json_parse(&json, exact, n, "t") == ENT_OK) {
                assert_int_equal(ent_json_print(&printed, json, false), ENT_OK);
                free(printed);
            }
            ent_json_free(json);
            free(exact);
        }
}

static void printing_reads_back(void **state)
{
    (void)state;
    ent_json *json = ent_json_new_object(), *back;
    static const double numbers[] = {0.1,      1.0 / 3, 1e-4, 1e300,   5e-324,    DBL_MAX, -0.0,
                                     1e15,     0x1p53,  1e22, 123.456, 0.1 + 0.2, 1e-7,    3.0000000000000004,
                                     1 - 1e-16};
    const size_t n = sizeof numbers / sizeof *numbers;
    ent_json *list = ent_json_add_array(json, "numbers");
    for (size_t i = 0; i < n; i++)
        ent_json_add_double(list, NULL, numbers[i]);
    ent_json_add_string(json, "text", "q\" b\\ t\t n\n e\xc3\xa9 \x01 \x7f");
    ent_json_add_int(ent_json_add_object(json, "o"), "max", INT64_MAX);
    ent_json_add_int(json, "min", INT64_MIN);
    char *text, *again;
    for (int indented = 0; indented < 2; indented++) {
        assert_int_equal(ent_json_print(&text, json, indented), ENT_OK);
        assert_int_equal(ent_json_parse(&back, text, strlen(text), "t"), ENT_OK);
        const ent_json *item = ent_json_first(ent_json_member(back, "numbers"));
        for (size_t i = 0; i < n; i++, item = ent_json_next(item)) {
            const double x = ent_json_number(item);
            assert_memory_equal(&x, &numbers[i], sizeof x);
        }
        assert_string_equal(ent_json_string(ent_json_member(back, "text")),
                            ent_json_string(ent_json_member(json, "text")));
        assert_non_null(strstr(text, "9223372036854775807"));
        assert_non_null(strstr(text, "-9223372036854775808"));
        assert_int_equal(ent_json_print(&again, json, indented), ENT_OK);
        assert_string_equal(text, again);
        free(text);
        free(again);
        ent_json_free(back);
    }
    ent_json_free(json);
}

static void printing_looks_so(void **state)
{
    (void)state;
    char *text;
    ent_json *json = ent_json_new_object();
    ent_json_add_int(json, "i", 42);
    ent_json_add_double(json, "lr", 1e-4);
    ent_json_add_double(json, "nan", (double)NAN);
    ent_json_add_bool(json, "t", true);
    ent_json_add_null(json, "n");
    ent_json *list = ent_json_add_array(json, "list");
    ent_json_add_int(list, NULL, 1);
    ent_json_add_string(list, NULL, "a\xff");
    ent_json_add_array(json, "none");
    assert_int_equal(ent_json_print(&text, json, false), ENT_OK);
    assert_string_equal(text,
                        "{\"i\":42,\"lr\":0.0001,\"nan\":null,\"t\":true,\"n\":null,\"list\":[1,\"a\xef\xbf\xbd\"],"
                        "\"none\":[]}");
    free(text);
    assert_int_equal(ent_json_print(&text, list, true), ENT_OK);
    assert_string_equal(text, "[\n  1,\n  \"a\xef\xbf\xbd\"\n]\n");
    free(text);
    ent_json_free(json);
    assert_null(ent_json_add_int(NULL, "x", 1)); /* as if memory had run out on the way */
    assert_int_equal(ent_json_print(&text, NULL, false), ENT_ENOMEM);
}

static void files_are_read(void **state)
{
    (void)state;
    ent_json *json;
    assert_int_equal(ent_json_read_file(&json, "/nowhere/x.json"), ENT_EIO);
    assert_string_equal(ent_message(), "/nowhere/x.json: No such file or directory");
    assert_int_equal(ent_json_read_file(&json, "/"), ENT_EIO);
    assert_string_equal(ent_message(), "/: Is a directory");
    char path[] = "/tmp/entrenar-json-XXXXXX";
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "{\"a\":\n1.5.2}", 12), 12);
    close(fd);
    assert_int_equal(ent_json_read_file(&json, path), ENT_EFORMAT);
    assert_memory_equal(ent_message(), path, strlen(path));
    assert_non_null(strstr(ent_message(), ": line 2 column 4: '}' expected near '.'"));
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_read),
        cmocka_unit_test(wrong_types_are_named),
        cmocka_unit_test(bad_text_is_refused),
        cmocka_unit_test(zero_bytes_are_refused),
        cmocka_unit_test(keys_that_stand_twice_are_refused),
        cmocka_unit_test(order_is_kept),
        cmocka_unit_test(numbers_are_doubles),
        cmocka_unit_test(depth_is_limited),
        cmocka_unit_test(damage_is_harmless),
        cmocka_unit_test(printing_reads_back),
        cmocka_unit_test(printing_looks_so),
        cmocka_unit_test(files_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
