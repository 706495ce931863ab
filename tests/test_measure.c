/* Numbers about traces: sums, memory by process, runs of calls, shares of work, and what isn't known. */
#include "tests/trace_helpers.h"

#include "trace/measure.h"

static ent_measure measure(const ent_trace *trace)
{
    ent_measure m;
    assert_ok(ent_measure_trace(&m, trace));
    return m;
}

static int64_t allocated(const ent_trace *trace)
{
    ent_measure m = measure(trace);
    const int64_t bytes = m.allocated;
    ent_measure_clear(&m);
    return bytes;
}

static void sums_are_of_what_moved(void **state)
{
    (void)state;
    ent_trace t = new_trace("t.json");
    add_call(&t, "read", 1, 1, 100)->size = 100;
    add_call(&t, "read", 1, 1, -11)->error = "EAGAIN";
    add_call(&t, "write", 1, 2, 7); /* no size: as in v1-raw, by the result */
    add_call(&t, "sendfile", 1, 2, 1000)->size = 1000;
    add_call(&t, "openat", 1, 2, 3);
    add_call(&t, "openat", 1, 2, -2);
    add_call(&t, "lseek", 1, 2, 4096);
    add_call(&t, "mmap", 2, 3, -4096)->n_args = 0; /* an address: not an error */
    add_call(&t, "nonesuch", 2, 3, 5)->size = 5;
    add_call(&t, "read", 1, 1, 0)->returned = false;
    ent_measure m = measure(&t);
    assert_int_equal(m.calls, 10);
    assert_int_equal(m.errors, 2);
    assert_int_equal(m.bytes_read, 1100);
    assert_int_equal(m.bytes_written, 1007);
    assert_int_equal(m.threads, 3);
    assert_int_equal(m.processes, 2);
    assert_int_equal(m.n_names, 7);
    for (size_t i = 1; i < m.n_names; i++)
        assert_true(strcmp(m.names[i - 1].name, m.names[i].name) < 0);
    ent_pattern *pattern;
    assert_ok(ent_pattern_read(&pattern, "read|openat|none.*", "t"));
    ent_name_measure some = ent_measure_matching(&m, pattern);
    assert_int_equal(some.calls, 6);
    assert_int_equal(some.errors, 2);
    assert_int_equal(some.bytes, 105);
    assert_int_equal(some.time_ns, 6000);
    assert_int_equal(ent_measure_matching(&m, NULL).calls, 10);
    assert_int_equal(ent_measure_matching(&m, NULL).bytes, 1112);
    ent_measure_clear(&m);
    t.calls[9].duration_ns = -1; /* a read */
    m = measure(&t);
    assert_int_equal(ent_measure_matching(&m, pattern).time_ns, ENT_UNKNOWN);
    assert_int_equal(m.syscall_us, ENT_UNKNOWN);
    ent_pattern_free(pattern);
    assert_ok(ent_pattern_read(&pattern, "open.*", "t"));
    assert_int_equal(ent_measure_matching(&m, pattern).time_ns, 2000);
    ent_pattern_free(pattern);
    ent_measure_clear(&m);
    t.calls[0].size = t.calls[3].size = INT64_MAX; /* sums stop there */
    m = measure(&t);
    assert_true(m.bytes_read == INT64_MAX);
    ent_measure_clear(&m);
    ent_trace_clear(&t);
}

static void unknown_is_not_zero(void **state)
{
    (void)state;
    ent_trace t = new_trace("t.json");
    ent_measure m = measure(&t);
    assert_int_equal(m.calls, 0);
    assert_int_equal(m.wall_us, ENT_UNKNOWN);
    assert_int_equal(m.max_rss, ENT_UNKNOWN);
    assert_int_equal(m.syscall_us, 0); /* nothing was called */
    assert_int_equal(m.allocated, 0);
    ent_measure_clear(&m);
    add_call(&t, "read", 0, 0, 1)->duration_ns = -1;
    t.raw = true;
    t.syscall_time_us = 0;
    m = measure(&t);
    assert_int_equal(m.threads, ENT_UNKNOWN);
    assert_int_equal(m.processes, ENT_UNKNOWN);
    assert_int_equal(m.syscall_us, ENT_UNKNOWN); /* 0, but no call was timed */
    ent_measure_clear(&m);
    t.syscall_time_us = 12;
    t.total_time_us = 34;
    add_process(&t, (ent_trace_process){.pid = 4, .max_rss_kb = 10});
    add_process(&t, (ent_trace_process){.pid = 5, .max_rss_kb = 7});
    m = measure(&t);
    assert_int_equal(m.syscall_us, 12);
    assert_int_equal(m.wall_us, 34);
    assert_int_equal(m.processes, 2);
    assert_int_equal(m.max_rss, 10240);
    ent_measure_clear(&m);
    t.calls[0].duration_ns = 5999;
    t.syscall_time_us = -1;
    t.processes[1].max_rss_kb = -1;
    m = measure(&t);
    assert_int_equal(m.syscall_us, 5);
    assert_int_equal(m.max_rss, ENT_UNKNOWN);
    ent_measure_clear(&m);
    t.processes[1].max_rss_kb = INT64_MAX;
    t.calls[0].duration_ns = 0;
    t.syscall_time_us = 0;
    m = measure(&t);
    assert_int_equal(m.syscall_us, 0);
    assert_true(m.max_rss == INT64_MAX);
    ent_measure_clear(&m);
    ent_trace_clear(&t);
}

static ent_trace_call *add_mmap(ent_trace *t, int64_t result, const char *length, const char *flags)
{
    return with_arg(with_arg(add_call(t, "mmap", 1, 1, result), "length", length), "flags", flags);
}

static void memory_is_what_was_asked_for(void **state)
{
    (void)state;
    ent_trace t = new_trace("t.json");
    add_mmap(&t, 0x7f0000000000, "4096", "MAP_PRIVATE|MAP_ANONYMOUS");
    add_mmap(&t, 0x7f0000001000, "100", "MAP_ANONYMOUS|MAP_SHARED");
    assert_int_equal(allocated(&t), 4196);
    add_mmap(&t, 0x7f0000002000, "1000000", "MAP_PRIVATE|MAP_FIXED");
    add_mmap(&t, 0x7f0000002000, "1000000", "MAP_ANONYMOUS_NOT|MAP_");
    add_mmap(&t, -12, "1000000", "MAP_PRIVATE|MAP_ANONYMOUS")->error = "ENOMEM";
    add_mmap(&t, 0, "1000000", "MAP_PRIVATE|MAP_ANONYMOUS")->returned = false;
    assert_int_equal(allocated(&t), 4196);
    with_arg(with_arg(add_call(&t, "mremap", 1, 1, 0x7f0000009000), "old_size", "100"), "new_size", "150");
    with_arg(with_arg(add_call(&t, "mremap", 1, 1, 0x7f0000009000), "old_size", "150"), "new_size", "10");
    with_arg(with_arg(add_call(&t, "mremap", 1, 1, -12), "old_size", "0"), "new_size", "999999");
    assert_int_equal(allocated(&t), 4246);
    with_arg(with_arg(add_call(&t, "mremap", 1, 1, 0x7f0000009000), "old_size", "?"), "new_size", "10");
    assert_int_equal(allocated(&t), ENT_UNKNOWN);
    t.count--;
    assert_int_equal(allocated(&t), 4246);
    add_call(&t, "mmap", 1, 1, 0x7f0000000000); /* as in v1-raw: no names of arguments */
    assert_int_equal(allocated(&t), ENT_UNKNOWN);
    t.calls[t.count - 1].result = -12;
    assert_int_equal(allocated(&t), 4246);
    ent_trace_clear(&t);
}

static void add_brk(ent_trace *t, int pid, const char *address, int64_t result)
{
    with_arg(add_call(t, "brk", pid, pid, result), "addr", address);
}

static void heaps_belong_to_processes(void **state)
{
    (void)state;
    ent_trace t = new_trace("t.json");
    add_brk(&t, 1, "NULL", 0x10000);
    add_brk(&t, 9, "NULL", 0x90000);
    add_brk(&t, 1, "0x11000", 0x11000);
    assert_int_equal(allocated(&t), 0x1000);
    add_brk(&t, 1, "0x99000000", 0x11000); /* refused: it stays */
    add_brk(&t, 1, "0x10800", 0x10800);    /* falls */
    assert_int_equal(allocated(&t), 0x1000);
    add_brk(&t, 1, "0x11000", 0x11000);
    assert_int_equal(allocated(&t), 0x1800);
    add_brk(&t, 9, "0x90100", 0x90100);
    assert_int_equal(allocated(&t), 0x1900);
    add_call(&t, "clone", 1, 1, 2); /* 2 goes on where 1 stands */
    add_brk(&t, 2, "0x11010", 0x11010);
    assert_int_equal(allocated(&t), 0x1910);
    add_brk(&t, 2, "NULL", 0x50000); /* another program: not growth */
    add_brk(&t, 2, "0x50001", 0x50001);
    assert_int_equal(allocated(&t), 0x1911);
    add_brk(&t, 1, "0x11001", 0x11001);
    assert_int_equal(allocated(&t), 0x1912);
    add_brk(&t, 7, "0x70100", 0x70100); /* from where isn't known */
    add_brk(&t, 7, "0x70102", 0x70102);
    assert_int_equal(allocated(&t), 0x1914);
    add_brk(&t, 0, "0x11001", 0x11001); /* of an unknown process */
    assert_int_equal(allocated(&t), ENT_UNKNOWN);
    ent_trace_clear(&t);
}

static ent_call_run longest(const ent_trace *t, const char *programs)
{
    ent_call_run run;
    ent_pattern *pattern = NULL;
    if (programs)
        assert_ok(ent_pattern_read(&pattern, programs, "t"));
    assert_ok(ent_measure_longest_run(&run, t, pattern));
    ent_pattern_free(pattern);
    return run;
}

static void runs_are_of_threads(void **state)
{
    (void)state;
    ent_trace t = new_trace("t.json");
    assert_int_equal(longest(&t, NULL).length, 0);
    for (int i = 0; i < 4; i++) { /* two threads by turns */
        add_call(&t, "read", 1, 11, 0);
        add_call(&t, i == 2 ? "close" : "write", 2, 12, 0);
    }
    ent_call_run run = longest(&t, NULL);
    assert_int_equal(run.length, 4);
    assert_string_equal(run.name, "read");
    assert_int_equal(run.tid, 11);
    assert_int_equal(run.pid, 1);
    add_process(&t, (ent_trace_process){.pid = 2, .program = "/usr/bin/two"});
    add_process(&t, (ent_trace_process){.pid = 1, .program = "one"});
    run = longest(&t, "two");
    assert_int_equal(run.length, 2);
    assert_string_equal(run.name, "write");
    assert_int_equal(longest(&t, "one|two").length, 4);
    assert_int_equal(longest(&t, "on").length, 0); /* whole names */
    ent_trace_clear(&t);
}

static void shares_are_of_work(void **state)
{
    (void)state;
    ent_trace t = new_trace("t.json");
    assert_null(ent_measure_busiest(&t, NULL).process);
    add_process(&t, (ent_trace_process){.pid = 1, .program = "one", .calls = 90, .cpu_us = 100});
    add_process(&t, (ent_trace_process){.pid = 2, .program = "bin/two", .calls = 10, .cpu_us = 300});
    ent_process_share share = ent_measure_busiest(&t, NULL);
    assert_int_equal(share.process->pid, 2);
    assert_true(share.work == 300 && share.total == 400 && !share.by_calls);
    ent_pattern *pattern;
    assert_ok(ent_pattern_read(&pattern, "one|tw", "t"));
    share = ent_measure_busiest(&t, pattern);
    assert_int_equal(share.process->pid, 1);
    assert_true(share.work == 100 && share.total == 400);
    ent_pattern_free(pattern);
    t.processes[0].cpu_us = -1;
    share = ent_measure_busiest(&t, NULL);
    assert_int_equal(share.process->pid, 1);
    assert_true(share.work == 90 && share.total == 100 && share.by_calls);
    t.processes[0].cpu_us = t.processes[1].cpu_us = 0;
    assert_true(ent_measure_busiest(&t, NULL).by_calls);
    assert_string_equal(ent_trace_program(&t), "one");
    set_program(&t, "./bin/x");
    assert_string_equal(ent_trace_program(&t), "x");
    ent_trace_clear(&t);
}

static void patterns_match_whole_names(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *matches, *other;
    } cases[] = {
        {"write", "write", "pwrite64"},
        {"write", "write", "writev"},
        {"write", "write", "pwrite"},
        {"write|writev", "writev", "writevv"},
        {"p.*", "pread64", "read"},
        {"(read|write)v?", "readv", "rea"},
        {"a|ab", "ab", "abc"},
        {"^open(at)?$", "openat", ""},
        {"[a-z]+_[a-z]+", "a_b", "a_b_c"},
        {".*", "", NULL},
        {"y{2,3}", "yyy", "yyyy"},
        {"(a*)(b)\\2", "aabb", "aab"},
    };
    static const char *const bad[] = {
        "", "(", "[", "a{2,1}", "(((a{20}){20}){20}){20}", "*a{99999}", "((((((((((((((a+)+)+)+)+)+)+)+)+)+)+)+)+)+)+"};
    ent_pattern *pattern;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_ok(ent_pattern_read(&pattern, cases[i].pattern, "t"));
        assert_true(ent_pattern_matches(pattern, cases[i].matches));
        assert_false(cases[i].other && ent_pattern_matches(pattern, cases[i].other));
        assert_string_equal(ent_pattern_text(pattern), cases[i].pattern);
        ent_pattern_free(pattern);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_fails(ent_pattern_read(&pattern, bad[i], "file:3: key"), ENT_EFORMAT, "file:3: key: ");
        assert_null(pattern);
    }
    char text[600];
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = 0;
    assert_fails(ent_pattern_read(&pattern, text, "t"), ENT_EFORMAT, "t: a pattern of 599 bytes; at most 500");
    assert_true(ent_pattern_matches(NULL, "anything"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_are_of_what_moved),       cmocka_unit_test(unknown_is_not_zero),
        cmocka_unit_test(memory_is_what_was_asked_for), cmocka_unit_test(heaps_belong_to_processes),
        cmocka_unit_test(runs_are_of_threads),          cmocka_unit_test(shares_are_of_work),
        cmocka_unit_test(patterns_match_whole_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
