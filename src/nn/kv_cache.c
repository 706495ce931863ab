#include "src/nn/kv_cache.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"

struct ent_kv_cache {
    size_t n_layers, columns; /* columns: n_kv_heads * head_dim */
    size_t capacity, length;  /* tokens */
    ent_real *numbers;        /* (n_layers, 2, capacity, columns): keys, then values of a layer */
    int32_t *doc_start;
};

ent_status ent_kv_cache_new(ent_kv_cache **out, const ent_model_config *config, size_t capacity)
{
    ent_status st;
    ent_kv_cache *c = *out = NULL;
    size_t lines;
    ENT_GO(ent_calloc(&c, 1, sizeof *c, "a cache of keys and values"));
    c->n_layers = config->n_layers;
    c->columns = config->n_kv_heads * config->head_dim;
    c->capacity = capacity;
    if (__builtin_mul_overflow(2 * c->n_layers, capacity, &lines))
        ENT_GO(ent_fail(ENT_ENOMEM, "out of memory: keys and values of %zu tokens", capacity));
    ENT_GO(ent_calloc(&c->numbers, lines, c->columns * sizeof *c->numbers, "keys and values"));
    ENT_GO(ent_calloc(&c->doc_start, capacity, sizeof *c->doc_start, "the tokens of a cache"));
    *out = c;
    c = NULL;
done:
    ent_kv_cache_free(c);
    return st;
}

void ent_kv_cache_free(ent_kv_cache *cache)
{
    if (cache == NULL)
        return;
    free(cache->numbers);
    free(cache->doc_start);
    free(cache);
}

size_t ent_kv_cache_length(const ent_kv_cache *cache)
{
    return cache->length;
}

size_t ent_kv_cache_bytes(const ent_kv_cache *c)
{
    return c->capacity * (2 * c->n_layers * c->columns * sizeof *c->numbers + sizeof *c->doc_start);
}

void ent_kv_cache_cut(ent_kv_cache *cache, size_t n)
{
    assert(n <= cache->length);
    cache->length = n;
}

ent_status ent_kv_cache_room(const ent_kv_cache *cache, size_t n)
{
    if (n > cache->capacity - cache->length)
        return ent_fail(ENT_EINVAL, "a cache of %zu tokens holds %zu: there is no room for %zu more", cache->capacity,
                        cache->length, n);
    return ENT_OK;
}

/* One of keys and values. */
static ent_status put(ent_tensor **x, ent_kv_cache *c, ent_tape *tape, size_t place)
{
    ent_real *all = c->numbers + place * c->capacity * c->columns;
    const size_t n = (*x)->shape[0];
    if (!ent_tape_planning(tape))
        memcpy(all + c->length * c->columns, ent_values(*x), n * c->columns * sizeof *all);
    ent_tape_release(tape, *x);
    return ent_tape_input(x, tape, all, 2, (size_t[]){c->length + n, c->columns}, false);
}

ent_status ent_kv_cache_put(ent_tensor **k, ent_tensor **v, ent_kv_cache *cache, ent_tape *tape, size_t layer)
{
    ENT_TRY(put(k, cache, tape, 2 * layer));
    return put(v, cache, tape, 2 * layer + 1);
}

void ent_kv_cache_grow(ent_kv_cache *cache, size_t n)
{
    cache->length += n;
}

const int32_t *ent_kv_cache_doc_start(const ent_kv_cache *cache)
{
    return cache->doc_start;
}
