/* Learning-rate schedules with warm-up. */
#ifndef ENT_OPTIM_SCHEDULE_H
#define ENT_OPTIM_SCHEDULE_H

#include <stdint.h>

typedef enum { ENT_SCHEDULE_CONSTANT, ENT_SCHEDULE_LINEAR, ENT_SCHEDULE_COSINE, ENT_SCHEDULE_STEP } ent_schedule_kind;

typedef struct ent_schedule {
    ent_schedule_kind kind;
    double lr, min_lr;
    int64_t warmup, steps; /* steps of warm-up; of the whole run */
    int64_t step_size;     /* step: every so many steps after warm-up ... */
    double gamma;          /* ... the rate is multiplied by gamma */
} ent_schedule;

/* The rate of step s, counted from 0: lr (s + 1) / warmup during warm-up; then, with p = (s - warmup) / (steps -
 * warmup), constant  lr linear    lr + (min_lr - lr) p cosine    min_lr + (lr - min_lr) (1 + cos(pi p)) / 2 step lr
 * gamma^floor((s - warmup) / step_size) */
double ent_schedule_lr(const ent_schedule *schedule, int64_t s);

#endif
