#include "src/optim/schedule.h"

#include "src/base/elementary.h"

double ent_schedule_lr(const ent_schedule *c, int64_t s)
{
    if (s < c->warmup)
        return c->lr * (double)(s + 1) / (double)c->warmup;
    const double left = c->steps > c->warmup ? (double)(c->steps - c->warmup) : 1;
    const double p = (double)(s - c->warmup) / left < 1 ? (double)(s - c->warmup) / left : 1;
    switch (c->kind) {
    case ENT_SCHEDULE_LINEAR:
        return c->lr + (c->min_lr - c->lr) * p;
    case ENT_SCHEDULE_COSINE:
        return c->min_lr + 0.5 * (c->lr - c->min_lr) * (1 + ent_cos(3.141592653589793 * p));
    case ENT_SCHEDULE_STEP:
        return c->lr * ent_pow(c->gamma, (double)((s - c->warmup) / c->step_size));
    default:
        return c->lr;
    }
}
