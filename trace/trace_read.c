#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/json.h"
#include "io/text.h"
#include "src/base/mem.h"
#include "trace/trace.h"

enum { WHERE = 512 };

static ent_status keep(const char **out, ent_trace *trace, const char *text)
{
    return ent_trace_keep(out, trace, text, strlen(text));
}

static ent_status get_int(int *out, const ent_json *object, const char *key, int otherwise, const char *where)
{
    int64_t value;
    ENT_TRY(ent_json_get_int_or(&value, object, key, otherwise, where));
    if (value != (int)value)
        return ent_fail(ENT_EFORMAT, "%s: %s: %lld is out of range", where, key, (long long)value);
    *out = (int)value;
    return ENT_OK;
}

static ent_status get_text(const char **out, ent_trace *trace, const ent_json *object, const char *key,
                           const char *where)
{
    const char *text;
    *out = NULL;
    ENT_TRY(ent_json_get_string_or(&text, object, key, NULL, where));
    return text ? keep(out, trace, text) : ENT_OK;
}

/* ["name", "value"]; in v1-raw a string, of openat in quotes. */
static ent_status read_arg(ent_trace_call *call, ent_trace *trace, const ent_json *arg, const char *where)
{
    const char *name = "", *value = ent_json_string(arg);
    const char *const raw = value;
    if (ent_json_is_array(arg) && ent_json_count(arg) == 2) {
        name = ent_json_string(ent_json_first(arg));
        value = ent_json_string(ent_json_next(ent_json_first(arg)));
    }
    if (name == NULL || value == NULL)
        return ent_fail(ENT_EFORMAT, "%s: args: expected [\"name\", \"value\"] or \"value\"", where);
    if (call->n_args == ENT_TRACE_MAX_ARGS)
        return ent_fail(ENT_EFORMAT, "%s: args: more than %d", where, ENT_TRACE_MAX_ARGS);
    ent_trace_arg *to = &call->args[call->n_args++];
    size_t n = strlen(value);
    if (raw) {
        trace->raw = true;
        const bool quoted = n >= 2 && value[0] == '"' && value[n - 1] == '"';
        name = quoted ? "pathname" : "";
        value += quoted;
        n -= quoted ? 2 : 0;
    }
    ENT_TRY(keep(&to->name, trace, name));
    return ent_trace_keep(&to->value, trace, value, n);
}

static ent_status read_descriptors(ent_trace_call *call, ent_trace *trace, const ent_json *from, const char *where)
{
    for (const ent_json *d = ent_json_first(from); d; d = ent_json_next(d)) {
        char *end;
        const char *what = ent_json_string(d);
        const long fd = strtol(ent_json_key(d), &end, 10);
        if (what == NULL || *end || end == ent_json_key(d) || fd != (int)fd ||
            call->n_descriptors == ENT_TRACE_MAX_DESCRIPTORS)
            return ent_fail(ENT_EFORMAT, "%s: descriptors: expected at most %d of \"number\": \"text\"", where,
                            ENT_TRACE_MAX_DESCRIPTORS);
        ent_trace_descriptor *to = &call->descriptors[call->n_descriptors++];
        to->fd = (int)fd;
        ENT_TRY(keep(&to->what, trace, what));
    }
    return ENT_OK;
}

static ent_status read_source(ent_trace_call *call, ent_trace *trace, const ent_json *from, const char *where)
{
    if (ent_json_is_null(from))
        return ENT_OK;
    const char *file;
    ENT_TRY(ent_json_get_string(&file, from, "file", where));
    ENT_TRY(keep(&call->file, trace, file));
    ENT_TRY(get_int(&call->line, from, "line", 0, where));
    return get_text(&call->function, trace, from, "function", where);
}

static ent_status read_times(ent_trace_call *call, const ent_json *from, const char *where)
{
    int64_t us;
    ENT_TRY(ent_json_get_int_or(&call->time_ns, from, "time_ns", -1, where));
    ENT_TRY(ent_json_get_int_or(&call->duration_ns, from, "duration_ns", -1, where));
    ENT_TRY(ent_json_get_int_or(&us, from, "duration_us", -1, where));
    if (us > INT64_MAX / 1000)
        return ent_fail(ENT_EFORMAT, "%s: duration_us: %lld is too large", where, (long long)us);
    if (call->duration_ns < 0 && us >= 0)
        call->duration_ns = us * 1000;
    return ENT_OK;
}

static ent_status read_call(ent_trace *trace, const ent_json *from, const char *where)
{
    ent_trace_call *call;
    const char *stage;
    ENT_TRY(ent_trace_add_call(&call, trace));
    ENT_TRY(ent_json_get_string(&call->name, from, "name", where));
    ENT_TRY(keep(&call->name, trace, call->name));
    const ent_json *args = ent_json_member(from, "args");
    if (!ent_json_is_array(args))
        return ent_fail(ENT_EFORMAT, "%s: args: expected a list", where);
    for (const ent_json *arg = ent_json_first(args); arg; arg = ent_json_next(arg))
        ENT_TRY(read_arg(call, trace, arg, where));
    const ent_json *result = ent_json_member(from, "result");
    if (result == NULL)
        return ent_fail(ENT_EFORMAT, "%s: no result", where);
    call->returned = !ent_json_is_null(result);
    if (call->returned) { /* addresses can be beyond the integers of JSON */
        if (!ent_json_is_number(result))
            return ent_fail(ENT_EFORMAT, "%s: result: expected a number or null", where);
        const double number = ent_json_number(result);
        if (!(number >= -0x1p63 && number < 0x1p63))
            return ent_fail(ENT_EFORMAT, "%s: result: %g is out of range", where, number);
        call->result = (int64_t)number;
    }
    ENT_TRY(get_text(&call->error, trace, from, "error", where));
    ENT_TRY(ent_json_get_int_or(&call->number, from, "number", -1, where));
    ENT_TRY(get_int(&call->pid, from, "pid", 0, where));
    ENT_TRY(get_int(&call->tid, from, "tid", 0, where));
    ENT_TRY(read_times(call, from, where));
    ENT_TRY(ent_json_get_int_or(&call->size, from, "size", -1, where));
    ENT_TRY(get_text(&call->hash, trace, from, "sha256", where));
    ENT_TRY(ent_json_get_string_or(&stage, from, "stage", "", where));
    call->loader = strcmp(stage, "loader") == 0;
    ENT_TRY(read_descriptors(call, trace, ent_json_member(from, "descriptors"), where));
    return read_source(call, trace, ent_json_member(from, "source"), where);
}

static ent_status read_program(ent_trace *trace, const ent_json *root, const char *path)
{
    const ent_json *program = ent_json_member(root, "program");
    if (!ent_json_is_null(program) && !ent_json_is_array(program))
        return ent_fail(ENT_EFORMAT, "%s: program: expected a list of texts", path);
    ENT_TRY(ent_calloc(&trace->program, ent_json_count(program), sizeof *trace->program, "the program"));
    for (const ent_json *word = ent_json_first(program); word; word = ent_json_next(word)) {
        if (!ent_json_is_string(word))
            return ent_fail(ENT_EFORMAT, "%s: program: expected a list of texts", path);
        ENT_TRY(keep(&trace->program[trace->n_program++], trace, ent_json_string(word)));
    }
    ENT_TRY(get_int(&trace->rank, root, "rank", -1, path));
    return get_text(&trace->cwd, trace, root, "cwd", path);
}

static ent_status read_processes(ent_trace *trace, const ent_json *list, const char *path)
{
    ENT_TRY(ent_calloc(&trace->processes, ent_json_count(list), sizeof *trace->processes, "the processes"));
    for (const ent_json *from = ent_json_first(list); from; from = ent_json_next(from)) {
        ent_trace_process *p = &trace->processes[trace->n_processes++];
        char where[WHERE];
        snprintf(where, sizeof where, "%.400s: processes[%zu]", path, trace->n_processes - 1);
        ENT_TRY(get_int(&p->pid, from, "pid", 0, where));
        ENT_TRY(get_text(&p->program, trace, from, "program", where));
        ENT_TRY(ent_json_get_int(&p->calls, from, "calls", where));
        ENT_TRY(ent_json_get_int(&p->cpu_us, from, "cpu_us", where));
        ENT_TRY(ent_json_get_int(&p->max_rss_kb, from, "max_rss_kb", where));
        ENT_TRY(get_int(&p->exit_code, from, "exit_code", 0, where));
        ENT_TRY(get_int(&p->signal, from, "signal", 0, where));
    }
    return ENT_OK;
}

static ent_status read_summary(ent_trace *trace, const ent_json *summary, const char *path)
{
    char where[WHERE];
    int64_t total;
    snprintf(where, sizeof where, "%.400s: summary", path);
    ENT_TRY(ent_json_get_int(&total, summary, "total_syscalls", where));
    if (total != (int64_t)trace->count)
        return ent_fail(ENT_EFORMAT, "%s: total_syscalls is %lld, the file has %zu", where, (long long)total,
                        trace->count);
    ENT_TRY(ent_json_get_int_or(&trace->total_time_us, summary, "total_time_us", -1, where));
    ENT_TRY(ent_json_get_int_or(&trace->syscall_time_us, summary, "syscall_time_us", -1, where));
    if (trace->raw) { /* renacer's total is the time within calls */
        trace->syscall_time_us = trace->total_time_us;
        trace->total_time_us = -1;
    }
    return get_int(&trace->exit_code, summary, "exit_code", 0, where);
}

static ent_status read_root(ent_trace *trace, const ent_json *root, const char *path)
{
    const char *format;
    size_t i = 0;
    ENT_TRY(ent_json_get_string_or(&format, root, "format", "none", path));
    const ent_json *calls = ent_json_member(root, "syscalls");
    if (strcmp(format, "renacer-json-v1") != 0 || !ent_json_is_array(calls))
        return ent_fail(ENT_EFORMAT, "%s: expected a trace in the format renacer-json-v1, found format %.40s", path,
                        format);
    ENT_TRY(read_program(trace, root, path));
    for (const ent_json *call = ent_json_first(calls); call; call = ent_json_next(call)) {
        char where[WHERE];
        snprintf(where, sizeof where, "%.400s: syscalls[%zu]", path, i++);
        ENT_TRY(read_call(trace, call, where));
    }
    ENT_TRY(read_processes(trace, ent_json_member(root, "processes"), path));
    return read_summary(trace, ent_json_member(root, "summary"), path);
}

/* Where the trace begins. renacer prints it behind what the program has printed: files of its users have both. */
static const char *find_trace(const char *text, size_t n)
{
    static const char begin[] = "{\n  \"version\": \"";
    const char *found = text;
    for (const char *at = text; (at = memmem(at, n - (size_t)(at - text), begin, strlen(begin))); at++)
        found = at;
    return found;
}

ent_status ent_trace_read(ent_trace *trace, const char *path)
{
    ent_json *root = NULL;
    char *text = NULL;
    size_t n;
    ent_status st;
    *trace = (ent_trace){.rank = -1, .total_time_us = -1, .syscall_time_us = -1};
    ENT_GO(ent_text_read_file(&text, &n, path));
    const char *begin = find_trace(text, n);
    ENT_GO(ent_json_parse(&root, begin, n - (size_t)(begin - text), path));
    ENT_GO(keep(&trace->label, trace, path));
    ENT_GO(read_root(trace, root, path));
    if (begin != text && !trace->raw)
        ENT_GO(ent_fail(ENT_EFORMAT, "%s: expected a trace alone, found something before it", path));
done:
    free(text);
    ent_json_free(root);
    return st;
}
