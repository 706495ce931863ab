#include "trace/summary.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"
#include "trace/measure.h"

typedef struct row {
    const ent_name_measure *of;
    int64_t ns;
} row;

static int by_time(const void *a, const void *b)
{
    const row *x = a, *y = b;
    if (x->ns != y->ns)
        return x->ns > y->ns ? -1 : 1;
    if (x->of->calls != y->of->calls)
        return x->of->calls > y->of->calls ? -1 : 1;
    return strcmp(x->of->name, y->of->name);
}

static int of_name(const void *key, const void *item)
{
    return strcmp(key, ((const row *)item)->of->name);
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

static void put_table(ent_text *out, const row *rows, const ent_measure *measure, int64_t total)
{
    static const char line[] = "------ ----------- ----------- --------- --------- ----------------\n";
    ent_text_put(out, "% time     seconds  usecs/call     calls    errors syscall\n");
    ent_text_put(out, line);
    for (size_t i = 0; i < measure->n_names; i++) {
        ent_text_printf(out, "%6.2f", total > 0 ? 100.0 * (double)rows[i].ns / (double)total : 0.0);
        put_columns(out, rows[i].ns, rows[i].of->calls, rows[i].of->errors, rows[i].of->name);
    }
    ent_text_put(out, line);
    ent_text_put(out, "100.00");
    put_columns(out, total, measure->calls, measure->errors, "total");
}

ent_status ent_trace_summary(ent_text *out, const ent_trace *trace)
{
    ent_measure measure;
    row *rows = NULL;
    int64_t total = 0;
    bool timed = false;
    ent_status st;
    ENT_GO(ent_measure_trace(&measure, trace));
    ENT_GO(ent_calloc(&rows, measure.n_names, sizeof *rows, "the summary"));
    for (size_t i = 0; i < measure.n_names; i++)
        rows[i].of = &measure.names[i];
    for (size_t i = 0; i < trace->count; i++) {
        const int64_t ns = trace->calls[i].duration_ns;
        row *at = ns < 0 ? NULL : bsearch(trace->calls[i].name, rows, measure.n_names, sizeof *rows, of_name);
        timed = timed || ns >= 0;
        if (at && !__builtin_add_overflow(total, ns, &total))
            at->ns += ns;
    }
    if (!timed)
        ENT_GO(ent_fail(ENT_EINVAL, "%s: has no times: expected a trace with the durations of its calls",
                        trace->label ? trace->label : "the trace"));
    qsort(rows, measure.n_names, sizeof *rows, by_time);
    put_table(out, rows, &measure, total);
done:
    free(rows);
    ent_measure_clear(&measure);
    return st;
}
