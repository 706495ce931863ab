#include "src/base/profile.h"

#include <assert.h>
#include <time.h>

static _Thread_local bool measures; /* this thread has started the profile */
static bool counts;                 /* some thread has */
static uint64_t flops[ENT_N_FLOPS];
static int64_t nanoseconds[ENT_N_PHASES], since;
static ent_phase current;

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void ent_profile_start(void)
{
    assert(!counts);
    for (int i = 0; i < ENT_N_FLOPS; i++)
        __atomic_store_n(&flops[i], 0, __ATOMIC_RELAXED);
    for (int i = 0; i < ENT_N_PHASES; i++)
        nanoseconds[i] = 0;
    current = ENT_PHASE_OTHER;
    since = now();
    measures = true;
    __atomic_store_n(&counts, true, __ATOMIC_RELEASE);
}

bool ent_profile_on(void)
{
    return measures;
}

ent_phase ent_profile_enter(ent_phase phase)
{
    if (!measures)
        return ENT_PHASE_OTHER;
    const ent_phase before = current;
    const int64_t t = now();
    nanoseconds[before] += t - since;
    since = t;
    current = phase;
    return before;
}

void ent_profile_count(ent_flop_kind kind, size_t m, size_t n, size_t k)
{
    if (__atomic_load_n(&counts, __ATOMIC_RELAXED))
        __atomic_fetch_add(&flops[kind], (uint64_t)2 * m * n * k, __ATOMIC_RELAXED);
}

void ent_profile_stop(ent_profile *out)
{
    ent_profile_enter(ENT_PHASE_OTHER);
    measures = false;
    __atomic_store_n(&counts, false, __ATOMIC_RELEASE);
    for (int i = 0; i < ENT_N_PHASES; i++)
        out->seconds[i] = (double)nanoseconds[i] * 1e-9;
    for (int i = 0; i < ENT_N_FLOPS; i++)
        out->flops[i] = __atomic_load_n(&flops[i], __ATOMIC_RELAXED);
}

const char *ent_phase_name(ent_phase phase)
{
    static const char *const names[] = {
        [ENT_PHASE_OTHER] = "other",         [ENT_PHASE_PRODUCTS] = "products",
        [ENT_PHASE_ATTENTION] = "attention", [ENT_PHASE_NORMS] = "norms",
        [ENT_PHASE_LOSS] = "loss",           [ENT_PHASE_ELEMENTWISE] = "elementwise",
        [ENT_PHASE_OPTIMIZER] = "optimizer", [ENT_PHASE_REDUCTION] = "reduction",
        [ENT_PHASE_WAITING] = "waiting",
    };
    assert(phase < ENT_N_PHASES);
    return names[phase];
}
