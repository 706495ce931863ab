/* Choosing the next token. */
#ifndef ENT_NN_SAMPLE_H
#define ENT_NN_SAMPLE_H

#include <stddef.h>
#include <stdint.h>

#include "src/base/philox.h"
#include "src/base/real.h"

typedef struct ent_sampling {
    double temperature; /* 0: always the largest */
    size_t top_k;       /* only the k largest logits have a chance; 0: all */
    double top_p; /* and of these, from the likeliest on, only as many as are needed for their probabilities to add
                     up to p (Holtzman et al. 2020, arXiv:1904.09751); 1: all */
} ent_sampling;

/* The index of the largest of n logits (the first of equals) if temperature is 0; otherwise a draw, number `index` of
 * `rng`, from softmax(logits / temperature) over those that have a chance. Of equal logits the first is the larger.
 * `order`: room for n numbers, used where top_k or top_p leaves some out. */
int32_t ent_sample(const ent_real *logits, size_t n, const ent_sampling *how, const ent_rng *rng, uint64_t index,
                   uint32_t *order);

#endif
