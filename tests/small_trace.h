/* Traces made by hand, for tests. Names and values are string literals: only pointers are kept. */
#ifndef ENT_TESTS_SMALL_TRACE_H
#define ENT_TESTS_SMALL_TRACE_H

#include "tests/file_helpers.h"

#include "trace/trace.h"

/* A trace without calls; ent_trace_clear frees it. */
static inline ent_trace new_trace(void)
{
    return (ent_trace){.label = "t.json", .rank = -1, .total_time_us = -1, .syscall_time_us = -1};
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

#endif
