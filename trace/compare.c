#include "trace/compare.h"

#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"
#include "trace/myers.h"
#include "trace/normalise.h"
#include "trace/syscalls.h"
#include "trace/unified.h"

enum { MAX_LINES = 200, MAX_LINE = 400, MAX_STEPS = 200000000 };

/* Stands between the calls of two threads, so that a call doesn't go unseen from the end of one to the other. */
static const size_t another_thread = SIZE_MAX;

/* When a thread was first seen: as itself, or as the result of a call, which may be its start. */
typedef struct first_seen {
    int tid;
    size_t call;
} first_seen;

typedef struct threads {
    first_seen *items; /* sorted by thread */
    size_t count, capacity;
} threads;

/* A call that is compared, and the place of its thread. */
typedef struct place {
    size_t thread, call;
} place;

/* What is compared of one trace. */
typedef struct side {
    ent_normaliser normaliser;
    place *places;
    size_t count, capacity;
    size_t *offsets;   /* of the normalised line in the text of both sides */
    uint32_t *symbols; /* the same for equal lines */
    bool *marks;       /* missing, or added */
} side;

static int by_thread(const void *a, const void *b)
{
    const first_seen *x = a, *y = b;
    return (x->tid > y->tid) - (x->tid < y->tid);
}

static int by_thread_then_call(const void *a, const void *b)
{
    const first_seen *x = a, *y = b;
    const int order = by_thread(a, b);
    return order ? order : (x->call > y->call) - (x->call < y->call);
}

static int by_place(const void *a, const void *b)
{
    const place *x = a, *y = b;
    if (x->thread != y->thread)
        return x->thread < y->thread ? -1 : 1;
    return (x->call > y->call) - (x->call < y->call);
}

static ent_status see(threads *seen, int tid, size_t call)
{
    ENT_TRY(ent_grow(&seen->items, &seen->capacity, seen->count + 1, sizeof *seen->items, "the threads of a trace"));
    seen->items[seen->count++] = (first_seen){tid, call};
    return ENT_OK;
}

static ent_status find_threads(threads *seen, const ent_trace *trace)
{
    size_t kept = 0;
    for (size_t i = 0; i < trace->count; i++) {
        const ent_trace_call *call = &trace->calls[i];
        const ent_syscall *s = ent_syscall_of_name(call->name);
        if (i == 0 || call->tid != trace->calls[i - 1].tid)
            ENT_TRY(see(seen, call->tid, i));
        if (s && (s->traits & ENT_CALL_PID) && call->result > 0 && call->result <= INT32_MAX)
            ENT_TRY(see(seen, (int)call->result, i));
    }
    if (seen->count)
        qsort(seen->items, seen->count, sizeof *seen->items, by_thread_then_call);
    for (size_t i = 0; i < seen->count; i++)
        if (kept == 0 || seen->items[i].tid != seen->items[kept - 1].tid)
            seen->items[kept++] = seen->items[i];
    seen->count = kept;
    return ENT_OK;
}

static ent_status add_place(side *s, place p)
{
    ENT_TRY(ent_grow(&s->places, &s->capacity, s->count + 1, sizeof *s->places, "the calls that are compared"));
    s->places[s->count++] = p;
    return ENT_OK;
}

/* The calls to compare, thread by thread. */
static ent_status choose(side *s, const ent_trace *trace, bool strict)
{
    threads seen = {0};
    ent_status st;
    ENT_GO(find_threads(&seen, trace));
    for (size_t i = s->normaliser.first; i < trace->count; i++) {
        if ((!strict && !ent_normalise_is_own(&s->normaliser, i)) || ent_normalise_is_restarted(&s->normaliser, i))
            continue;
        const first_seen key = {trace->calls[i].tid, 0};
        const first_seen *found = bsearch(&key, seen.items, seen.count, sizeof key, by_thread);
        ENT_GO(add_place(s, (place){found->call, i}));
    }
    if (s->count)
        qsort(s->places, s->count, sizeof *s->places, by_place);
    for (size_t i = 1, n = s->count; i < n; i++)
        if (s->places[i].thread != s->places[i - 1].thread)
            ENT_GO(add_place(s, (place){s->places[i - 1].thread, another_thread})); /* the last of its thread */
    if (s->count)
        qsort(s->places, s->count, sizeof *s->places, by_place);
done:
    free(seen.items);
    return st;
}

static ent_status put_lines(ent_text *lines, side *s)
{
    ENT_TRY(ent_calloc(&s->offsets, s->count, sizeof *s->offsets, "comparing"));
    ENT_TRY(ent_calloc(&s->symbols, s->count, sizeof *s->symbols, "comparing"));
    ENT_TRY(ent_calloc(&s->marks, s->count, sizeof *s->marks, "comparing"));
    for (size_t i = 0; i < s->count; i++) {
        s->offsets[i] = lines->n;
        if (s->places[i].call != another_thread)
            ent_normalise_put(lines, &s->normaliser, s->places[i].call, ENT_NORMALISE_COMPARE);
        ent_text_put_n(lines, "", 1);
    }
    return ENT_OK;
}

typedef struct entry {
    const char *line;
    uint32_t *symbol;
} entry;

static int by_line(const void *a, const void *b)
{
    return strcmp(((const entry *)a)->line, ((const entry *)b)->line);
}

/* Numbers the lines of both sides, equal ones the same. */
static ent_status number_lines(size_t *n_symbols, side *sides)
{
    const size_t count = sides[0].count + sides[1].count;
    ent_text text = {0};
    char *lines = NULL;
    entry *entries = NULL;
    ent_status st;
    uint32_t symbol = 0;
    ENT_GO(put_lines(&text, &sides[0]));
    ENT_GO(put_lines(&text, &sides[1]));
    ENT_GO(ent_text_finish(&lines, &text));
    ENT_GO(ent_calloc(&entries, count, sizeof *entries, "comparing"));
    for (size_t i = 0; i < count; i++) {
        side *s = &sides[i >= sides[0].count];
        const size_t k = i < sides[0].count ? i : i - sides[0].count;
        entries[i] = (entry){lines + s->offsets[k], &s->symbols[k]};
    }
    if (count)
        qsort(entries, count, sizeof *entries, by_line);
    for (size_t i = 0; i < count; i++) {
        symbol += i > 0 && by_line(&entries[i], &entries[i - 1]) != 0;
        *entries[i].symbol = symbol;
    }
    *n_symbols = (size_t)symbol + 1;
done:
    free(entries);
    free(lines);
    free(text.data);
    return st;
}

static void put_call(ent_text *out, void *context, bool fresh, size_t i)
{
    const side *s = (const side *)context + fresh;
    const size_t at = s->places[i].call;
    ent_text line = {0};
    if (at == another_thread) {
        ent_text_put(out, "-- another thread --");
        return;
    }
    const ent_trace_call *call = &s->normaliser.trace->calls[at];
    ent_normalise_put(&line, &s->normaliser, at, ENT_NORMALISE_SHOW);
    for (size_t k = 0; k < line.n && line.data; k++) /* a call is a line, whatever a file says */
        if ((unsigned char)line.data[k] < ' ')
            line.data[k] = '?';
    if (line.n > MAX_LINE) { /* data's hash is at the end */
        ent_text_put_n(out, line.data, MAX_LINE / 2);
        ent_text_put(out, "...");
        ent_text_put_n(out, line.data + line.n - MAX_LINE / 2, MAX_LINE / 2);
    } else {
        ent_text_put_n(out, line.data ? line.data : "", line.n);
    }
    if (call->file)
        ent_text_printf(out, "  [%s:%d%s%s]", call->file, call->line, call->function ? " " : "",
                        call->function ? call->function : "");
    out->failed |= line.failed;
    free(line.data);
}

static size_t count_marked(const side *s)
{
    size_t marked = 0;
    for (size_t i = 0; i < s->count; i++)
        marked += s->marks[i] && s->places[i].call != another_thread;
    return marked;
}

static const char *plural(size_t n)
{
    return n == 1 ? "" : "s";
}

static ent_status put_report(ent_text *report, bool *equal, side *sides, bool exact, bool strict)
{
    const ent_trace *golden = sides[0].normaliser.trace, *fresh = sides[1].normaliser.trace;
    const size_t missing = count_marked(&sides[0]), added = count_marked(&sides[1]);
    const bool same_end = golden->exit_code == fresh->exit_code;
    size_t calls = 0;
    bool same = true;
    for (size_t k = 0; k < 2; k++)
        for (size_t i = 0; i < sides[k].count; i++) {
            same = same && !sides[k].marks[i];
            calls += k == 0 && sides[k].places[i].call != another_thread;
        }
    *equal = same && same_end;
    if (*equal) {
        ent_text_printf(report, "equal: %zu call%s%s\n", calls, plural(calls),
                        strict ? "" : " of the program's own input and output");
        return ENT_OK;
    }
    ent_text_printf(report, "--- %s\n+++ %s\n", golden->label ? golden->label : "", fresh->label ? fresh->label : "");
    const ent_unified u = {sides[0].count, sides[1].count, sides[0].marks, sides[1].marks, put_call, sides};
    ENT_TRY(ent_unified_put(report, &u, MAX_LINES));
    if (!exact)
        ent_text_put(report, "(too many to find the fewest)\n");
    ent_text_put(report, "different:");
    if (!same)
        ent_text_printf(report, " %zu call%s missing, %zu added", missing, plural(missing), added);
    if (!same_end)
        ent_text_printf(report, "%s exit code %d instead of %d", same ? "" : ",", fresh->exit_code, golden->exit_code);
    ent_text_put(report, "\n");
    return ENT_OK;
}

ent_status ent_trace_compare(ent_text *report, bool *equal, const ent_trace *golden, const ent_trace *fresh,
                             bool strict)
{
    side sides[2] = {0};
    const ent_trace *traces[2] = {golden, fresh};
    size_t n_symbols;
    bool exact;
    ent_status st;
    *equal = false;
    for (size_t k = 0; k < 2; k++) {
        ENT_GO(ent_normalise_begin(&sides[k].normaliser, traces[k], traces[1 - k]));
        ENT_GO(choose(&sides[k], traces[k], strict));
    }
    ENT_GO(number_lines(&n_symbols, sides));
    ENT_GO(ent_myers_diff(sides[0].marks, sides[1].marks, &exact, sides[0].symbols, sides[0].count, sides[1].symbols,
                          sides[1].count, n_symbols, MAX_STEPS));
    ENT_GO(put_report(report, equal, sides, exact, strict));
done:
    for (size_t k = 0; k < 2; k++) {
        ent_normalise_end(&sides[k].normaliser);
        free(sides[k].places);
        free(sides[k].offsets);
        free(sides[k].symbols);
        free(sides[k].marks);
    }
    return st;
}
