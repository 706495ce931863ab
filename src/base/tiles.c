#include "src/base/tiles.h"

#include <omp.h>

static int threads = 1;

void ent_set_threads(int n)
{
    threads = n < 1 ? 1 : n;
}

int ent_threads(void)
{
    return threads;
}

int ent_thread(void)
{
    return omp_get_thread_num();
}

void ent_tiles(size_t n, size_t size, void (*tile)(void *context, size_t begin, size_t end), void *context)
{
    const size_t tiles = (n + size - 1) / size;
    if (threads == 1 || tiles < 2 || omp_in_parallel()) {
        for (size_t t = 0; t < tiles; t++)
            tile(context, t * size, t + 1 < tiles ? (t + 1) * size : n);
        return;
    }
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads)
    for (size_t t = 0; t < tiles; t++)
        tile(context, t * size, t + 1 < tiles ? (t + 1) * size : n);
}
