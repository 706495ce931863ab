/* Traces made by hand, call by call. Names and values are string literals, or `kept`: only pointers are stored. */
#ifndef ENT_TESTS_TRACE_HELPERS_H
#define ENT_TESTS_TRACE_HELPERS_H

#include "tests/file_helpers.h"

#include "trace/trace.h"

/* A trace without calls; ent_trace_clear frees it. */
static inline ent_trace new_trace(const char *label)
{
    return (ent_trace){.label = label, .rank = -1, .total_time_us = -1, .syscall_time_us = -1};
}

static inline void set_program(ent_trace *trace, const char *program)
{
    trace->program = malloc(sizeof *trace->program);
    assert_non_null(trace->program);
    trace->program[0] = program;
    trace->n_program = 1;
}

/* One more call, which returned `result` and took a microsecond. Good until the next. */
static inline ent_trace_call *add_call(ent_trace *trace, const char *name, int pid, int tid, int64_t result)
{
    ent_trace_call *call;
    assert_ok(ent_trace_add_call(&call, trace));
    call->name = name;
    call->pid = pid;
    call->tid = tid;
    call->result = result;
    call->returned = true;
    call->duration_ns = 1000;
    return call;
}

static inline ent_trace_call *with_arg(ent_trace_call *call, const char *name, const char *value)
{
    assert_true(call->n_args < ENT_TRACE_MAX_ARGS);
    call->args[call->n_args++] = (ent_trace_arg){name, value};
    return call;
}

static inline void add_process(ent_trace *trace, ent_trace_process process)
{
    trace->processes = realloc(trace->processes, (trace->n_processes + 1) * sizeof *trace->processes);
    assert_non_null(trace->processes);
    trace->processes[trace->n_processes++] = process;
}

/* A text that lives as long as the trace. */
static inline const char *kept(ent_trace *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
static inline const char *kept(ent_trace *t, const char *format, ...)
{
    char text[1024];
    const char *out;
    va_list args;
    va_start(args, format);
    const int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    assert_true(n >= 0 && (size_t)n < sizeof text);
    assert_ok(ent_trace_keep(&out, t, text, (size_t)n));
    return out;
}

/* One more call, without a time; `args` is "name=value;name=value", or values without names in v1-raw. Borrowed until
 * the next call. */
static inline ent_trace_call *add(ent_trace *t, int tid, const char *name, const char *args, int64_t result)
{
    ent_trace_call *call = add_call(t, name, tid, tid, result);
    call->duration_ns = -1;
    for (const char *at = args, *end; *at; at = end + (*end == ';')) {
        end = at + strcspn(at, ";");
        const size_t n = (size_t)(end - at), name_n = strcspn(at, "=");
        ent_trace_arg *arg = &call->args[call->n_args++];
        const size_t skip = name_n < n ? name_n + 1 : 0;
        assert_true(call->n_args <= ENT_TRACE_MAX_ARGS);
        assert_ok(ent_trace_keep(&arg->name, t, at, skip ? name_n : 0));
        assert_ok(ent_trace_keep(&arg->value, t, at + skip, n - skip));
    }
    return call;
}

/* Says what a descriptor of the call stands for. */
static inline ent_trace_call *with(ent_trace_call *call, int fd, const char *what)
{
    assert_true(call->n_descriptors < ENT_TRACE_MAX_DESCRIPTORS);
    call->descriptors[call->n_descriptors++] = (ent_trace_descriptor){fd, what};
    return call;
}

/* The data that the call moved. */
static inline ent_trace_call *moved(ent_trace_call *call, int64_t size, const char *hash)
{
    call->size = size;
    call->hash = hash;
    return call;
}

#endif
