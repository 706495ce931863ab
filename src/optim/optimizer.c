#include "src/optim/optimizer.h"

#include <math.h>

#include "src/base/elementary.h"
#include "src/base/tiles.h"

enum { TILE = 4096 };

typedef struct update {
    const ent_optimizer *optimizer;
    ent_real *x, *m, *v;
    const ent_real *g;
    ent_real keep;                       /* AdamW: what decay leaves of x */
    ent_real l2;                         /* Adam, SGD: decay that is part of the gradient */
    ent_real step_size, root_correction; /* Adam: lr / (1 - beta1^t), sqrt(1 - beta2^t) */
    bool first;
    ent_real lr;
} update;

static void sgd_tile(void *context, size_t begin, size_t end)
{
    const update *u = context;
    const ent_real momentum = (ent_real)u->optimizer->momentum;
    for (size_t i = begin; i < end; i++) {
        const ent_real g = u->g[i] + u->l2 * u->x[i];
        u->m[i] = u->first ? g : momentum * u->m[i] + g;
        u->x[i] -= u->lr * (momentum > 0 ? u->m[i] : g);
    }
}

static void adam_tile(void *context, size_t begin, size_t end)
{
    const update *u = context;
    const ent_real b1 = (ent_real)u->optimizer->beta1, b2 = (ent_real)u->optimizer->beta2;
    const ent_real rest1 = (ent_real)(1 - u->optimizer->beta1), rest2 = (ent_real)(1 - u->optimizer->beta2);
    const ent_real eps = (ent_real)u->optimizer->eps;
    for (size_t i = begin; i < end; i++) {
        const ent_real g = u->g[i] + u->l2 * u->x[i];
        u->m[i] = b1 * u->m[i] + rest1 * g;
        u->v[i] = b2 * u->v[i] + rest2 * g * g;
        u->x[i] = u->keep * u->x[i] -
                  u->step_size * u->m[i] / (ent_real)(sqrt((double)u->v[i]) / (double)u->root_correction + (double)eps);
    }
}

void ent_optimizer_step(const ent_optimizer *optimizer, ent_real *x, ent_real *m, ent_real *v, const ent_real *g,
                        size_t n, int64_t step, double lr, bool decay)
{
    const double wd = decay ? optimizer->weight_decay : 0;
    const bool decoupled = optimizer->kind == ENT_OPTIMIZER_ADAMW;
    update u = {.optimizer = optimizer, .x = x, .m = m, .v = v, .g = g, .first = step == 1, .lr = (ent_real)lr};
    u.keep = (ent_real)(decoupled ? 1 - lr * wd : 1);
    u.l2 = (ent_real)(decoupled ? 0 : wd);
    if (optimizer->kind == ENT_OPTIMIZER_SGD) {
        ent_tiles(n, TILE, sgd_tile, &u);
        return;
    }
    u.step_size = (ent_real)(lr / (1 - ent_pow(optimizer->beta1, (double)step)));
    u.root_correction = (ent_real)sqrt(1 - ent_pow(optimizer->beta2, (double)step));
    ent_tiles(n, TILE, adam_tile, &u);
}

double ent_clip_factor(double norm, double max_norm)
{
    return max_norm > 0 && max_norm / (norm + 1e-6) < 1 ? max_norm / (norm + 1e-6) : 1;
}

double ent_global_norm(const ent_real *g, size_t n)
{
    double sum = 0;
    for (size_t begin = 0; begin < n; begin += TILE) {
        const size_t end = n - begin < TILE ? n : begin + TILE;
        double tile = 0;
#pragma omp simd reduction(+ : tile)
        for (size_t i = begin; i < end; i++)
            tile += (double)g[i] * (double)g[i];
        sum += tile;
    }
    return sqrt(sum);
}
