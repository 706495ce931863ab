/* Keys and values of the tokens that a decoder has seen, so that the next token is computed from itself alone.
 *
 * One document, from position 0 on. Keys are kept as attention takes them: after the norm over each head and the
 * rotation. Layers with a sliding window keep all, too.
 */
#ifndef ENT_NN_KV_CACHE_H
#define ENT_NN_KV_CACHE_H

#include <stddef.h>
#include <stdint.h>

#include "src/autograd/tape.h"
#include "src/nn/model_config.h"

typedef struct ent_kv_cache ent_kv_cache;

/* An empty cache for `capacity` tokens; its memory is taken here. ENT_ENOMEM. */
ent_status ent_kv_cache_new(ent_kv_cache **out, const ent_model_config *config, size_t capacity);
void ent_kv_cache_free(ent_kv_cache *cache);

size_t ent_kv_cache_length(const ent_kv_cache *cache); /* tokens in it */
size_t ent_kv_cache_bytes(const ent_kv_cache *cache);  /* memory it holds */

/* Forgets all but the first n tokens. */
void ent_kv_cache_cut(ent_kv_cache *cache, size_t n);

/* For the decoder. Is there room for n more: ENT_EINVAL if not. */
ent_status ent_kv_cache_room(const ent_kv_cache *cache, size_t n);

/* Puts k and v (n, n_kv_heads * head_dim) of a layer behind those of the tokens before, and makes *k and *v those of
 * all (length + n, ...). The length stays until ent_kv_cache_grow. */
ent_status ent_kv_cache_put(ent_tensor **k, ent_tensor **v, ent_kv_cache *cache, ent_tape *tape, size_t layer);
void ent_kv_cache_grow(ent_kv_cache *cache, size_t n);

/* The document of each token, as attention and rotation want it: capacity times 0. */
const int32_t *ent_kv_cache_doc_start(const ent_kv_cache *cache);

#endif
