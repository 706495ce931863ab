/* Calls as lines that are the same in every run, and names that vary. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>

#include "trace/compare.h"
#include "trace/normalise.h"
#include "tests/trace_helpers.h"

static const char hash_a[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
static const char hash_b[] = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

static void assert_line(const ent_trace *t, size_t i, ent_normalise_form form, const char *expected)
{
    ent_normaliser n;
    ent_text text = {0};
    char *line;
    assert_int_equal(ent_normalise_begin(&n, t, NULL), ENT_OK);
    ent_normalise_put(&text, &n, i, form);
    assert_int_equal(ent_text_finish(&line, &text), ENT_OK);
    assert_string_equal(line, expected);
    free(line);
    ent_normalise_end(&n);
}

static void lines_have_what_stays(void **state)
{
    (void)state;
    static const struct {
        const char *name, *args;
        int64_t result;
        const char *error;
        int fd;
        const char *what, *hash, *line;
    } cases[] = {
        {"openat", "dirfd=AT_FDCWD;pathname=/w/d/./model.json;flags=O_RDONLY|O_CLOEXEC", 3, NULL, 3, "/w/d/model.json",
         NULL, "openat(AT_FDCWD, \"././model.json\", O_RDONLY|O_CLOEXEC) = <./model.json>"},
        {"openat", "dirfd=AT_FDCWD;pathname=/w/dx;flags=O_RDONLY", -2, "ENOENT", -1, NULL, NULL,
         "openat(AT_FDCWD, \"/w/dx\", O_RDONLY) = -ENOENT"},
        {"mkdirat", "dirfd=5;pathname=a;mode=0777", 0, NULL, 5, "/w/d", NULL, "mkdirat(<.>, \"a\", 0777) = 0"},
        {"write", "fd=4;buf={\\\"a\\\": 1};count=214", 214, NULL, 4, "/w/d/m.json", hash_a,
         "write(<./m.json>, \"{\\\"a\\\": 1}\", count 214, sha256 aaaaaaaaaaaa) = 214"},
        {"write", "fd=2;buf=x;count=1", -32, "EPIPE", 2, "pipe:[12]", NULL, "write(<stderr>, \"x\", count 1) = -EPIPE"},
        {"write", "fd=9;buf=x;count=1", -9, "EBADF", -1, NULL, NULL, "write(<fd>, \"x\", count 1) = -EBADF"},
        {"write", "fd=1;buf=x;count=1", -9, "EBADF", -1, NULL, NULL, "write(<fd>, \"x\", count 1) = -EBADF"},
        {"read", "fd=7;buf=0x7ffd001122;count=1", -11, "EAGAIN", 7, "pipe:[12]", NULL,
         "read(<pipe>, ADDR, count 1) = -EAGAIN"},
        {"read", "fd=7;buf=abc;count=3", 3, NULL, 7, "/dev/urandom", hash_b,
         "read(</dev/urandom>, random, count 3) = 3"},
        {"read", "fd=7;buf=abc;count=3", 3, NULL, 7, "anon_inode:[eventfd]", hash_b,
         "read(<anon_inode:[eventfd]>, \"abc\", count 3, sha256 bbbbbbbbbbbb) = 3"},
        {"mmap", "addr=NULL;length=10;prot=PROT_READ;flags=MAP_PRIVATE;fd=3;offset=0", 0x7f1200003000, NULL, 3,
         "/x/p77-771", NULL, "mmap(NULL, length 10, PROT_READ, MAP_PRIVATE, </x/pPID-771>, 0) = ADDR"},
        {"mmap", "addr=0x10000;length=10;prot=PROT_READ;flags=MAP_ANONYMOUS;fd=-1;offset=0", -12, "ENOMEM", -1, NULL,
         NULL, "mmap(ADDR, length 10, PROT_READ, MAP_ANONYMOUS, -1, 0) = -ENOMEM"},
        {"munmap", "addr=0x7f1200003000;length=10", 0, NULL, -1, NULL, NULL, "munmap(ADDR, length 10) = 0"},
        {"getpid", "", 77, NULL, -1, NULL, NULL, "getpid() = PID"},
        {"kill", "pid=78;sig=SIGTERM", 0, NULL, -1, NULL, NULL, "kill(PID, SIGTERM) = 0"},
        {"wait4", "pid=-1;wstatus=0x7ff;options=WNOHANG;rusage=NULL", 0, NULL, -1, NULL, NULL,
         "wait4(-1, ADDR, WNOHANG, NULL) = 0"},
        {"kill", "pid=-78;sig=SIGTERM", 0, NULL, -1, NULL, NULL, "kill(-PID, SIGTERM) = 0"},
        {"execve", "pathname=/bin/sh;argv=[\"sh\", \"/w/d/a b\", \"--pid=77\"];envp=0x7ffe0", 0, NULL, -1, NULL, NULL,
         "execve(\"/bin/sh\", [\"sh\", \"./a b\", \"--pid=PID\"], ADDR) = 0"},
        {"fcntl", "fd=3;cmd=F_DUPFD_CLOEXEC;arg=3", 5, NULL, 5, "/w/d", NULL, "fcntl(<fd>, F_DUPFD_CLOEXEC, 3) = <.>"},
        {"dup2", "oldfd=3;newfd=1", 1, NULL, 1, "/w/d/log", NULL, "dup2(<fd>, <stdout>) = <stdout>"},
        {"pipe2", "pipefd=[5, 6];flags=O_CLOEXEC", 0, NULL, 6, "pipe:[3]", NULL,
         "pipe2([<fd>, <pipe>], O_CLOEXEC) = 0"},
        {"sendfile", "out_fd=4;in_fd=3;offset=NULL;count=5", 5, NULL, 4, "/o", hash_a,
         "sendfile(</o>, <fd>, NULL, count 5, sha256 aaaaaaaaaaaa) = 5"},
        {"no_such_call", "0x3;0x7f0000001000", -38, NULL, -1, NULL, NULL, "no_such_call(0x3, ADDR) = -38"},
        {"openat", "dirfd=AT_FDCWD;pathname=a;flags=O_RDONLY", -100000, NULL, -100000, "/o", NULL,
         "openat(AT_FDCWD, \"a\", O_RDONLY) = <fd>"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ent_trace t;
        t = new_trace("t");
        t.cwd = "/w/d";
        ent_trace_call *call = moved(add(&t, 77, cases[i].name, cases[i].args, cases[i].result), -1, cases[i].hash);
        call->error = cases[i].error;
        if (cases[i].what)
            with(call, cases[i].fd, cases[i].what);
        assert_line(&t, 0, ENT_NORMALISE_SHOW, cases[i].line);
        ent_trace_clear(&t);
    }
}

static void compared_lines_have_the_whole_hash_only(void **state)
{
    (void)state;
    ent_trace t;
    t = new_trace("t");
    with(moved(add(&t, 1, "write", "fd=4;buf=some bytes...;count=214", 214), 214, hash_b), 4, "/a");
    add(&t, 1, "exit", "", 0)->returned = false;
    assert_line(&t, 0, ENT_NORMALISE_COMPARE,
                "write(</a>, data, count 214, sha256 "
                "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb) = 214");
    assert_line(&t, 1, ENT_NORMALISE_COMPARE, "exit() = ?");
    ent_trace_clear(&t);
}

/* Creates `path` in a trace, by mkdir or with O_EXCL. */
static void creates(ent_trace *t, const char *path, bool folder)
{
    if (folder)
        add(t, 77, "mkdir", kept(t, "pathname=%s;mode=0700", path), 0);
    else
        add(t, 77, "openat", kept(t, "dirfd=AT_FDCWD;pathname=%s;flags=O_WRONLY|O_CREAT|O_EXCL;mode=0600", path), 3);
}

static void assert_varying(const ent_trace *t, const ent_trace *other, const char *text, const char *expected)
{
    ent_trace_varying *varying;
    ent_text out = {0};
    assert_int_equal(ent_trace_varying_new(&varying, t, other), ENT_OK);
    ent_trace_varying_put(&out, varying, text);
    assert_string_equal(out.data ? out.data : "", expected);
    free(out.data);
    ent_trace_varying_free(varying);
}

static void temporary_names_are_found(void **state)
{
    (void)state;
    static const struct {
        const char *created, *other; /* NULL: the other trace creates nothing */
        bool folder;
        const char *text, *expected;
    } cases[] = {
        {"/tmp/out.aB3x9Q", NULL, false, "/tmp/out.aB3x9Q", "/tmp/out.XXXXXX"},
        {"/tmp/out.aB3x9Q", NULL, false, "/elsewhere/out.aB3x9Q (deleted)", "/elsewhere/out.XXXXXX (deleted)"},
        {"/tmp/out.aB3x9Q", NULL, false, "/tmp/out.aB3x9Qq", "/tmp/out.aB3x9Qq"},
        {"/tmp/out.aB3x9Q", NULL, false, "/tmp/out.aB", "/tmp/out.aB"},
        {"/tmp/dir-abcdef", NULL, true, "/tmp/dir-abcdef/a/b", "/tmp/dir-XXXXXX/a/b"},
        {"/tmp/abcde", NULL, true, "/tmp/abcde", "/tmp/abcde"},
        {"/var/tmp/kkkkkk", NULL, true, "/var/tmp/kkkkkk", "/var/tmp/XXXXXX"},
        {"/dev/shm/1kkkkkk", NULL, false, "/dev/shm/1kkkkkk", "/dev/shm/XXXXXX"},
        {"/w/d/saved.aB3x9Q", NULL, false, "/w/d/saved.aB3x9Q", "./saved.XXXXXX"},
        {"/w/d/saved.abcdef", NULL, false, "/w/d/saved.abcdef", "./saved.abcdef"},
        {"out/step00000100", NULL, true, "out/step00000100", "out/step00000100"},
        {"Epoch10000", NULL, true, "Epoch10000", "Epoch10000"},
        {"RUN10000", NULL, true, "RUN10000", "RUN10000"},
        {"RUNS12", NULL, true, "RUNS12", "RUNS12"},
        {".model.tmp-77", NULL, false, "/w/d/.model.tmp-77", "./.model.tmp-PID"},
        {"/tmp/model.1234567", NULL, false, "/tmp/model.1234567", "/tmp/model.PID"},
        /* a folder of that name in both traces is no temporary one */
        {"/w/d/q4k8m2", "/w/e/q4k8m2", true, "/w/d/q4k8m2", "./q4k8m2"},
        {"/tmp/entrenar", "/tmp/entrenar", true, "/tmp/entrenar/x", "/tmp/entrenar/x"},
        {"/tmp/entrenar", "/tmp/entrenur", true, "/tmp/entrenar/x", "/tmp/XXXXXX/x"},
        /* what doesn't look random is so if its counterpart does */
        {"/w/d/saved.abcdef", "/w/e/saved.aB3x9Q", false, "/w/d/saved.abcdef", "./saved.XXXXXX"},
        {"/w/d/saved.abcdef", "/w/e/stored.aB3x9Q", false, "/w/d/saved.abcdef", "./saved.abcdef"},
        {"/w/d/saved.abcdef", "/w/e/saved.abcdeg", false, "/w/d/saved.abcdef", "./saved.abcdef"},
        {"/w/d/saved.abcdef", "/w/e/saved.aB3x9Qw", false, "/w/d/saved.abcdef", "./saved.abcdef"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ent_trace t, other;
        t = new_trace("t");
        other = new_trace("other");
        t.cwd = "/w/d";
        other.cwd = "/w/e";
        creates(&t, cases[i].created, cases[i].folder);
        t.calls[0].pid = 1234567;
        if (cases[i].other)
            creates(&other, cases[i].other, cases[i].folder);
        assert_varying(&t, &other, cases[i].text, cases[i].expected);
        if (cases[i].other == NULL)
            assert_varying(&t, NULL, cases[i].text, cases[i].expected);
        ent_trace_clear(&t);
        ent_trace_clear(&other);
    }
}

static void what_is_not_made_anew_is_no_temporary_name(void **state)
{
    (void)state;
    ent_trace t;
    t = new_trace("t");
    add(&t, 77, "openat", "dirfd=AT_FDCWD;pathname=/tmp/a.aB3x9Q;flags=O_WRONLY|O_CREAT;mode=0600", 3);
    add(&t, 77, "openat", "dirfd=AT_FDCWD;pathname=/tmp/b.aB3x9Q;flags=O_WRONLY|O_CREAT|O_EXCL;mode=0600", -17);
    add(&t, 77, "rmdir", "pathname=/tmp/c.aB3x9Q", 0);
    assert_varying(&t, NULL, "/tmp/a.aB3x9Q /tmp/b.aB3x9Q /tmp/c.aB3x9Q", "/tmp/a.aB3x9Q /tmp/b.aB3x9Q /tmp/c.aB3x9Q");
    ent_trace_clear(&t);
}

/* Libraries that are given a name to write to don't insist that it is new: HDF5. */
static void what_gets_another_name_was_a_temporary_one(void **state)
{
    (void)state;
    ent_trace t;
    t = new_trace("t");
    t.cwd = "/w/d";
    add(&t, 77, "rename", "oldpath=/w/d/.a.h5.tmp-BiOlNpFkKpNcNfOe;newpath=/w/d/a.h5", 0);
    add(&t, 77, "renameat2", "olddirfd=AT_FDCWD;oldpath=.b.tmp-aB3x9Q;newdirfd=AT_FDCWD;newpath=b.aB3x9R;flags=0", 0);
    add(&t, 77, "rename", "oldpath=c.aC3x9Q;newpath=c", -2);
    add(&t, 77, "rename", "oldpath=report;newpath=report.aD3x9Q", 0);
    assert_varying(&t, NULL, "/w/d/.a.h5.tmp-BiOlNpFkKpNcNfOe .b.tmp-aB3x9Q b.aB3x9R c.aC3x9Q report.aD3x9Q",
                   "./.a.h5.tmp-XXXXXX .b.tmp-XXXXXX b.aB3x9R c.aC3x9Q report.aD3x9Q");
    ent_trace_clear(&t);
}

static void raw_traces_have_temporary_names(void **state)
{
    (void)state;
    ent_trace t;
    t = new_trace("t");
    add(&t, 0, "openat", "0xffffff9c;pathname=/tmp/a.aB3x9Q;0x800c2", 3); /* O_RDWR|O_CREAT|O_EXCL|O_CLOEXEC */
    add(&t, 0, "openat", "0xffffff9c;pathname=/tmp/b.aC3x9Q;0x80042", 3);
    assert_varying(&t, NULL, "/tmp/a.aB3x9Q /tmp/b.aC3x9Q", "/tmp/a.XXXXXX /tmp/b.aC3x9Q");
    ent_trace_clear(&t);
}

static void processes_and_the_folder_are_replaced(void **state)
{
    (void)state;
    ent_trace t, other;
    t = new_trace("t");
    other = new_trace("other");
    t.cwd = "/w/\xc3\xa9/";
    add(&t, 77, "getpid", "", 77);
    add(&t, 78, "getpid", "", 78)->pid = 77;
    add(&other, 5, "getpid", "", 5);
    assert_varying(&t, &other, "/p/77-78-5-779-077", "/p/PID-PID-PID-779-077"); /* of both traces */
    assert_varying(&t, NULL, "/p/77-78-5", "/p/PID-PID-5");
    assert_varying(&t, NULL, "/99999999999999999999", "/99999999999999999999");
    assert_varying(&t, NULL, "/w/\\303\\251/x", "./x"); /* as paths are in traces */
    assert_varying(&t, NULL, "/w/\\303\\251", ".");
    assert_varying(&t, NULL, "/w/\\303\\251x", "/w/\\303\\251x");
    assert_varying(&t, NULL, "/v/w/\\303\\251/x", "/v/w/\\303\\251/x");
    assert_varying(&t, NULL, "/v//w/\\303\\251/x", "/v//w/\\303\\251/x");
    t.cwd = "/";
    assert_varying(&t, NULL, "/x", "/x");
    t.cwd = NULL;
    assert_varying(&t, NULL, "/x", "/x");
    ent_trace_clear(&t);
    ent_trace_clear(&other);
}

static void raw(ent_trace *t, const char *label)
{
    *t = new_trace(label);
    t->raw = true;
}

/* What renacer writes of a program: `base` moves addresses, `fd` descriptors. */
static void record_raw(ent_trace *t, unsigned base, int fd, const char *path, int64_t bytes)
{
    raw(t, "raw");
    add(t, 0, "brk", "0x0;0x0;0x0", (int64_t)base << 12);
    add(t, 0, "openat", "0xffffff9c;pathname=/etc/ld.so.cache;0x80000", 3);
    add(t, 0, "read", "0x3;0x7ffd0;0x1000", base & 0xff); /* of a file that is masked */
    add(t, 0, "close", "0x3;0x0;0x0", 0);
    add(t, 0, "openat", kept(t, "0xffffff9c;pathname=%s;0x80000", path), fd);
    add(t, 0, "read", kept(t, "0x%x;0x%x000;0x1000", fd, base), bytes);
    add(t, 0, "dup", kept(t, "0x%x;0x0;0x0", fd), fd + 1);
    add(t, 0, "write", kept(t, "0x1;0x%x000;0x9", base), 9);
    add(t, 0, "close", kept(t, "0x%x;0x0;0x0", fd + 1), 0);
    add(t, 0, "getpid", "0x0;0x0;0x0", base);
    add(t, 0, "openat", "0xffffff9c;pathname=/opt/preload;0x80000", fd + 2);
    add(t, 0, "close", kept(t, "0x%x;0x0;0x0", fd + 2), 0);
    add(t, 0, "read", kept(t, "0x%x;0x7ffd0;0x1000", fd + 2), -9);
}

static void raw_traces_compare_what_they_know(void **state)
{
    (void)state;
    static const struct {
        unsigned base;
        int fd;
        const char *path;
        int64_t bytes;
        bool equal;
    } cases[] = {
        {1, 3, "./a", 5, true},
        {77, 8, "./a", 5, true},
        {1, 3, "./b", 5, false},
        {1, 3, "./a", 6, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ent_trace golden, fresh;
        ent_text report = {0};
        bool equal;
        record_raw(&golden, 1, 3, "./a", 5);
        record_raw(&fresh, cases[i].base, cases[i].fd, cases[i].path, cases[i].bytes);
        assert_int_equal(ent_trace_compare(&report, &equal, &golden, &fresh, false), ENT_OK);
        assert_int_equal(equal, cases[i].equal);
        if (equal)
            assert_string_equal(report.data, "equal: 8 calls of the program's own input and output\n");
        free(report.data);
        assert_line(&fresh, 5, ENT_NORMALISE_COMPARE,
                    kept(&fresh, "read(<%s>) = %d", cases[i].path, (int)cases[i].bytes));
        assert_line(&fresh, 6, ENT_NORMALISE_COMPARE, kept(&fresh, "dup(<%s>) = <fd>", cases[i].path));
        assert_line(&fresh, 7, ENT_NORMALISE_COMPARE, "write(<stdout>) = 9");
        assert_line(&fresh, 8, ENT_NORMALISE_COMPARE, kept(&fresh, "close(<%s>) = 0", cases[i].path));
        assert_line(&fresh, 9, ENT_NORMALISE_COMPARE, "getpid()");
        assert_line(&fresh, 12, ENT_NORMALISE_COMPARE, "read(<fd>) = -9");
        ent_trace_clear(&golden);
        ent_trace_clear(&fresh);
    }
}

/* A trace that knows more is seen as one in v1-raw when it is compared with one. */
static void raw_traces_compare_with_others(void **state)
{
    (void)state;
    ent_trace golden, fresh;
    for (int bytes = 5; bytes < 7; bytes++) {
        ent_text report = {0};
        bool equal;
        record_raw(&golden, 1, 3, "./a", 5);
        fresh = new_trace("fresh");
        add(&fresh, 9, "openat", "dirfd=AT_FDCWD;pathname=/etc/ld.so.cache;flags=O_RDONLY", 3)->loader = true;
        with(add(&fresh, 9, "openat", "dirfd=AT_FDCWD;pathname=./a;flags=O_RDONLY", 4), 4, "/w/a");
        with(moved(add(&fresh, 9, "read", "fd=4;buf=abcde;count=4096", bytes), bytes, hash_a), 4, "/w/a");
        with(add(&fresh, 9, "dup", "oldfd=4", 5), 4, "/w/a");
        with(moved(add(&fresh, 9, "write", "fd=1;buf=abcdefghi;count=9", 9), 9, hash_a), 1, "/dev/null");
        with(add(&fresh, 9, "close", "fd=5", 0), 5, "/w/a");
        with(add(&fresh, 9, "openat", "dirfd=AT_FDCWD;pathname=/opt/preload;flags=O_RDONLY", 6), 6, "/opt/preload")
            ->loader = true;
        with(add(&fresh, 9, "close", "fd=6", 0), 6, "/opt/preload");
        add(&fresh, 9, "read", "fd=6;buf=0x7ffd0;count=4096", -9)->error = "EBADF";
        with(add(&fresh, 9, "mmap", "addr=NULL;length=1;prot=0;flags=0;fd=4;offset=0", 0x7f000), 4, "/w/a");
        assert_int_equal(ent_trace_compare(&report, &equal, &golden, &fresh, false), ENT_OK);
        assert_int_equal(equal, bytes == 5);
        free(report.data);
        ent_trace_clear(&golden);
        ent_trace_clear(&fresh);
    }
}

/* Each thing that a program doesn't do for itself, alone. */
static void probes_are_masked_one_by_one(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        bool own, own_with_mpi;
    } cases[] = {
        {"/sys/devices/system/node", false, false},
        {"/sys/devices/systems", true, false},
        {"/sys/fs/cgroup/cpu.max", false, false},
        {"/proc/self/maps", false, false},
        {"/proc/12/maps", false, false},
        {"/proc/12x", true, false},
        {"/proc/cpuinfo", false, false},
        {"/proc/meminfo", false, false},
        {"/proc/sys/vm/overcommit", false, false},
        {"/etc/ld.so.cache", false, false},
        {"/opt/libx.so", false, false},
        {"/opt/libx.so.1.2", false, false},
        {"/opt/libx.sofa", true, true},
        {"/opt/x.so.gz", true, true},
        {"/etc/hosts", true, false},
        {"/usr/share/x", true, false},
        {"/lib/x", true, false},
        {"/dev/shm/x", true, false},
        {"/dev/infiniband/uverbs0", true, false},
        {"/tmp/ompi.h.0/x", true, false},
        {"/var/pmix-4/x", true, false},
        {"/tmp/openmpi-sessions-0", true, false},
        {"/dev/null", true, true},
        {"/data/my.ompi.txt", true, true},
        {"/run/x", true, false},
        {"/dev", true, false},
        {"/", true, false},
        {"/tmp", true, false},
        {"/tmp/x", true, true},
        {"/dev/x", true, true},
        {"/root/.openmpi/x", true, false},
        {"/root/.pmix", true, false},
        {"pipe:[1]", true, false},
        {"socket:[1]", true, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (int rank = -1; rank <= 0; rank++) {
            ent_trace t;
            ent_normaliser n;
            const bool own = rank < 0 ? cases[i].own : cases[i].own_with_mpi;
            t = new_trace("t");
            t.rank = rank;
            with(add(&t, 5, "close", "fd=3", 0), 3, cases[i].path);
            add(&t, 5, "unlink", kept(&t, "pathname=%s", cases[i].path), 0); /* by the path that is asked for */
            assert_int_equal(ent_normalise_begin(&n, &t, NULL), ENT_OK);
            assert_int_equal(ent_normalise_is_own(&n, 0), own);
            assert_int_equal(ent_normalise_is_own(&n, 1), own);
            ent_normalise_end(&n);
            ent_trace_clear(&t);
        }
    }
}

/* When a signal comes is not the program's doing: a call it cuts off is made again. */
static void calls_made_again_are_known(void **state)
{
    (void)state;
    static const struct {
        int64_t result;
        const char *between, *again; /* the next calls of the thread; between: NULL for none */
        bool with_handler, restarted;
    } cases[] = {
        {-512, NULL, "fd=1", false, true},    {-513, NULL, "fd=1", true, true},
        {-514, "getpid", "fd=1", true, true}, {-512, NULL, "fd=4", true, false},
        {-512, NULL, "fd=4", false, false},   {-512, "getpid", "fd=1", false, false},
        {-EINTR, NULL, "fd=1", false, false}, {5, NULL, "fd=1", false, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ent_trace t;
        ent_normaliser n;
        t = new_trace("t");
        add(&t, 5, "read", "fd=1;buf=0x7000;count=9", cases[i].result);
        add(&t, 6, "read", "fd=2;buf=0x7000;count=9", 3); /* another thread's */
        if (cases[i].between)
            add(&t, 5, cases[i].between, "", 77);
        if (cases[i].with_handler)
            add(&t, 5, "rt_sigreturn", "", -4);
        add(&t, 5, "read", kept(&t, "%s;buf=abc;count=9", cases[i].again), 3);
        assert_ok(ent_normalise_begin(&n, &t, NULL));
        assert_int_equal(ent_normalise_is_restarted(&n, 0), cases[i].restarted);
        assert_false(ent_normalise_is_restarted(&n, t.count - 1));
        ent_normalise_end(&n);
        ent_trace_clear(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_have_what_stays),
        cmocka_unit_test(compared_lines_have_the_whole_hash_only),
        cmocka_unit_test(temporary_names_are_found),
        cmocka_unit_test(what_is_not_made_anew_is_no_temporary_name),
        cmocka_unit_test(what_gets_another_name_was_a_temporary_one),
        cmocka_unit_test(raw_traces_have_temporary_names),
        cmocka_unit_test(processes_and_the_folder_are_replaced),
        cmocka_unit_test(probes_are_masked_one_by_one),
        cmocka_unit_test(raw_traces_compare_what_they_know),
        cmocka_unit_test(raw_traces_compare_with_others),
        cmocka_unit_test(calls_made_again_are_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
