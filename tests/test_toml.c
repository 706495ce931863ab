/* TOML: trees with lines, strings and numbers as Python's tomllib reads them, and what is refused. */
#include "tests/file_helpers.h"

#include "io/toml.h"

static ent_toml *parse(const char *text)
{
    ent_toml *root;
    if (ent_toml_parse(&root, text, strlen(text), "t.toml") != ENT_OK)
        fail_msg("%s\n%s", ent_message(), text);
    return root;
}

static const ent_toml *member(const ent_toml *table, const char *key)
{
    const ent_toml *found = ent_toml_member(table, key);
    if (found == NULL)
        fail_msg("no member %s", key);
    return found;
}

static void trees_know_their_lines(void **state)
{
    (void)state;
    ent_toml *root = parse("# comment\n\nname = \"a\" # why\r\n"
                           "[ table ]\nname = 'b'\n\t\"two words\"=1\n'' = 2\n"
                           "[[list]]\nname = 'c'\n[other]#c\n[[list]]\n\n[[\"list\"]] \nname='d'\n1-2_x = true");
    assert_int_equal(root->kind, ENT_TOML_TABLE);
    assert_null(root->key);
    assert_null(root->next);
    const ent_toml *table = member(root, "table"), *list = member(root, "list"), *other = member(root, "other");
    assert_true(root->last == other && root->first == member(root, "name"));
    assert_string_equal(member(root, "name")->text, "a");
    assert_int_equal(member(root, "name")->line, 3);
    assert_int_equal(table->kind, ENT_TOML_TABLE);
    assert_int_equal(table->line, 4);
    assert_string_equal(member(table, "name")->text, "b");
    assert_true(member(table, "name")->parent == table && table->parent == root);
    assert_int_equal(member(table, "two words")->integer, 1);
    assert_int_equal(member(table, "two words")->line, 6);
    assert_int_equal(member(table, "")->integer, 2);
    assert_null(ent_toml_member(table, "two"));
    assert_null(other->first);
    assert_int_equal(list->kind, ENT_TOML_TABLES);
    assert_int_equal(list->line, 8);
    assert_null(ent_toml_member(list, "name"));
    const ent_toml *first = list->first, *second = first->next, *third = second->next;
    assert_true(third == list->last && third->next == NULL);
    assert_string_equal(member(first, "name")->text, "c");
    assert_int_equal(second->line, 11);
    assert_null(second->first);
    assert_int_equal(third->line, 13);
    assert_string_equal(member(third, "name")->text, "d");
    assert_true(member(third, "1-2_x")->truth);
    assert_int_equal(member(third, "1-2_x")->line, 15);
    ent_toml_free(root);
    static const char *const empty[] = {"", "\n", "#", "# c\r\n\t \n", " "};
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) {
        root = parse(empty[i]);
        assert_null(root->first);
        ent_toml_free(root);
    }
    const char *path = in_folder(scratch("toml"), "a.toml");
    put_file(path, "a = 1\na = 2\n", 12);
    assert_fails(ent_toml_read_file(&root, path), ENT_EFORMAT,
                 "a.toml:2: a stands here for the second time, first in line 1");
    put_file(path, "a = 1\n", 6);
    assert_ok(ent_toml_read_file(&root, path));
    assert_int_equal(member(root, "a")->integer, 1);
    ent_toml_free(root);
    assert_fails(ent_toml_read_file(&root, "nowhere.toml"), ENT_EIO, "nowhere.toml: No such file or directory");
    assert_null(root);
}

/* Bytes by Python: tomllib.loads('a = ...')['a'].encode() */
static void strings_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *toml, *text;
    } cases[] = {
        {"\"\"", ""},
        {"''", ""},
        {"\"a\\b\\t\\n\\f\\r\\\"\\\\z\"", "a\b\t\n\f\r\"\\z"},
        {"'a\\n\"\\'", "a\\n\"\\"},
        {"\"it's # no comment\"", "it's # no comment"},
        {"\"tab\there\"", "tab\there"},
        {"\"\\u007f\\u0080\\u07ff\"", "\x7f\xc2\x80\xdf\xbf"},
        {"\"\\u0800\\uD7FF\\ue000\\uffff\"", "\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf"},
        {"\"\\U00010000\\U0010fFfF\\U00000041\"", "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\x41"},
        {"\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
        {"'\xc3\xa9'", "\xc3\xa9"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[300];
        snprintf(text, sizeof text, "a = %s # c\n%s = 1\n", cases[i].toml, cases[i].toml);
        ent_toml *root = parse(text);
        assert_int_equal(root->first->kind, ENT_TOML_STRING);
        assert_string_equal(root->first->text, cases[i].text);
        assert_string_equal(root->last->key, cases[i].text); /* keys in quotes are the same strings */
        ent_toml_free(root);
    }
}

static void scalars_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *toml;
        ent_toml_kind kind;
        double number;
    } cases[] = {
        {"0", ENT_TOML_INT, 0},
        {"+0", ENT_TOML_INT, 0},
        {"-0", ENT_TOML_INT, 0},
        {"+17", ENT_TOML_INT, 17},
        {"-1_000_0", ENT_TOML_INT, -10000},
        {"1.5", ENT_TOML_FLOAT, 1.5},
        {"-0.0_1", ENT_TOML_FLOAT, -0.01},
        {"1e3", ENT_TOML_FLOAT, 1000},
        {"1_0E+0_2", ENT_TOML_FLOAT, 1000},
        {"6.25e-1", ENT_TOML_FLOAT, 0.625},
        {"true", ENT_TOML_BOOL, 1},
        {"false", ENT_TOML_BOOL, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[100];
        snprintf(text, sizeof text, "a =%s", cases[i].toml);
        ent_toml *root = parse(text);
        const ent_toml *a = root->first;
        assert_int_equal(a->kind, cases[i].kind);
        if (a->kind == ENT_TOML_BOOL)
            assert_int_equal(a->truth, cases[i].number != 0);
        else
            assert_true(a->number == cases[i].number && strcmp(a->text, cases[i].toml) == 0);
        if (a->kind == ENT_TOML_INT)
            assert_true((double)a->integer == cases[i].number);
        ent_toml_free(root);
    }
    ent_toml *root = parse("a = 9_223_372_036_854_775_807\nb = -9223372036854775808");
    assert_true(root->first->integer == INT64_MAX && root->last->integer == INT64_MIN);
    ent_toml_free(root);
}

static void other_toml_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        ent_status st;
        const char *message;
    } cases[] = {
        {"a = 1\n\na = 2", ENT_EFORMAT, "t:3: a stands here for the second time, first in line 1"},
        {"\"a\" = 1\n'a' = 2", ENT_EFORMAT, "t:2: a stands here for the second time, first in line 1"},
        {"\"\\u0061\" = 1\na = 2", ENT_EFORMAT, "t:2: a stands"},
        {"[a]\n[b]\n[a]", ENT_EFORMAT, "t:3: a stands here for the second time, first in line 1"},
        {"[a]\n[[a]]", ENT_EFORMAT, "t:2: a stands here for the second time, first in line 1"},
        {"[[a]]\n[a]", ENT_EFORMAT, "t:2: a stands here for the second time, first in line 1"},
        {"a = 1\n[[a]]", ENT_EFORMAT, "t:2: a stands here for the second time, first in line 1"},
        {"a = 1\n[a]", ENT_EFORMAT, "t:2: a stands here for the second time, first in line 1"},
        {"[[a]]\nx = 1\nx = 1", ENT_EFORMAT, "t:3: x stands here for the second time, first in line 2"},
        {"a.b = 1", ENT_EUNSUPPORTED, "t:1: dotted keys are not supported"},
        {"a . \"b\" = 1", ENT_EUNSUPPORTED, "t:1: dotted keys are not supported"},
        {"[a.b]", ENT_EUNSUPPORTED, "t:1: dotted keys are not supported"},
        {"\na = [1]", ENT_EUNSUPPORTED, "t:2: arrays are not supported"},
        {"a = {b = 1}", ENT_EUNSUPPORTED, "t:1: inline tables are not supported"},
        {"a = \"\"\"\nx\"\"\"", ENT_EUNSUPPORTED, "t:1: multi-line strings are not supported"},
        {"a = '''x'''", ENT_EUNSUPPORTED, "t:1: multi-line strings are not supported"},
        {"a = 0x1f", ENT_EUNSUPPORTED, "t:1: a: hexadecimal, octal and binary numbers are not supported"},
        {"a = 0o7", ENT_EUNSUPPORTED, "t:1: a: hexadecimal, octal and binary numbers are not supported"},
        {"a = 0b1", ENT_EUNSUPPORTED, "t:1: a: hexadecimal, octal and binary numbers are not supported"},
        {"a = 1979-05-27", ENT_EUNSUPPORTED, "t:1: a: dates and times are not supported"},
        {"a = 1979-05-27 07:32:00Z", ENT_EUNSUPPORTED, "t:1: a: dates and times are not supported"},
        {"a = 07:32:00", ENT_EUNSUPPORTED, "t:1: a: dates and times are not supported"},
        {"a = -inf", ENT_EUNSUPPORTED, "t:1: a: inf and nan are not supported"},
        {"a = nan", ENT_EUNSUPPORTED, "t:1: a: inf and nan are not supported"},
        {"a = \"\\u0000\"", ENT_EUNSUPPORTED, "t:1: U+0000 in a string is not supported"},
        {"a = 9223372036854775808", ENT_EFORMAT, "t:1: a: 9223372036854775808 is out of range"},
        {"a = 1e999", ENT_EFORMAT, "t:1: a: 1e999 is out of range"},
        {"a = 007", ENT_EFORMAT, "t:1: a: expected a value, found 007"},
        {"a = 1__0", ENT_EFORMAT, "t:1: a: expected a value, found 1__0"},
        {"a = _1", ENT_EFORMAT, "t:1: a: expected a value, found _1"},
        {"a = 1_", ENT_EFORMAT, "t:1: a: expected a value, found 1_"},
        {"a = 1.", ENT_EFORMAT, "t:1: a: expected a value, found 1."},
        {"a = .5", ENT_EFORMAT, "t:1: a: expected a value, found .5"},
        {"a = 1e", ENT_EFORMAT, "t:1: a: expected a value, found 1e"},
        {"a = +-1", ENT_EFORMAT, "t:1: a: expected a value, found +-1"},
        {"a = True", ENT_EFORMAT, "t:1: a: expected a value, found True"},
        {"a = yes", ENT_EFORMAT, "t:1: a: expected a value, found yes"},
        {"a = # none", ENT_EFORMAT, "t:1: expected a value, found # none"},
        {"a =\n1", ENT_EFORMAT, "t:1: expected a value, found the end of the line"},
        {"a", ENT_EFORMAT, "t:1: expected =, found the end of the line"},
        {"a b = 1", ENT_EFORMAT, "t:1: expected =, found b = 1"},
        {"= 1", ENT_EFORMAT, "t:1: expected a key, found = 1"},
        {"a = 1 b = 2", ENT_EFORMAT, "t:1: expected the end of the line, found b = 2"},
        {"a = \"x\" y", ENT_EFORMAT, "t:1: expected the end of the line, found y"},
        {"[a] b = 1", ENT_EFORMAT, "t:1: expected the end of the line, found b = 1"},
        {"[a", ENT_EFORMAT, "t:1: expected ], found the end of the line"},
        {"[[a]", ENT_EFORMAT, "t:1: expected ]], found ]"},
        {"[ [a]]", ENT_EFORMAT, "t:1: expected a key, found [a]]"},
        {"[[a] ]", ENT_EFORMAT, "t:1: expected ]], found ] ]"},
        {"[]", ENT_EFORMAT, "t:1: expected a key, found ]"},
        {"a = \"x", ENT_EFORMAT, "t:1: a string that is not closed: no \" follows on the line"},
        {"a = 'x\n'", ENT_EFORMAT, "t:1: a string that is not closed: no ' follows on the line"},
        {"a = \"\\q\"", ENT_EFORMAT, "t:1: unknown escape \\q in a string"},
        {"a = \"\\", ENT_EFORMAT, "t:1: unknown escape \\ in a string"},
        {"a = \"\\u12\"", ENT_EFORMAT, "t:1: expected 4 hexadecimal digits after \\u"},
        {"a = \"\\U0012345\"", ENT_EFORMAT, "t:1: expected 8 hexadecimal digits after \\U"},
        {"a = \"\\ud800\"", ENT_EFORMAT, "t:1: U+D800 is not a character"},
        {"a = \"\\U00110000\"", ENT_EFORMAT, "t:1: U+110000 is not a character"},
        {"a = \"\\UFFFFFFFF\"", ENT_EFORMAT, "t:1: U+FFFFFFFF is not a character"},
        {"a = 1\rb = 2", ENT_EFORMAT, "t:1: a control character (0x0d)"},
        {"\n# \x01", ENT_EFORMAT, "t:2: a control character (0x01)"},
        {"a = '\x7f'", ENT_EFORMAT, "t:1: a control character (0x7f)"},
        {"\n\na = '\xff'", ENT_EFORMAT, "t:3: not UTF-8"},
        {"\xc3\xa9 = 1", ENT_EFORMAT, "t:1: expected a key, found \xc3\xa9 = 1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ent_toml *root;
        const ent_status st = ent_toml_parse(&root, cases[i].text, strlen(cases[i].text), "t");
        if (st != cases[i].st || strncmp(ent_message(), cases[i].message, strlen(cases[i].message)) != 0)
            fail_msg("%s\ngives status %d: %s\nexpected    %s", cases[i].text, st, ent_message(), cases[i].message);
        assert_null(root);
    }
    ent_toml *root;
    assert_fails(ent_toml_parse(&root, "a = 'x\0y'", 9, "t"), ENT_EFORMAT, "t:1: a control character (0x00)");
}

/* Very many keys take no more than time in proportion. */
static void large_files_are_read(void **state)
{
    (void)state;
    ent_text text = {0};
    for (int i = 0; i < 5000; i++)
        ent_text_printf(&text, "[[l]]\nk%d = %d\n[t%d]\n", i, i, i);
    ent_toml *root;
    assert_ok(ent_toml_parse(&root, text.data, text.n, "t"));
    assert_int_equal(root->first->last->first->integer, 4999);
    ent_toml_free(root);
    ent_text_put(&text, "[t7]");
    assert_fails(ent_toml_parse(&root, text.data, text.n, "t"), ENT_EFORMAT,
                 "t:15001: t7 stands here for the second time, first in line 24");
    free(text.data);
}

/* Every way to change one byte: read or refused, and nothing breaks (run with the sanitizers). */
static void damage_is_harmless(void **state)
{
    (void)state;
    static const char good[] = "a = \"x\\u00e9\"#\n[[l]]\r\nb='y'\nc = -1_0.5e+1\n[\"t\"]\nd = true";
    for (size_t i = 0; i < sizeof good - 1; i++)
        for (int c = 0; c < 256; c++) {
            char *bad = malloc(sizeof good - 1); /* no zero follows */
            memcpy(bad, good, sizeof good - 1);
            bad[i] = (char)c;
            ent_toml *root;
            if (ent_toml_parse(&root, bad, c == 0 ? i : sizeof good - 1, "t") != ENT_OK) {
                assert_null(root);
                assert_memory_equal(ent_message(), "t:", 2);
            }
            ent_toml_free(root);
            free(bad);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trees_know_their_lines), cmocka_unit_test(strings_are_read),
        cmocka_unit_test(scalars_are_read),       cmocka_unit_test(other_toml_is_refused),
        cmocka_unit_test(large_files_are_read),   cmocka_unit_test(damage_is_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
