/* Measures that follow each process or thread through the trace. */
#include <stdlib.h>
#include <string.h>

#include "io/path.h"
#include "src/base/mem.h"
#include "trace/measure_parts.h"

/* A process and the end of its heap, or a thread and its present run of calls. */
typedef struct follower {
    int id, parent;
    int64_t end; /* 0: not known */
    const char *name;
    int64_t length;
} follower;

int ent_measure_order(const void *a, const void *b)
{
    const int x = *(const int *)a, y = *(const int *)b; /* an int, or a struct that starts with one */
    return (x > y) - (x < y);
}

static follower *find(follower *list, size_t n, int id)
{
    return bsearch(&id, list, n, sizeof *list, ent_measure_order);
}

/* *out = a follower for each process, or each thread, of the trace; sorted. The caller frees. */
static ent_status list_followers(follower **out, size_t *n, const ent_trace *trace, bool threads)
{
    follower *list;
    size_t count = 0;
    *out = NULL;
    *n = 0;
    ENT_TRY(ent_calloc(&list, trace->count, sizeof *list, "the threads of a trace"));
    for (size_t i = 0; i < trace->count; i++)
        list[i].id = threads ? trace->calls[i].tid : trace->calls[i].pid;
    qsort(list, trace->count, sizeof *list, ent_measure_order);
    for (size_t i = 0; i < trace->count; i++)
        if (i == 0 || list[i].id != list[count - 1].id)
            list[count++] = list[i];
    *out = list;
    *n = count;
    return ENT_OK;
}

/* A child starts with its parent's heap. */
static void find_parents(follower *list, size_t n, const ent_trace *trace)
{
    for (size_t i = 0; i < trace->count; i++) {
        const ent_trace_call *call = &trace->calls[i];
        const bool makes = strcmp(call->name, "clone") == 0 || strcmp(call->name, "clone3") == 0 ||
                           strcmp(call->name, "fork") == 0 || strcmp(call->name, "vfork") == 0;
        follower *child =
            makes && call->result > 0 && call->result <= INT32_MAX ? find(list, n, (int)call->result) : NULL;
        if (child && child->id != call->pid)
            child->parent = call->pid;
    }
}

static int64_t mmap_bytes(const ent_trace_call *call)
{
    static const char anonymous[] = "MAP_ANONYMOUS";
    const char *flag = ent_trace_value(call, "flags");
    const int64_t length = ent_trace_number(call, "length", ENT_UNKNOWN);
    if (flag == NULL || length < 0)
        return ENT_UNKNOWN;
    for (;; flag++) {
        const size_t n = strcspn(flag, "|");
        if (n == sizeof anonymous - 1 && memcmp(flag, anonymous, n) == 0)
            return length;
        flag += n;
        if (*flag == 0)
            return 0;
    }
}

static int64_t mremap_bytes(const ent_trace_call *call)
{
    const int64_t old_size = ent_trace_number(call, "old_size", ENT_UNKNOWN);
    const int64_t new_size = ent_trace_number(call, "new_size", ENT_UNKNOWN);
    if (old_size < 0 || new_size < 0)
        return ENT_UNKNOWN;
    return new_size > old_size ? new_size - old_size : 0;
}

/* By how much brk raised the end of the heap. brk(NULL) only asks where it is: a new program asks so first, and its
 * heap has nothing to do with that of the program before it. */
static int64_t brk_bytes(const ent_trace_call *call, follower *list, size_t n)
{
    follower *process = find(list, n, call->pid);
    const char *address = ent_trace_value(call, "addr");
    const bool asks = address && (strcmp(address, "NULL") == 0 || ent_trace_number(call, "addr", 1) == 0);
    const follower *parent = process->parent ? find(list, n, process->parent) : NULL;
    if (process->end == 0 && parent)
        process->end = parent->end;
    const int64_t before = process->end;
    process->end = call->result;
    return asks || before <= 0 || call->result <= before ? 0 : call->result - before;
}

ent_status ent_measure_allocated(int64_t *out, const ent_trace *trace)
{
    follower *list;
    size_t n;
    int64_t sum = 0;
    ENT_TRY(list_followers(&list, &n, trace, false));
    find_parents(list, n, trace);
    for (size_t i = 0; i < trace->count && sum != ENT_UNKNOWN; i++) {
        const ent_trace_call *call = &trace->calls[i];
        int64_t bytes = 0;
        if (!call->returned || ent_trace_failed(call))
            continue;
        if (strcmp(call->name, "mmap") == 0)
            bytes = mmap_bytes(call);
        else if (strcmp(call->name, "mremap") == 0)
            bytes = mremap_bytes(call);
        else if (strcmp(call->name, "brk") == 0)
            bytes = call->pid > 0 ? brk_bytes(call, list, n) : ENT_UNKNOWN;
        sum = bytes == ENT_UNKNOWN ? ENT_UNKNOWN : ent_measure_add(sum, bytes);
    }
    *out = sum;
    free(list);
    return ENT_OK;
}

/* *out = the numbers of the processes whose program matches, sorted. The caller frees. */
static ent_status list_matching(int **out, size_t *n, const ent_trace *trace, const ent_pattern *programs)
{
    *n = 0;
    ENT_TRY(ent_calloc(out, trace->n_processes, sizeof **out, "the processes of a trace"));
    for (size_t i = 0; i < trace->n_processes; i++) {
        const char *program = trace->processes[i].program;
        if (ent_pattern_matches(programs, program ? ent_path_name(program) : ""))
            (*out)[(*n)++] = trace->processes[i].pid;
    }
    qsort(*out, *n, sizeof **out, ent_measure_order);
    return ENT_OK;
}

ent_status ent_measure_longest_run(ent_call_run *out, const ent_trace *trace, const ent_pattern *programs)
{
    follower *list = NULL;
    int *matching = NULL;
    size_t n, n_matching;
    ent_status st;
    *out = (ent_call_run){.name = ""};
    ENT_GO(list_followers(&list, &n, trace, true));
    ENT_GO(list_matching(&matching, &n_matching, trace, programs));
    for (size_t i = 0; i < trace->count; i++) {
        const ent_trace_call *call = &trace->calls[i];
        follower *thread = find(list, n, call->tid);
        if (programs && bsearch(&call->pid, matching, n_matching, sizeof *matching, ent_measure_order) == NULL)
            continue;
        thread->length = thread->name && strcmp(thread->name, call->name) == 0 ? thread->length + 1 : 1;
        thread->name = call->name;
        if (thread->length > out->length)
            *out = (ent_call_run){call->name, call->pid, call->tid, thread->length};
    }
done:
    free(list);
    free(matching);
    return st;
}
