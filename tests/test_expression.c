/* Expressions over a trace: values, precedence, the values that are shown, and every fault with its column. */
#include "tests/trace_helpers.h"

#include "trace/expression.h"

/* 17 writes of 10 bytes, 3 reads of 4096, 1 failed open; 2 threads, 1 process. */
static ent_trace sample(void)
{
    ent_trace t = new_trace("t.json");
    for (int i = 0; i < 17; i++)
        add_call(&t, "write", 1, 1, 10)->size = 10;
    for (int i = 0; i < 3; i++)
        add_call(&t, "read", 1, 2, 4096)->size = 4096;
    add_call(&t, "openat", 1, 1, -2)->error = "ENOENT";
    with_arg(with_arg(add_call(&t, "mmap", 1, 1, 4096), "length", "65536"), "flags", "MAP_ANONYMOUS");
    add_process(&t, (ent_trace_process){.pid = 1, .program = "x", .max_rss_kb = 2048});
    t.total_time_us = 12345;
    t.syscall_time_us = 2500;
    t.exit_code = 3;
    return t;
}

static ent_status evaluate(bool *holds, char **values, const char *text, const ent_trace *trace)
{
    ent_expression *e;
    ent_measure m = {0};
    ent_text shown = {0};
    ent_status st;
    *holds = false;
    *values = NULL;
    ENT_TRY(ent_expression_read(&e, text, "t"));
    assert_string_equal(ent_expression_text(e), text);
    assert_ok(ent_measure_trace(&m, trace));
    st = ent_expression_evaluate(holds, &shown, e, &m);
    assert_ok(st == ENT_OK ? ent_text_finish(values, &shown) : ENT_OK);
    free(shown.data);
    ent_measure_clear(&m);
    ent_expression_free(e);
    return st;
}

static void expressions_are_true_or_false(void **state)
{
    (void)state;
    static const struct {
        bool holds;
        const char *text;
    } cases[] = {
        {true, "calls == 22"},
        {true, "errors == 1 and calls('openat') == 1"},
        {true, "bytes_read == 12 KiB && bytes_written == 170"},
        {true, "allocated == 64KiB"},
        {true, "max_rss == 2 MiB"},
        {true, "wall_ms == 12.345"},
        {true, "syscall_ms == 2.5"},
        {true, "threads == 2 and processes == 1 and exit_code == 3"},
        {true, "calls(\"write\") == 17"},
        {true, "calls(\"writ\") == 0"},
        {true, "calls(\"write|read\") == 20"},
        {true, "errors(\".*\") == 1 and errors('read') == 0"},
        {true, "bytes('read|write') == 12458"},
        {true, "time_ms('write') == 0.017"},
        {true, "1 GiB == 1024 MiB and 1MiB == 1024 * 1024"},
        {true, "1e6 == 1000000 and 1.5e-1 == 0.15"},
        {true, "1 + 2 * 3 == 7 and (1 + 2) * 3 == 9"},
        {true, "10 - 4 - 3 == 3 and 24 / 4 / 2 == 3"},
        {true, "-2 * -3 == 6 and - - 2 == 2 and 1 - -1 == 2 and -2 < -1"},
        {true, "1 < 2 or 1 < 0 and 1 < 0"},
        {false, "(1 < 2 or 1 < 0) and 1 < 0"},
        {true, "not 1 > 2"},
        {true, "not 1 > 2 and 1 < 2"},
        {false, "not (1 > 2 or 1 < 2)"},
        {true, "!1 > 2 || 1 > 2"},
        {true, "not not 1 < 2"},
        {false, "! ! (1 > 2)"},
        {true, "((calls)) > ((0))"},
        {true, "1<2and 2<3"},
        {true, "\tcalls\t!=\t21 "},
        {false, "calls < 22"},
        {true, "calls <= 22"},
        {false, "calls > 22"},
        {true, "calls >= 22"},
        {false, "calls != 22"},
        {false, "calls == 21"},
        {true, "calls < 23"},
        {true, "calls > 21"},
        {false, "calls <= 21.999"},
        {true, "calls == 22 or 1 / 0 == 1"}, /* decided before */
        {false, "calls == 21 and 1 / 0 == 1"},
        {true, "threads > 0 and calls / threads == 11"},
    };
    ent_trace t = sample();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool holds;
        char *values;
        if (evaluate(&holds, &values, cases[i].text, &t) != ENT_OK || holds != cases[i].holds)
            fail_msg("%s: expected %s: %s", cases[i].text, cases[i].holds ? "true" : "false", ent_message());
        free(values);
    }
    ent_trace_clear(&t);
}

static void values_are_shown(void **state)
{
    (void)state;
    static const struct {
        const char *text, *values;
    } cases[] = {
        {"calls(\"write\") <= 3", "calls(\"write\") is 17"},
        {"bytes_written / calls( 'write' ) >= 4 KiB", "bytes_written is 170, calls(\"write\") is 17"},
        {"calls > calls - 1 and calls('read') < calls(\"read\")", "calls is 22, calls(\"read\") is 3"},
        {"calls('read') + calls('write') > 99 or errors > 0",
         "calls(\"read\") is 3, calls(\"write\") is 17, errors is 1"},
        {"wall_ms < 12.345", "wall_ms is 12.345"},
        {"calls > 0 or threads > 0", "calls is 22"},
        {"calls('\"') > 0", "calls('\"') is 0"},
        {"1 > 2", ""},
    };
    ent_trace t = sample();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool holds;
        char *values;
        assert_ok(evaluate(&holds, &values, cases[i].text, &t));
        assert_string_equal(values, cases[i].values);
        free(values);
    }
    ent_trace_clear(&t);
}

static void faults_have_columns(void **state)
{
    (void)state;
    static const char names[] = "; there are calls, errors, bytes_read, bytes_written, allocated, max_rss, wall_ms, "
                                "syscall_ms, threads, processes, exit_code";
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "column 1: expected a number, a name or (, found the end"},
        {"calls", "column 1: a number, not true or false; expected a comparison, as calls <= 20"},
        {"  (1 + 2)", "column 3: a number, not true or false; expected a comparison"},
        {"calls <", "column 8: expected a number, a name or (, found the end"},
        {"calls < 3 3", "column 11: expected an operator or the end, found 3"},
        {"calls < 3)", "column 10: expected an operator or the end, found )"},
        {"(calls < 3", "column 11: expected an operator or ), found the end"},
        {"(calls < 3 4", "column 12: expected an operator or ), found 4"},
        {"< 3", "column 1: expected a number, a name or (, found <"},
        {"calls and 1 < 2", "column 1: and needs truth values, found a number: calls"},
        {"1 < 2 and calls + 1", "column 11: and needs truth values, found a number: calls + 1"},
        {"1 < 2 || 4", "column 10: || needs truth values, found a number: 4"},
        {"not calls", "column 5: not needs truth values, found a number: calls"},
        {"(1 < 2) + 1 > 1", "column 1: + needs numbers, found a truth value: (1 < 2)"},
        {"1 > -(1 < 2)", "column 6: - needs numbers, found a truth value: (1 < 2)"},
        {"(1 < 2) == (2 < 3)", "column 1: == needs numbers, found a truth value: (1 < 2)"},
        {"1 < calls < 3", "column 11: a second comparison; join two with and"},
        {"1 == 1 != 1", "column 8: a second comparison; join two with and"},
        {"calls = 3", "column 7: = has no meaning here"},
        {"calls & 3", "column 7: & has no meaning here"},
        {"calls < 3; 4", "column 10: ; has no meaning here"},
        {"calls('\xc3\xa9') < \xc3\xa9", "column 14: \xc3\xa9 has no meaning here"},
        {"calls < 3\n", "column 10: \n has no meaning here"},
        {"calls < 007", "column 9: 007 is no number"},
        {"calls < 1.", "column 9: 1. is no number"},
        {"calls < 1e", "column 9: 1e is no number"},
        {"calls < 1.2.3", "column 9: 1.2.3 is no number"},
        {"calls < 1e999", "column 9: the number is too large"},
        {"calls < 3 KB", "column 11: expected an operator or the end, found KB"},
        {"calls < KiB", "column 9: unknown name KiB"},
        {"cals < 3", "column 1: unknown name cals"},
        {"calls < 3 and x > 1", "column 15: unknown name x"},
        {"call('x') < 3", "column 1: unknown function call; there are calls, errors, bytes, time_ms"},
        {"wall_ms('x') < 3", "column 1: unknown function wall_ms; there are calls, errors, bytes, time_ms"},
        {"bytes < 3", "column 1: unknown name bytes"},
        {"calls(write) < 3", "column 7: expected a pattern for names of calls in quotes, found write"},
        {"calls() < 3", "column 7: expected a pattern for names of calls in quotes, found )"},
        {"calls('a', 'b') < 3", "column 10: , has no meaning here"},
        {"calls('a' < 3", "column 11: expected ), found <"},
        {"calls('a < 3", "column 7: a pattern that is not closed: no second '"},
        {"calls('(') < 3", "column 7: pattern (: "},
        {"calls('') < 3", "column 7: an empty pattern"},
        {"'a' < 3", "column 1: expected a number, a name or (, found 'a'"},
        {"and < 3", "column 1: expected a number, a name or (, found and"},
        {"calls / 0 < 3", "column 7: division by zero: 0 is 0"},
        {"3 < calls / (errors - 1)", "column 11: division by zero: (errors - 1) is 0"},
        {"bytes('read') / calls('close') > 1", "column 15: division by zero: calls('close') is 0"},
        {"1 < 1e308 * 10", "column 11: 1e308 * 10 is too large"},
    };
    ent_trace t = sample();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool holds;
        char *values, expected[300];
        assert_int_equal(evaluate(&holds, &values, cases[i].text, &t), ENT_EFORMAT);
        snprintf(expected, sizeof expected, "%s", cases[i].message);
        for (char *c = expected; *c; c++)
            *c = *c == '\n' ? ' ' : *c;
        if (strstr(ent_message(), expected) == NULL)
            fail_msg("%s\ngives    %s\nexpected %s", cases[i].text, ent_message(), expected);
        free(values);
    }
    ent_expression *e;
    assert_fails(ent_expression_read(&e, "x < 3", "renacer.toml:4: expression"), ENT_EFORMAT,
                 "renacer.toml:4: expression: column 1: unknown name x");
    assert_fails(ent_expression_read(&e, "x < 3", "t"), ENT_EFORMAT, names);
    assert_null(e);
    ent_trace_clear(&t);
}

static void unknown_values_are_faults(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"wall_ms < 3", "column 1: the trace doesn't say what wall_ms is"},
        {"3 > syscall_ms", "column 5: the trace doesn't say what syscall_ms is"},
        {"(max_rss) < 3", "column 2: the trace doesn't say what max_rss is"},
        {"not allocated > 3", "column 5: the trace doesn't say what allocated is"},
        {"threads < 3", "column 1: the trace doesn't say what threads is"},
        {"0 * processes < 3", "column 5: the trace doesn't say what processes is"},
        {"1 < 2 and time_ms('brk') < 3", "column 11: the trace doesn't say what time_ms('brk') is"},
    };
    ent_trace t = new_trace("t.json");
    t.raw = true;
    add_call(&t, "brk", 0, 0, 4096)->duration_ns = -1;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool holds;
        char *values;
        assert_int_equal(evaluate(&holds, &values, cases[i].text, &t), ENT_EFORMAT);
        assert_false(holds);
        assert_string_equal(ent_message(), cases[i].message);
    }
    bool holds;
    char *values;
    assert_ok(evaluate(&holds, &values, "time_ms('read') == 0 and calls == 1", &t));
    assert_true(holds);
    free(values);
    ent_trace_clear(&t);
}

/* What is too deep or too long is refused, and every way to change one byte is harmless (run with the sanitizers). */
static void hostile_expressions_are_harmless(void **state)
{
    (void)state;
    static const char *const parts[] = {"(", "-", "not ", "1+", "1<2 and ", "!"};
    ent_trace t = sample();
    bool holds;
    char *values;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        ent_text text = {0};
        for (int j = 0; j < 20000; j++)
            ent_text_put(&text, parts[i]);
        assert_int_equal(evaluate(&holds, &values, text.data, &t), ENT_EFORMAT);
        free(text.data);
    }
    ent_text text = {0};
    for (int i = 0; i < 499; i++)
        ent_text_put(&text, "1+");
    ent_text_put(&text, "1>499");
    assert_fails(evaluate(&holds, &values, text.data, &t), ENT_EFORMAT, "column 1001: the expression is too long");
    free(text.data);
    text = (ent_text){0};
    for (int i = 0; i < 498; i++)
        ent_text_put(&text, "1+");
    ent_text_put(&text, "1>498");
    assert_ok(evaluate(&holds, &values, text.data, &t));
    assert_true(holds);
    free(values);
    free(text.data);
    static const char good[] = "not (calls(\"w.*\") * 2 KiB <= -1.5e2) && bytes/8!=3 || x";
    for (size_t i = 0; i < sizeof good - 1; i++)
        for (int c = 0; c < 128; c++) {
            char bad[sizeof good];
            memcpy(bad, good, sizeof good);
            bad[i] = (char)c;
            if (evaluate(&holds, &values, bad, &t) == ENT_OK)
                free(values);
        }
    ent_trace_clear(&t);
}

static void help_lists_every_name(void **state)
{
    (void)state;
    static const char *const names[] = {"calls ",     "errors ",  "bytes_read ", "bytes_written ", "allocated ",
                                        "max_rss ",   "wall_ms ", "syscall_ms ", "threads ",       "processes ",
                                        "exit_code ", "KiB",      "calls(\"",    "errors(\"",      "bytes(\"",
                                        "time_ms(\"", "and or",   "== !="};
    ent_text text = {0};
    char *help;
    ent_expression_help(&text);
    assert_ok(ent_text_finish(&help, &text));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strstr(help, names[i]) == NULL)
            fail_msg("no \"%s\" in\n%s", names[i], help);
    free(help);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expressions_are_true_or_false),
        cmocka_unit_test(values_are_shown),
        cmocka_unit_test(faults_have_columns),
        cmocka_unit_test(unknown_values_are_faults),
        cmocka_unit_test(hostile_expressions_are_harmless),
        cmocka_unit_test(help_lists_every_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
