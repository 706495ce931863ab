#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "io/atomic_file.h"
#include "io/jsonstring.h"
#include "io/text.h"
#include "trace/show.h"
#include "trace/trace.h"

/* Words and names of files may be any bytes, JSON is UTF-8: what isn't is written with escapes, as arguments are. */
static void put_string(ent_text *to, const char *s)
{
    ent_text shown = {0};
    if (!ent_utf8_is_valid(s)) {
        ent_show_bytes(&shown, s, strlen(s));
        s = shown.data ? shown.data : "";
    }
    ent_jsonstring_put(to, s, strlen(s));
    to->failed |= shown.failed;
    free(shown.data);
}

static void put_field(ent_text *to, const char *name, const char *value)
{
    ent_text_printf(to, ", \"%s\": ", name);
    put_string(to, value);
}

static void put_args(ent_text *to, const ent_trace_call *call)
{
    ent_text_put(to, ", \"args\": [");
    for (size_t i = 0; i < call->n_args; i++) {
        ent_text_put(to, i ? ", [" : "[");
        put_string(to, call->args[i].name);
        ent_text_put(to, ", ");
        put_string(to, call->args[i].value);
        ent_text_put(to, "]");
    }
    ent_text_put(to, "]");
}

static void put_raw_args(ent_text *to, const ent_trace_call *call)
{
    const char *path = strcmp(call->name, "openat") == 0 ? ent_trace_value(call, "pathname") : NULL;
    ent_text text = {0};
    ent_text_printf(to, ", \"args\": [\"0x%" PRIx64 "\", ", call->raw[0]);
    if (path) {
        ent_text_printf(&text, "\"%s\"", path);
        put_string(to, text.data ? text.data : "");
        to->failed |= text.failed;
        free(text.data);
    } else {
        ent_text_printf(to, "\"0x%" PRIx64 "\"", call->raw[1]);
    }
    ent_text_printf(to, ", \"0x%" PRIx64 "\"]", call->raw[2]);
}

static void put_source(ent_text *to, const ent_trace_call *call)
{
    if (call->file == NULL)
        return;
    ent_text_put(to, ", \"source\": {\"file\": ");
    put_string(to, call->file);
    ent_text_printf(to, ", \"line\": %d", call->line);
    if (call->function)
        put_field(to, "function", call->function);
    ent_text_put(to, "}");
}

static void put_more(ent_text *to, const ent_trace_call *call)
{
    if (call->error)
        put_field(to, "error", call->error);
    ent_text_printf(to, ", \"number\": %" PRId64 ", \"pid\": %d, \"tid\": %d, \"time_ns\": %" PRId64, call->number,
                    call->pid, call->tid, call->time_ns);
    if (call->duration_ns >= 0)
        ent_text_printf(to, ", \"duration_ns\": %" PRId64, call->duration_ns);
    if (call->size >= 0)
        ent_text_printf(to, ", \"size\": %" PRId64, call->size);
    if (call->hash)
        put_field(to, "sha256", call->hash);
    if (call->n_descriptors)
        ent_text_put(to, ", \"descriptors\": {");
    for (size_t i = 0; i < call->n_descriptors; i++) {
        ent_text_printf(to, "%s\"%d\": ", i ? ", " : "", call->descriptors[i].fd);
        put_string(to, call->descriptors[i].what);
    }
    if (call->n_descriptors)
        ent_text_put(to, "}");
    if (call->loader)
        put_field(to, "stage", "loader");
}

static void put_call(ent_text *to, const ent_trace_call *call, bool raw, bool duration_us)
{
    ent_text_put(to, "{\"name\": ");
    put_string(to, call->name);
    if (raw)
        put_raw_args(to, call);
    else
        put_args(to, call);
    if (call->returned || raw)
        ent_text_printf(to, ", \"result\": %" PRId64, call->result);
    else
        ent_text_put(to, ", \"result\": null");
    if (duration_us && call->duration_ns >= 0)
        ent_text_printf(to, ", \"duration_us\": %" PRId64, call->duration_ns / 1000);
    if (!raw)
        put_more(to, call);
    put_source(to, call);
    ent_text_put(to, "}");
}

static void put_program(ent_text *to, const ent_trace *trace)
{
    ent_text_put(to, "  \"program\": [");
    for (size_t i = 0; i < trace->n_program; i++) {
        ent_text_put(to, i ? ", " : "");
        put_string(to, trace->program[i]);
    }
    ent_text_put(to, "],\n  \"cwd\": ");
    put_string(to, trace->cwd ? trace->cwd : "");
    ent_text_put(to, ",\n");
    if (trace->rank >= 0)
        ent_text_printf(to, "  \"rank\": %d,\n", trace->rank);
}

static void put_processes(ent_text *to, const ent_trace *trace)
{
    ent_text_put(to, "  \"processes\": [");
    for (size_t i = 0; i < trace->n_processes; i++) {
        const ent_trace_process *p = &trace->processes[i];
        ent_text_printf(to, "%s\n    {\"pid\": %d, \"program\": ", i ? "," : "", p->pid);
        put_string(to, p->program ? p->program : "");
        ent_text_printf(to,
                        ", \"calls\": %" PRId64 ", \"cpu_us\": %" PRId64 ", \"max_rss_kb\": %" PRId64
                        ", \"exit_code\": %d, \"signal\": %d}",
                        p->calls, p->cpu_us, p->max_rss_kb, p->exit_code, p->signal);
    }
    ent_text_put(to, "\n  ],\n");
}

ent_status ent_trace_write(const char *path, const ent_trace *trace, ent_trace_format format, bool duration_us)
{
    const bool raw = format == ENT_TRACE_V1_RAW;
    ent_text text = {0};
    char *out;
    ent_text_printf(&text, "{\n  \"version\": \"%s\",\n  \"format\": \"renacer-json-v1\",\n", raw ? "0.6.2" : "1");
    if (!raw)
        put_program(&text, trace);
    ent_text_put(&text, "  \"syscalls\": [");
    for (size_t i = 0; i < trace->count; i++) {
        ent_text_put(&text, i ? ",\n    " : "\n    ");
        put_call(&text, &trace->calls[i], raw, duration_us);
    }
    ent_text_put(&text, "\n  ],\n");
    if (!raw)
        put_processes(&text, trace);
    ent_text_printf(&text, "  \"summary\": {\"total_syscalls\": %zu", trace->count);
    if (trace->total_time_us >= 0 && (!raw || duration_us))
        ent_text_printf(&text, ", \"total_time_us\": %" PRId64, raw ? trace->syscall_time_us : trace->total_time_us);
    if (trace->syscall_time_us >= 0 && !raw)
        ent_text_printf(&text, ", \"syscall_time_us\": %" PRId64, trace->syscall_time_us);
    ent_text_printf(&text, ", \"exit_code\": %d}\n}\n", trace->exit_code);
    ENT_TRY(ent_text_finish(&out, &text));
    const ent_status st = ent_atomic_write(path, out, strlen(out));
    free(out);
    return st;
}
