/* Choosing the next token. */
#ifndef ENT_NN_SAMPLE_H
#define ENT_NN_SAMPLE_H

#include <stdint.h>

#include "src/base/philox.h"
#include "src/base/real.h"

/* The index of the largest of n logits (the first of equals) if temperature is 0; otherwise a draw, number `index` of
 * `rng`, from softmax(logits / temperature). */
int32_t ent_sample(const ent_real *logits, size_t n, double temperature, const ent_rng *rng, uint64_t index);

#endif
