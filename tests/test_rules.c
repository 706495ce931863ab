/* Rules: each kind at its exact limit and one beyond, what can't be decided, and every fault of a file. */
#include "tests/trace_helpers.h"

#include "trace/rules.h"

#define RULE(type) "[[assertion]]\nname = 'r'\ntype = '" type "'\n"

static const char *rules_file(const char *text)
{
    const char *path = in_folder("scratch/rules", "renacer.toml");
    put_file(path, text, strlen(text));
    return path;
}

/* The report on a trace of the rules in `text`; the caller frees. */
static char *report_of(size_t *failures, const char *text, const ent_trace *trace)
{
    ent_rules *rules;
    ent_text report = {0};
    char *out;
    if (ent_rules_read(&rules, rules_file(text)) != ENT_OK)
        fail_msg("%s\n%s", ent_message(), text);
    assert_ok(ent_rules_check(&report, failures, rules, trace));
    ent_rules_free(rules);
    assert_ok(ent_text_finish(&out, &report));
    return out;
}

static void expect_report(const char *text, const ent_trace *trace, size_t failures, const char *report)
{
    size_t found;
    char *out = report_of(&found, text, trace);
    if (strcmp(out, report) != 0)
        fail_msg("%s\ngives\n%s\nexpected\n%s", text, out, report);
    assert_int_equal(found, failures);
    free(out);
}

/* The rule holds with `limit` and is broken with `less`; {} in `rule` stands for it. `report` is what follows the name
 * and stands before the limit. */
static void expect_limit(const char *rule, const char *limit, const char *less, const ent_trace *trace,
                         const char *report)
{
    for (int i = 0; i < 2; i++) {
        char text[500], start[300];
        const char *value = i == 0 ? limit : less, *gap = strstr(rule, "{}");
        size_t failures;
        assert_non_null(gap);
        snprintf(text, sizeof text, "%.*s%s%s", (int)(gap - rule), rule, value, gap + 2);
        snprintf(start, sizeof start, "%s  r: %s%s", i == 0 ? "ok  " : "FAIL", report, value);
        char *out = report_of(&failures, text, trace);
        if (strncmp(out, start, strlen(start)) != 0)
            fail_msg("%s\ngives    %s\nexpected %s", text, out, start);
        assert_int_equal(failures, i);
        assert_non_null(strstr(out, i == 0 ? "\n1 ok, 0 failed\n" : "\n0 ok, 1 failed\n"));
        free(out);
    }
}

/* Program "sample": 8 calls of process 1 (threads 1 and 5), 2 of process 2. */
static ent_trace sample(void)
{
    ent_trace t = new_trace("t.json");
    set_program(&t, "/usr/bin/sample");
    for (int i = 0; i < 4; i++)
        add_call(&t, "write", 1, 1, 10);
    for (int i = 0; i < 2; i++)
        add_call(&t, "pwrite64", 1, 5, 10);
    with_arg(with_arg(add_call(&t, "mmap", 1, 5, 4096), "length", "1000"), "flags", "MAP_PRIVATE|MAP_ANONYMOUS");
    add_call(&t, "write", 1, 5, 10);
    add_call(&t, "read", 2, 2, 10);
    add_call(&t, "close", 2, 2, 0);
    add_process(&t, (ent_trace_process){1, "sample", 8, 800, 2048, 0, 0});
    add_process(&t, (ent_trace_process){2, "/bin/child", 2, 200, 1024, 0, 0});
    t.total_time_us = 12500;
    t.syscall_time_us = 2250;
    return t;
}

static void limits_are_allowed(void **state)
{
    (void)state;
    ent_trace t = sample();
    expect_limit(RULE("critical_path") "max_duration_ms = {}", "12.5", "12.499", &t, "wall time 12.5 ms, at most ");
    expect_limit(RULE("critical_path") "max_duration_ms = {}\nmeasure = 'wall'", "13", "12", &t,
                 "wall time 12.5 ms, at most ");
    expect_limit(RULE("critical_path") "max_duration_ms = {}\nmeasure = 'syscalls'", "2.25", "2.249", &t,
                 "time within calls 2.25 ms, at most ");
    expect_limit(RULE("critical_path") "max_duration_ms = {}\ntrace_name_pattern = 'sam.*'", "12.5", "0", &t,
                 "wall time 12.5 ms, at most ");
    expect_limit(RULE("span_count") "max_spans = {}", "10", "9", &t, "10 calls, at most ");
    expect_limit(RULE("span_count") "span_name_pattern = 'write'\nmax_spans = {}", "5", "4", &t,
                 "5 calls of write, at most ");
    expect_limit(RULE("memory_usage") "max_bytes = {}", "1000", "999", &t, "1000 bytes allocated, at most ");
    expect_limit(RULE("memory_usage") "max_bytes = {}\ntracking_mode = 'allocations'", "1000", "0", &t,
                 "1000 bytes allocated, at most ");
    expect_limit(RULE("memory_usage") "max_bytes = {}\ntracking_mode = 'rss'", "2097152", "2097151", &t,
                 "2097152 bytes resident, at most ");
    expect_limit(RULE("anti_pattern") "pattern = 'GodProcess'\nthreshold = {}", "0.8", "0.799", &t,
                 "process 1 (sample) has 800 of 1000 us of cpu time: a share of 0.8, at most ");
    expect_limit(RULE("anti_pattern") "pattern = 'GodProcess'\nthreshold = {}\nprocess_name_pattern = 'child'", "0.2",
                 "0.19", &t, "process 2 (child) has 200 of 1000 us of cpu time: a share of 0.2, at most ");
    expect_limit(RULE("anti_pattern") "pattern = 'TightLoop'\nthreshold = {}", "0.4", "0.39", &t,
                 "4 of 10 calls are write in a row by thread 1: a share of 0.4, at most ");
    expect_limit(RULE("anti_pattern") "pattern = 'TightLoop'\nthreshold = {}\nprocess_name_pattern = 'child'", "0.1",
                 "0", &t, "1 of 10 calls are read in a row by thread 2: a share of 0.1, at most ");
    t.processes[1].cpu_us = 199; /* rounded, unless that would look like the limit */
    expect_limit(RULE("anti_pattern") "pattern = 'GodProcess'\nthreshold = {}", "0.801", "0.8", &t,
                 "process 1 (sample) has 800 of 999 us of cpu time: a share of 0.8008, at most ");
    expect_report(
        RULE("anti_pattern") "pattern = 'GodProcess'\nthreshold = 0.8008", &t, 1,
        "FAIL  r: process 1 (sample) has 800 of 999 us of cpu time: a share of 0.8008008008008008, at most 0.8008\n"
        "0 ok, 1 failed\n");
    t.processes[1].cpu_us = -1;
    expect_limit(RULE("anti_pattern") "pattern = 'GodProcess'\nthreshold = {}", "0.8", "0.799", &t,
                 "process 1 (sample) has 8 of 10 calls: a share of 0.8, at most ");
    ent_trace_clear(&t);
}

static void reports_say_what_was_found(void **state)
{
    (void)state;
    ent_trace t = sample();
    expect_report(RULE("critical_path") "max_duration_ms = 12", &t, 1,
                  "FAIL  r: wall time 12.5 ms, at most 12 ms (time within calls: 2.25 ms)\n0 ok, 1 failed\n");
    expect_report(RULE("custom") "expression = 'calls(\"write\") <= 5 and errors == 0'", &t, 0,
                  "ok    r: calls(\"write\") <= 5 and errors == 0: calls(\"write\") is 5, errors is 0\n"
                  "1 ok, 0 failed\n");
    expect_report(RULE("custom") "expression = 'calls(\"write\") <= 3'", &t, 1,
                  "FAIL  r: calls(\"write\") <= 3: calls(\"write\") is 5\n0 ok, 1 failed\n");
    expect_report(RULE("custom") "expression = '1 < 2'", &t, 0, "ok    r: 1 < 2\n1 ok, 0 failed\n");
    expect_report("[[assertion]] # all statuses\nname = \"a\"\ntype = \"span_count\"\nmax_spans = 9\n"
                  "[[assertion]]\nname = \"b\"\ntype = \"span_count\"\nmax_spans = 9\nfail_on_violation = false\n"
                  "[[assertion]]\nname = \"c\"\ntype = \"span_count\"\nmax_spans = 9\nenabled = false\n"
                  "[[assertion]]\nname = \"d\"\ntype = \"span_count\"\nmax_spans = 10\nenabled = true\n"
                  "fail_on_violation = true\n"
                  "[[assertion]]\nname = \"e\"\ntype = \"critical_path\"\nmax_duration_ms = 0\n"
                  "trace_name_pattern = \"sampl\"\n"
                  "[[assertion]]\nname = \"f\"\ntype = \"anti_pattern\"\npattern = \"TightLoop\"\nthreshold = 0\n"
                  "process_name_pattern = \"gone\"\n",
                  &t, 1,
                  "FAIL  a: 10 calls, at most 9\n"
                  "warn  b: 10 calls, at most 9\n"
                  "off   c\n"
                  "ok    d: 10 calls, at most 10\n"
                  "off   e: for sampl, not for sample\n"
                  "off   f: for processes gone, there are none\n"
                  "1 ok, 1 failed, 1 warned, 3 off\n");
    ent_trace_clear(&t);
    t = new_trace("t.json");
    set_program(&t, "x");
    add_process(&t, (ent_trace_process){1, "a\nFAIL  b\x1b", 1, 5, 9, 0, 0});
    expect_report(RULE("anti_pattern") "pattern = 'GodProcess'\nthreshold = 0", &t, 0,
                  "ok    r: one process, nothing to share\n1 ok, 0 failed\n");
    expect_report(RULE("anti_pattern") "pattern = 'TightLoop'\nthreshold = 0", &t, 0,
                  "ok    r: no calls\n1 ok, 0 failed\n");
    add_process(&t, (ent_trace_process){2, NULL, 1, 5, 9, 0, 0});
    expect_report(RULE("anti_pattern") "pattern = 'GodProcess'\nthreshold = 0.5", &t, 0, /* a line stays one */
                  "ok    r: process 1 (a FAIL  b ) has 5 of 10 us of cpu time: a share of 0.5, at most 0.5\n"
                  "1 ok, 0 failed\n");
    ent_trace_clear(&t);
}

static void the_unknown_is_no_pass(void **state)
{
    (void)state;
    static const struct {
        const char *rule, *report;
    } cases[] = {
        {RULE("critical_path") "max_duration_ms = 1e9",
         "r: wall time not known, at most 1000000000 ms (time within calls: not known)\n"},
        {RULE("critical_path") "max_duration_ms = 5\nmeasure = 'syscalls'",
         "r: time within calls not known, at most 5 ms (wall time: not known)\n"},
        {RULE("critical_path") "max_duration_ms = 5\ntrace_name_pattern = 'x'",
         "r: the trace doesn't say which program ran, the rule is for x\n"},
        {RULE("memory_usage") "max_bytes = 9000000000",
         "r: the trace doesn't say how much memory the calls asked for\n"},
        {RULE("memory_usage") "max_bytes = 9000000000\ntracking_mode = 'rss'",
         "r: the trace doesn't say how large a process was\n"},
        {RULE("anti_pattern") "pattern = 'GodProcess'\nthreshold = 1", "r: the trace doesn't list its processes\n"},
        {RULE("anti_pattern") "pattern = 'TightLoop'\nthreshold = 1\nprocess_name_pattern = '.*'",
         "r: the trace doesn't list its processes\n"},
        {RULE("custom") "expression = 'wall_ms >= 0'",
         "r: wall_ms >= 0: column 1: the trace doesn't say what wall_ms is\n"},
        {RULE("custom") "expression = '1 / calls(\"x\") > 0'",
         "r: 1 / calls(\"x\") > 0: column 3: division by zero: calls(\"x\") is 0\n"},
    };
    ent_trace t = new_trace("t.json");
    t.raw = true;
    add_call(&t, "mmap", 0, 0, 4096)->duration_ns = -1;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[400], report[400];
        snprintf(report, sizeof report, "FAIL  %s0 ok, 1 failed\n", cases[i].report);
        expect_report(cases[i].rule, &t, 1, report);
        snprintf(text, sizeof text, "%s\nfail_on_violation = false", cases[i].rule);
        snprintf(report, sizeof report, "warn  %s0 ok, 0 failed, 1 warned\n", cases[i].report);
        expect_report(text, &t, 0, report);
    }
    expect_report(RULE("anti_pattern") "pattern = 'TightLoop'\nthreshold = 1", &t, 0,
                  "ok    r: 1 of 1 calls are mmap in a row (threads are not known): a share of 1, at most 1\n"
                  "1 ok, 0 failed\n");
    ent_trace_clear(&t);
}

static void faults_have_lines(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", ":1: no [[assertion]] in the file"},
        {"# nothing\n", ":1: no [[assertion]] in the file"},
        {"[[assertion]]\n", ":1: this [[assertion]] has no name"},
        {"[assertion]\nname = 'x'", ":1: expected [[assertion]], found [assertion]"},
        {"assertion = 1", ":1: unknown key assertion; expected [[assertion]]"},
        {"\nversion = 1\n" RULE("span_count") "max_spans = 1", ":2: unknown key version; expected [[assertion]]"},
        {RULE("span_count") "max_spans = 1\n[other]", ":5: unknown section other; expected [[assertion]]"},
        {RULE("span_count") "max_spans = 1\n[[assertions]]", ":5: unknown section assertions; expected [[assertion]]"},
        {"[[assertion]]\ntype = 'custom'\nexpression = '1 < 2'", ":1: this [[assertion]] has no name"},
        {"\n[[assertion]]\nname = 'x'\nmax_spans = 1", ":2: this [[assertion]] has no type"},
        {RULE("span_count"), ":1: this [[assertion]] has no max_spans"},
        {RULE("critical_path"), ":1: this [[assertion]] has no max_duration_ms"},
        {RULE("memory_usage") "tracking_mode = 'rss'", ":1: this [[assertion]] has no max_bytes"},
        {RULE("anti_pattern") "threshold = 1", ":1: this [[assertion]] has no pattern"},
        {RULE("anti_pattern") "pattern = 'TightLoop'", ":1: this [[assertion]] has no threshold"},
        {RULE("custom"), ":1: this [[assertion]] has no expression"},
        {RULE("span_count") "max_spans = 1\n" RULE("span_count") "max_spans = 1",
         ":6: name: a second rule is named \"r\""},
        {RULE("span_count") "max_spans = 1\nmax_bytes = 1",
         ":5: max_bytes is no key of type span_count; its keys are name, type, fail_on_violation, enabled, max_spans, "
         "span_name_pattern"},
        {RULE("span_count") "max_span = 1", ":4: unknown key max_span; its keys are name, type, "},
        {RULE("span_cound"), ":3: type: found \"span_cound\", expected one of critical_path, span_count, memory_usage, "
                             "anti_pattern, custom"},
        {"[[assertion]]\nname = 'x'\ntype = 3", ":3: type: expected a text, found a whole number 3"},
        {"[[assertion]]\nname = 1\ntype = 'custom'", ":2: name: expected a text, found a whole number 1"},
        {"[[assertion]]\nname = ''\ntype = 'custom'", ":2: name: expected a text, found \"\""},
        {"[[assertion]]\nname = \"a\\nok\"\ntype = 'custom'", ":2: name: a control character (0x0a) in the text"},
        {RULE("span_count") "max_spans = -1",
         ":4: max_spans: expected a whole number that is at least 0, found a whole "
         "number -1"},
        {RULE("span_count") "max_spans = 1.0", ":4: max_spans: expected a whole number that is at least 0, found a "
                                               "number 1.0"},
        {RULE("span_count") "max_spans = '40'",
         ":4: max_spans: expected a whole number that is at least 0, found a text 40"},
        {RULE("memory_usage") "max_bytes = true",
         ":4: max_bytes: expected a whole number that is at least 0, found true"},
        {RULE("critical_path") "max_duration_ms = -0.5", ":4: max_duration_ms: expected a number that is at least 0"},
        {RULE("critical_path") "max_duration_ms = '5'", ":4: max_duration_ms: expected a number that is at least 0"},
        {RULE("critical_path") "max_duration_ms = 5\nmeasure = 'cpu'",
         ":5: measure: found \"cpu\", expected one of wall, syscalls"},
        {RULE("critical_path") "max_duration_ms = 5\ntrace_name_pattern = '('", ":5: trace_name_pattern: pattern (: "},
        {RULE("span_count") "max_spans = 1\nspan_name_pattern = '['", ":5: span_name_pattern: pattern [: "},
        {RULE("span_count") "max_spans = 1\nspan_name_pattern = true",
         ":5: span_name_pattern: expected a text, found true"},
        {RULE("memory_usage") "max_bytes = 5\ntracking_mode = 'heap'",
         ":5: tracking_mode: found \"heap\", expected one of allocations, rss"},
        {RULE("anti_pattern") "threshold = 0.5\npattern = 'PcieBottleneck'",
         ":5: pattern: PcieBottleneck is not supported"},
        {RULE("anti_pattern") "threshold = 0.5\npattern = 'Goddess'",
         ":5: pattern: found \"Goddess\", expected one of GodProcess, TightLoop"},
        {RULE("anti_pattern") "pattern = 'TightLoop'\nthreshold = 1.001",
         ":5: threshold: expected a number from 0 to 1"},
        {RULE("anti_pattern") "pattern = 'TightLoop'\nthreshold = -1", ":5: threshold: expected a number from 0 to 1"},
        {RULE("anti_pattern") "pattern = 'TightLoop'\nthreshold = 1\nprocess_name_pattern = '*('",
         ":6: process_name_pattern: pattern *(: "},
        {RULE("custom") "expression = 'calls'", ":4: expression: column 1: a number, not true or false"},
        {RULE("custom") "expression = 'cals < 3'", ":4: expression: column 1: unknown name cals"},
        {RULE("custom") "expression = 5", ":4: expression: expected a text, found a whole number 5"},
        {RULE("custom") "expression = '1 < 2'\nenabled = 1",
         ":5: enabled: expected true or false, found a whole number 1"},
        {RULE("custom") "expression = '1 < 2'\nfail_on_violation = 'no'",
         ":5: fail_on_violation: expected true or false, found a text no"},
        {RULE("span_count") "max_spans = 1\nmax_spans = 2", ":5: max_spans stands here for the second time"},
        {RULE("span_count") "max_spans = [1]", ":4: arrays are not supported"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int disabled = 0; disabled < 2; disabled++) { /* a disabled rule is read as carefully */
            char text[1000], expected[500];
            ent_rules *rules;
            const bool add = disabled && strncmp(cases[i].text, "[[assertion]]", 13) == 0 &&
                             strstr(cases[i].text, "enabled") == NULL && strstr(cases[i].text, "\n[") == NULL;
            snprintf(text, sizeof text, "%s%s", cases[i].text, add ? "\nenabled = false" : "");
            snprintf(expected, sizeof expected, "scratch/rules/renacer.toml%s", cases[i].message);
            const ent_status st = ent_rules_read(&rules, rules_file(text));
            if (st == ENT_OK || strncmp(ent_message(), expected, strlen(expected)) != 0)
                fail_msg("%s\ngives    %s\nexpected %s", text, st == ENT_OK ? "no error" : ent_message(), expected);
            assert_null(rules);
        }
    ent_rules *rules;
    assert_fails(ent_rules_read(&rules, "nowhere.toml"), ENT_EIO, "nowhere.toml: No such file or directory");
    assert_null(rules);
    ent_rules_free(NULL);
}

static int make_folder(void **state)
{
    (void)state;
    scratch("rules");
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limits_are_allowed),
        cmocka_unit_test(reports_say_what_was_found),
        cmocka_unit_test(the_unknown_is_no_pass),
        cmocka_unit_test(faults_have_lines),
    };
    return cmocka_run_group_tests(tests, make_folder, NULL);
}
