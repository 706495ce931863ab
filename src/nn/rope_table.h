/* The angles of rotary position embeddings, as transformers computes them (in float, modeling_rope_utils.py). */
#ifndef ENT_NN_ROPE_TABLE_H
#define ENT_NN_ROPE_TABLE_H

#include <stddef.h>

#include "src/nn/model_config.h"

/* cosines, sines (max_positions, head_dim / 2) of position * frequency[j], where frequency[j] = theta^(-2 j / head_dim)
 * is scaled as config->rope_scaling says: linear divides by the factor; llama3 divides long waves, leaves short ones,
 * and goes smoothly from one to the other in between. */
void ent_rope_table(float *cosines, float *sines, const ent_model_config *config, size_t max_positions);

/* frequency[j] with the scaling of this kind: config->rope_scaling, or ENT_ROPE_DEFAULT for the unscaled one. */
double ent_rope_frequency(const ent_model_config *config, ent_rope_scaling scaling, size_t j);

#endif
