/* Parallel loops over fixed tiles. The size of a tile never depends on the number of threads, and each tile is done by
 * one thread: so results don't depend on how many there are.
 */
#ifndef ENT_BASE_TILES_H
#define ENT_BASE_TILES_H

#include <stddef.h>

/* Sets, tells the number of threads that share a rank's work (at least 1). Not for use inside a parallel loop. */
void ent_set_threads(int n);
int ent_threads(void);

/* The number of the calling thread inside a parallel loop: 0 <= n < ent_threads(). */
int ent_thread(void);

/* Calls tile(context, begin, end) for every tile [begin, end) of `size` (or fewer at the end) of 0 <= i < n. */
void ent_tiles(size_t n, size_t size, void (*tile)(void *context, size_t begin, size_t end), void *context);

#endif
