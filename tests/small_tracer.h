/* A small tracer for tests: runs a function in a child and has every call of it decoded. */
#ifndef ENT_TESTS_SMALL_TRACER_H
#define ENT_TESTS_SMALL_TRACER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <linux/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/digest.h"
#include "trace/decode.h"

static ent_trace trace; /* of the last child; borrowed by what looks at it */
static int child_status;

static void record_stop(pid_t pid, bool *inside, uint64_t args[6])
{
    struct ptrace_syscall_info info;
    ent_trace_call *call = trace.count ? &trace.calls[trace.count - 1] : NULL;
    if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info) <= 0)
        return;
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
        memcpy(args, info.entry.args, 6 * sizeof *args);
        assert_int_equal(ent_trace_add_call(&call, &trace), ENT_OK);
        assert_int_equal(ent_decode_entry(call, &trace, pid, ent_syscall_of_number(info.entry.nr), info.entry.nr, args),
                         ENT_OK);
        *inside = true;
    } else if (info.op == PTRACE_SYSCALL_INFO_EXIT && *inside) {
        const ent_syscall *s = ent_syscall_of_number((uint64_t)call->number);
        assert_int_equal(ent_decode_exit(call, &trace, pid, s, args, info.exit.rval), ENT_OK);
        *inside = false;
    }
}

/* Runs `child` in a child and records all its calls. */
static void run(void (*child)(void))
{
    bool inside = false;
    uint64_t args[6] = {0};
    ent_trace_clear(&trace);
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        raise(SIGSTOP);
        child();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &child_status, 0), pid);
    assert_true(WIFSTOPPED(child_status));
    ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL | PTRACE_O_TRACEEXEC);
    for (int pass_on = 0; ptrace(PTRACE_SYSCALL, pid, NULL, pass_on) == 0;) {
        if (waitpid(pid, &child_status, 0) != pid || !WIFSTOPPED(child_status))
            break;
        const int signal = WSTOPSIG(child_status);
        pass_on = signal == (SIGTRAP | 0x80) || signal == SIGTRAP ? 0 : signal;
        if (signal == (SIGTRAP | 0x80))
            record_stop(pid, &inside, args);
    }
}

/* The k-th call of that name, from 0. */
static const ent_trace_call *nth(const char *name, size_t k)
{
    for (size_t i = 0; i < trace.count; i++)
        if (strcmp(trace.calls[i].name, name) == 0 && k-- == 0)
            return &trace.calls[i];
    fail_msg("the child has not called %s so often", name);
    return NULL;
}

/* All arguments: name, value, name, value..., NULL. */
static void expect_args(const ent_trace_call *call, ...)
{
    va_list list;
    size_t n = 0;
    va_start(list, call);
    for (const char *name; (name = va_arg(list, const char *)); n++) {
        assert_true(n < call->n_args);
        assert_string_equal(call->args[n].name, name);
        assert_string_equal(call->args[n].value, va_arg(list, const char *));
    }
    va_end(list);
    assert_int_equal(call->n_args, n);
}

static void expect_result(const ent_trace_call *call, int64_t result, const char *error)
{
    assert_true(call->returned);
    assert_int_equal(call->result, result);
    if (error)
        assert_string_equal(call->error, error);
    else
        assert_null(call->error);
}

static void expect_moved(const ent_trace_call *call, int64_t size, const char *hash)
{
    assert_int_equal(call->size, size);
    if (hash)
        assert_string_equal(call->hash, hash);
    else
        assert_null(call->hash);
}

static void expect_descriptor(const ent_trace_call *call, size_t i, int64_t fd, const char *what)
{
    assert_true(i < call->n_descriptors);
    assert_int_equal(call->descriptors[i].fd, fd);
    if (what[strlen(what) - 1] == '[')
        assert_memory_equal(call->descriptors[i].what, what, strlen(what));
    else
        assert_string_equal(call->descriptors[i].what, what);
}

static const char *hash_of(const void *data, size_t n)
{
    static char hex[ENT_SHA256_SIZE];
    ent_sha256(hex, data, n);
    return hex;
}

/* As C would write them. */
static const char *escaped(const char *bytes, size_t n)
{
    static const char special[] = "\n\t\r\v\f\\\"", letters[] = "ntrvf\\\"";
    static char text[4][1024];
    static unsigned next;
    char *to = text[next++ % 4], *at = to;
    for (size_t i = 0; i < n; i++) {
        const char *letter = bytes[i] ? strchr(special, bytes[i]) : NULL;
        if (letter)
            at += sprintf(at, "\\%c", letters[letter - special]);
        else
            at += sprintf(at, bytes[i] >= ' ' && bytes[i] <= '~' ? "%c" : "\\%03o", (unsigned char)bytes[i]);
    }
    return to;
}

static const char *number(int64_t value)
{
    static char text[8][24];
    static unsigned next;
    char *to = text[next++ % 8];
    snprintf(to, sizeof text[0], "%lld", (long long)value);
    return to;
}

static const char *address(const void *p)
{
    static char text[8][24];
    static unsigned next;
    char *to = text[next++ % 8];
    snprintf(to, sizeof text[0], "0x%llx", (unsigned long long)(uintptr_t)p);
    return to;
}

/* Whether a child can be traced at all. */
static bool may_trace(void)
{
    int status;
    const pid_t pid = fork();
    if (pid == 0)
        _exit(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0 ? 0 : 1);
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

#endif
