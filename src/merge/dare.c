#include <string.h>

#include "src/merge/merge.h"

void ent_merge_drop(double *delta, double density, uint64_t seed, uint32_t tensor, uint32_t model, uint64_t first,
                    size_t n)
{
    const uint64_t limit = (uint64_t)(density * 0x1p32); /* of the draws that keep */
    ent_rng rng = {.seed = seed, .stream = ENT_STREAM_MERGE | tensor << 8, .step = model};
    uint32_t words[4];
    for (size_t i = 0; i < n; i++) {
        const uint64_t number = first + i;
        uint64_t bits;
        if (i == 0 || number % 4 == 0) { /* as ent_random_u32 has it, a block at a time; beyond 2^34 the next unit */
            rng.unit = (uint32_t)(number >> 34);
            ent_philox(words, &rng, (uint32_t)(number >> 2));
        }
        memcpy(&bits, &delta[i], sizeof bits);
        bits &= (uint64_t)0 - (words[number % 4] < limit); /* no branch: every other one would be guessed wrong */
        memcpy(&delta[i], &bits, sizeof bits);
    }
}
