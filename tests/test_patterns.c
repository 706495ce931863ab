/* Patterns found and not found, and the table of times. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "trace/patterns.h"
#include "trace/summary.h"
#include "tests/trace_helpers.h"

static char *reported(const ent_trace *const *traces, size_t n, int64_t steps)
{
    ent_text text = {0};
    char *report;
    assert_int_equal(ent_trace_patterns(&text, traces, n, steps), ENT_OK);
    assert_int_equal(ent_text_finish(&report, &text), ENT_OK);
    return report;
}

/* The report of one trace has `part` (or not), and the trace is freed. */
static void check(ent_trace *t, bool has, const char *part)
{
    char *report = reported((const ent_trace *const[]){t}, 1, 0);
    if ((strstr(report, part) != NULL) != has)
        fail_msg("expected %s\"%s\" in:\n%s", has ? "" : "no ", part, report);
    free(report);
    ent_trace_clear(t);
}

static void writes(ent_trace *t, int pid, int fd, const char *what, int64_t bytes)
{
    with(moved(add(t, pid, "write", kept(t, "fd=%d;buf=x;count=%d", fd, (int)bytes), bytes), bytes, NULL), fd, what);
}

static void an_empty_trace_has_none(void **state)
{
    (void)state;
    ent_trace t;
    t = new_trace("t");
    char *report = reported((const ent_trace *const[]){&t}, 1, 0);
    assert_string_equal(report, "Tight Loop: none\n"
                                "God Process: none; one process: there is nothing to share\n"
                                "Allocation in the Steady State: none; no descriptor has 3 writes to take for the "
                                "steady state\n"
                                "Small Writes: none\n"
                                "Random Numbers from the Kernel: none\n"
                                "Files Opened Again: none\n");
    free(report);
    assert_int_equal(ent_trace_patterns(&(ent_text){0}, NULL, 0, 0), ENT_EINVAL);
}

static void tight_loops(void **state)
{
    (void)state;
    ent_trace t;
    for (int n = 99; n <= 100; n++) {
        t = new_trace("t");
        add(&t, 5, "brk", "addr=NULL", 4096);
        for (int k = 0; k < n; k++) {
            add(&t, 5, "lseek", "fd=3;offset=0;whence=SEEK_SET", 0);
            add(&t, 6, "getpid", "", 6);
            add(&t, 6, "gettid", "", 6); /* another thread doesn't end the run */
        }
        check(&t, n == 100, "Tight Loop: found\n  100 calls of lseek in a row, by thread 5 of process 5\n  To do: ");
    }
    t = new_trace("t");
    add(&t, 5, "getpid", "", 5);
    add(&t, 5, "getpid", "", 5);
    char *report = reported((const ent_trace *const[]){&t}, 1, 4);
    assert_non_null(strstr(report, "Tight Loop: none; the longest run is of 2 getpid\n"
                                   "  0.5 calls a step (2 calls, 4 steps)\n"));
    free(report);
    ent_trace_clear(&t);
}

static void god_processes(void **state)
{
    (void)state;
    ent_trace_process one[] = {{.pid = 1, .program = "a", .calls = 5, .cpu_us = 60}};
    ent_trace_process two[] = {{.pid = 2, .program = "a", .calls = 50, .cpu_us = 20}};
    ent_trace_process both[] = {one[0], two[0]};
    ent_trace a, b, all;
    a = new_trace("a.json");
    b = new_trace("b.json");
    a.processes = one;
    b.processes = two;
    a.n_processes = b.n_processes = 1;
    a.rank = 0;
    b.rank = 1;
    const ent_trace *const ranks[] = {&a, &b};
    char *report = reported(ranks, 2, 0);
    assert_non_null(strstr(report,
                           "God Process: found\n  rank 0 did 75 % of the CPU time of 2 ranks; even shares are 50 "
                           "%\n  To do: "));
    free(report);
    one[0].cpu_us = 40; /* twice as much as the other is not yet more */
    report = reported(ranks, 2, 0);
    assert_non_null(strstr(report, "God Process: none; rank 0 did 67 % of the CPU time of 2 ranks; even"));
    free(report);
    one[0].cpu_us = -1; /* then calls count */
    for (int k = 0; k < 10; k++)
        add(&b, 2, k % 2 ? "getpid" : "gettid", "", 2);
    report = reported(ranks, 2, 0);
    assert_non_null(strstr(report, "God Process: found\n  rank 1 did 100 % of the system calls of 2 ranks"));
    free(report);
    all = new_trace("all.json");
    all.processes = both;
    all.n_processes = 2;
    report = reported((const ent_trace *const[]){&all}, 1, 0);
    assert_non_null(strstr(report, "God Process: found\n  process 1 (a) did 75 % of the CPU time of 2 processes"));
    free(report);
    ent_trace_process four[] = {{.pid = 1, .cpu_us = 45},
                                {.pid = 2, .cpu_us = 15},
                                {.pid = 3, .cpu_us = 15},
                                {.pid = 4, .cpu_us = 15}}; /* much, but not most of it */
    all.processes = four;
    all.n_processes = 4;
    report = reported((const ent_trace *const[]){&all}, 1, 0);
    assert_non_null(strstr(report, "God Process: none; process 1 () did 50 % of the CPU time of 4 processes"));
    free(report);
    a.processes = b.processes = NULL;
    ent_trace_clear(&a);
    ent_trace_clear(&b);
}

/* A loop of ten lines; a memory call before the first, between some, or after the last, by one process or another. */
static void allocations(void **state)
{
    (void)state;
    static const struct {
        int after, pid;
        bool loader, found;
    } cases[] = {{0, 5, false, false}, {1, 5, false, false},  {2, 5, false, true}, {9, 5, false, true},
                 {5, 5, true, false},  {10, 5, false, false}, {5, 6, false, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ent_trace t;
        t = new_trace("t");
        for (int line = 0; line <= 10; line++) {
            if (line > 0)
                writes(&t, 5, 1, "/dev/pts/0", 100);
            writes(&t, 5, 4, line < 8 ? "/log" : "/log2", 100); /* less often: the number is used again */
            for (int k = 0; k < 12 && line == 3; k++)           /* many, but all at once */
                writes(&t, 5, 6, "/data.h5", 100);
            if (line == cases[i].after) {
                ent_trace_call *call = add(&t, cases[i].pid, "munmap", "addr=0x7f000;length=4096", 0);
                call->loader = cases[i].loader;
                call->file = "loop.c";
                call->line = 7;
            }
        }
        if (cases[i].found)
            check(&t, true,
                  "Allocation in the Steady State: found\n  1 memory call (1 munmap; first at loop.c:7) in the steady "
                  "state: from write 2 to 10 on "
                  "stdout by process 5, the longest log\n  To do: ");
        else
            check(&t, true,
                  "Allocation in the Steady State: none; steady state: from write 2 to 10 on stdout by process 5, the "
                  "longest log\n");
    }
}

static void two_writes_are_no_log(void **state)
{
    (void)state;
    for (int n = 1; n <= 2; n++) {
        ent_trace t;
        t = new_trace("t");
        for (int k = 0; k < n; k++)
            writes(&t, 5, 1, "/dev/pts/0", 100);
        check(&t, true, "Allocation in the Steady State: none; no descriptor has 3 writes");
    }
}

static void small_writes(void **state)
{
    (void)state;
    static const struct {
        int count, fds;
        int64_t bytes;
        bool found;
    } cases[] = {{16, 1, 63, true}, {15, 1, 63, false}, {20, 1, 64, false}, {30, 2, 10, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ent_trace t;
        t = new_trace("t");
        for (int k = 0; k < cases[i].count; k++)
            writes(&t, 5, 3 + k % cases[i].fds, k % cases[i].fds ? "/b" : "/a", cases[i].bytes);
        writes(&t, 5, 3, "/a", 100);
        check(&t, true,
              !cases[i].found
                  ? "Small Writes: none"
                  : "Small Writes: found\n  16 of 17 writes on /a by process 5 are of less than 64 bytes\n  To do: ");
    }
}

static void random_numbers(void **state)
{
    (void)state;
    static const char found[] = "Random Numbers from the Kernel: found\n  process 5 asked 2 times\n  To do: ";
    for (int n = 0; n < 5; n++) {
        ent_trace t;
        t = new_trace("t");
        add(&t, 5, "getrandom", "buf=0x7f000;buflen=8;flags=GRND_NONBLOCK", 8);
        if (n == 1) /* each process may once */
            add(&t, 6, "getrandom", "buf=0x7f000;buflen=8;flags=GRND_NONBLOCK", 8);
        if (n == 2)
            add(&t, 5, "getrandom", "buf=0x7f000;buflen=8;flags=0", 8);
        if (n == 3)
            with(moved(add(&t, 5, "read", "fd=3;buf=x;count=8", 8), 8, NULL), 3, "/dev/urandom");
        if (n == 4)
            add(&t, 5, "getrandom", "buf=0x7f000;buflen=8;flags=0", 8)->loader = true;
        check(&t, n == 2 || n == 3, found);
    }
}

static void files_opened_again(void **state)
{
    (void)state;
    for (int n = 0; n < 5; n++) {
        ent_trace t;
        t = new_trace("t");
        for (int k = 0; k < 3; k++) {
            const char *path = n == 1 && k == 2 ? "/b" : n == 4 ? "/proc/self/status" : "/a";
            ent_trace_call *call =
                add(&t, n == 2 && k == 2 ? 6 : 5, "openat", kept(&t, "dirfd=AT_FDCWD;pathname=%s;flags=O_RDONLY", path),
                    n == 3 && k == 2 ? -13 : 3);
            with(call, 3, path);
        }
        check(&t, true,
              n > 0 ? "Files Opened Again: none"
                    : "Files Opened Again: found\n  /a was opened 3 times by process 5\n  To do: ");
    }
}

static void findings_of_several_traces_say_which(void **state)
{
    (void)state;
    ent_trace a, b;
    a = new_trace("a.json");
    b = new_trace("b.json");
    b.rank = 3;
    for (int k = 0; k < 16; k++) {
        writes(&a, 5, 1, "/dev/pts/0", 1);
        writes(&b, 6, 1, "/dev/pts/0", 1);
    }
    char *report = reported((const ent_trace *const[]){&a, &b}, 2, 2);
    assert_non_null(strstr(report, "\n  a.json: 16 of 16 writes on stdout by process 5 are of less than 64 bytes\n"
                                   "  rank 3: 16 of 16 writes on stdout by process 6 are of less than 64 bytes\n"));
    assert_non_null(strstr(report,
                           "none; a.json: steady state: from write 2 to 16 on stdout by process 5, the longest log; "
                           "rank 3: steady state: from write 2 to 16 on stdout by process 6"));
    assert_non_null(strstr(report, "  8.0 calls a step (16 calls, 2 steps) in b.json\n"));
    free(report);
    ent_trace_clear(&a);
    ent_trace_clear(&b);
}

static void raw_traces_have_patterns(void **state)
{
    (void)state;
    ent_trace t;
    t = new_trace("t");
    t.raw = true;
    add(&t, 0, "openat", "0xffffff9c;pathname=./log;0x241", 3);
    for (int k = 0; k < 20; k++) {
        add(&t, 0, "write", "0x3;0x7f000;0x5", 5);
        add(&t, 0, "brk", "0x0;0x0;0x0", 4096);
    }
    char *report = reported((const ent_trace *const[]){&t}, 1, 0);
    assert_non_null(
        strstr(report, "18 memory calls (18 brk) in the steady state: from write 2 to 20 on ./log by process 0"));
    assert_non_null(strstr(report, "20 of 20 writes on ./log by process 0 are of less than 64 bytes"));
    free(report);
    ent_trace_clear(&t);
}

static void summaries_are_tables(void **state)
{
    (void)state;
    static const char expected[] = "% time     seconds  usecs/call     calls    errors syscall\n"
                                   "------ ----------- ----------- --------- --------- ----------------\n"
                                   " 90.00    0.000900         300         3         1 openat\n"
                                   "  5.00    0.000050          25         2           read\n"
                                   "  5.00    0.000050          50         1           close\n"
                                   "  0.00    0.000000           0         1           brk\n"
                                   "  0.00    0.000000           0         1           futex\n"
                                   "------ ----------- ----------- --------- --------- ----------------\n"
                                   "100.00    0.001000         125         8         1 total\n";
    ent_trace t;
    ent_text text = {0};
    t = new_trace("t.json");
    add(&t, 5, "read", "", 1)->duration_ns = 20500;
    for (int k = 0; k < 3; k++)
        add(&t, 5, "openat", "", k ? 3 : -2)->duration_ns = 300000;
    t.calls[1].error = "ENOENT";
    add(&t, 5, "read", "", 1)->duration_ns = 29500;
    add(&t, 5, "close", "", 0)->duration_ns = 50000;
    add(&t, 5, "futex", "", 0)->returned = false; /* killed within it */
    add(&t, 5, "brk", "", 0)->duration_ns = 0;
    assert_int_equal(ent_trace_summary(&text, &t), ENT_OK);
    assert_string_equal(text.data, expected);
    for (size_t i = 0; i < t.count; i++)
        t.calls[i].duration_ns = -1;
    assert_int_equal(ent_trace_summary(&text, &t), ENT_EINVAL);
    assert_string_equal(ent_message(), "t.json: has no times: expected a trace with the durations of its calls");
    free(text.data);
    ent_trace_clear(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_trace_has_none),
        cmocka_unit_test(tight_loops),
        cmocka_unit_test(god_processes),
        cmocka_unit_test(allocations),
        cmocka_unit_test(two_writes_are_no_log),
        cmocka_unit_test(small_writes),
        cmocka_unit_test(random_numbers),
        cmocka_unit_test(files_opened_again),
        cmocka_unit_test(findings_of_several_traces_say_which),
        cmocka_unit_test(raw_traces_have_patterns),
        cmocka_unit_test(summaries_are_tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
