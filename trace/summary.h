/* Time and number of a trace's calls, by name: the table of strace -c, with the columns as renacer 0.6.2 writes them.
 */
#ifndef ENT_TRACE_SUMMARY_H
#define ENT_TRACE_SUMMARY_H

#include "io/text.h"
#include "trace/trace.h"

/* Appends the table: the name that took most time first, among equals the one called most, then by name. A call without
 * a duration in a trace that has them (it never returned) counts as 0 s. ENT_EINVAL "FILE: has no times: ..." for a
 * trace that was recorded without; ENT_ENOMEM. */
ent_status ent_trace_summary(ent_text *out, const ent_trace *trace);

#endif
