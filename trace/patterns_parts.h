/* What the parts of the report on patterns share. */
#ifndef ENT_TRACE_PATTERNS_PARTS_H
#define ENT_TRACE_PATTERNS_PARTS_H

#include "io/text.h"
#include "trace/trace.h"

/* An entry of the report: "NAME: found", a line for each finding, and the advice; or "NAME: none" and what was seen. */
typedef struct ent_finding {
    ent_text *out;
    const char *name, *advice;
    const ent_trace *trace; /* that is being looked at */
    bool many;              /* it is one of several: findings say which */
    size_t found;
} ent_finding;

/* Which of several traces is being looked at: "rank 0: "; nothing of a single one. */
void ent_finding_put_trace(ent_text *out, const ent_finding *f);

/* Begins a line about a finding: after it comes the text, with its newline. */
void ent_finding_add(ent_finding *f);

/* Ends the entry; `seen` (may be "") is what to say where nothing was found. */
void ent_finding_end(ent_finding *f, const char *seen);

/* A call that has to do with a file, a stream, or nothing but its process. */
typedef struct ent_use {
    int pid;
    int64_t fd;       /* -1: not by descriptor */
    const char *what; /* the descriptor stands for, or the path; "" if that isn't known */
    size_t call;
} ent_use;

typedef struct ent_uses {
    ent_use *items;
    size_t count, capacity;
} ent_uses;

ent_status ent_uses_add(ent_uses *uses, ent_use use);

/* Sorts by all but `call`, then by it. */
void ent_uses_sort(ent_uses *uses);

/* The end of the uses that are the same as the one at `begin`, but for the call. */
size_t ent_uses_end(const ent_uses *uses, size_t begin);

/* "stdout", or the path in <>. */
void ent_use_put(ent_text *out, const ent_use *use);

/* The entries about writes, for all traces. */
ent_status ent_patterns_writes(ent_text *out, const ent_trace *const *traces, size_t n);

#endif
