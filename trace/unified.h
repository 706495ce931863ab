/* The difference of two sequences of lines as a unified diff. */
#ifndef ENT_TRACE_UNIFIED_H
#define ENT_TRACE_UNIFIED_H

#include <stdbool.h>

#include "io/text.h"

/* n lines of which some are removed, and m of which some are added, as ent_myers_diff marks them. */
typedef struct ent_unified {
    size_t n, m;
    const bool *removed, *added;
    void (*put)(ent_text *out, void *context, bool fresh, size_t i); /* line i of the old or the fresh sequence */
    void *context;
} ent_unified;

/* Appends hunks with three lines of context, as fresh as can be; no more than max_lines lines, then how many are left.
 * ENT_ENOMEM. */
ent_status ent_unified_put(ent_text *out, const ent_unified *u, size_t max_lines);

#endif
