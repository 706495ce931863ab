/* Traces of system calls: in memory, and as files of renacer-json-v1, written and read.
 *
 * {"version", "format": "renacer-json-v1", "program": [...], "cwd", "rank"?, "syscalls": [{"name", "args": [["fd","1"],
 * ["buf","Results: "], ["count","9"]], "result": 9, "number", "pid", "tid", "time_ns", "duration_ns", ...}],
 * "processes": [...], "summary": {"total_syscalls", "total_time_us", "syscall_time_us", "exit_code"}}
 *
 * v1-raw is what renacer 0.6.2 writes: args are three hexadecimal strings (of openat, the second is the quoted path),
 * then result, duration_us and source. Calls that never return (exit, exit_group) are not in a trace.
 */
#ifndef ENT_TRACE_TRACE_H
#define ENT_TRACE_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/status.h"

enum { ENT_TRACE_MAX_ARGS = 6, ENT_TRACE_MAX_DESCRIPTORS = 4 };

/* An argument, decoded: decimal numbers, 0x addresses, FLAG|FLAG, paths and the first bytes of buffers as they are with
 * C escapes for what isn't printable ASCII ("..." after a buffer that goes on). */
typedef struct ent_trace_arg {
    const char *name; /* "" in v1-raw */
    const char *value;
} ent_trace_arg;

/* What a descriptor among arguments or result stands for: a path, or "pipe:[...]", "socket:[...]". */
typedef struct ent_trace_descriptor {
    int fd;
    const char *what;
} ent_trace_descriptor;

typedef struct ent_trace_call {
    const char *name;
    int64_t number; /* of the call, in the program's architecture; -1: not known (v1-raw) */
    size_t n_args;
    ent_trace_arg args[ENT_TRACE_MAX_ARGS];
    uint64_t raw[3]; /* the first three as numbers; while recording only */
    size_t n_descriptors;
    ent_trace_descriptor descriptors[ENT_TRACE_MAX_DESCRIPTORS];
    bool returned;               /* false: the thread was killed within it; result is then 0 */
    int64_t result;              /* as the kernel gives it: -errno for an error */
    const char *error;           /* "ENOENT"; NULL without error */
    int pid, tid;                /* process and thread; 0 in v1-raw */
    int64_t time_ns;             /* when it began, since the start of the trace; -1: not known */
    int64_t duration_ns;         /* -1: not known */
    int64_t size;                /* bytes that were moved by a call that reads or writes; -1: it moves none */
    const char *hash;            /* SHA-256 of those bytes; NULL without */
    bool loader;                 /* asked by the dynamic loader, not by the program */
    const char *file, *function; /* source of the asking frame; NULL: not known */
    int line;
} ent_trace_call;

typedef struct ent_trace_process {
    int pid;
    const char *program; /* the name of what it ran last */
    int64_t calls, cpu_us, max_rss_kb;
    int exit_code, signal; /* signal: that killed it, or 0 */
} ent_trace_process;

typedef struct ent_trace {
    const char *label;    /* for messages: the file it was read from */
    bool raw;             /* v1-raw */
    const char **program; /* argv */
    size_t n_program;
    const char *cwd;
    int rank; /* of MPI; -1: none */
    ent_trace_call *calls;
    size_t count, capacity;
    ent_trace_process *processes;
    size_t n_processes;
    int64_t total_time_us;        /* from the start of the program to its end; -1: not known */
    int64_t syscall_time_us;      /* within calls, summed over threads; -1: not known */
    int exit_code;                /* 128 + signal for a killed program */
    struct ent_trace_text *texts; /* what the strings above are kept in */
} ent_trace;

typedef enum { ENT_TRACE_V1, ENT_TRACE_V1_RAW } ent_trace_format;

/* Reads a trace of either form; one in v1-raw may stand behind the program's output, as renacer prints it. *trace needs
 * no initialisation; ent_trace_clear frees what it holds, also after a failure. ENT_EIO; ENT_EFORMAT "FILE: ..." for
 * what is no such trace. */
ent_status ent_trace_read(ent_trace *trace, const char *path);
void ent_trace_clear(ent_trace *trace);

/* Writes a trace, through io/atomic_file.h. `duration_us`: with that field, as renacer's --timing. */
ent_status ent_trace_write(const char *path, const ent_trace *trace, ent_trace_format format, bool duration_us);

/* Building. *out (borrowed, zeroed but for the -1s) is one more call; keep copies n bytes of text into the trace. */
ent_status ent_trace_add_call(ent_trace_call **out, ent_trace *trace);
ent_status ent_trace_keep(const char **out, ent_trace *trace, const char *text, size_t n);

/* Whether the kernel answered the call with an error. */
bool ent_trace_failed(const ent_trace_call *call);

/* The value of the argument of that name; NULL if there is none. */
const char *ent_trace_value(const ent_trace_call *call, const char *name);

/* The argument as a number, decimal, 0x or 0 (octal) as it stands; `otherwise` if it is none. */
int64_t ent_trace_number(const ent_trace_call *call, const char *name, int64_t otherwise);

#endif
