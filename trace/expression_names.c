/* What expressions can ask of a trace. */
#include <string.h>

#include "trace/expression_parts.h"

static double value_calls(const ent_measure *m, const ent_pattern *names)
{
    return (double)(names ? ent_measure_matching(m, names).calls : m->calls);
}

static double value_errors(const ent_measure *m, const ent_pattern *names)
{
    return (double)(names ? ent_measure_matching(m, names).errors : m->errors);
}

static double value_bytes(const ent_measure *m, const ent_pattern *names)
{
    return (double)ent_measure_matching(m, names).bytes;
}

static double value_time_ms(const ent_measure *m, const ent_pattern *names)
{
    const int64_t ns = ent_measure_matching(m, names).time_ns;
    return ns == ENT_UNKNOWN ? ENT_UNKNOWN : (double)ns / 1e6;
}

static double value_bytes_read(const ent_measure *m, const ent_pattern *names)
{
    (void)names;
    return (double)m->bytes_read;
}

static double value_bytes_written(const ent_measure *m, const ent_pattern *names)
{
    (void)names;
    return (double)m->bytes_written;
}

static double value_allocated(const ent_measure *m, const ent_pattern *names)
{
    (void)names;
    return (double)m->allocated;
}

static double value_max_rss(const ent_measure *m, const ent_pattern *names)
{
    (void)names;
    return (double)m->max_rss;
}

static double value_wall_ms(const ent_measure *m, const ent_pattern *names)
{
    (void)names;
    return m->wall_us == ENT_UNKNOWN ? ENT_UNKNOWN : (double)m->wall_us / 1e3;
}

static double value_syscall_ms(const ent_measure *m, const ent_pattern *names)
{
    (void)names;
    return m->syscall_us == ENT_UNKNOWN ? ENT_UNKNOWN : (double)m->syscall_us / 1e3;
}

static double value_threads(const ent_measure *m, const ent_pattern *names)
{
    (void)names;
    return (double)m->threads;
}

static double value_processes(const ent_measure *m, const ent_pattern *names)
{
    (void)names;
    return (double)m->processes;
}

static double value_exit_code(const ent_measure *m, const ent_pattern *names)
{
    (void)names;
    return m->exit_code;
}

const ent_name ent_expression_names[] = {
    {"calls", false, value_calls, "system calls"},
    {"errors", false, value_errors, "calls that the kernel answered with an error"},
    {"bytes_read", false, value_bytes_read, "bytes that came in by calls"},
    {"bytes_written", false, value_bytes_written, "bytes that went out by calls"},
    {"allocated", false, value_allocated, "bytes asked for by anonymous mmap, mremap and brk"},
    {"max_rss", false, value_max_rss, "bytes of the largest process, at its peak"},
    {"wall_ms", false, value_wall_ms, "milliseconds from start to end"},
    {"syscall_ms", false, value_syscall_ms, "milliseconds within calls, summed over threads"},
    {"threads", false, value_threads, "threads that made a call"},
    {"processes", false, value_processes, "processes"},
    {"exit_code", false, value_exit_code, "of the program; 128 + signal if it was killed"},
    {"calls", true, value_calls, "calls of these names"},
    {"errors", true, value_errors, "those of them with an error"},
    {"bytes", true, value_bytes, "bytes that they moved"},
    {"time_ms", true, value_time_ms, "milliseconds within them"},
    {0},
};

void ent_expression_help(ent_text *to)
{
    ent_text_put(to, "An expression is true or false. It has\n");
    for (const ent_name *name = ent_expression_names; name->name; name++)
        ent_text_printf(to, "  %s%-*s%s\n", name->name, (int)(22 - strlen(name->name)),
                        name->function ? "(\"REGEX\")" : "", name->help);
    ent_text_put(to, "  numbers               12, 1.5, 1e6, 64 KiB, 64 MiB, 64 GiB\n"
                     "  + - * / ( )           on numbers\n"
                     "  < <= > >= == !=       between two numbers\n"
                     "  and or not            between truth values; also && || !\n"
                     "REGEX is an extended regular expression that matches a call's name whole: \"pwrite.*|writev\".\n"
                     "What the trace doesn't say is an error, and so is a division by zero.\n"
                     "Example: calls(\"write\") <= 20 and bytes_written / calls(\"write\") >= 4 KiB\n");
}
