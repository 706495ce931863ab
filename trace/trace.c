#include "trace/trace.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"

/* Texts are kept in blocks, which are freed together. */
struct ent_trace_text {
    struct ent_trace_text *next;
    size_t used, size;
    char bytes[];
};

ent_status ent_trace_keep(const char **out, ent_trace *trace, const char *text, size_t n)
{
    enum { BLOCK = 1 << 16 };
    struct ent_trace_text *block = trace->texts;
    *out = NULL;
    if (n >= SIZE_MAX / 2)
        return ent_fail(ENT_ENOMEM, "out of memory: a text of %zu bytes", n);
    if (block == NULL || block->size - block->used < n + 1) {
        const size_t size = n + 1 > BLOCK ? n + 1 : BLOCK;
        ENT_TRY(ent_calloc(&block, 1, sizeof *block + size, "the texts of a trace"));
        block->size = size;
        block->next = trace->texts;
        trace->texts = block;
    }
    char *copy = block->bytes + block->used;
    memcpy(copy, text, n);
    copy[n] = '\0';
    block->used += n + 1;
    *out = copy;
    return ENT_OK;
}

ent_status ent_trace_add_call(ent_trace_call **out, ent_trace *trace)
{
    *out = NULL;
    ENT_TRY(ent_grow(&trace->calls, &trace->capacity, trace->count + 1, sizeof *trace->calls, "the calls of a trace"));
    *out = &trace->calls[trace->count++];
    **out = (ent_trace_call){.number = -1, .time_ns = -1, .duration_ns = -1, .size = -1};
    return ENT_OK;
}

bool ent_trace_failed(const ent_trace_call *call)
{
    enum { MAX_ERROR = 4095 }; /* the kernel's: below it, a negative result is an address */
    return call->error != NULL || (call->returned && call->result < 0 && call->result >= -MAX_ERROR);
}

const char *ent_trace_value(const ent_trace_call *call, const char *name)
{
    for (size_t i = 0; i < call->n_args; i++)
        if (strcmp(call->args[i].name, name) == 0)
            return call->args[i].value;
    return NULL;
}

int64_t ent_trace_number(const ent_trace_call *call, const char *name, int64_t otherwise)
{
    const char *value = ent_trace_value(call, name);
    char *end;
    if (value == NULL || *value == '\0')
        return otherwise;
    errno = 0;
    const bool negative = *value == '-';
    const int64_t number = negative ? strtoll(value, &end, 0) : (int64_t)strtoull(value, &end, 0);
    return errno || *end ? otherwise : number;
}

void ent_trace_clear(ent_trace *trace)
{
    for (struct ent_trace_text *block = trace->texts, *next; block; block = next) {
        next = block->next;
        free(block);
    }
    free(trace->calls);
    free(trace->processes);
    free(trace->program);
    *trace = (ent_trace){.rank = -1};
}
