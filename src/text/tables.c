/* Hash tables with open addressing: merges by pair, tokens by text. At most half of the slots are taken. */
#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"
#include "src/text/parts.h"

enum { FIRST_SLOTS = 1024 };

static uint64_t mix(uint64_t x)
{
    x ^= x >> 32;
    x *= 0x9e3779b97f4a7c15u;
    return x ^ x >> 29;
}

static size_t merge_slot(const ent_merges *merges, int32_t left, int32_t right)
{
    const size_t mask = merges->n_slots - 1;
    size_t i = mix((uint64_t)(uint32_t)left << 32 | (uint32_t)right) & mask;
    while (merges->slots[i].left >= 0 && (merges->slots[i].left != left || merges->slots[i].right != right))
        i = (i + 1) & mask;
    return i;
}

static ent_status grow_merges(ent_merges *merges)
{
    ent_merges grown = {.n_slots = merges->n_slots ? merges->n_slots * 2 : FIRST_SLOTS, .count = merges->count};
    ENT_TRY(ent_calloc(&grown.slots, grown.n_slots, sizeof *grown.slots, "merges"));
    for (size_t i = 0; i < grown.n_slots; i++)
        grown.slots[i].left = -1;
    for (size_t i = 0; i < merges->n_slots; i++) {
        const ent_merge *m = &merges->slots[i];
        if (m->left >= 0)
            grown.slots[merge_slot(&grown, m->left, m->right)] = *m;
    }
    free(merges->slots);
    *merges = grown;
    return ENT_OK;
}

ent_status ent_merges_put(ent_merges *merges, ent_merge merge)
{
    if (merges->count * 2 >= merges->n_slots)
        ENT_TRY(grow_merges(merges));
    ent_merge *slot = &merges->slots[merge_slot(merges, merge.left, merge.right)];
    merges->count += slot->left < 0;
    *slot = merge;
    return ENT_OK;
}

const ent_merge *ent_merges_find(const ent_merges *merges, int32_t left, int32_t right)
{
    if (merges->n_slots == 0)
        return NULL;
    const ent_merge *slot = &merges->slots[merge_slot(merges, left, right)];
    return slot->left < 0 ? NULL : slot;
}

static uint64_t hash_text(const char *text, size_t n)
{
    uint64_t h = n;
    for (; n >= 8; text += 8, n -= 8) {
        uint64_t word;
        memcpy(&word, text, 8);
        h = mix(h ^ word);
    }
    uint64_t rest = 0;
    memcpy(&rest, text, n);
    return mix(mix(h) ^ rest);
}

/* The slot of a text, or the free one where it belongs. */
static size_t text_slot(const ent_tokenizer *t, const char *text, size_t n)
{
    const size_t mask = t->n_slots - 1;
    for (size_t i = hash_text(text, n) & mask;; i = (i + 1) & mask) {
        if (t->slots[i] == 0)
            return i;
        const ent_token *token = &t->tokens[t->slots[i] - 1];
        if (token->n == n && (n == 0 || memcmp(t->texts.data + token->offset, text, n) == 0))
            return i;
    }
}

int32_t ent_tokenizer_find(const ent_tokenizer *t, const char *text, size_t n, uint32_t flags)
{
    if (t->n_slots == 0)
        return -1;
    const uint32_t slot = t->slots[text_slot(t, text, n)];
    return slot && (t->tokens[slot - 1].flags & flags) ? (int32_t)(slot - 1) : -1;
}

static ent_status grow_texts(ent_tokenizer *t)
{
    uint32_t *old = t->slots;
    const size_t n_old = t->n_slots, n = n_old ? n_old * 2 : FIRST_SLOTS;
    uint32_t *slots;
    ENT_TRY(ent_calloc(&slots, n, sizeof *slots, "a vocabulary"));
    t->slots = slots;
    t->n_slots = n;
    for (size_t i = 0; i < n_old; i++)
        if (old[i]) {
            const ent_token *token = &t->tokens[old[i] - 1];
            slots[text_slot(t, t->texts.data + token->offset, token->n)] = old[i];
        }
    free(old);
    return ENT_OK;
}

ent_status ent_tokenizer_put(ent_tokenizer *t, const char *text, size_t n, int32_t id, uint32_t flags)
{
    if (id < 0 || id > ENT_MAX_TOKEN_ID)
        return ent_fail(ENT_EFORMAT, "%s: token \"%.60s\": id %d is not within 0 to %d", t->where, text, id,
                        ENT_MAX_TOKEN_ID);
    if (n > 1u << 30)
        return ent_fail(ENT_EFORMAT, "%s: token %d is longer than 2^30 bytes", t->where, id);
    if (t->n_texts * 2 >= t->n_slots)
        ENT_TRY(grow_texts(t));
    const size_t slot = text_slot(t, text, n);
    if (t->slots[slot])
        return ent_fail(ENT_EFORMAT, "%s: token \"%.60s\" is there twice, with ids %d and %d", t->where, text,
                        (int)(t->slots[slot] - 1), id);
    if ((size_t)id < t->n_tokens && t->tokens[id].flags)
        return ent_fail(ENT_EFORMAT, "%s: tokens \"%.*s\" and \"%.60s\" have the same id %d", t->where,
                        (int)(t->tokens[id].n < 60 ? t->tokens[id].n : 60), t->texts.data + t->tokens[id].offset, text,
                        id);
    if ((size_t)id >= t->n_tokens) {
        if ((size_t)id >= t->tokens_capacity)
            ENT_TRY(ent_grow(&t->tokens, &t->tokens_capacity, (size_t)id + 1, sizeof *t->tokens, "a vocabulary"));
        memset(t->tokens + t->n_tokens, 0, ((size_t)id + 1 - t->n_tokens) * sizeof *t->tokens);
        t->n_tokens = (size_t)id + 1;
    }
    t->tokens[id] = (ent_token){.offset = t->texts.n, .n = (uint32_t)n, .flags = flags};
    ENT_TRY(ent_bytes_put(&t->texts, text, n));
    t->slots[slot] = (uint32_t)id + 1;
    t->n_texts++;
    return ENT_OK;
}
