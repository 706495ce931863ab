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

size_t ent_arena_peak(const ent_arena *arena); /* most bytes ever in use at once, alignment included */

#endif
