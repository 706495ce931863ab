/* A stack of memory that rewinds: activations and tape records live here, from one unit to the next.
 *
 * Memory comes in blocks that are kept until the arena is freed, so a step that fits into what earlier steps took
 * allocates nothing. A counting arena hands out addresses that must not be touched: it measures what a computation
 * needs, without the memory.
 */
#ifndef ENT_BASE_ARENA_H
#define ENT_BASE_ARENA_H

#include <stdbool.h>
#include <stddef.h>

#include "src/base/status.h"

typedef struct ent_arena ent_arena;

/* A new arena; memory is taken on demand, or ahead by ent_arena_reserve. `what` names it in errors (not copied). */
ent_status ent_arena_new(ent_arena **out, const char *what, bool counting);
void ent_arena_free(ent_arena *arena);

/* Makes sure that `bytes` can be had after a rewind without another allocation. Call only on a rewound arena. */
ent_status ent_arena_reserve(ent_arena *arena, size_t bytes);

/* *out = `bytes` of memory, 64-byte aligned, not zeroed; lives until the arena rewinds. */
ent_status ent_arena_alloc(void *out, ent_arena *arena, size_t bytes);

void ent_arena_rewind(ent_arena *arena);

/* A place in the stack to go back to: what was allocated after ent_arena_here is gone after ent_arena_return. Places
 * are left in the reverse order of their taking. */
typedef struct ent_arena_place {
    void *block;
    size_t used_in_block, used;
} ent_arena_place;
ent_arena_place ent_arena_here(const ent_arena *arena);
void ent_arena_return(ent_arena *arena, ent_arena_place place);

size_t ent_arena_peak(const ent_arena *arena); /* most bytes ever in use at once, alignment included */

#endif
