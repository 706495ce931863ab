/* The shortest edit from one sequence to another: E. W. Myers, "An O(ND) difference algorithm and its variations",
 * Algorithmica 1 (1986), in its variant of linear space. */
#ifndef ENT_TRACE_MYERS_H
#define ENT_TRACE_MYERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/status.h"

/* Marks which symbols of a (n of them) are removed, and which of b (m) are added, so that what is left of both is the
 * same; all symbols are below n_symbols. As few as possible are marked, unless to find that out takes more than `steps`
 * steps (the square of the number of marks, and that number times n + m, are more): then the rest is split where a
 * short search comes furthest, *exact is false, and the whole takes a few times `steps`. ENT_ENOMEM. */
ent_status ent_myers_diff(bool *removed, bool *added, bool *exact, const uint32_t *a, size_t n, const uint32_t *b,
                          size_t m, size_t n_symbols, int64_t steps);

#endif
