/* Traces built in memory, call by call. */
#ifndef ENT_TESTS_TRACE_HELPERS_H
#define ENT_TESTS_TRACE_HELPERS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "trace/trace.h"

static inline void new_trace(ent_trace *t, const char *label)
{
    *t = (ent_trace){.label = label, .rank = -1, .total_time_us = -1, .syscall_time_us = -1};
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
    assert_int_equal(ent_trace_keep(&out, t, text, (size_t)n), ENT_OK);
    return out;
}

/* Adds a call; `args` is "name=value;name=value", or values without names in v1-raw. Borrowed until the next call. */
static inline ent_trace_call *add(ent_trace *t, int tid, const char *name, const char *args, int64_t result)
{
    ent_trace_call *call;
    assert_int_equal(ent_trace_add_call(&call, t), ENT_OK);
    call->name = name;
    call->pid = call->tid = tid;
    call->returned = true;
    call->result = result;
    for (const char *at = args, *end; *at; at = end + (*end == ';')) {
        end = at + strcspn(at, ";");
        const size_t n = (size_t)(end - at), name_n = strcspn(at, "=");
        ent_trace_arg *arg = &call->args[call->n_args++];
        const size_t skip = name_n < n ? name_n + 1 : 0;
        assert_true(call->n_args <= ENT_TRACE_MAX_ARGS);
        assert_int_equal(ent_trace_keep(&arg->name, t, at, skip ? name_n : 0), ENT_OK);
        assert_int_equal(ent_trace_keep(&arg->value, t, at + skip, n - skip), ENT_OK);
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
