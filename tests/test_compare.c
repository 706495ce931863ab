/* What is the same in two runs of a program, and what is seen as different. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "trace/compare.h"
#include "tests/trace_helpers.h"

static const char hash_a[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
static const char hash_b[] = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

/* What differs in each run, and what makes it another one. */
typedef struct run {
    int pid, rank, exit_code;
    uint64_t address;
    const char *cwd, *temporary;
    const char *hash; /* of what is written */
    int64_t bytes;    /* that are written */
    bool extra_open, no_close, extra_getpid, swapped, probes, mpi_noise, late_thread, extra_in_thread, extra_map;
} run;

static const run usual = {.pid = 4711,
                          .rank = -1,
                          .address = 0x7f0011223000,
                          .cwd = "/home/me/work",
                          .temporary = "aB3x9Q",
                          .hash = hash_a,
                          .bytes = 9};

static void opens(ent_trace *t, int tid, const char *path, const char *what, int fd)
{
    with(add(t, tid, "openat", kept(t, "dirfd=AT_FDCWD;pathname=%s;flags=O_RDONLY|O_CLOEXEC", path), fd), fd, what);
}

static void closes(ent_trace *t, int tid, const char *what, int fd)
{
    with(add(t, tid, "close", kept(t, "fd=%d", fd), 0), fd, what);
}

static void mpi_noise(ent_trace *t, const run *r)
{
    const char *session = kept(t, "/tmp/ompi.host.0/pid.%d/contact.txt", r->pid);
    with(add(t, r->pid, "socket", "domain=AF_UNIX;type=SOCK_STREAM;protocol=0", 7), 7, "socket:[991]");
    with(moved(add(t, r->pid, "write", "fd=7;buf=x;count=1", 1), 1, hash_b), 7, "socket:[991]");
    add(t, r->pid, "pipe2", "pipefd=[8, 9];flags=O_CLOEXEC", 0);
    with(moved(add(t, r->pid, "read", "fd=8;buf=x;count=1", 1), 1, hash_b), 8, "pipe:[77]");
    with(moved(add(t, r->pid, "write", "fd=10;buf=x;count=8", 8), 8, hash_b), 10, "anon_inode:[eventfd]");
    opens(t, r->pid, "/dev/shm/vader_segment.1", "/dev/shm/vader_segment.1", 11);
    opens(t, r->pid, "/etc/openmpi/openmpi-mca-params.conf", "/etc/openmpi/openmpi-mca-params.conf", 11);
    opens(t, r->pid, session, session, 12);
    add(t, r->pid, "unlink", kept(t, "pathname=/tmp/pmix-%d", r->pid), 0);
    add(t, r->pid, "close", "fd=31", 0);
    with(add(t, r->pid, "mmap", kept(t, "addr=NULL;length=4096;prot=PROT_READ;flags=MAP_SHARED;fd=11;offset=0"),
             (int64_t)r->address),
         11, "/dev/shm/vader_segment.1");
}

static void start(ent_trace *t, const run *r)
{
    ent_trace_call *call =
        add(t, r->pid, "execve",
            kept(t, "pathname=%s/prog;argv=[\"./prog\"];envp=0x%llx", r->cwd, (unsigned long long)r->address), 0);
    opens(t, r->pid, "/etc/ld.so.cache", "/etc/ld.so.cache", 3);
    t->calls[t->count - 1].loader = true;
    opens(t, r->pid, "/opt/lib/libm.so.6", "/opt/lib/libm.so.6", 3);
    call =
        with(moved(add(t, r->pid, "read", "fd=3;buf=\\177ELF;count=832", 832), 832, hash_b), 3, "/opt/lib/libm.so.6");
    call->loader = true;
    add(t, r->pid, "brk", "addr=NULL", (int64_t)r->address);
    if (r->probes) {
        opens(t, r->pid, "/proc/self/status", kept(t, "/proc/%d/status", r->pid), 3);
        opens(t, r->pid, "/sys/devices/system/cpu/online", "/sys/devices/system/cpu/online", 3);
        closes(t, r->pid, "/sys/fs/cgroup/cpu.max", 3);
        opens(t, r->pid, "/opt/libfoo.so", "/opt/libfoo.so", 3);
    }
}

static void in_thread(ent_trace *t, const run *r)
{
    const int tid = r->pid + 1;
    opens(t, tid, "data.bin", kept(t, "%s/data.bin", r->cwd), 5);
    if (r->extra_in_thread)
        with(add(t, tid, "lseek", "fd=5;offset=1;whence=SEEK_SET", 1), 5, kept(t, "%s/data.bin", r->cwd));
    closes(t, tid, kept(t, "%s/data.bin", r->cwd), 5);
}

/* The run of a program that reads a model, and writes a file under a temporary name. */
static void record(ent_trace *t, const char *label, const run *r)
{
    *t = new_trace(label);
    t->cwd = r->cwd;
    t->rank = r->rank;
    t->exit_code = r->exit_code;
    const char *model = kept(t, "%s/model.json", r->cwd), *temporary = kept(t, "/tmp/out.%s", r->temporary);
    const int pid = r->pid;
    start(t, r);
    if (r->mpi_noise)
        mpi_noise(t, r);
    if (r->extra_getpid)
        add(t, pid, "getpid", "", pid);
    opens(t, pid, model, model, 3);
    with(moved(add(t, pid, "read", "fd=3;buf={};count=4096", 2), 2, hash_a), 3, model);
    add(t, pid, "clone3", kept(t, "cl_args=0x%llx;size=88", (unsigned long long)r->address), pid + 1);
    if (!r->late_thread)
        in_thread(t, r);
    if (r->extra_open)
        opens(t, pid, "other.json", kept(t, "%s/other.json", r->cwd), 6);
    if (r->extra_map)
        with(add(t, pid, "mmap", "addr=NULL;length=2;prot=PROT_READ;flags=MAP_PRIVATE;fd=3;offset=0",
                 (int64_t)r->address),
             3, model);
    if (!r->no_close)
        closes(t, pid, model, 3);
    add(t, pid, "mmap",
        kept(t, "addr=NULL;length=4096;prot=PROT_READ|PROT_WRITE;flags=MAP_PRIVATE|MAP_ANONYMOUS;fd=-1;offset=0"),
        (int64_t)r->address);
    with(add(t, pid, "openat", kept(t, "dirfd=AT_FDCWD;pathname=%s;flags=O_RDWR|O_CREAT|O_EXCL;mode=0600", temporary),
             4),
         4, temporary);
    t->calls[t->count - 1].file = "save.c";
    t->calls[t->count - 1].line = 12;
    t->calls[t->count - 1].function = "save";
    for (int k = 0; k < 2; k++) {
        if (r->swapped ? k == 1 : k == 0)
            with(moved(add(t, pid, "write", kept(t, "fd=4;buf=Results: ;count=%d", (int)r->bytes), r->bytes), r->bytes,
                       r->hash),
                 4, temporary);
        else
            with(moved(add(t, pid, "write", "fd=1;buf=done;count=4", 4), 4, hash_b), 1, "pipe:[1234]");
    }
    closes(t, pid, temporary, 4);
    add(t, pid, "rename", kept(t, "oldpath=%s;newpath=%s/results-%d.json", temporary, r->cwd, pid), 0);
    if (r->late_thread)
        in_thread(t, r);
}

/* The report of a comparison, which the caller frees; the verdict is `equal`. */
static char *compared(const ent_trace *golden, const ent_trace *fresh, bool strict, bool equal)
{
    ent_text text = {0};
    char *report;
    bool found;
    assert_int_equal(ent_trace_compare(&text, &found, golden, fresh, strict), ENT_OK);
    assert_int_equal(ent_text_finish(&report, &text), ENT_OK);
    if (found != equal)
        fail_msg("expected %s:\n%s", equal ? "equal" : "different", report);
    return report;
}

static void assert_has(const char *report, const char *part)
{
    if (strstr(report, part) == NULL)
        fail_msg("expected \"%s\" in:\n%s", part, report);
}

/* Runs like the usual one and like `r`; their verdict, and a part of the report (NULL: any). */
static void check(const run *r, bool strict, bool equal, const char *part)
{
    ent_trace golden, fresh;
    for (int turned = 0; turned < 2; turned++) {
        record(&golden, "golden.json", turned ? r : &usual);
        record(&fresh, "fresh.json", turned ? &usual : r);
        char *report = compared(&golden, &fresh, strict, equal);
        if (part && !turned)
            assert_has(report, part);
        free(report);
        ent_trace_clear(&golden);
        ent_trace_clear(&fresh);
    }
}

static void a_run_equals_itself(void **state)
{
    (void)state;
    check(&usual, false, true, "equal: 10 calls of the program's own input and output\n");
    check(&usual, true, true, "equal: 16 calls\n");
}

static void what_differs_in_each_run_is_the_same(void **state)
{
    (void)state;
    run r = usual;
    r.pid = 99;
    check(&r, true, true, NULL);
    r.address = 0x7fff00000000;
    check(&r, true, true, NULL);
    r.cwd = "/tmp/elsewhere";
    check(&r, true, true, NULL);
    r.temporary = "zzzzzz"; /* in /tmp any six do */
    check(&r, true, true, NULL);
    r.late_thread = true; /* a thread that runs later, started in the same place */
    check(&r, true, true, NULL);
    r.probes = true; /* seen when strict */
    check(&r, false, true, NULL);
    check(&r, true, false, NULL);
}

static void differences_are_seen(void **state)
{
    (void)state;
    run r = usual;
    r.extra_open = true;
    check(&r, false, false, "\n+openat(AT_FDCWD, \"other.json\", O_RDONLY|O_CLOEXEC) = <./other.json>\n");
    check(&r, false, false, "\ndifferent: 0 calls missing, 1 added\n");
    r = usual;
    r.bytes = 10;
    check(&r, false, false, "\n+write(</tmp/out.aB3x9Q>, \"Results: \", count 10, sha256 aaaaaaaaaaaa) = 10\n");
    check(&r, false, false, "\n-write(</tmp/out.aB3x9Q>, \"Results: \", count 9, sha256 aaaaaaaaaaaa) = 9\n");
    r = usual;
    r.hash = hash_b;
    check(&r, false, false,
          "\n-write(</tmp/out.aB3x9Q>, \"Results: \", count 9, sha256 aaaaaaaaaaaa) = 9\n"
          "+write(</tmp/out.aB3x9Q>, \"Results: \", count 9, sha256 bbbbbbbbbbbb) = 9\n");
    r = usual;
    r.swapped = true;
    check(&r, false, false, "\ndifferent: 1 call missing, 1 added\n");
    r = usual;
    r.no_close = true;
    check(&r, false, false, "\n-close(<./model.json>) = 0\n");
    r = usual;
    r.extra_in_thread = true;
    check(&r, false, false, "\n+lseek(<./data.bin>, 1, SEEK_SET) = 1\n");
    r = usual;
    r.extra_map = true;
    check(&r, false, false, "\n+mmap(NULL, length 2, PROT_READ, MAP_PRIVATE, <./model.json>, 0) = ADDR\n");
    r = usual;
    r.extra_getpid = true;
    check(&r, false, true, NULL);
    check(&r, true, false, "\n+getpid() = PID\n");
    r = usual;
    r.exit_code = 3;
    check(&r, false, false, "--- golden.json\n+++ fresh.json\ndifferent: exit code 3 instead of 0\n");
}

static void reports_show_context_and_source(void **state)
{
    (void)state;
    run r = usual;
    r.no_close = true;
    r.temporary = "Zz0aB1";
    check(&r, false, false,
          "--- golden.json\n+++ fresh.json\n@@ -1,6 +1,5 @@\n"
          " openat(AT_FDCWD, \"./model.json\", O_RDONLY|O_CLOEXEC) = <./model.json>\n"
          " read(<./model.json>, \"{}\", count 4096, sha256 aaaaaaaaaaaa) = 2\n"
          "-close(<./model.json>) = 0\n"
          " openat(AT_FDCWD, \"/tmp/out.XXXXXX\", O_RDWR|O_CREAT|O_EXCL, 0600) = </tmp/out.XXXXXX>  [save.c:12 save]\n"
          " write(</tmp/out.XXXXXX>, \"Results: \", count 9, sha256 aaaaaaaaaaaa) = 9\n"
          " write(<stdout>, \"done\", count 4, sha256 bbbbbbbbbbbb) = 4\n"
          "different: 1 call missing, 0 added\n");
}

static void mpi_noise_is_masked(void **state)
{
    (void)state;
    ent_trace golden, fresh;
    run r = usual, noisy = usual;
    r.rank = noisy.rank = 0;
    noisy.mpi_noise = true;
    noisy.pid = 12;
    record(&golden, "golden.json", &r);
    record(&fresh, "fresh.json", &noisy);
    free(compared(&golden, &fresh, false, true));
    ent_trace_clear(&golden);
    ent_trace_clear(&fresh);
    noisy.rank = -1; /* one of both with a rank is enough */
    record(&golden, "golden.json", &noisy);
    record(&fresh, "fresh.json", &r);
    free(compared(&golden, &fresh, false, true));
    ent_trace_clear(&golden);
    /* without a rank the same calls are the program's */
    r.rank = noisy.rank = -1;
    ent_trace_clear(&fresh);
    record(&golden, "golden.json", &r);
    record(&fresh, "fresh.json", &noisy);
    free(compared(&golden, &fresh, false, false));
    ent_trace_clear(&golden);
    ent_trace_clear(&fresh);
    /* standard output stays, whatever it is connected to */
    r.rank = 0;
    run other = r;
    other.swapped = true;
    record(&golden, "golden.json", &r);
    record(&fresh, "fresh.json", &other);
    char *report = compared(&golden, &fresh, false, false);
    assert_has(report, "<stdout>");
    free(report);
    ent_trace_clear(&golden);
    ent_trace_clear(&fresh);
}

static void only_the_first_execve_is_passed_over(void **state)
{
    (void)state;
    ent_trace golden, fresh;
    golden = new_trace("golden");
    fresh = new_trace("fresh");
    add(&golden, 5, "execve", "pathname=/a;argv=[\"a\"];envp=NULL", 0);
    add(&fresh, 5, "execve", "pathname=/b;argv=[\"b\"];envp=NULL", 0);
    free(compared(&golden, &fresh, true, true));
    add(&golden, 5, "brk", "addr=NULL", 4096);
    add(&fresh, 5, "brk", "addr=NULL", 4096);
    add(&golden, 5, "execve", "pathname=/a;argv=[\"a\"];envp=NULL", 0);
    add(&fresh, 5, "execve", "pathname=/b;argv=[\"b\"];envp=NULL", 0);
    free(compared(&golden, &fresh, false, false));
    ent_trace_clear(&golden);
    ent_trace_clear(&fresh);
}

static void a_call_that_changes_its_thread_is_seen(void **state)
{
    (void)state;
    ent_trace golden, fresh;
    golden = new_trace("golden");
    fresh = new_trace("fresh");
    for (int k = 0; k < 3; k++) {
        closes(&golden, k < 2 ? 5 : 6, kept(&golden, "/%d", k), 3);
        closes(&fresh, k < 1 ? 5 : 6, kept(&fresh, "/%d", k), 3);
    }
    char *report = compared(&golden, &fresh, false, false);
    assert_has(report, "different: 1 call missing, 1 added\n");
    free(report);
    ent_trace_clear(&fresh);
    fresh = new_trace("fresh");
    closes(&fresh, 5, "/0", 3);
    closes(&fresh, 5, "/1", 3);
    report = compared(&golden, &fresh, false, false); /* what parts threads is no call */
    assert_has(report, "different: 1 call missing, 0 added\n");
    free(report);
    ent_trace_clear(&golden);
    ent_trace_clear(&fresh);
}

/* Threads run in any order; they stand in the order of the calls that started them. */
static void threads_may_run_in_any_order(void **state)
{
    (void)state;
    ent_trace traces[2];
    for (int k = 0; k < 2; k++) {
        traces[k] = new_trace("t");
        add(&traces[k], 5, "clone3", "cl_args=0x7f000;size=88", 6);
        add(&traces[k], 5, "clone3", "cl_args=0x7f000;size=88", 7);
        for (int turn = 0; turn < 4; turn++) {
            const int tid = 6 + (turn + k) % 2;
            closes(&traces[k], tid, tid == 6 ? "/a" : "/b", 3);
        }
    }
    free(compared(&traces[0], &traces[1], false, true));
    free(compared(&traces[0], &traces[1], true, true));
    ent_trace_clear(&traces[0]);
    ent_trace_clear(&traces[1]);
}

static void the_loader_is_passed_over(void **state)
{
    (void)state;
    ent_trace golden, fresh;
    golden = new_trace("golden");
    fresh = new_trace("fresh");
    closes(&fresh, 5, "/opt/preload", 3);
    free(compared(&golden, &fresh, false, false));
    fresh.calls[0].loader = true;
    free(compared(&golden, &fresh, false, true));
    free(compared(&golden, &fresh, true, false));
    ent_trace_clear(&golden);
    ent_trace_clear(&fresh);
}

static void long_reports_are_cut(void **state)
{
    (void)state;
    ent_trace golden, fresh;
    size_t lines = 0;
    golden = new_trace("golden");
    fresh = new_trace("fresh");
    for (int k = 0; k < 150; k++) {
        closes(&golden, 5, kept(&golden, "/a\n%d", k), 3);
        closes(&fresh, 5, kept(&fresh, "/b\n%d%0900d", k, k), 3);
    }
    char *report = compared(&golden, &fresh, false, false);
    for (const char *s = report; *s; s++)
        lines += *s == '\n';
    assert_int_equal(lines, 2 + 1 + 200 + 1 + 1);
    assert_has(report, "\n... 100 more\ndifferent: 150 calls missing, 150 added\n");
    assert_true(strlen(report) < 30 * 1000);
    free(report);
    ent_trace_clear(&golden);
    ent_trace_clear(&fresh);
}

/* When a signal comes is not the program's doing. */
static void calls_made_again_are_passed_over(void **state)
{
    (void)state;
    ent_trace golden, fresh;
    golden = new_trace("golden");
    fresh = new_trace("fresh");
    closes(&golden, 5, "/a", 3);
    with(add(&fresh, 5, "close", "fd=3", -512), 3, "/a");
    closes(&fresh, 5, "/a", 3);
    free(compared(&golden, &fresh, false, true));
    free(compared(&fresh, &golden, true, true));
    ent_trace_clear(&golden);
    ent_trace_clear(&fresh);
}

/* Hunks that are far from each other are apart, with the places of their lines. */
static void hunks_say_where_they_are(void **state)
{
    (void)state;
    ent_trace golden, fresh;
    golden = new_trace("golden");
    fresh = new_trace("fresh");
    for (int k = 1; k <= 40; k++) {
        closes(&golden, 5, kept(&golden, "/%d", k), 3);
        if (k != 10 && k != 17 && k != 25)
            closes(&fresh, 5, kept(&fresh, "/%d", k), 3);
    }
    char *report = compared(&golden, &fresh, false, false);
    assert_has(report, "\n@@ -7,14 +7,12 @@\n close(</7>) = 0\n");
    assert_has(report, "\n close(</20>) = 0\n@@ -22,7 +20,6 @@\n close(</22>) = 0\n"); /* seven lines between */
    assert_has(report, "\n close(</28>) = 0\ndifferent:");
    free(report);
    ent_trace_clear(&golden);
    ent_trace_clear(&fresh);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_equals_itself),
        cmocka_unit_test(what_differs_in_each_run_is_the_same),
        cmocka_unit_test(differences_are_seen),
        cmocka_unit_test(reports_show_context_and_source),
        cmocka_unit_test(mpi_noise_is_masked),
        cmocka_unit_test(only_the_first_execve_is_passed_over),
        cmocka_unit_test(a_call_that_changes_its_thread_is_seen),
        cmocka_unit_test(threads_may_run_in_any_order),
        cmocka_unit_test(the_loader_is_passed_over),
        cmocka_unit_test(calls_made_again_are_passed_over),
        cmocka_unit_test(long_reports_are_cut),
        cmocka_unit_test(hunks_say_where_they_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
