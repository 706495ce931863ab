/* Whether two runs of a program made the same system calls, and how they differ. */
#ifndef ENT_TRACE_COMPARE_H
#define ENT_TRACE_COMPARE_H

#include "io/text.h"
#include "trace/trace.h"

/* Compares the calls of the program's own input and output, as trace/normalise.h puts them; if `strict`, every call but
 * the execve that started it. A call that a signal cut off and that was made again counts once. Calls are compared
 * thread by thread, in the order in which threads were started; within one, in theirs. The exit codes must be equal
 * too.
 *
 * Appends a report like a unified diff: the labels, hunks of three lines around what is missing (-) or added (+), each
 * with the place in the source if it is known, 200 lines at most; then one line that says it all. Of equal traces, only
 * that line:
 *     equal: 34 calls of the program's own input and output
 *     different: 2 calls missing, 1 added, exit code 1 instead of 0
 * ENT_ENOMEM. */
ent_status ent_trace_compare(ent_text *report, bool *equal, const ent_trace *golden, const ent_trace *fresh,
                             bool strict);

#endif
