#include "trace/summary.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "trace/measure.h"

static int by_time(const void *a, const void *b)
{
    const ent_name_measure *x = a, *y = b;
    if (x->timed_ns != y->timed_ns)
        return x->timed_ns > y->timed_ns ? -1 : 1;
    if (x->calls != y->calls)
        return x->calls > y->calls ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* Time, calls and errors of a line; no errors are left blank. */
static void put_columns(ent_text *out, int64_t ns, int64_t calls, int64_t errors, const char *name)
{
    char error_text[24] = "";
    if (errors > 0)
        snprintf(error_text, sizeof error_text, "%" PRId64, errors);
    ent_text_printf(out, " %11.6f %11" PRId64 " %9" PRId64 " %9s %s\n", (double)ns / 1e9, calls ? ns / 1000 / calls : 0,
                    calls, error_text, name);
}

static void put_table(ent_text *out, const ent_measure *measure, int64_t total)
{
    static const char line[] = "------ ----------- ----------- --------- --------- ----------------\n";
    ent_text_put(out, "% time     seconds  usecs/call     calls    errors syscall\n");
    ent_text_put(out, line);
    for (size_t i = 0; i < measure->n_names; i++) {
        const ent_name_measure *m = &measure->names[i];
        ent_text_printf(out, "%6.2f", total > 0 ? 100.0 * (double)m->timed_ns / (double)total : 0.0);
        put_columns(out, m->timed_ns, m->calls, m->errors, m->name);
    }
    ent_text_put(out, line);
    ent_text_put(out, "100.00");
    put_columns(out, total, measure->calls, measure->errors, "total");
}

ent_status ent_trace_summary(ent_text *out, const ent_trace *trace)
{
    ent_measure measure;
    ent_status st;
    ENT_GO(ent_measure_trace(&measure, trace));
    const ent_name_measure all = ent_measure_matching(&measure, NULL);
    if (all.timed == 0)
        ENT_GO(ent_fail(ENT_EINVAL, "%s: has no times: expected a trace with the durations of its calls",
                        trace->label ? trace->label : "the trace"));
    qsort(measure.names, measure.n_names, sizeof *measure.names, by_time);
    put_table(out, &measure, all.timed_ns);
done:
    ent_measure_clear(&measure);
    return st;
}
