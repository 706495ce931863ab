#include "trace/measure.h"

#include <stdlib.h>
#include <string.h>

#include "io/path.h"
#include "src/base/mem.h"
#include "trace/measure_parts.h"
#include "trace/syscalls.h"

int64_t ent_measure_add(int64_t a, int64_t b)
{
    int64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

static int64_t call_bytes(const ent_trace_call *call, unsigned traits)
{
    if (call->size >= 0)
        return call->size;
    const bool by_result = (traits & (ENT_CALL_READS | ENT_CALL_WRITES)) && call->returned && call->result > 0;
    return by_result ? call->result : 0;
}

static int by_name(const void *a, const void *b)
{
    const ent_trace_call *x = *(const ent_trace_call *const *)a, *y = *(const ent_trace_call *const *)b;
    return strcmp(x->name, y->name);
}

static void add_call(ent_name_measure *to, const ent_trace_call *call)
{
    to->calls++;
    to->errors += ent_trace_failed(call);
    to->bytes = ent_measure_add(to->bytes, call_bytes(call, to->traits));
    if (call->duration_ns >= 0) {
        to->timed++;
        to->timed_ns = ent_measure_add(to->timed_ns, call->duration_ns);
    }
    to->time_ns = to->timed == to->calls ? to->timed_ns : ENT_UNKNOWN;
}

static ent_status measure_names(ent_measure *m, const ent_trace *trace)
{
    const ent_trace_call **sorted = NULL;
    ent_status st;
    size_t capacity = 0;
    ENT_GO(ent_calloc(&sorted, trace->count, sizeof *sorted, "the calls of a trace"));
    for (size_t i = 0; i < trace->count; i++)
        sorted[i] = &trace->calls[i];
    qsort(sorted, trace->count, sizeof *sorted, by_name);
    for (size_t i = 0; i < trace->count; i++) {
        const char *name = sorted[i]->name;
        if (m->n_names == 0 || strcmp(m->names[m->n_names - 1].name, name) != 0) {
            const ent_syscall *known = ent_syscall_of_name(name);
            ENT_GO(ent_grow(&m->names, &capacity, m->n_names + 1, sizeof *m->names, "the names of a trace"));
            m->names[m->n_names++] = (ent_name_measure){.name = name, .traits = known ? known->traits : 0};
        }
        add_call(&m->names[m->n_names - 1], sorted[i]);
    }
done:
    free(sorted);
    return st;
}

ent_name_measure ent_measure_matching(const ent_measure *measure, const ent_pattern *names)
{
    ent_name_measure sum = {.name = ""};
    for (size_t i = 0; i < measure->n_names; i++) {
        const ent_name_measure *m = &measure->names[i];
        if (!ent_pattern_matches(names, m->name))
            continue;
        sum.traits |= m->traits;
        sum.calls = ent_measure_add(sum.calls, m->calls);
        sum.errors = ent_measure_add(sum.errors, m->errors);
        sum.bytes = ent_measure_add(sum.bytes, m->bytes);
        sum.timed = ent_measure_add(sum.timed, m->timed);
        sum.timed_ns = ent_measure_add(sum.timed_ns, m->timed_ns);
    }
    sum.time_ns = sum.timed == sum.calls ? sum.timed_ns : ENT_UNKNOWN;
    return sum;
}

/* How many different numbers there are; unknown if one is 0. Sorts them. */
static int64_t count_different(int *numbers, size_t n)
{
    int64_t count = 0;
    qsort(numbers, n, sizeof *numbers, ent_measure_order);
    for (size_t i = 0; i < n; i++) {
        if (numbers[i] <= 0)
            return ENT_UNKNOWN;
        count += i == 0 || numbers[i] != numbers[i - 1];
    }
    return count;
}

static ent_status count_threads(ent_measure *m, const ent_trace *trace)
{
    int *numbers;
    ENT_TRY(ent_calloc(&numbers, trace->count, sizeof *numbers, "the threads of a trace"));
    for (size_t i = 0; i < trace->count; i++)
        numbers[i] = trace->calls[i].tid;
    m->threads = count_different(numbers, trace->count);
    for (size_t i = 0; i < trace->count; i++)
        numbers[i] = trace->calls[i].pid;
    m->processes = trace->n_processes > 0 ? (int64_t)trace->n_processes : count_different(numbers, trace->count);
    free(numbers);
    return ENT_OK;
}

static int64_t measure_rss(const ent_trace *trace)
{
    int64_t most = trace->n_processes > 0 ? 0 : ENT_UNKNOWN;
    for (size_t i = 0; i < trace->n_processes; i++) {
        const int64_t kb = trace->processes[i].max_rss_kb;
        if (kb < 0)
            return ENT_UNKNOWN;
        const int64_t bytes = kb > INT64_MAX / 1024 ? INT64_MAX : kb * 1024;
        most = bytes > most ? bytes : most;
    }
    return most;
}

/* Time within calls, by the summary of the trace, or by its calls. Where no call has a time, a total of 0 means that
 * none was taken. */
static int64_t measure_syscall_time(const ent_measure *m, const ent_trace *trace)
{
    const ent_name_measure all = ent_measure_matching(m, NULL);
    if (trace->syscall_time_us > 0 || (trace->syscall_time_us == 0 && (all.timed > 0 || all.calls == 0)))
        return trace->syscall_time_us;
    return all.time_ns == ENT_UNKNOWN ? ENT_UNKNOWN : all.time_ns / 1000;
}

ent_process_share ent_measure_busiest(const ent_trace *trace, const ent_pattern *programs)
{
    ent_process_share share = {0};
    int64_t cpu = 0;
    for (size_t i = 0; i < trace->n_processes; i++) {
        share.by_calls |= trace->processes[i].cpu_us < 0;
        cpu |= trace->processes[i].cpu_us;
    }
    share.by_calls |= cpu == 0;
    for (size_t i = 0; i < trace->n_processes; i++) {
        const ent_trace_process *p = &trace->processes[i];
        const int64_t some = share.by_calls ? p->calls : p->cpu_us, work = some > 0 ? some : 0;
        share.total = ent_measure_add(share.total, work);
        if (!ent_pattern_matches(programs, p->program ? ent_path_name(p->program) : "") ||
            (share.process && work <= share.work))
            continue;
        share.process = p;
        share.work = work;
    }
    return share;
}

const char *ent_trace_program(const ent_trace *trace)
{
    if (trace->n_program > 0)
        return ent_path_name(trace->program[0]);
    return trace->n_processes > 0 ? trace->processes[0].program : NULL;
}

void ent_measure_clear(ent_measure *measure)
{
    free(measure->names);
    *measure = (ent_measure){0};
}

ent_status ent_measure_trace(ent_measure *out, const ent_trace *trace)
{
    *out = (ent_measure){.calls = (int64_t)trace->count, .exit_code = trace->exit_code};
    ENT_TRY(measure_names(out, trace));
    for (size_t i = 0; i < out->n_names; i++) {
        const ent_name_measure *m = &out->names[i];
        out->errors = ent_measure_add(out->errors, m->errors);
        if (m->traits & ENT_CALL_READS)
            out->bytes_read = ent_measure_add(out->bytes_read, m->bytes);
        if (m->traits & ENT_CALL_WRITES)
            out->bytes_written = ent_measure_add(out->bytes_written, m->bytes);
    }
    ENT_TRY(count_threads(out, trace));
    ENT_TRY(ent_measure_allocated(&out->allocated, trace));
    out->max_rss = measure_rss(trace);
    out->wall_us = trace->total_time_us < 0 ? ENT_UNKNOWN : trace->total_time_us;
    out->syscall_us = measure_syscall_time(out, trace);
    return ENT_OK;
}
