/* Added tokens inside a text: the leftmost match, of these the longest, in a trie of bytes. */
#include "src/base/mem.h"
#include "src/text/parts.h"

static ent_status new_node(int32_t *out, ent_trie *trie, unsigned char byte)
{
    if (trie->count >= INT32_MAX)
        return ent_fail(ENT_ENOMEM, "out of memory: added tokens");
    if (trie->count == trie->capacity)
        ENT_TRY(ent_grow(&trie->nodes, &trie->capacity, trie->count + 1, sizeof *trie->nodes, "added tokens"));
    trie->nodes[trie->count] = (ent_trie_node){.child = -1, .sibling = -1, .added = -1, .byte = byte};
    *out = (int32_t)trie->count++;
    return ENT_OK;
}

static int32_t find_child(const ent_trie *trie, int32_t node, unsigned char byte)
{
    int32_t child = trie->nodes[node].child;
    while (child >= 0 && trie->nodes[child].byte != byte)
        child = trie->nodes[child].sibling;
    return child;
}

/* *added = the token that has this text already, or -1. */
static ent_status insert(int32_t *added, ent_trie *trie, const char *text, size_t n, int32_t index)
{
    int32_t node = 0;
    if (trie->count == 0)
        ENT_TRY(new_node(&node, trie, 0));
    for (size_t i = 0; i < n; i++) {
        int32_t child = find_child(trie, node, (unsigned char)text[i]);
        if (child < 0) {
            ENT_TRY(new_node(&child, trie, (unsigned char)text[i]));
            trie->nodes[child].sibling = trie->nodes[node].child;
            trie->nodes[node].child = child;
        }
        node = child;
    }
    *added = trie->nodes[node].added;
    trie->nodes[node].added = index;
    return ENT_OK;
}

static const char *token_text(size_t *n, const ent_tokenizer *t, int32_t id)
{
    *n = t->tokens[id].n;
    return t->texts.data + t->tokens[id].offset;
}

ent_status ent_added_seal(ent_tokenizer *t)
{
    for (size_t i = 0; i < t->n_added; i++) {
        ent_added *added = &t->added[i];
        int32_t other = -1;
        size_t n;
        const char *text = token_text(&n, t, added->id);
        if (added->normalized) {
            ENT_TRY(ent_normalize(&added->normal, t, text, n));
            if (added->normal.n == 0)
                return ent_fail(ENT_EFORMAT, "%s: added token %d is empty after normalization", t->where, added->id);
            ENT_TRY(insert(&other, &t->normal, added->normal.data, added->normal.n, (int32_t)i));
        } else {
            ENT_TRY(insert(&other, &t->raw, text, n, (int32_t)i));
        }
        if (other >= 0)
            return ent_fail(ENT_EFORMAT, "%s: added tokens %d and %d are the same text after normalization", t->where,
                            t->added[other].id, added->id);
    }
    return ENT_OK;
}

/* Unicode's White_Space, as in regular expressions of Rust. */
static bool is_space(uint32_t c)
{
    return (c >= 9 && c <= 13) || c == 0x20 || c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) ||
           c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

/* Where the white space that ends at `end` starts, not before `limit`. */
static size_t strip_left(const char *text, size_t limit, size_t end)
{
    while (end > limit) {
        size_t start = end - 1;
        while (start > limit && ((unsigned char)text[start] & 0xc0) == 0x80)
            start--;
        if (!is_space(ent_utf8_get(text + start, end - start)))
            break;
        end = start;
    }
    return end;
}

static size_t strip_right(const char *text, size_t n, size_t start)
{
    bool valid;
    while (start < n) {
        const size_t length = ent_utf8_step(&valid, text + start, n - start);
        if (!is_space(ent_utf8_get(text + start, length)))
            break;
        start += length;
    }
    return start;
}

ent_added_match ent_added_find(const ent_tokenizer *t, const ent_trie *trie, const char *text, size_t n, size_t from)
{
    for (size_t start = from; trie->count && start < n; start++) {
        int32_t node = 0, index = -1;
        size_t end = start;
        for (size_t i = start; i < n && (node = find_child(trie, node, (unsigned char)text[i])) >= 0; i++)
            if (trie->nodes[node].added >= 0) {
                index = trie->nodes[node].added;
                end = i + 1;
            }
        if (index >= 0) {
            const ent_added *added = &t->added[index];
            return (ent_added_match){.start = added->lstrip ? strip_left(text, from, start) : start,
                                     .end = added->rstrip ? strip_right(text, n, end) : end,
                                     .id = added->id};
        }
    }
    return (ent_added_match){.start = n, .end = n, .id = -1};
}
