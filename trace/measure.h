/* Numbers about a trace, for rules, expressions and reports.
 *
 * What a trace doesn't say is ENT_UNKNOWN, never 0. Sums stop at INT64_MAX. A call failed if the kernel gave an error.
 * The bytes of a call are what it moved, by the trace; in v1-raw by the result of the calls that read or write.
 */
#ifndef ENT_TRACE_MEASURE_H
#define ENT_TRACE_MEASURE_H

#include "trace/pattern.h"
#include "trace/trace.h"

enum { ENT_UNKNOWN = -1 };

/* All calls of one name. */
typedef struct ent_name_measure {
    const char *name; /* the trace's */
    unsigned traits;  /* ENT_CALL_...; 0 for a call that isn't in the table */
    int64_t calls, errors, bytes;
    int64_t timed, timed_ns; /* calls that have a duration, and their sum */
    int64_t time_ns;         /* in these calls; unknown if one of them has no duration */
} ent_name_measure;

typedef struct ent_measure {
    ent_name_measure *names; /* sorted by name */
    size_t n_names;
    int64_t calls, errors;
    int64_t bytes_read, bytes_written; /* what is copied between descriptors is both */
    /* Bytes that the program asked for and got: by anonymous mmap, by mremap that grows, and by brk that rises, summed
     * over processes. What is given back isn't taken off, and address space that is only reserved counts. Unknown
     * for a trace whose calls lack the arguments that say so, or don't say which process they are of: v1-raw. */
    int64_t allocated;
    int64_t max_rss;    /* bytes: of the process with the largest resident set, at its peak */
    int64_t wall_us;    /* from the start of the program to its end */
    int64_t syscall_us; /* within calls, summed over threads */
    int64_t threads;    /* that made a call */
    int64_t processes;
    int exit_code;
} ent_measure;

/* Measures a trace, which stays as it is while the measure is in use. ent_measure_clear frees, also after a failure.
 * ENT_ENOMEM. */
ent_status ent_measure_trace(ent_measure *out, const ent_trace *trace);
void ent_measure_clear(ent_measure *measure);

/* Sums over the names that match; time_ns is unknown if it is for one of them. */
ent_name_measure ent_measure_matching(const ent_measure *measure, const ent_pattern *names);

/* The most calls of one name in a row by one thread, whatever other threads do between them; the earliest of equals.
 * Only by processes whose program matches (a NULL pattern: all). length 0: there is none. In v1-raw all calls count as
 * one thread's. ENT_ENOMEM. */
typedef struct ent_call_run {
    const char *name;
    int pid, tid;
    int64_t length;
} ent_call_run;
ent_status ent_measure_longest_run(ent_call_run *out, const ent_trace *trace, const ent_pattern *programs);

/* The process with the most work among those whose program matches, and the work of all: cpu time, or the number of
 * calls where the cpu time of a process isn't known or all of it is 0. process is NULL if none matches. */
typedef struct ent_process_share {
    const ent_trace_process *process;
    bool by_calls;
    int64_t work, total; /* microseconds, or calls */
} ent_process_share;
ent_process_share ent_measure_busiest(const ent_trace *trace, const ent_pattern *programs);

/* The last part of the program's path; NULL if the trace doesn't say what ran. */
const char *ent_trace_program(const ent_trace *trace);

#endif
