#include "trace/unified.h"

#include <stdlib.h>

#include "src/base/mem.h"

enum { CONTEXT = 3 };

/* A line: in both (' '), removed (-) or added (+); i and j are the places it has, or comes before. */
typedef struct edit {
    char kind;
    size_t i, j;
} edit;

/* *count edits, removals before additions; `edits` has room for n + m. */
static void list_edits(edit *edits, size_t *count, const ent_unified *u)
{
    size_t i = 0, j = 0, at = 0;
    while (i < u->n || j < u->m) {
        if (i < u->n && u->removed[i]) {
            edits[at++] = (edit){'-', i++, j};
        } else if (j < u->m && u->added[j]) {
            edits[at++] = (edit){'+', i, j++};
        } else {
            edits[at++] = (edit){' ', i, j};
            i += i < u->n;
            j += j < u->m;
        }
    }
    *count = at;
}

/* The end of the hunk that begins with the change at `first`: changes with at most 2 * CONTEXT lines between them are
 * in one. */
static size_t hunk_end(const edit *edits, size_t count, size_t first)
{
    size_t last = first;
    for (size_t at = first; at < count && at - last <= 2 * CONTEXT + 1; at++)
        if (edits[at].kind != ' ')
            last = at;
    return count - last > CONTEXT + 1 ? last + CONTEXT + 1 : count;
}

static void put_hunk(ent_text *out, const ent_unified *u, const edit *edits, size_t count, size_t *room, size_t *left)
{
    size_t n = 0, m = 0;
    for (size_t at = 0; at < count; at++) {
        n += edits[at].kind != '+';
        m += edits[at].kind != '-';
    }
    if (*room)
        ent_text_printf(out, "@@ -%zu,%zu +%zu,%zu @@\n", edits[0].i + (n > 0), n, edits[0].j + (m > 0), m);
    for (size_t at = 0; at < count; at++) {
        if (*room == 0) {
            ++*left;
            continue;
        }
        --*room;
        const bool fresh = edits[at].kind != '-';
        ent_text_put_n(out, &edits[at].kind, 1);
        u->put(out, u->context, fresh, fresh ? edits[at].j : edits[at].i);
        ent_text_put(out, "\n");
    }
}

ent_status ent_unified_put(ent_text *out, const ent_unified *u, size_t max_lines)
{
    edit *edits;
    size_t count, left = 0, begin = 0;
    ENT_TRY(ent_calloc(&edits, u->n + u->m, sizeof *edits, "the differences"));
    list_edits(edits, &count, u);
    for (size_t at = 0; at < count; at++) {
        if (edits[at].kind == ' ')
            continue;
        const size_t start = at - begin > CONTEXT ? at - CONTEXT : begin;
        const size_t end = hunk_end(edits, count, at);
        put_hunk(out, u, edits + start, end - start, &max_lines, &left);
        begin = end;
        at = end - 1;
    }
    if (left)
        ent_text_printf(out, "... %zu more\n", left);
    free(edits);
    return ENT_OK;
}
