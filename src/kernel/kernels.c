#include "src/kernel/kernels.h"

extern const ent_kernels ent_kernels_plain;
#ifdef ENT_X86_LEVELS
extern const ent_kernels ent_kernels_avx2, ent_kernels_avx512, ent_kernels_avx512vnni;

static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static bool has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

static bool has_avx512vnni(void)
{
    return has_avx512() && __builtin_cpu_supports("avx512vnni");
}
#endif

static bool has_plain(void)
{
    return true;
}

/* Best first. */
static const struct level {
    const ent_kernels *kernels;
    bool (*is_there)(void);
} levels[] = {
#ifdef ENT_X86_LEVELS
    {&ent_kernels_avx512vnni, has_avx512vnni},
    {&ent_kernels_avx512, has_avx512},
    {&ent_kernels_avx2, has_avx2},
#endif
    {&ent_kernels_plain, has_plain},
};

const ent_kernels *ent_kernels_get(void)
{
    static const ent_kernels *chosen;
    const ent_kernels *k = __atomic_load_n(&chosen, __ATOMIC_RELAXED);
    if (k == NULL) {
        const struct level *level = levels;
        while (!level->is_there())
            level++;
        k = level->kernels;
        __atomic_store_n(&chosen, k, __ATOMIC_RELAXED);
    }
    return k;
}

const char *ent_simd_name(void)
{
    return ent_kernels_get()->name;
}

const ent_kernels *ent_kernels_find(const char *name)
{
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
        if (strcmp(levels[i].kernels->name, name) == 0 && levels[i].is_there())
            return levels[i].kernels;
    return NULL;
}
