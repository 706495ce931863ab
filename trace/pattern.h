/* Patterns for names of calls and programs: extended regular expressions of POSIX that match a name whole. */
#ifndef ENT_TRACE_PATTERN_H
#define ENT_TRACE_PATTERN_H

#include <stdbool.h>

#include "src/base/status.h"

typedef struct ent_pattern ent_pattern;

/* *out = the pattern (caller frees). ENT_EFORMAT "WHERE: ...": empty, longer than 500 bytes, no regular expression, or
 * repetitions of repetitions that would need too much memory. */
ent_status ent_pattern_read(ent_pattern **out, const char *text, const char *where);
void ent_pattern_free(ent_pattern *pattern);

/* Whether it matches all of `name`. A NULL pattern matches everything. */
bool ent_pattern_matches(const ent_pattern *pattern, const char *name);

/* As it was written. */
const char *ent_pattern_text(const ent_pattern *pattern);

#endif
