#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "trace/normalise_parts.h"
#include "trace/patterns_parts.h"

enum { MANY_WRITES = 16, SMALL = 64, STEADY_WRITES = 3 };

/* One item for each successful write of the program. */
static ent_status find_writes(ent_uses *uses, const ent_normaliser *n)
{
    for (size_t i = 0; i < n->trace->count; i++) {
        const ent_trace_call *call = &n->trace->calls[i];
        const ent_syscall *s = ent_syscall_of_name(call->name);
        ent_arg_kind kind;
        if (s == NULL || !(s->traits & ENT_CALL_WRITES) || (s->traits & ENT_CALL_READS) || !call->returned ||
            call->result < 0 || !ent_normalise_is_own(n, i))
            continue;
        int64_t fd = n->raw ? ent_normalise_raw_fd(call, s) : -1;
        for (size_t k = 0; k < call->n_args && !n->raw && fd < 0; k++)
            if (ent_normalise_kind(&kind, s, call, k) && kind == ENT_ARG_FD)
                fd = ent_normalise_fd(&call->args[k]);
        if (fd < 0)
            continue;
        const char *what = n->raw ? n->tracked[i] : ent_normalise_descriptor(n, i, fd);
        ENT_TRY(ent_uses_add(uses, (ent_use){call->pid, fd, what ? what : "", i}));
    }
    ent_uses_sort(uses);
    return ENT_OK;
}

/* Memory calls of a process between two calls of its trace; appends how many of which, and where the first was asked.
 */
static size_t count_memory(ent_text *out, const ent_trace *trace, int pid, size_t first, size_t last)
{
    static const char *const names[] = {"mmap", "munmap", "mremap", "brk", "madvise"};
    enum { NAMES = sizeof names / sizeof *names };
    size_t count = 0, of[NAMES] = {0};
    const ent_trace_call *place = NULL;
    for (size_t i = first; i < last; i++) {
        const ent_trace_call *call = &trace->calls[i];
        const ent_syscall *s = ent_syscall_of_name(call->name);
        if (s == NULL || !(s->traits & ENT_CALL_MEMORY) || call->pid != pid || call->loader)
            continue;
        for (size_t k = 0; k < NAMES; k++)
            of[k] += strcmp(names[k], call->name) == 0;
        if (place == NULL && call->file)
            place = call;
        count++;
    }
    for (size_t k = 0, some = 0; k < NAMES; k++)
        if (of[k])
            ent_text_printf(out, "%s%zu %s", some++ ? ", " : "", of[k], names[k]);
    if (place)
        ent_text_printf(out, "; first at %s:%d", place->file, place->line);
    return count;
}

/* The stream with the most writes, of those that go on for long: at least for half the calls that any does, as a file
 * that is written at once doesn't. *writes is 0 if none has enough. */
static const ent_use *find_log(size_t *writes, const ent_uses *uses)
{
    const ent_use *log = NULL;
    size_t longest = 0;
    *writes = 0;
    for (int choosing = 0; choosing < 2; choosing++) {
        for (size_t begin = 0, end; begin < uses->count; begin = end) {
            end = ent_uses_end(uses, begin);
            if (end - begin < STEADY_WRITES)
                continue;
            const size_t stretch = uses->items[end - 1].call - uses->items[begin + 1].call;
            if (!choosing) {
                longest = stretch > longest ? stretch : longest;
            } else if (2 * stretch >= longest && end - begin > *writes) {
                log = &uses->items[begin];
                *writes = end - begin;
            }
        }
    }
    return log;
}

static void steady_state(ent_finding *f, ent_text *seen, const ent_uses *uses)
{
    size_t writes;
    const ent_use *use = find_log(&writes, uses);
    if (seen->n)
        ent_text_put(seen, "; ");
    if (use == NULL) {
        ent_finding_put_trace(seen, f);
        ent_text_printf(seen, "no descriptor has %d writes to take for the steady state", STEADY_WRITES);
        return;
    }
    ent_text which = {0};
    const size_t calls = count_memory(&which, f->trace, use->pid, use[1].call, use[writes - 1].call);
    ent_text *to = calls ? f->out : seen;
    if (calls) {
        ent_finding_add(f);
        ent_text_printf(to, "%zu memory call%s (%s) in the ", calls, calls == 1 ? "" : "s",
                        which.data ? which.data : "");
    } else {
        ent_finding_put_trace(seen, f);
    }
    ent_text_printf(to, "steady state: from write 2 to %zu on ", writes);
    ent_use_put(to, use);
    ent_text_printf(to, " by process %d, the longest log%s", use->pid, calls ? "\n" : "");
    to->failed |= which.failed;
    free(which.data);
}

static void small_writes(ent_finding *f, const ent_uses *uses)
{
    for (size_t begin = 0, end; begin < uses->count; begin = end) {
        size_t small = 0;
        end = ent_uses_end(uses, begin);
        for (size_t i = begin; i < end; i++) {
            const ent_trace_call *call = &f->trace->calls[uses->items[i].call];
            small += (call->size >= 0 ? call->size : call->result) < SMALL;
        }
        if (small < MANY_WRITES)
            continue;
        ent_finding_add(f);
        ent_text_printf(f->out, "%zu of %zu writes on ", small, end - begin);
        ent_use_put(f->out, &uses->items[begin]);
        ent_text_printf(f->out, " by process %d are of less than %d bytes\n", uses->items[begin].pid, SMALL);
    }
}

ent_status ent_patterns_writes(ent_text *out, const ent_trace *const *traces, size_t n)
{
    ent_text memory_text = {0}, seen = {0}, small_text = {0};
    ent_finding memory = {.out = &memory_text,
                          .name = "Allocation in the Steady State",
                          .advice = "allocate before the loop and use it again; of the C library, raise "
                                    "M_MMAP_THRESHOLD and M_TRIM_THRESHOLD (mallopt).",
                          .many = n > 1};
    ent_finding small = {.out = &small_text,
                         .name = "Small Writes",
                         .advice = "gather them in a buffer (setvbuf, or one text) and write it at once.",
                         .many = n > 1};
    ent_uses uses = {0};
    ent_normaliser normaliser = {0};
    ent_status st = ENT_OK;
    for (size_t i = 0; i < n; i++) {
        uses.count = 0;
        ent_normalise_end(&normaliser);
        ENT_GO(ent_normalise_begin(&normaliser, traces[i], NULL));
        ENT_GO(find_writes(&uses, &normaliser));
        memory.trace = small.trace = traces[i];
        steady_state(&memory, &seen, &uses);
        small_writes(&small, &uses);
    }
    ent_finding_end(&memory, seen.data ? seen.data : "");
    ent_finding_end(&small, "");
    ent_text_put_n(out, memory_text.data ? memory_text.data : "", memory_text.n);
    ent_text_put_n(out, small_text.data ? small_text.data : "", small_text.n);
    out->failed |= memory_text.failed | small_text.failed | seen.failed;
done:
    ent_normalise_end(&normaliser);
    free(uses.items);
    free(memory_text.data);
    free(seen.data);
    free(small_text.data);
    return st;
}
