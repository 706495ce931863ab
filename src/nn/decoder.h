/* The decoder of the Llama family, with adapters: one computation, which a model's config makes Llama, Mistral, Qwen2
 * or Qwen3. It declares its parameters under their Hugging Face (and PEFT) names; a loader gives them values.
 */
#ifndef ENT_NN_DECODER_H
#define ENT_NN_DECODER_H

#include <stddef.h>
#include <stdint.h>

#include "src/autograd/ops_model.h"
#include "src/autograd/tape.h"
#include "src/base/philox.h"
#include "src/nn/kv_cache.h"
#include "src/nn/lora_config.h"
#include "src/nn/model_config.h"
#include "src/nn/params.h"

typedef struct ent_decoder ent_decoder;

/* A run of tokens: ids[t] in [0, V), doc_start[t] the index of the first token of t's document (not decreasing). */
typedef struct ent_tokens {
    size_t n;
    const int32_t *ids, *doc_start;
} ent_tokens;

/* A decoder with declared and sealed parameters that have no values yet. `lora` NULL: all weights train; otherwise only
 * the adapters do, and copies of the modules that it saves, "base_model.model.model.norm.weight". `train` false:
 * nothing does. Documents are at most `max_positions` long. ENT_EINVAL, ENT_ENOMEM. */
ent_status ent_decoder_new(ent_decoder **out, const ent_model_config *config, const ent_lora_config *lora, bool train,
                           size_t max_positions);

/* A decoder all of whose weights train, with the projections' rounded to 8 bits in forward (ent_fake_quantize). Their
 * scales are parameters too, "…q_proj.weight_scale" (out), the last of all, which ent_decoder_init_scales gives values.
 */
ent_status ent_decoder_new_rounded(ent_decoder **out, const ent_model_config *config, size_t max_positions);
void ent_decoder_free(ent_decoder *decoder);

/* Another longest document, for which tables of angles are made: ENT_ENOMEM. */
ent_status ent_decoder_set_positions(ent_decoder *decoder, size_t max_positions);

ent_params *ent_decoder_params(ent_decoder *decoder);                   /* borrowed */
const ent_model_config *ent_decoder_config(const ent_decoder *decoder); /* borrowed */

/* What products with the weights of projections and lm_head are computed in; at first FP32. They must be frozen for any
 * other, and stored as it asks. Products with adapters are computed in FP32. */
void ent_decoder_set_compute(ent_decoder *decoder, ent_compute compute);

/* The weights of the projections, layer by layer: how many, and number i. */
size_t ent_decoder_projections(const ent_decoder *decoder);
ent_tensor *ent_decoder_projection(ent_decoder *decoder, size_t i);

/* Initial values of the adapters, from the seed: A as PEFT has it (Kaiming-uniform with a = sqrt(5), i.e. uniform in
 * +-1/sqrt(in)), B zero; of modules that they save, the model's, which has its values by then. With DoRA
 * ent_decoder_init_magnitudes follows. */
void ent_decoder_init_adapters(ent_decoder *decoder, uint64_t seed);

/* DoRA (PEFT's tuners/lora/dora.py): the norms of the rows of W + s B A, from the weights as they are stored and the
 * adapters as they are. To be called when either has changed, before anything is computed: the trainer does so before
 * each step and evaluation. `init` also makes the magnitudes equal to them, as a new adapter has them. Without DoRA
 * they do nothing. ENT_ENUMERIC for a row of norm 0, or of one that isn't finite. Allocates nothing. */
ent_status ent_decoder_refresh(ent_decoder *decoder);
ent_status ent_decoder_init_magnitudes(ent_decoder *decoder);

/* These norms (borrowed; NULL without DoRA). */
const ent_real *ent_decoder_norms(const ent_decoder *decoder, size_t layer, ent_proj proj);

/* With `pissa`: the adapters begin so that s B A has the largest singular values of W, as W is stored now, and what is
 * computed is y = x (W - s B0 A0 + s B A)^T with B0 and A0 as they began: W itself stays. The same bits on any number
 * of threads, and every CPU. Otherwise it does nothing. `stop` (NULL: never) is asked before each weight; yes:
 * ENT_ESTOPPED. What ent_svd_top fails with (src/nn/svd.h). */
ent_status ent_decoder_init_pissa(ent_decoder *decoder, bool (*stop)(void));

/* A0 (r, in) and B0 (out, r) of a projection, borrowed; NULL: it has none. */
void ent_decoder_first(const ent_tensor **a, const ent_tensor **b, const ent_decoder *decoder, size_t layer,
                       ent_proj proj);

/* Bytes that DoRA's norms and PiSSA's first adapters take. */
size_t ent_decoder_side_bytes(const ent_decoder *decoder);

/* Initial values of all trainable weights, from the seed: normal with deviation 0.02, norms 1, biases 0. */
void ent_decoder_init_weights(ent_decoder *decoder, uint64_t seed);

/* Initial values of the scales, from the weights: the largest |w| of a row is 127 of it, and none is below
 * ENT_FAKE_LEAST. (Not the 2 mean|w| / sqrt(127) of Esser et al., whose range ends at 18 standard deviations of normal
 * weights: made for few bits, it leaves three of eight unused.) Nothing where nothing is rounded. */
void ent_decoder_init_scales(ent_decoder *decoder);

/* With `on`, a loss keeps the inputs of each layer's two halves alone, and backward computes a half again, all but what
 * serves its result alone (attention where o_proj isn't trained, o_proj, down_proj): the same bits, about a quarter
 * more products, and memory for one layer. Off at first. */
void ent_decoder_recompute(ent_decoder *decoder, bool on);

/* *logits = (n, V); *loss = the sum of the cross-entropies of tokens with targets[t] >= 0. `dropout` gives the draws of
 * the adapters' dropout (seed, step, unit); NULL: none, as in evaluation. Tokens and targets are borrowed until the
 * tape is rewound. */
ent_status ent_decoder_logits(ent_tensor **logits, ent_tape *tape, ent_decoder *decoder, const ent_tokens *tokens);
ent_status ent_decoder_loss(ent_tensor **loss, ent_tape *tape, ent_decoder *decoder, const ent_tokens *tokens,
                            const int32_t *targets, const ent_rng *dropout);

/* What a decoder learns from beside the targets: decoders of the same vocabulary (borrowed), which stay as they are,
 * with weights that add up to 1. Hidden states are those behind a layer, counted from 0, before the final norm: that of
 * layer student[m] is to be the one of teacher k's layer teacher[k][m]. */
enum { ENT_MAX_MATCHES = 256 };
typedef struct ent_teaching {
    ent_decoder *teachers[ENT_MAX_TEACHERS];
    double weights[ENT_MAX_TEACHERS];
    size_t count;
    double temperature, alpha;
    double hidden; /* beta: the loss of a token += beta times the mean over matches of ent_hidden_loss; 0: no matches */
    size_t matches; /* with hidden > 0: 1 to ENT_MAX_MATCHES, of teachers with the student's hidden_size */
    uint16_t student[ENT_MAX_MATCHES], teacher[ENT_MAX_TEACHERS][ENT_MAX_MATCHES];
} ent_teaching;

/* As ent_decoder_loss, with ent_distill_loss for the cross-entropy, and hidden states. The teachers run forward over
 * the same tokens. */
ent_status ent_decoder_distill_loss(ent_tensor **loss, ent_tape *tape, ent_decoder *decoder, const ent_tokens *tokens,
                                    const int32_t *targets, const ent_rng *dropout, const ent_teaching *teaching);

/* Logits and loss of the n tokens that come after those of `cache`, which has them afterwards. Rows have the bits that
 * they have where all tokens are computed at once: fp32 products on every CPU, others where the CPU doesn't multiply
 * bf16 by itself. *logits = (1, V), of the token after the last; *loss: targets[t] is that of ids[t]. Nothing is
 * propagated back: recording must be off. ENT_EINVAL where the cache is full. */
ent_status ent_decoder_next(ent_tensor **logits, ent_tape *tape, ent_decoder *decoder, ent_kv_cache *cache,
                            const int32_t *ids, size_t n);
ent_status ent_decoder_next_loss(ent_tensor **loss, ent_tape *tape, ent_decoder *decoder, ent_kv_cache *cache,
                                 const int32_t *ids, const int32_t *targets, size_t n);

#endif
