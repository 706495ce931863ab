#include "trace/patterns.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"
#include "trace/measure.h"
#include "trace/normalise_parts.h"
#include "trace/patterns_parts.h"

enum { LONG_RUN = 100, OPENED_AGAIN = 3, ASKED_AGAIN = 2 };

void ent_finding_put_trace(ent_text *out, const ent_finding *f)
{
    if (f->many && f->trace->rank >= 0)
        ent_text_printf(out, "rank %d: ", f->trace->rank);
    else if (f->many)
        ent_text_printf(out, "%s: ", f->trace->label ? f->trace->label : "a trace");
}

void ent_finding_add(ent_finding *f)
{
    if (f->found++ == 0)
        ent_text_printf(f->out, "%s: found\n", f->name);
    ent_text_put(f->out, "  ");
    ent_finding_put_trace(f->out, f);
}

void ent_finding_end(ent_finding *f, const char *seen)
{
    if (f->found)
        ent_text_printf(f->out, "  To do: %s\n", f->advice);
    else
        ent_text_printf(f->out, "%s: none%s%s\n", f->name, *seen ? "; " : "", seen);
}

static int by_use(const void *a, const void *b)
{
    const ent_use *x = a, *y = b;
    if (x->pid != y->pid)
        return x->pid < y->pid ? -1 : 1;
    if (x->fd != y->fd)
        return x->fd < y->fd ? -1 : 1;
    return strcmp(x->what, y->what);
}

static int by_use_then_call(const void *a, const void *b)
{
    const ent_use *x = a, *y = b;
    const int order = by_use(a, b);
    return order ? order : (x->call > y->call) - (x->call < y->call);
}

ent_status ent_uses_add(ent_uses *uses, ent_use use)
{
    ENT_TRY(ent_grow(&uses->items, &uses->capacity, uses->count + 1, sizeof *uses->items, "the uses of files"));
    uses->items[uses->count++] = use;
    return ENT_OK;
}

void ent_uses_sort(ent_uses *uses)
{
    if (uses->count)
        qsort(uses->items, uses->count, sizeof *uses->items, by_use_then_call);
}

size_t ent_uses_end(const ent_uses *uses, size_t begin)
{
    size_t end = begin;
    while (end < uses->count && by_use(&uses->items[begin], &uses->items[end]) == 0)
        end++;
    return end;
}

void ent_use_put(ent_text *out, const ent_use *use)
{
    static const char *const standard[] = {"stdin", "stdout", "stderr"};
    if (use->fd >= 0 && use->fd <= 2)
        ent_text_put(out, standard[use->fd]);
    else if (*use->what)
        ent_text_put(out, use->what);
    else
        ent_text_printf(out, "descriptor %" PRId64, use->fd);
}

static ent_status tight_loop(ent_text *out, const ent_trace *const *traces, size_t n, int64_t steps)
{
    ent_finding f = {.out = out,
                     .name = "Tight Loop",
                     .advice =
                         "do more with each call: larger pieces, vectors (readv, writev), or a mapping; keep what "
                         "was asked for once; of calls that sleep, wait for what is to happen instead.",
                     .many = n > 1};
    ent_call_run longest = {0}, run;
    char seen[160] = "";
    for (size_t i = 0; i < n; i++) {
        f.trace = traces[i];
        ENT_TRY(ent_measure_longest_run(&run, traces[i], NULL));
        if (run.length > longest.length)
            longest = run;
        if (run.length < LONG_RUN)
            continue;
        ent_finding_add(&f);
        ent_text_printf(out, "%" PRId64 " calls of %s in a row, by thread %d of process %d\n", run.length, run.name,
                        run.tid, run.pid);
    }
    if (longest.name)
        snprintf(seen, sizeof seen, "the longest run is of %" PRId64 " %.60s", longest.length, longest.name);
    ent_finding_end(&f, seen);
    for (size_t i = 0; i < n && steps > 0; i++)
        ent_text_printf(out, "  %.1f calls a step (%zu calls, %" PRId64 " steps)%s%s\n",
                        (double)traces[i]->count / (double)steps, traces[i]->count, steps, n > 1 ? " in " : "",
                        n > 1 && traces[i]->label ? traces[i]->label : "");
    return ENT_OK;
}

static void name_rank(char *name, size_t size, const ent_trace *trace)
{
    if (trace->rank >= 0)
        snprintf(name, size, "rank %d", trace->rank);
    else
        snprintf(name, size, "%.100s", trace->label ? trace->label : "a trace");
}

/* What was done in all, and most of it; *name = by whom. Of one trace its processes count, of several each as a whole.
 */
static bool share_work(double *total, double *most, char *name, size_t size, const ent_trace *const *traces, size_t n)
{
    bool by_calls = false;
    for (size_t i = 0; i < n; i++) {
        const ent_process_share share = ent_measure_busiest(traces[i], NULL);
        by_calls = by_calls || share.by_calls || share.process == NULL;
    }
    *total = *most = 0;
    for (size_t i = 0; i < n; i++) {
        const ent_process_share share = ent_measure_busiest(traces[i], NULL);
        const double work = n == 1 ? (double)share.work : by_calls ? (double)traces[i]->count : (double)share.total;
        *total += n == 1 ? (double)share.total : work;
        if (i > 0 && work <= *most)
            continue;
        *most = work;
        if (n > 1)
            name_rank(name, size, traces[i]);
        else if (share.process)
            snprintf(name, size, "process %d (%.60s)", share.process->pid,
                     share.process->program ? share.process->program : "");
    }
    return by_calls;
}

static void god_process(ent_text *out, const ent_trace *const *traces, size_t n)
{
    ent_finding f = {.out = out,
                     .name = "God Process",
                     .advice = "give the others a part of its work: split the data or the files evenly."};
    const size_t workers = n > 1 ? n : traces[0]->n_processes;
    double total, most;
    char name[128] = "", seen[256];
    const bool by_calls = share_work(&total, &most, name, sizeof name, traces, n);
    if (workers < 2 || total <= 0) {
        ent_finding_end(&f, workers < 2 ? "one process: there is nothing to share" : "nothing was done");
        return;
    }
    snprintf(seen, sizeof seen, "%s did %.0f %% of %s of %zu %s; even shares are %.0f %%", name, 100 * most / total,
             by_calls ? "the system calls" : "the CPU time", workers,
             n == 1                 ? "processes"
             : traces[0]->rank >= 0 ? "ranks"
                                    : "traces",
             100 / (double)workers);
    if (2 * most > total && most * (double)(workers - 1) > 2 * (total - most)) {
        ent_finding_add(&f);
        ent_text_printf(out, "%s\n", seen);
    }
    ent_finding_end(&f, seen);
}

/* One item for each time that a process asks the kernel for random numbers. */
static ent_status find_random(ent_uses *uses, const ent_normaliser *n)
{
    for (size_t i = 0; i < n->trace->count; i++) {
        const ent_trace_call *call = &n->trace->calls[i];
        const ent_syscall *s = ent_syscall_of_name(call->name);
        bool asks = strcmp(call->name, "getrandom") == 0;
        if (s && (s->traits & ENT_CALL_READS)) {
            for (size_t k = 0; k < call->n_descriptors; k++)
                asks = asks || ent_normalise_is_random_device(call->descriptors[k].what);
            asks = asks || (n->raw && n->tracked[i] && ent_normalise_is_random_device(n->tracked[i]));
        }
        if (asks && !call->loader)
            ENT_TRY(ent_uses_add(uses, (ent_use){call->pid, -1, "", i}));
    }
    return ENT_OK;
}

/* One item for each time that a process opens a path. */
static ent_status find_openings(ent_uses *uses, const ent_normaliser *n)
{
    for (size_t i = 0; i < n->trace->count; i++) {
        const ent_trace_call *call = &n->trace->calls[i];
        const ent_syscall *s = ent_syscall_of_name(call->name);
        const char *path = ent_trace_value(call, "pathname");
        const char *what = ent_normalise_descriptor(n, i, call->result);
        if (path && s && (s->traits & ENT_CALL_OPENS) && call->returned && call->result >= 0 &&
            ent_normalise_is_own(n, i))
            ENT_TRY(ent_uses_add(uses, (ent_use){call->pid, -1, what ? what : path, i}));
    }
    return ENT_OK;
}

static void put_random(ent_finding *f, const ent_use *use, size_t times)
{
    ent_finding_add(f);
    ent_text_printf(f->out, "process %d asked %zu times\n", use->pid, times);
}

static void put_opened(ent_finding *f, const ent_use *use, size_t times)
{
    ent_finding_add(f);
    ent_text_printf(f->out, "%s was opened %zu times by process %d\n", use->what, times, use->pid);
}

/* An entry about what is done at least `least` times: `find` collects it, `put` prints it. */
static ent_status repeated(ent_finding f, const ent_trace *const *traces, size_t n, size_t least,
                           ent_status (*find)(ent_uses *, const ent_normaliser *),
                           void (*put)(ent_finding *, const ent_use *, size_t))
{
    ent_uses uses = {0};
    ent_normaliser normaliser = {0};
    ent_status st = ENT_OK;
    f.many = n > 1;
    for (size_t i = 0; i < n; i++) {
        f.trace = traces[i];
        uses.count = 0;
        ent_normalise_end(&normaliser);
        ENT_GO(ent_normalise_begin(&normaliser, traces[i], NULL));
        ENT_GO(find(&uses, &normaliser));
        ent_uses_sort(&uses);
        for (size_t begin = 0, end; begin < uses.count; begin = end) {
            end = ent_uses_end(&uses, begin);
            if (end - begin >= least)
                put(&f, &uses.items[begin], end - begin);
        }
    }
    ent_finding_end(&f, "");
done:
    ent_normalise_end(&normaliser);
    free(uses.items);
    return st;
}

ent_status ent_trace_patterns(ent_text *out, const ent_trace *const *traces, size_t n, int64_t steps)
{
    const ent_finding random = {.out = out,
                                .name = "Random Numbers from the Kernel",
                                .advice = "take one seed, and let a generator of the program go on from it."};
    const ent_finding opened = {
        .out = out, .name = "Files Opened Again", .advice = "open once and keep the descriptor, or what was read."};
    if (n == 0)
        return ent_fail(ENT_EINVAL, "patterns: expected at least one trace");
    ENT_TRY(tight_loop(out, traces, n, steps));
    god_process(out, traces, n);
    ENT_TRY(ent_patterns_writes(out, traces, n));
    ENT_TRY(repeated(random, traces, n, ASKED_AGAIN, find_random, put_random));
    return repeated(opened, traces, n, OPENED_AGAIN, find_openings, put_opened);
}
