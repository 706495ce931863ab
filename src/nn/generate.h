/* One text that is gone on with, token by token: a decoder, its cache of keys and values, and a tape. All memory is
 * taken when it is made; tokens allocate nothing.
 */
#ifndef ENT_NN_GENERATE_H
#define ENT_NN_GENERATE_H

#include <stddef.h>
#include <stdint.h>

#include "src/nn/decoder.h"

typedef struct ent_generator ent_generator;

/* For texts of at most `capacity` tokens, which the decoder (borrowed, with values) has positions for. ENT_EINVAL,
 * ENT_ENOMEM. */
ent_status ent_generator_new(ent_generator **out, ent_decoder *decoder, size_t capacity);
void ent_generator_free(ent_generator *generator);

/* Appends n tokens to the text. *logits (V) are those of the token after them, until the next call. Many tokens are
 * computed some hundreds at a time: the same bits, in memory for these. ENT_EINVAL without room for them. */
ent_status ent_generator_next(const ent_real **logits, ent_generator *generator, const int32_t *ids, size_t n);

/* Appends n tokens. *loss is the sum of the cross-entropies of those with a target, as ent_decoder_next_loss has it. */
ent_status ent_generator_loss(double *loss, ent_generator *generator, const int32_t *ids, const int32_t *targets,
                              size_t n);

/* Takes all but the first n tokens back. */
void ent_generator_cut(ent_generator *generator, size_t n);

size_t ent_generator_length(const ent_generator *generator); /* tokens of the text */
size_t ent_generator_memory(const ent_generator *generator); /* bytes that were taken */

#endif
