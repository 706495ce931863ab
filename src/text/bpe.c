/* Byte-pair encoding of one word (Sennrich et al. 2016, algorithm 1): of all neighbours that a merge joins, the one of
 * the lowest rank, of these the leftmost, until there is none. A heap of candidates and a linked list of symbols make
 * that O(n log n), for without a pre-tokenizer a whole text is one word.
 */
#include <stdlib.h>

#include "src/base/mem.h"
#include "src/text/parts.h"

typedef struct ent_symbol {
    int32_t id;         /* -1: joined to the one before */
    int32_t prev, next; /* -1: none */
} ent_symbol;

typedef struct ent_candidate {
    int32_t rank, at, id;
} ent_candidate;

void ent_bpe_scratch_free(ent_bpe_scratch *s)
{
    free(s->symbols);
    free(s->heap);
    *s = (ent_bpe_scratch){0};
}

static bool is_before(const ent_candidate *a, const ent_candidate *b)
{
    return a->rank != b->rank ? a->rank < b->rank : a->at < b->at;
}

static ent_status push(ent_bpe_scratch *s, ent_candidate c)
{
    if (s->n_heap == s->heap_capacity)
        ENT_TRY(ent_grow(&s->heap, &s->heap_capacity, s->n_heap + 1, sizeof *s->heap, "merges of a word"));
    size_t i = s->n_heap++;
    while (i > 0 && is_before(&c, &s->heap[(i - 1) / 2])) {
        s->heap[i] = s->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    s->heap[i] = c;
    return ENT_OK;
}

static ent_candidate pop(ent_bpe_scratch *s)
{
    const ent_candidate top = s->heap[0], last = s->heap[--s->n_heap];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < s->n_heap; i = child) {
        if (child + 1 < s->n_heap && is_before(&s->heap[child + 1], &s->heap[child]))
            child++;
        if (!is_before(&s->heap[child], &last))
            break;
        s->heap[i] = s->heap[child];
    }
    s->heap[i] = last;
    return top;
}

/* Remembers the merge of the symbol `at` with the next one, if there is one. */
static ent_status consider(ent_bpe_scratch *s, const ent_tokenizer *t, int32_t at)
{
    const ent_symbol *left = &s->symbols[at];
    if (left->next < 0)
        return ENT_OK;
    const ent_merge *merge = ent_merges_find(&t->merges, left->id, s->symbols[left->next].id);
    return merge ? push(s, (ent_candidate){.rank = merge->rank, .at = at, .id = merge->id}) : ENT_OK;
}

static ent_status add_symbol(ent_bpe_scratch *s, int32_t id)
{
    const size_t n = s->n_symbols;
    if (n >= INT32_MAX)
        return ent_fail(ENT_EINVAL, "a word has more than 2^31 - 1 characters");
    if (n == s->symbols_capacity)
        ENT_TRY(ent_grow(&s->symbols, &s->symbols_capacity, n + 1, sizeof *s->symbols, "the characters of a word"));
    s->symbols[n] = (ent_symbol){.id = id, .prev = (int32_t)n - 1, .next = -1};
    if (n > 0)
        s->symbols[n - 1].next = (int32_t)n;
    s->n_symbols++;
    return ENT_OK;
}

/* Whether the bytes of a character all have tokens. */
static bool has_bytes(const ent_tokenizer *t, const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (t->byte_ids[(unsigned char)s[i]] < 0)
            return false;
    return true;
}

/* The word's characters as tokens. An unknown one waits in `unknown` until a known one comes: that is how the reference
 * fuses them, and lets byte tokens overtake them. */
static ent_status put_characters(ent_bpe_scratch *s, const ent_tokenizer *t, const char *word, size_t n)
{
    bool unknown = false, valid;
    for (size_t i = 0, length; i < n; i += length) {
        length = ent_utf8_step(&valid, word + i, n - i);
        const uint32_t c = ent_utf8_get(word + i, length);
        const int32_t id =
            c < ENT_SHORT_CHARACTERS ? t->short_ids[c] : ent_tokenizer_find(t, word + i, length, ENT_TOKEN_MODEL);
        if (id >= 0) {
            if (unknown)
                ENT_TRY(add_symbol(s, t->unknown));
            unknown = false;
            ENT_TRY(add_symbol(s, id));
        } else if (t->bpe.byte_fallback && has_bytes(t, word + i, length)) {
            for (size_t b = 0; b < length; b++)
                ENT_TRY(add_symbol(s, t->byte_ids[(unsigned char)word[i + b]]));
        } else if (t->unknown >= 0) {
            if (unknown && !t->bpe.fuse_unk)
                ENT_TRY(add_symbol(s, t->unknown));
            unknown = true;
        }
    }
    return unknown ? add_symbol(s, t->unknown) : ENT_OK;
}

static ent_status merge_all(ent_bpe_scratch *s, const ent_tokenizer *t)
{
    s->n_heap = 0;
    for (size_t i = 0; i + 1 < s->n_symbols; i++)
        ENT_TRY(consider(s, t, (int32_t)i));
    while (s->n_heap > 0) {
        const ent_candidate c = pop(s);
        ent_symbol *left = &s->symbols[c.at];
        if (left->id < 0 || left->next < 0)
            continue;
        ent_symbol *right = &s->symbols[left->next];
        const ent_merge *merge = ent_merges_find(&t->merges, left->id, right->id);
        if (merge == NULL || merge->id != c.id) /* one of the two has been merged since */
            continue;
        left->id = c.id;
        left->next = right->next;
        right->id = -1;
        if (left->next >= 0)
            s->symbols[left->next].prev = c.at;
        if (left->prev >= 0)
            ENT_TRY(consider(s, t, left->prev));
        ENT_TRY(consider(s, t, c.at));
    }
    return ENT_OK;
}

ent_status ent_bpe_word(ent_ids *out, const ent_tokenizer *t, const char *word, size_t n, ent_bpe_scratch *s)
{
    if (n == 0)
        return ENT_OK;
    if (t->bpe.ignore_merges) {
        const int32_t id = ent_tokenizer_find(t, word, n, ENT_TOKEN_MODEL);
        if (id >= 0)
            return ent_ids_push(out, id);
    }
    s->n_symbols = 0;
    ENT_TRY(put_characters(s, t, word, n));
    ENT_TRY(merge_all(s, t));
    for (size_t i = 0; i < s->n_symbols; i++)
        if (s->symbols[i].id >= 0)
            ENT_TRY(ent_ids_push(out, s->symbols[i].id));
    return ENT_OK;
}
