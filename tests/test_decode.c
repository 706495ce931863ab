/* Calls of children, decoded while they are stopped: of children that ask for one thing each. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "tests/small_tracer.h"

enum { PAGE = 4096, N_PATTERN = 100000 };
/* What children work with; it lies at the same addresses in them. */
static char folder[64], path[128], pattern[N_PATTERN], room[N_PATTERN];
static char *edge; /* the end of a page, behind which nothing can be read */
static int where;  /* the folder */

/* The digest of `pattern`, by Python's hashlib and by sha256sum. */
#define PATTERN_SHA256 "f69ef629b69651e7cd0a0c31676bf0f110d56f1f60931b2ccb941d551228e21d"

static const char *in_folder(const char *name)
{
    static char text[8][128];
    static unsigned next;
    char *to = text[next++ % 8];
    snprintf(to, sizeof text[0], "%s/%s", folder, name);
    return to;
}

static void open_files(void)
{
    syscall(SYS_openat, where, "odd \"\n\xc3\xa9\x01", O_RDWR | O_CREAT | O_EXCL, 0640);
    syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0777);
}

static void opens(void **state)
{
    (void)state;
    run(open_files);
    const ent_trace_call *call = nth("openat", 0), *second = nth("openat", 1);
    assert_int_equal(call->number, SYS_openat);
    assert_true(call->result > where);
    expect_args(call, "dirfd", number(where), "pathname", "odd \\\"\\n\\303\\251\\001", "flags",
                "O_RDWR|O_CREAT|O_EXCL", "mode", "0640", NULL);
    assert_int_equal(call->raw[0], where);
    assert_int_equal(call->raw[2], O_RDWR | O_CREAT | O_EXCL);
    assert_int_equal(call->n_descriptors, 2);
    expect_descriptor(call, 0, where, folder);
    expect_descriptor(call, 1, call->result, in_folder("odd \\\"\\n\\303\\251\\001"));
    expect_moved(call, -1, NULL);
    expect_args(second, "dirfd", "AT_FDCWD", "pathname", path, "flags", "O_RDONLY|O_CLOEXEC", NULL);
    expect_result(second, call->result + 1, NULL);
    assert_int_equal(second->n_descriptors, 1);
    expect_descriptor(second, 0, second->result, path);
    expect_args(nth("exit_group", 0), "status", "0", NULL);
    assert_false(nth("exit_group", 0)->returned);
}

static char long_path[PATH_MAX + 1000];

static void open_bad_paths(void)
{
    char *short_path = strcpy(edge - 5, "/non"); /* its zero is the last byte of the page */
    syscall(SYS_openat, AT_FDCWD, short_path, O_RDONLY);
    memcpy(edge - 4, "/non", 4);
    syscall(SYS_openat, AT_FDCWD, edge - 4, O_RDONLY);
    syscall(SYS_openat, AT_FDCWD, long_path, O_RDONLY);
    syscall(SYS_openat, AT_FDCWD, NULL, O_RDONLY);
    syscall(SYS_openat, AT_FDCWD, (char *)8, O_RDONLY);
    syscall(SYS_unlink, in_folder("nothing"));
}

static void shows_paths(void **state)
{
    (void)state;
    memset(long_path, 'p', sizeof long_path - 1);
    run(open_bad_paths);
    const ent_trace_call *call = nth("openat", 0);
    expect_args(&call[0], "dirfd", "AT_FDCWD", "pathname", "/non", "flags", "O_RDONLY", NULL);
    expect_result(&call[0], -ENOENT, "ENOENT");
    expect_args(&call[1], "dirfd", "AT_FDCWD", "pathname", address(edge - 4), "flags", "O_RDONLY", NULL);
    expect_result(&call[1], -EFAULT, "EFAULT");
    const char *shown = ent_trace_value(&call[2], "pathname");
    assert_int_equal(strlen(shown), PATH_MAX + 3);
    assert_int_equal(strspn(shown, "p"), PATH_MAX);
    assert_string_equal(shown + PATH_MAX, "...");
    expect_result(&call[2], -ENAMETOOLONG, "ENAMETOOLONG");
    expect_args(&call[3], "dirfd", "AT_FDCWD", "pathname", "NULL", "flags", "O_RDONLY", NULL);
    expect_args(&call[4], "dirfd", "AT_FDCWD", "pathname", "0x8", "flags", "O_RDONLY", NULL);
    expect_result(&call[4], -EFAULT, "EFAULT");
    expect_args(&call[5], "pathname", in_folder("nothing"), NULL);
    expect_result(&call[5], -ENOENT, "ENOENT");
    assert_int_equal(call[4].n_descriptors, 0);
}

static void write_file(void)
{
    const int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_TRUNC);
    struct iovec parts[3] = {{"one\n", 4}, {NULL, 0}, {pattern, N_PATTERN}};
    syscall(SYS_write, fd, pattern, N_PATTERN);
    syscall(SYS_pread64, fd, room, 20, 8);
    syscall(SYS_writev, fd, parts, 3);
    syscall(SYS_lseek, fd, -100L, SEEK_END);
    syscall(SYS_read, fd, room, sizeof room);
    syscall(SYS_read, fd, room, sizeof room);
    parts[0].iov_base = room;
    parts[2].iov_base = room + 4;
    syscall(SYS_preadv, fd, parts, 3, N_PATTERN, 0);
    syscall(SYS_pwritev, fd, parts, 1, 0, 0);
    syscall(SYS_close, fd);
}

static void moves_data(void **state)
{
    (void)state;
    static char both[4 + N_PATTERN], text[512];
    memcpy(both, "one\n", 4);
    memcpy(both + 4, pattern, N_PATTERN);
    run(write_file);
    const ent_trace_call *call = nth("write", 0);
    const char *fd = number((int64_t)call->raw[0]);
    snprintf(text, sizeof text, "%s...", escaped(pattern, 32));
    expect_args(call, "fd", fd, "buf", text, "count", "100000", NULL);
    expect_result(call, N_PATTERN, NULL);
    expect_moved(call, N_PATTERN, PATTERN_SHA256);
    expect_descriptor(call, 0, atoi(fd), path);

    expect_args(nth("pread64", 0), "fd", fd, "buf", escaped(pattern + 8, 20), "count", "20", "offset", "8", NULL);
    expect_moved(nth("pread64", 0), 20, hash_of(pattern + 8, 20));

    snprintf(text, sizeof text, "[\"one\\n\", \"\", \"%s\"...]", escaped(pattern, 32));
    call = nth("writev", 0);
    expect_args(call, "fd", fd, "iov", text, "iovcnt", "3", NULL);
    expect_result(call, 4 + N_PATTERN, NULL);
    expect_moved(call, 4 + N_PATTERN, hash_of(both, sizeof both));

    expect_args(nth("lseek", 0), "fd", fd, "offset", "-100", "whence", "SEEK_END", NULL);
    expect_moved(nth("lseek", 0), -1, NULL);

    snprintf(text, sizeof text, "%s...", escaped(pattern + N_PATTERN - 100, 32));
    expect_args(nth("read", 0), "fd", fd, "buf", text, "count", "100000", NULL);
    expect_moved(nth("read", 0), 100, hash_of(pattern + N_PATTERN - 100, 100));
    expect_args(nth("read", 1), "fd", fd, "buf", "", "count", "100000", NULL); /* the end of the file */
    expect_moved(nth("read", 1), 0, NULL);

    /* one piece is filled, another is empty, the last has room for more */
    snprintf(text, sizeof text, "[\"one\\n\", \"\", \"%s\"...]", escaped(pattern, 32));
    expect_args(nth("preadv", 0), "fd", fd, "iov", text, "iovcnt", "3", "offset", "100000", NULL);
    expect_moved(nth("preadv", 0), 4 + N_PATTERN, hash_of(both, sizeof both));
    expect_args(nth("pwritev", 0), "fd", fd, "iov", "[\"one\\n\"]", "iovcnt", "1", "offset", "0", NULL);
    expect_moved(nth("pwritev", 0), 4, hash_of("one\n", 4));
    expect_descriptor(nth("close", 0), 0, atoi(fd), path); /* as it was before */
    assert_int_equal(nth("close", 0)->n_descriptors, 1);
}

static void move_less(void)
{
    int ends[2];
    struct iovec parts[3] = {{room, 3}, {room + 10, 100}, {room + 200, 50}};
    syscall(SYS_pipe2, ends, O_NONBLOCK | O_CLOEXEC);
    syscall(SYS_fcntl, ends[1], F_SETPIPE_SZ, PAGE);
    syscall(SYS_write, ends[1], pattern, N_PATTERN);
    syscall(SYS_write, ends[1], pattern, N_PATTERN);
    syscall(SYS_readv, ends[0], parts, 2);
    syscall(SYS_read, ends[0], room + 1000, PAGE - 103 - 5);
    syscall(SYS_readv, ends[0], parts, 3);
    syscall(SYS_write, -1, "x", 1);
    syscall(SYS_write, ends[1], (char *)8, 1000);
    syscall(SYS_write, 1000, NULL, 0);
    syscall(SYS_write, ends[1], edge - 10, 100); /* the kernel writes what there is, or fails */
    syscall(SYS_write, ends[1], pattern, 10);
    syscall(SYS_read, ends[0], (char *)8, 5);
    syscall(SYS_readv, ends[0], (char *)8, 5);
    syscall(SYS_writev, ends[1], edge - sizeof(struct iovec), 2);
    syscall(SYS_writev, ends[1], parts, 0);
}

static void shows_what_was_not_moved(void **state)
{
    (void)state;
    char text[512];
    run(move_less);
    const ent_trace_call *pipe = nth("pipe2", 0), *call = nth("write", 0);
    const int fd = (int)call->raw[0];
    snprintf(text, sizeof text, "[%d, %d]", fd - 1, fd);
    expect_args(pipe, "pipefd", text, "flags", "O_NONBLOCK|O_CLOEXEC", NULL);
    assert_int_equal(pipe->n_descriptors, 2);
    expect_descriptor(pipe, 0, fd - 1, "pipe:[");
    expect_descriptor(pipe, 1, fd, "pipe:[");
    expect_args(nth("fcntl", 0), "fd", number(fd), "cmd", "F_SETPIPE_SZ", "arg", "4096", NULL);
    expect_result(call, PAGE, NULL); /* of 100000 */
    expect_moved(call, PAGE, hash_of(pattern, PAGE));
    assert_string_equal(ent_trace_value(call, "count"), "100000");
    expect_result(nth("write", 1), -EAGAIN, "EAGAIN");
    expect_moved(nth("write", 1), -1, NULL);
    snprintf(text, sizeof text, "[\"%s\", \"%s\"...]", escaped(pattern, 3), escaped(pattern + 3, 32));
    expect_args(nth("readv", 0), "fd", number(fd - 1), "iov", text, "iovcnt", "2", NULL);
    expect_moved(nth("readv", 0), 103, hash_of(pattern, 103));
    snprintf(text, sizeof text, "[\"%s\", \"%s\", \"\"]", escaped(pattern + PAGE - 5, 3),
             escaped(pattern + PAGE - 2, 2));
    expect_args(nth("readv", 1), "fd", number(fd - 1), "iov", text, "iovcnt", "3", NULL);
    expect_moved(nth("readv", 1), 5, hash_of(pattern + PAGE - 5, 5));
    expect_args(nth("write", 2), "fd", "-1", "buf", "x", "count", "1", NULL);
    expect_result(nth("write", 2), -EBADF, "EBADF");
    assert_int_equal(nth("write", 2)->n_descriptors, 0);
    expect_args(nth("write", 3), "fd", number(fd), "buf", "0x8", "count", "1000", NULL);
    expect_args(nth("write", 4), "fd", "1000", "buf", "NULL", "count", "0", NULL);
    assert_int_equal(nth("write", 4)->n_descriptors, 0);
    assert_string_equal(ent_trace_value(nth("write", 5), "buf"), address(edge - 10));
    expect_args(nth("read", 1), "fd", number(fd - 1), "buf", "0x8", "count", "5", NULL);
    expect_result(nth("read", 1), -EFAULT, "EFAULT");
    expect_moved(nth("read", 1), -1, NULL);
    assert_string_equal(ent_trace_value(nth("readv", 2), "iov"), "0x8");
    assert_string_equal(ent_trace_value(nth("writev", 0), "iov"), address(edge - sizeof(struct iovec)));
    assert_string_equal(ent_trace_value(nth("writev", 1), "iov"), "[]");
}

static void make_descriptors(void)
{
    int pair[2];
    char small[4];
    syscall(SYS_dup3, where, 100, 0);
    syscall(SYS_fcntl, where, F_DUPFD_CLOEXEC, 50);
    syscall(SYS_fcntl, where, F_GETFL, 0x1234);
    const int file = (int)syscall(SYS_openat, 100, "other", O_CREAT | O_WRONLY, 0600);
    syscall(SYS_dup3, file, 100, O_CLOEXEC);
    syscall(SYS_socketpair, AF_UNIX, SOCK_DGRAM, 0, pair);
    syscall(SYS_sendto, pair[0], "message", 7, MSG_NOSIGNAL, NULL, 0);
    syscall(SYS_recvfrom, pair[1], small, sizeof small, MSG_TRUNC, NULL, NULL); /* 7, but moves 4 */
    syscall(SYS_close, 1234);
}

static void knows_descriptors(void **state)
{
    (void)state;
    char text[64];
    run(make_descriptors);
    expect_result(nth("dup3", 0), 100, NULL);
    expect_descriptor(nth("dup3", 0), 0, where, folder);
    expect_descriptor(nth("dup3", 0), 1, 100, folder);
    const ent_trace_call *call = nth("fcntl", 0);
    expect_args(call, "fd", number(where), "cmd", "F_DUPFD_CLOEXEC", "arg", "50", NULL);
    expect_result(call, 50, NULL);
    expect_descriptor(call, 1, 50, folder);
    expect_args(nth("fcntl", 1), "fd", number(where), "cmd", "F_GETFL", NULL);
    call = nth("dup3", 1); /* 100 was the folder, and becomes the file */
    assert_int_equal(call->n_descriptors, 2);
    expect_descriptor(call, 0, nth("openat", 0)->result, in_folder("other"));
    expect_descriptor(call, 1, 100, in_folder("other"));
    call = nth("socketpair", 0);
    snprintf(text, sizeof text, "[%d, %d]", call->descriptors[0].fd, call->descriptors[0].fd + 1);
    expect_args(call, "domain", "AF_UNIX", "type", "SOCK_DGRAM", "protocol", "0", "sv", text, NULL);
    expect_descriptor(call, 1, call->descriptors[0].fd + 1, "socket:[");
    call = nth("sendto", 0);
    expect_args(call, "sockfd", number(call->descriptors[0].fd), "buf", "message", "len", "7", "flags", "MSG_NOSIGNAL",
                "dest_addr", "NULL", "addrlen", "0", NULL);
    expect_moved(call, 7, hash_of("message", 7));
    call = nth("recvfrom", 0);
    expect_result(call, 7, NULL);
    assert_string_equal(ent_trace_value(call, "buf"), "mess");
    expect_moved(call, 4, hash_of("mess", 4));
    expect_result(nth("close", 0), -EBADF, "EBADF");
    assert_int_equal(nth("close", 0)->n_descriptors, 0);
}

static void execute(void)
{
    char *many[42] = {0}, *some[] = {"echo", "a \"b\"\n", "", NULL}, *bad[] = {"x", (char *)8, NULL};
    for (int i = 0; i < 41; i++)
        many[i] = "m";
    memcpy(edge - 8, &some[0], 8);
    syscall(SYS_execve, "/nonexistent", some, NULL);
    syscall(SYS_execve, "/nonexistent", many, NULL);
    syscall(SYS_execve, "/nonexistent", bad, NULL);
    syscall(SYS_execve, "/nonexistent", edge - 8, NULL);
    syscall(SYS_execve, "/nonexistent", NULL, NULL);
    syscall(SYS_execve, "/bin/sh", (char *[]){"sh", "-c", "exit 7", NULL}, NULL);
}

static void shows_programs(void **state)
{
    (void)state;
    char text[512] = "[";
    run(execute);
    expect_args(nth("execve", 0), "pathname", "/nonexistent", "argv", "[\"echo\", \"a \\\"b\\\"\\n\", \"\"]", "envp",
                "NULL", NULL);
    for (int i = 0; i < 32; i++)
        strcat(text, "\"m\", ");
    strcat(text, "...]");
    assert_string_equal(ent_trace_value(nth("execve", 1), "argv"), text);
    assert_string_equal(ent_trace_value(nth("execve", 2), "argv"), "[\"x\", 0x8]");
    snprintf(text, sizeof text, "[\"echo\", %s]", address(edge));
    assert_string_equal(ent_trace_value(nth("execve", 3), "argv"), text);
    assert_string_equal(ent_trace_value(nth("execve", 4), "argv"), "NULL");
    expect_args(nth("execve", 5), "pathname", "/bin/sh", "argv", "[\"sh\", \"-c\", \"exit 7\"]", "envp", "NULL", NULL);
    expect_result(nth("execve", 5), 0, NULL);
    expect_args(nth("exit_group", 0), "status", "7", NULL);
    assert_int_equal(WEXITSTATUS(child_status), 7);
}

static void nothing(int signal)
{
    (void)signal;
}

static void ask_for_other_things(void)
{
    const struct sigaction action = {.sa_handler = nothing};
    const sigset_t alarm_signal = {{1 << (SIGALRM - 1)}};
    char *map = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(map, 3 * PAGE);
    mmap((void *)PAGE, PAGE, PROT_NONE, MAP_PRIVATE, 5555, 0x1000);
    syscall(SYS_getcwd, room, sizeof room);
    syscall(SYS_readlinkat, AT_FDCWD, "/proc/self/fd/1000", room, 10);
    syscall(SYS_readlinkat, where, "link", room, 10);
    syscall(5000, 1, 0, 3);
    prctl(PR_SET_NAME, "renamed");
    sigaction(SIGALRM, &action, NULL);
    sigprocmask(SIG_BLOCK, &alarm_signal, NULL); /* one signal, and while it is waited for only */
    ualarm(2000, 0);
    syscall(SYS_rt_sigsuspend, &action.sa_mask, 8);
    const pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    syscall(SYS_kill, pid, 0);
    syscall(SYS_wait4, pid, NULL, WNOHANG, NULL);
    syscall(SYS_getrandom, room, 16, 1);
}

static void shows_the_rest(void **state)
{
    (void)state;
    char folder_now[256];
    run(ask_for_other_things);
    const ent_trace_call *call = nth("mmap", 0), *child = nth("clone", 0);
    expect_args(call, "addr", "NULL", "length", "12288", "prot", "PROT_READ|PROT_WRITE", "flags",
                "MAP_PRIVATE|MAP_ANONYMOUS", "fd", "-1", "offset", "0", NULL);
    assert_int_equal(call->n_descriptors, 0);
    expect_args(nth("munmap", 0), "addr", address((void *)(uintptr_t)call->result), "length", "12288", NULL);
    expect_args(nth("mmap", 1), "addr", "0x1000", "length", "4096", "prot", "PROT_NONE", "flags", "MAP_PRIVATE", "fd",
                "5555", "offset", "4096", NULL);
    expect_result(nth("mmap", 1), -EBADF, "EBADF");
    assert_non_null(getcwd(folder_now, sizeof folder_now));
    assert_memory_equal(ent_trace_value(nth("getcwd", 0), "buf"), folder_now,
                        strlen(folder_now) < 32 ? strlen(folder_now) + 1 : 32); /* without the zero */
    expect_moved(nth("getcwd", 0), -1, NULL);
    assert_string_equal(ent_trace_value(nth("readlinkat", 0), "buf"), address(room));
    expect_args(nth("readlinkat", 1), "dirfd", number(where), "pathname", "link", "buf", "to a place", "bufsiz", "10",
                NULL);
    call = nth("syscall_0x1388", 0);
    assert_int_equal(call->number, 5000);
    assert_int_equal(call->n_args, 6);
    assert_string_equal(call->args[2].value, "0x3");
    expect_result(call, -ENOSYS, "ENOSYS");
    expect_args(nth("prctl", 0), "option", "PR_SET_NAME", "arg2", "renamed", NULL);
    expect_result(nth("rt_sigsuspend", 0), -514, "ERESTARTNOHAND");
    assert_string_equal(ent_trace_value(child, "flags"), "CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID|SIGCHLD");
    assert_int_equal(child->n_args, 3); /* flags, stack, child_tid */
    expect_args(nth("kill", 0), "pid", number(child->result), "sig", "0", NULL);
    expect_args(nth("wait4", 0), "pid", number(child->result), "wstatus", "NULL", "options", "WNOHANG", "rusage",
                "NULL", NULL);
    expect_args(nth("getrandom", 0), "buf", address(room), "buflen", "16", "flags", "GRND_NONBLOCK", NULL);
}

/* A tracer that may not call process_vm_readv, as in many containers. */
static void reads_without_process_vm_readv(void **state)
{
    (void)state;
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_process_vm_readv, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {sizeof code / sizeof *code, code};
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        char byte;
        const struct iovec own = {&byte, 1};
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0 ||
            process_vm_readv(getpid(), &own, 1, &own, 1, 0) >= 0)
            _exit(1);
        run(write_file);
        const ent_trace_call *call = nth("write", 0);
        const bool good = call->hash && strcmp(call->hash, PATTERN_SHA256) == 0;
        run(open_bad_paths);
        const char *bad = ent_trace_value(nth("openat", 1), "pathname");
        _exit(!good || strcmp(bad, address(edge - 4)) != 0 ? 2 : 0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static int set_up(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_PATTERN; i++)
        pattern[i] = (char)(i * i * 7 + i / 256);
    /* Behind the file's one page nothing can be read or mapped: a mere hole the sanitizers fill. */
    const int page = (int)syscall(SYS_memfd_create, "page", 0);
    edge = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, page, 0);
    strcpy(folder, "/tmp/test_decode.XXXXXX");
    if (edge == MAP_FAILED || ftruncate(page, PAGE) != 0 || close(page) != 0 || mkdtemp(folder) == NULL)
        return -1;
    edge += PAGE;
    strcpy(path, in_folder("file"));
    where = open(folder, O_RDONLY | O_DIRECTORY);
    const int file = open(path, O_WRONLY | O_CREAT, 0600);
    return where < 0 || file < 0 || close(file) != 0 ||
           symlinkat("to a place of which ten bytes are read", where, "link");
}

static int tear_down(void **state)
{
    (void)state;
    ent_trace_clear(&trace);
    unlink(path);
    unlinkat(where, "link", 0);
    unlinkat(where, "other", 0);
    unlinkat(where, "odd \"\n\xc3\xa9\x01", 0);
    close(where);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens),
        cmocka_unit_test(shows_paths),
        cmocka_unit_test(moves_data),
        cmocka_unit_test(shows_what_was_not_moved),
        cmocka_unit_test(knows_descriptors),
        cmocka_unit_test(shows_programs),
        cmocka_unit_test(shows_the_rest),
        cmocka_unit_test(reads_without_process_vm_readv),
    };
    if (!may_trace()) {
        fprintf(stderr, "SKIPPED: NOTHING OF THE DECODER WAS TESTED. ptrace is not permitted here; in a container, add "
                        "--cap-add SYS_PTRACE\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
