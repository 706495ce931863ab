/* A unit: one packed row of tokens, the smallest piece of work. */
#ifndef ENT_TEXT_UNIT_H
#define ENT_TEXT_UNIT_H

#include <stddef.h>
#include <stdint.h>

typedef struct ent_unit {
    size_t n;                 /* tokens, at most seq_len */
    const int32_t *ids;       /* in [0, V) */
    const int32_t *targets;   /* the next token of the same document, or -100: no target */
    const int32_t *doc_start; /* index of the first token of the same document; a position is t - doc_start[t] */
} ent_unit;

#endif
