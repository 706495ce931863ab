/* Counter-based random numbers: Philox 4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel Random Numbers: As Easy as 1, 2,
 * 3", SC 2011). Every draw is a function of (seed, stream, step, unit, index); there is no state to save.
 */
#ifndef ENT_BASE_PHILOX_H
#define ENT_BASE_PHILOX_H

#include <stdint.h>

/* What a draw is for. Numbers are part of every run's result: never renumber. */
enum ent_stream {
    ENT_STREAM_INIT = 1,
    ENT_STREAM_SHUFFLE = 2,
    ENT_STREAM_DROPOUT = 3,
    ENT_STREAM_SAMPLE = 4,
    ENT_STREAM_MERGE = 5
};

typedef struct ent_rng {
    uint64_t seed;
    uint32_t stream; /* enum ent_stream in the low byte; what it is applied to (tensor, layer) above it */
    uint32_t step;
    uint32_t unit;
} ent_rng;

/* The four 32-bit words of counter block `block`. */
void ent_philox(uint32_t out[4], const ent_rng *rng, uint32_t block);

/* The block function itself: 10 rounds over counter and key, as in the paper (known-answer tests). */
void ent_philox_block(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2]);

/* Draw number `index`: 32 bits; uniform in [0, 1) with 24 bits; an integer in [0, n) without bias, n >= 1. */
uint32_t ent_random_u32(const ent_rng *rng, uint64_t index);
float ent_random_uniform(const ent_rng *rng, uint64_t index);
uint32_t ent_random_below(const ent_rng *rng, uint64_t index, uint32_t n);

/* Draw number `index` of a normal distribution, mean 0, variance 1 (Box-Muller on the two halves of a block). */
float ent_random_normal(const ent_rng *rng, uint64_t index);

#endif
