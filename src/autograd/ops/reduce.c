#include "src/autograd/ops/reduce.h"

#include "src/base/tiles.h"

enum { TILE = 4096 };

typedef struct reduction {
    double *partial;
    double (*sum)(const void *context, size_t begin, size_t end);
    const void *context;
} reduction;

size_t ent_reduce_scratch(size_t n)
{
    return (n + TILE - 1) / TILE * sizeof(double);
}

static void reduce_tile(void *context, size_t begin, size_t end)
{
    const reduction *r = context;
    r->partial[begin / TILE] = r->sum(r->context, begin, end);
}

double ent_reduce(double *partial, size_t n, double (*sum)(const void *context, size_t begin, size_t end),
                  const void *context)
{
    reduction r = {partial, sum, context};
    double total = 0;
    ent_tiles(n, TILE, reduce_tile, &r);
    for (size_t t = 0; t * TILE < n; t++)
        total += partial[t];
    return total;
}

static double values_tile(const void *context, size_t begin, size_t end)
{
    const ent_real *x = context;
    double sum = 0;
    for (size_t i = begin; i < end; i++)
        sum += (double)x[i];
    return sum;
}

double ent_reduce_values(double *partial, const ent_real *x, size_t n)
{
    return ent_reduce(partial, n, values_tile, x);
}

typedef struct spread {
    ent_real *y, a;
} spread;

static void spread_tile(void *context, size_t begin, size_t end)
{
    const spread *s = context;
    for (size_t i = begin; i < end; i++)
        s->y[i] += s->a;
}

void ent_reduce_spread(ent_real *y, size_t n, ent_real a)
{
    spread s = {y, a};
    ent_tiles(n, TILE, spread_tile, &s);
}
