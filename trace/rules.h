/* Rules that a trace must keep, from a file in the form of renacer's renacer.toml.
 *
 * [[assertion]]              # as often as wanted
 * name = "few writes"        # must stand, once
 * type = "span_count"        # must stand; see below
 * fail_on_violation = true   # false: what breaks the rule is a warning
 * enabled = true             # false: it is read but not checked
 *
 * type             keys
 * critical_path    max_duration_ms, measure = "wall" (from start to end) | "syscalls" (time within calls, summed over
 *                  threads), trace_name_pattern (programs it is for)
 * span_count       max_spans (system calls), span_name_pattern (names of calls that count)
 * memory_usage     max_bytes, tracking_mode = "allocations" (see ent_measure.allocated) | "rss" (see max_rss)
 * anti_pattern     pattern = "GodProcess" (the busiest process's share of the work, trace/measure.h; one process alone
 *                  has nothing to share) | "TightLoop" (the longest run of one call by one thread, of all calls),
 *                  threshold (the largest share that is allowed, 0 to 1), process_name_pattern (programs to look at)
 * custom           expression (trace/expression.h)
 *
 * Of the choices the first is taken if the key is missing, except for pattern. The keys that aren't patterns of names
 * must stand. Limits are allowed themselves. Patterns match whole names (trace/pattern.h).
 */
#ifndef ENT_TRACE_RULES_H
#define ENT_TRACE_RULES_H

#include <stddef.h>

#include "io/text.h"
#include "trace/trace.h"

typedef struct ent_rules ent_rules;

/* *out = the rules of a file, one or more (caller frees). ENT_EIO; ENT_EFORMAT, ENT_EUNSUPPORTED "PATH:LINE: ...": also
 * for disabled rules. */
ent_status ent_rules_read(ent_rules **out, const char *path);
void ent_rules_free(ent_rules *rules);

/* Appends what can stand in a file of rules, for a help text. */
void ent_rules_help(ent_text *to);

/* Appends a line for each rule, "ok    NAME: found, allowed", with FAIL, warn or off for ok, and one with their
 * numbers. *failures = the number of FAIL. A rule that can't be decided, because the trace doesn't say what it needs,
 * is broken; one that is for other programs is off. ENT_ENOMEM. */
ent_status ent_rules_check(ent_text *report, size_t *failures, const ent_rules *rules, const ent_trace *trace);

#endif
