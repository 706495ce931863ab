#include "src/optim/optimizer.h"

#include <math.h>

#include "src/base/elementary.h"
#include "src/base/tiles.h"
#include "src/kernel/kernels.h"

enum { TILE = 4096 };

typedef struct update {
    ent_real *x, *m, *v;
    const ent_real *g;
    ent_adam_step adam;
    ent_sgd_step sgd;
} update;

static void sgd_tile(void *context, size_t begin, size_t end)
{
    const update *u = context;
    ent_kernels_get()->sgd(u->x + begin, u->m + begin, u->g + begin, &u->sgd, end - begin);
}

static void adam_tile(void *context, size_t begin, size_t end)
{
    const update *u = context;
    ent_kernels_get()->adam(u->x + begin, u->m + begin, u->v + begin, u->g + begin, &u->adam, end - begin);
}

void ent_optimizer_step_clipped(const ent_optimizer *o, ent_real *x, ent_real *m, ent_real *v, const ent_real *g,
                                double clip, size_t n, int64_t step, double lr, bool decay)
{
    const double wd = decay ? o->weight_decay : 0;
    const bool decoupled = o->kind == ENT_OPTIMIZER_ADAMW;
    update u = {.x = x, .m = m, .v = v, .g = g};
    if (o->kind == ENT_OPTIMIZER_SGD) {
        u.sgd = (ent_sgd_step){.scale = (ent_real)clip,
                               .l2 = (ent_real)wd,
                               .momentum = (ent_real)o->momentum,
                               .rate = (ent_real)lr,
                               .first = step == 1};
        ent_tiles(n, TILE, sgd_tile, &u);
        return;
    }
    u.adam = (ent_adam_step){.scale = (ent_real)clip,
                             .l2 = (ent_real)(decoupled ? 0 : wd),
                             .beta1 = (ent_real)o->beta1,
                             .rest1 = (ent_real)(1 - o->beta1),
                             .beta2 = (ent_real)o->beta2,
                             .rest2 = (ent_real)(1 - o->beta2),
                             .keep = (ent_real)(decoupled ? 1 - lr * wd : 1),
                             .rate = (ent_real)(lr / (1 - ent_pow(o->beta1, (double)step))),
                             .root = (ent_real)sqrt(1 - ent_pow(o->beta2, (double)step)),
                             .eps = (ent_real)o->eps};
    ent_tiles(n, TILE, adam_tile, &u);
}

void ent_optimizer_step(const ent_optimizer *optimizer, ent_real *x, ent_real *m, ent_real *v, const ent_real *g,
                        size_t n, int64_t step, double lr, bool decay)
{
    ent_optimizer_step_clipped(optimizer, x, m, v, g, 1, n, step, lr, decay);
}

double ent_clip_factor(double norm, double max_norm)
{
    return max_norm > 0 && max_norm / (norm + 1e-6) < 1 ? max_norm / (norm + 1e-6) : 1;
}

double ent_global_norm(const ent_real *g, size_t n)
{
    double sum = 0;
    for (size_t begin = 0; begin < n; begin += TILE)
        sum += ent_kernels_get()->sum_squares(g + begin, n - begin < TILE ? n - begin : TILE);
    return sqrt(sum);
}
