#include "src/base/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"

enum { ALIGNMENT = 64, LEAST_BLOCK = 1 << 20 };

typedef struct block {
    struct block *next;
    char *memory;
    size_t size;
} block;

struct ent_arena {
    const char *what;
    bool counting;
    block *first, *current;
    size_t used_in_current;
    size_t used, peak;
    size_t want; /* size of the next first block: what came in several before */
};

ent_status ent_arena_new(ent_arena **out, const char *what, bool counting)
{
    ENT_TRY(ent_calloc(out, 1, sizeof **out, what));
    (*out)->what = what;
    (*out)->counting = counting;
    return ENT_OK;
}

static void free_blocks(ent_arena *arena)
{
    for (block *b = arena->first, *next; b; b = next) {
        next = b->next;
        free(b->memory);
        free(b);
    }
    arena->first = arena->current = NULL;
}

void ent_arena_free(ent_arena *arena)
{
    if (arena == NULL)
        return;
    free_blocks(arena);
    free(arena);
}

/* Appends a block of at least `bytes` after the current one and makes it current. */
static ent_status add_block(ent_arena *arena, size_t bytes)
{
    size_t size = bytes < LEAST_BLOCK ? LEAST_BLOCK : bytes;
    if (arena->first == NULL && size < arena->want)
        size = arena->want;
    block *b;
    ENT_TRY(ent_calloc(&b, 1, sizeof *b, arena->what));
    const ent_status st = ent_numbers(&b->memory, size, arena->what);
    if (st != ENT_OK) {
        free(b);
        return st;
    }
    b->size = size;
    if (arena->current) {
        b->next = arena->current->next;
        arena->current->next = b;
    } else {
        b->next = arena->first;
        arena->first = b;
    }
    arena->current = b;
    arena->used_in_current = 0;
    return ENT_OK;
}

ent_status ent_arena_reserve(ent_arena *arena, size_t bytes)
{
    bytes = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (arena->counting || (arena->first && arena->first->size >= bytes))
        return ENT_OK;
    free_blocks(arena);
    ENT_TRY(add_block(arena, bytes));
    ent_arena_rewind(arena);
    return ENT_OK;
}

ent_status ent_arena_alloc(void *out, ent_arena *arena, size_t bytes)
{
    if (bytes > SIZE_MAX / 4)
        return ent_fail(ENT_ENOMEM, "out of memory: %zu bytes for %s", bytes, arena->what);
    bytes = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    char *p;
    if (arena->counting) {
        p = (char *)(uintptr_t)(ALIGNMENT + arena->used);
    } else {
        while (arena->current && arena->current->size - arena->used_in_current < bytes && arena->current->next) {
            arena->current = arena->current->next;
            arena->used_in_current = 0;
        }
        if (arena->current == NULL || arena->current->size - arena->used_in_current < bytes)
            ENT_TRY(add_block(arena, bytes));
        p = arena->current->memory + arena->used_in_current;
        arena->used_in_current += bytes;
    }
    arena->used += bytes;
    if (arena->used > arena->peak)
        arena->peak = arena->used;
    memcpy(out, &p, sizeof p);
    return ENT_OK;
}

void ent_arena_rewind(ent_arena *arena)
{
    if (arena->first &&
        arena->first->next) { /* it outgrew its block: one block for all from now on, with room to grow */
        free_blocks(arena);
        arena->want = (arena->peak + arena->peak / 2 + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }
    arena->current = arena->first;
    arena->used_in_current = 0;
    arena->used = 0;
}

ent_arena_place ent_arena_here(const ent_arena *arena)
{
    return (ent_arena_place){arena->current, arena->used_in_current, arena->used};
}

void ent_arena_return(ent_arena *arena, ent_arena_place place)
{
    arena->current = place.block ? place.block : arena->first;
    arena->used_in_current = place.used_in_block;
    arena->used = place.used;
}

size_t ent_arena_peak(const ent_arena *arena)
{
    return arena->peak;
}
