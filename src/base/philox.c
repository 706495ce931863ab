#include "src/base/philox.h"

#include <math.h>

#include "src/base/elementary.h"

void ent_philox_block(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        const uint64_t p0 = (uint64_t)0xD2511F53u * c0;
        const uint64_t p1 = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

void ent_philox(uint32_t out[4], const ent_rng *rng, uint32_t block)
{
    const uint32_t counter[4] = {block, rng->unit, rng->step, rng->stream};
    const uint32_t key[2] = {(uint32_t)rng->seed, (uint32_t)(rng->seed >> 32)};
    ent_philox_block(out, counter, key);
}

uint32_t ent_random_u32(const ent_rng *rng, uint64_t index)
{
    uint32_t words[4];
    ent_philox(words, rng, (uint32_t)(index >> 2));
    return words[index & 3];
}

float ent_random_uniform(const ent_rng *rng, uint64_t index)
{
    return (float)(ent_random_u32(rng, index) >> 8) * 0x1p-24f;
}

uint32_t ent_random_below(const ent_rng *rng, uint64_t index, uint32_t n)
{
    uint32_t words[4];
    ent_philox(words, rng, (uint32_t)index); /* one block a draw: 64 bits make the bias less than 2^-32 */
    const uint64_t wide = (uint64_t)words[0] << 32 | words[1];
    return (uint32_t)(((unsigned __int128)wide * n) >> 64);
}

float ent_random_normal(const ent_rng *rng, uint64_t index)
{
    uint32_t words[4];
    ent_philox(words, rng, (uint32_t)(index >> 1));
    const unsigned half = (unsigned)(index & 1) * 2;
    const double u = ((double)words[half] + 0.5) * 0x1p-32;
    const double v = (double)words[half + 1] * 0x1p-32;
    return (float)(sqrt(-2.0 * ent_log(u)) * ent_cos(6.283185307179586 * v));
}
