#include "src/nn/generate.h"

#include <stdlib.h>

#include "src/base/mem.h"

enum { AT_ONCE = 256 }; /* tokens that are computed together: enough for products to be fast */

struct ent_generator {
    ent_decoder *decoder;
    ent_kv_cache *cache;
    ent_tape *tape;
};

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Both ways to use a piece of the text, on a planning tape. */
static ent_status plan_piece(ent_generator *g, ent_tape *plan, size_t n)
{
    const size_t before = ent_kv_cache_length(g->cache);
    ent_tensor *result;
    ent_tape_rewind(plan);
    ENT_TRY(ent_decoder_next_loss(&result, plan, g->decoder, g->cache, NULL, NULL, n));
    ent_kv_cache_cut(g->cache, before);
    ent_tape_rewind(plan);
    return ent_decoder_next(&result, plan, g->decoder, g->cache, NULL, n);
}

/* Goes through a whole text of `capacity` tokens on a planning tape, and takes what that needs. */
static ent_status take_memory(ent_generator *g, size_t capacity)
{
    ent_status st;
    ent_tape *plan = NULL;
    ENT_GO(ent_tape_new(&plan, true));
    ent_tape_record(plan, false);
    for (size_t at = 0; at < capacity; at += AT_ONCE)
        ENT_GO(plan_piece(g, plan, least(AT_ONCE, capacity - at)));
    ent_kv_cache_cut(g->cache, 0);
    ENT_GO(ent_tape_new(&g->tape, false));
    ent_tape_record(g->tape, false);
    ENT_GO(ent_tape_reserve(g->tape, plan));
done:
    ent_tape_free(plan);
    return st;
}

ent_status ent_generator_new(ent_generator **out, ent_decoder *decoder, size_t capacity)
{
    ent_status st;
    ent_generator *g = *out = NULL;
    ENT_GO(ent_calloc(&g, 1, sizeof *g, "a generator"));
    g->decoder = decoder;
    ENT_GO(ent_kv_cache_new(&g->cache, ent_decoder_config(decoder), capacity));
    ENT_GO(take_memory(g, capacity));
    *out = g;
    g = NULL;
done:
    ent_generator_free(g);
    return st;
}

void ent_generator_free(ent_generator *generator)
{
    if (generator == NULL)
        return;
    ent_tape_free(generator->tape);
    ent_kv_cache_free(generator->cache);
    free(generator);
}

ent_status ent_generator_next(const ent_real **logits, ent_generator *g, const int32_t *ids, size_t n)
{
    ent_tensor *last = NULL;
    ENT_TRY(ent_kv_cache_room(g->cache, n));
    for (size_t at = 0; at < n || last == NULL; at += AT_ONCE) {
        ent_tape_rewind(g->tape);
        ENT_TRY(ent_decoder_next(&last, g->tape, g->decoder, g->cache, ids + at, least(AT_ONCE, n - at)));
    }
    *logits = ent_values(last);
    return ENT_OK;
}

ent_status ent_generator_loss(double *loss, ent_generator *g, const int32_t *ids, const int32_t *targets, size_t n)
{
    *loss = 0;
    ENT_TRY(ent_kv_cache_room(g->cache, n));
    for (size_t at = 0; at < n; at += AT_ONCE) {
        ent_tensor *piece;
        ent_tape_rewind(g->tape);
        ENT_TRY(ent_decoder_next_loss(&piece, g->tape, g->decoder, g->cache, ids + at, targets + at,
                                      least(AT_ONCE, n - at)));
        *loss += (double)ent_values(piece)[0];
    }
    return ENT_OK;
}

void ent_generator_cut(ent_generator *generator, size_t n)
{
    ent_kv_cache_cut(generator->cache, n);
}

size_t ent_generator_length(const ent_generator *generator)
{
    return ent_kv_cache_length(generator->cache);
}

size_t ent_generator_memory(const ent_generator *generator)
{
    return ent_kv_cache_bytes(generator->cache) + ent_tape_peak(generator->tape);
}
