/* The parts of paths that differ from run to run of the same program, replaced by words that don't.
 *
 * - the folder the program ran in, at the start of a path: "."
 * - a maximal run of decimal digits that is a process or thread of the trace, or of the one it is compared with: "PID"
 * - temporary names, as mkstemp and mkdtemp make them: "XXXXXX". Such is the run of 6 or more letters and digits at the
 *   end of the last component of a path that is created by mkdir, or by opening with O_CREAT|O_EXCL, or is renamed to
 *   another, and that
 *     - lies under /tmp, /var/tmp or /dev/shm (and not in the folder the program runs in), or
 *     - looks random: its last six are more than a word and then a number ("aB3x9Q", not "epoch10"), or
 *     - has a counterpart in the other trace: of the same length, in a path that is otherwise the same, which looks so.
 *   A path that both traces create or rename so is no temporary one. The name is replaced wherever the trace mentions
 * it.
 */
#ifndef ENT_TRACE_VARYING_H
#define ENT_TRACE_VARYING_H

#include "io/text.h"
#include "trace/trace.h"

typedef struct ent_trace_varying ent_trace_varying;

/* What differs from run to run in `trace`; `other` is the trace it is compared with, or NULL. Both must outlive *out,
 * which the caller frees (NULL is legal). ENT_ENOMEM. */
ent_status ent_trace_varying_new(ent_trace_varying **out, const ent_trace *trace, const ent_trace *other);
void ent_trace_varying_free(ent_trace_varying *varying);

/* Appends `text`, a path or a text with paths in it, with those parts replaced. */
void ent_trace_varying_put(ent_text *out, const ent_trace_varying *varying, const char *text);

#endif
