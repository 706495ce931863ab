/* The table of system calls against the kernel's own list; how values are shown; digests in pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "io/digest.h"
#include "trace/arguments.h"
#include "trace/flag_names.h"
#include "trace/show.h"
#include "trace/syscalls.h"

/* Every "#define __NR_name number" of this machine's header is in the table, under that name, and nothing else is. */
static void has_every_call(void **state)
{
    (void)state;
    char line[256], name[64];
    unsigned number, listed = 0, known = 0;
#ifdef __x86_64__
    FILE *file = fopen("/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "r");
    if (file == NULL)
        file = fopen("/usr/include/asm/unistd_64.h", "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        if (sscanf(line, "#define __NR_%63[a-z0-9_] %u", name, &number) != 2)
            continue;
        const ent_syscall *s = ent_syscall_of_number(number);
        if (s == NULL)
            fail_msg("%s (%u) is not in the table", name, number);
        assert_string_equal(s->name, name);
        assert_int_equal(s->number, number);
        assert_ptr_equal(ent_syscall_of_name(name), s);
        listed++;
    }
    fclose(file);
    assert_true(listed >= 362);
    for (number = 0; number < 5000; number++)
        known += ent_syscall_of_number(number) != NULL;
    assert_int_equal(known, listed);
#else
    (void)line, (void)name, (void)number, (void)listed, (void)known;
    skip();
#endif
}

static void has_no_other(void **state)
{
    (void)state;
    assert_null(ent_syscall_of_number(100000));
    assert_null(ent_syscall_of_number(UINT64_MAX));
    assert_null(ent_syscall_of_number(UINT64_C(1) << 32)); /* read, if it were cut to 32 bits */
    assert_null(ent_syscall_of_name(""));
    assert_null(ent_syscall_of_name("writ"));
    assert_null(ent_syscall_of_name("write2"));
}

static void check_names(const ent_syscall *s, const ent_syscall_arg *arg)
{
    assert_non_null(arg->names);
    for (const ent_bit_name *a = arg->names; a->name; a++) {
        for (const ent_bit_name *b = a + 1; b->name; b++) {
            /* what stands before hides its parts; a name may not be hidden by one of its own parts */
            const uint32_t first = (uint32_t)a->value, second = (uint32_t)b->value;
            const int hidden = arg->kind == ENT_ARG_ENUM ? first == second : first && (second & first) == first;
            if (hidden)
                fail_msg("%s: %s: %s hides %s", s->name, arg->name, a->name, b->name);
        }
    }
}

/* What the decoder takes for granted. */
static void is_well_formed(void **state)
{
    (void)state;
    for (unsigned number = 0; number < 1000; number++) {
        const ent_syscall *s = ent_syscall_of_number(number);
        for (size_t i = 0; s && i < 6 && s->args[i].name; i++) {
            const ent_syscall_arg *arg = &s->args[i];
            const ent_arg_kind next = i < 5 && s->args[i + 1].name ? s->args[i + 1].kind : ENT_ARG_INT;
            if (arg->kind == ENT_ARG_IN || arg->kind == ENT_ARG_OUT || arg->kind == ENT_ARG_IN_VECTOR ||
                arg->kind == ENT_ARG_OUT_VECTOR)
                assert_int_equal(next, ENT_ARG_SIZE);
            if (arg->kind == ENT_ARG_FLAGS || arg->kind == ENT_ARG_ENUM)
                check_names(s, arg);
            else
                assert_null(arg->names);
            for (size_t k = 0; k < i; k++)
                assert_string_not_equal(s->args[k].name, arg->name);
        }
    }
}

static void expect_traits(unsigned traits, unsigned of, const char *const *names)
{
    for (; *names; names++) {
        const ent_syscall *s = ent_syscall_of_name(*names);
        if (s && (s->traits & of) != traits)
            fail_msg("%s: traits %x, expected %x of %x", *names, s->traits, traits, of);
    }
}

static void knows_what_calls_do(void **state)
{
    (void)state;
#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})
    enum { MOVES = ENT_CALL_READS | ENT_CALL_WRITES, ANY = 255 };
    expect_traits(ENT_CALL_IO | ENT_CALL_READS, ANY,
                  LIST("read", "pread64", "readv", "preadv", "preadv2", "recvfrom", "recvmsg"));
    expect_traits(ENT_CALL_IO | ENT_CALL_WRITES, ANY,
                  LIST("write", "pwrite64", "writev", "pwritev", "pwritev2", "sendto", "sendmsg"));
    expect_traits(ENT_CALL_IO | MOVES, ANY, LIST("sendfile", "splice", "copy_file_range", "tee"));
    expect_traits(ENT_CALL_IO | ENT_CALL_OPENS, ANY,
                  LIST("open", "openat", "openat2", "creat", "dup", "dup2", "dup3", "socket", "accept", "accept4",
                       "memfd_create"));
    expect_traits(ENT_CALL_IO, ANY,
                  LIST("close", "lseek", "truncate", "ftruncate", "rename", "renameat2", "link", "unlink", "unlinkat",
                       "mkdir", "rmdir", "chmod", "chown", "fsync", "fdatasync", "fallocate", "pipe", "pipe2",
                       "connect", "execve", "symlink"));
    expect_traits(0, ANY,
                  LIST("stat", "newfstatat", "fstat", "statx", "access", "readlink", "getdents64", "ioctl", "fcntl",
                       "poll", "ppoll", "getrandom", "getcwd"));
    expect_traits(ENT_CALL_MEMORY | ENT_CALL_ADDRESS, ANY, LIST("mmap", "mremap", "brk"));
    expect_traits(ENT_CALL_MEMORY, ANY, LIST("munmap", "madvise"));
    expect_traits(ENT_CALL_NO_RETURN, ANY, LIST("exit", "exit_group"));
    expect_traits(ENT_CALL_PID, ANY, LIST("fork", "vfork", "clone", "clone3", "wait4", "getpid", "gettid", "getppid"));
}

static void expect_text(ent_text *text, const char *expected)
{
    assert_false(text->failed);
    assert_string_equal(text->n ? text->data : "", expected);
    free(text->data);
    *text = (ent_text){0};
}

/* As strace 6.1 shows argument i of a call that is given these values. */
static void expect_shown(const char *call, size_t i, uint64_t value, const char *expected)
{
    const ent_syscall *s = ent_syscall_of_name(call);
    uint64_t args[6] = {0};
    ent_syscall_arg arg;
    ent_text text = {0};
    assert_non_null(s);
    args[i] = value;
    assert_true(ent_argument(&arg, s, i, args));
    ent_show_value(&text, &arg, value);
    expect_text(&text, expected);
}

static void shows_flags(void **state)
{
    (void)state;
    expect_shown("openat", 2, O_RDONLY, "O_RDONLY");
    expect_shown("openat", 2, O_RDONLY | O_CLOEXEC, "O_RDONLY|O_CLOEXEC");
    expect_shown("openat", 2, O_WRONLY | O_CREAT | O_TRUNC, "O_WRONLY|O_CREAT|O_TRUNC");
    expect_shown("openat", 2, O_RDWR | O_SYNC, "O_RDWR|O_SYNC");
    expect_shown("openat", 2, O_RDWR | O_DSYNC, "O_RDWR|O_DSYNC");
    expect_shown("openat", 2, O_RDWR | O_TMPFILE, "O_RDWR|O_TMPFILE");
    expect_shown("openat", 2, O_RDONLY | O_DIRECTORY, "O_RDONLY|O_DIRECTORY");
    expect_shown("openat", 2, O_ACCMODE, "O_ACCMODE");
    expect_shown("openat", 2, O_RDWR | 0x40000000, "O_RDWR|0x40000000");
    expect_shown("openat", 2, 0xabcd00000000u | O_RDWR, "O_RDWR");
    expect_shown("mmap", 2, PROT_NONE, "PROT_NONE");
    expect_shown("mmap", 2, PROT_READ | PROT_EXEC, "PROT_READ|PROT_EXEC");
    expect_shown("mmap", 3, MAP_SHARED, "MAP_SHARED");
    expect_shown("mmap", 3, MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, "MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS");
    expect_shown("futex", 1, FUTEX_WAIT, "FUTEX_WAIT");
    expect_shown("futex", 1, FUTEX_WAIT_PRIVATE, "FUTEX_WAIT_PRIVATE");
    expect_shown("futex", 1, FUTEX_WAIT_BITSET_PRIVATE | FUTEX_CLOCK_REALTIME,
                 "FUTEX_WAIT_BITSET_PRIVATE|FUTEX_CLOCK_REALTIME");
    expect_shown("clone", 0, CLONE_CHILD_CLEARTID | CLONE_CHILD_SETTID | SIGCHLD,
                 "CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID|SIGCHLD");
    expect_shown("socket", 1, SOCK_STREAM | SOCK_CLOEXEC, "SOCK_STREAM|SOCK_CLOEXEC");
    expect_shown("socket", 1, SOCK_SEQPACKET, "SOCK_SEQPACKET");
    expect_shown("faccessat", 2, F_OK, "F_OK");
    expect_shown("faccessat", 2, R_OK | X_OK, "R_OK|X_OK");
    expect_shown("renameat2", 4, 0, "0");
    expect_shown("personality", 0, 0xffffffff, "0xffffffff");
}

static void shows_values(void **state)
{
    (void)state;
    expect_shown("lseek", 1, (uint64_t)-7, "-7");
    expect_shown("lseek", 2, SEEK_END, "SEEK_END");
    expect_shown("lseek", 2, 99, "0x63");
    expect_shown("ioctl", 1, 0x5401, "TCGETS");
    expect_shown("ioctl", 1, 0x5413, "TIOCGWINSZ");
    expect_shown("ioctl", 1, 0x541b, "FIONREAD");
    expect_shown("fcntl", 1, F_DUPFD_CLOEXEC, "F_DUPFD_CLOEXEC");
    expect_shown("getrusage", 0, (uint64_t)-1, "RUSAGE_CHILDREN");
    expect_shown("getrusage", 0, 0xffffffff, "RUSAGE_CHILDREN");
    expect_shown("clock_gettime", 0, CLOCK_MONOTONIC, "CLOCK_MONOTONIC");
    expect_shown("openat", 0, (uint64_t)AT_FDCWD, "AT_FDCWD");
    expect_shown("openat", 0, 0xffffff9c, "AT_FDCWD");
    expect_shown("openat", 0, 5, "5");
    expect_shown("read", 0, (uint64_t)-1, "-1");
    expect_shown("read", 2, UINT64_MAX, "18446744073709551615");
    expect_shown("munmap", 0, 0, "NULL");
    expect_shown("munmap", 0, 0x7fff1234, "0x7fff1234");
    expect_shown("mkdirat", 2, 0755, "0755");
    expect_shown("mkdirat", 2, 04711, "04711");
    expect_shown("mkdirat", 2, 0, "000");
    expect_shown("kill", 1, SIGUSR1, "SIGUSR1");
    expect_shown("kill", 1, SIGCHLD, "SIGCHLD");
    expect_shown("kill", 1, SIGIO, "SIGIO");
    expect_shown("kill", 1, 0, "0");
    expect_shown("kill", 1, 34, "SIGRT_2");
    expect_shown("kill", 1, 99, "99");
    expect_shown("kill", 0, (uint64_t)-1, "-1");
    assert_string_equal(ent_show_error(2), "ENOENT");
    assert_string_equal(ent_show_error(512), "ERESTARTSYS");
    assert_string_equal(ent_show_error(513), "ERESTARTNOINTR");
    assert_string_equal(ent_show_error(514), "ERESTARTNOHAND");
    assert_string_equal(ent_show_error(516), "ERESTART_RESTARTBLOCK");
    assert_null(ent_show_error(600));
}

/* Whether argument i of a call is there, and of which kind. */
static void expect_argument(const char *call, size_t i, const uint64_t args[6], int kind)
{
    ent_syscall_arg arg;
    const bool there = ent_argument(&arg, ent_syscall_of_name(call), i, args);
    assert_int_equal(there ? (int)arg.kind : -1, kind);
    if (there)
        assert_true((arg.names != NULL) == (kind == ENT_ARG_FLAGS || kind == ENT_ARG_ENUM));
}

static void drops_what_counts_for_nothing(void **state)
{
    (void)state;
#define ARGS(...) ((const uint64_t[6]){__VA_ARGS__})
    expect_argument("openat", 3, ARGS(0, 0, O_RDONLY, 0644), -1);
    expect_argument("openat", 3, ARGS(0, 0, O_RDONLY | O_DIRECTORY, 0644), -1);
    expect_argument("openat", 3, ARGS(0, 0, O_WRONLY | O_CREAT, 0644), ENT_ARG_MODE);
    expect_argument("openat", 3, ARGS(0, 0, O_WRONLY | O_TMPFILE, 0644), ENT_ARG_MODE);
    expect_argument("mremap", 4, ARGS(0, 0, 0, MREMAP_MAYMOVE, 9), -1);
    expect_argument("mremap", 4, ARGS(0, 0, 0, MREMAP_MAYMOVE | MREMAP_FIXED, 9), ENT_ARG_ADDRESS);
    expect_argument("clone", 2, ARGS(CLONE_CHILD_SETTID | SIGCHLD, 0, 1, 1, 1), -1);
    expect_argument("clone", 2, ARGS(CLONE_PARENT_SETTID | SIGCHLD, 0, 1, 1, 1), ENT_ARG_ADDRESS);
    expect_argument("fcntl", 2, ARGS(1, F_GETFL, 7), -1);
    expect_argument("fcntl", 2, ARGS(1, F_SETFL, O_NONBLOCK), ENT_ARG_FLAGS);
    expect_argument("fcntl", 2, ARGS(1, F_SETLK, 7), ENT_ARG_ADDRESS);
    expect_argument("futex", 3, ARGS(1, FUTEX_WAKE_PRIVATE, 1, 7, 7, 7), -1);
    expect_argument("futex", 3, ARGS(1, FUTEX_WAIT_PRIVATE, 1, 7, 7, 7), ENT_ARG_ADDRESS);
    expect_argument("futex", 4, ARGS(1, FUTEX_WAIT_PRIVATE, 1, 7, 7, 7), -1);
    expect_argument("futex", 4, ARGS(1, FUTEX_WAIT_BITSET_PRIVATE | FUTEX_CLOCK_REALTIME, 1, 7, 7, 7), -1);
    expect_argument("futex", 5, ARGS(1, FUTEX_WAIT_BITSET_PRIVATE | FUTEX_CLOCK_REALTIME, 1, 7, 7, 7), ENT_ARG_HEX);
    expect_argument("preadv2", 4, ARGS(1, 2, 3, 4, 5, 6), -1);
    expect_argument("preadv2", 5, ARGS(1, 2, 3, 4, 5, 6), ENT_ARG_FLAGS);
    expect_argument("ioctl", 2, ARGS(1, 0x5451 /* FIOCLEX */, 3), -1);
    expect_argument("prctl", 1, ARGS(15 /* PR_SET_NAME */, 7), ENT_ARG_STRING);
    expect_argument("prctl", 2, ARGS(15, 7, 7), -1);
    expect_argument("socket", 2, ARGS(AF_INET, SOCK_STREAM, 6), ENT_ARG_ENUM);
    expect_argument("socket", 2, ARGS(AF_UNIX, SOCK_STREAM, 0), ENT_ARG_INT);
    expect_argument("setsockopt", 2, ARGS(3, SOL_SOCKET, SO_REUSEADDR), ENT_ARG_ENUM);
    expect_argument("read", 3, ARGS(0), -1);
    expect_argument("read", 6, ARGS(0), -1);
}

/* Reads C escapes back; independent of the writer. */
static size_t unescape(char *to, const char *from)
{
    size_t n = 0;
    for (; *from; from++) {
        if (*from != '\\') {
            to[n++] = *from;
            continue;
        }
        from++;
        if (*from >= '0' && *from <= '7') {
            to[n++] = (char)strtol((const char[]){from[0], from[1], from[2], 0}, NULL, 8);
            from += 2;
        } else {
            const char *letter = strchr("nntttrrrvvvfff", *from); /* any but n t r v f stands for itself */
            to[n++] = letter ? (char)(*from == 'n'   ? 10
                                      : *from == 't' ? 9
                                      : *from == 'r' ? 13
                                      : *from == 'v' ? 11
                                                     : 12)
                             : *from;
        }
    }
    return n;
}

static void shows_bytes(void **state)
{
    (void)state;
    ent_text text = {0};
    char bytes[3 * 256], again[3 * 256];
    ent_show_bytes(&text,
                   "Results: 1\n\t\"q\" \\ \0"
                   "7\x7f\xc3\xa9\r",
                   24);
    expect_text(&text, "Results: 1\\n\\t\\\"q\\\" \\\\ \\0007\\177\\303\\251\\r");
    for (size_t i = 0; i < sizeof bytes; i++) /* each byte before a zero, a digit and a letter */
        bytes[i] = i % 2 ? "\0"
                           "7n"[i / 2 % 3]
                         : (char)(i / 3);
    ent_show_bytes(&text, bytes, sizeof bytes);
    for (size_t i = 0; i < text.n; i++)
        assert_in_range(text.data[i], ' ', '~');
    assert_int_equal(unescape(again, text.data), sizeof bytes);
    assert_memory_equal(again, bytes, sizeof bytes);
    free(text.data);
}

static void digests_in_pieces(void **state)
{
    (void)state;
    char data[300], whole[ENT_SHA256_SIZE], pieces[ENT_SHA256_SIZE];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char)(i * 37);
    for (size_t n = 0; n <= sizeof data; n += 13) {
        ent_sha256_sum sum;
        ent_sha256_begin(&sum);
        for (size_t done = 0, step = 0; done < n; done += step) {
            step = 1 + (done * 7 + n) % 90;
            step = step < n - done ? step : n - done;
            ent_sha256_add(&sum, data + done, step);
            ent_sha256_add(&sum, NULL, 0);
        }
        ent_sha256_end(pieces, &sum);
        ent_sha256(whole, data, n);
        assert_string_equal(pieces, whole);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_every_call),
        cmocka_unit_test(has_no_other),
        cmocka_unit_test(is_well_formed),
        cmocka_unit_test(knows_what_calls_do),
        cmocka_unit_test(shows_flags),
        cmocka_unit_test(shows_values),
        cmocka_unit_test(drops_what_counts_for_nothing),
        cmocka_unit_test(shows_bytes),
        cmocka_unit_test(digests_in_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
