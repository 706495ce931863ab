/* Habits in the system calls of a program that cost time, and what to do about them. */
#ifndef ENT_TRACE_PATTERNS_H
#define ENT_TRACE_PATTERNS_H

#include "io/text.h"
#include "trace/trace.h"

/* Appends a report on the traces of one run: one, or one for each rank. `steps` that the run made; 0: not known. An
 * entry for each pattern, with what was seen and what to do; or with "none".
 *
 *     Tight Loop               one thread makes 100 or more calls of one name, and no other between them
 *     God Process              of several ranks, or several processes of one trace, the busiest does more than half of
 *                              the work, and more than twice what the others do on average: by CPU time, or by calls
 *                              where that isn't known
 *     Allocation in the        memory is asked for or given back in the steady state: by the process with the longest
 * log, Steady State             from its second write on it to the last. That is the descriptor with the most writes,
 * of those that are written for at least half as long (in calls) as any other Small Writes             16 or more
 * writes of less than 64 bytes on one descriptor Random Numbers from the  a process asks more than once, by getrandom
 * or by reading /dev/urandom or /dev/random Kernel                   (once is the C library's) Files Opened Again a
 * process opens a path more than twice
 *
 * Writes and openings are those of the program's own input and output (trace/normalise.h). ENT_ENOMEM. */
ent_status ent_trace_patterns(ent_text *out, const ent_trace *const *traces, size_t n, int64_t steps);

#endif
