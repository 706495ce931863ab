/* What the files of src/text share: the tokenizer's parts and the pieces a text is cut into. Not for users. */
#ifndef ENT_TEXT_PARTS_H
#define ENT_TEXT_PARTS_H

#include "src/text/tokenizer_build.h"

enum {
    ENT_MAX_TOKEN_ID = (1 << 24) - 1,
    ENT_SHORT_CHARACTERS = 0x800 /* characters of at most two bytes, whose tokens are found without hashing */
};

/* Growing text. */
typedef struct ent_bytes {
    char *data;
    size_t n, capacity;
    size_t limit; /* of n; 0: none */
} ent_bytes;

/* How long a text of n bytes may get. A few steps that each double it would make gigabytes of a word, and it is a
 * tokenizer.json that says how many there are; honest ones make three bytes of a space, and two of any other. */
size_t ent_bytes_limit(size_t n);

/* ENT_EINVAL beyond the limit. */
ent_status ent_bytes_put(ent_bytes *bytes, const char *s, size_t n);
void ent_bytes_free(ent_bytes *bytes);

/* Appends `n` bytes of text with each `pattern` (if not empty) replaced. */
ent_status ent_bytes_put_replaced(ent_bytes *out, const char *s, size_t n, const ent_bytes *pattern,
                                  const ent_bytes *content);

/* Texts that follow each other in one buffer: piece i ends at ends[i] and starts where the one before ends. */
typedef struct ent_pieces {
    ent_bytes text;
    size_t *ends, count, capacity;
    bool at_start; /* the first piece stands at the start of the user's text */
} ent_pieces;

ent_status ent_pieces_add(ent_pieces *pieces, const char *s, size_t n); /* a piece more */
ent_status ent_pieces_end(ent_pieces *pieces);                          /* what was put into .text becomes a piece */
const char *ent_pieces_at(size_t *n, const ent_pieces *pieces, size_t i);
void ent_pieces_clear(ent_pieces *pieces);
void ent_pieces_free(ent_pieces *pieces);

/* The length of the UTF-8 sequence at the start of n >= 1 bytes; if they are none, *valid is false and the length is
 * that of its longest proper start, at least 1: what one U+FFFD stands for (Unicode 15.0, section 3.9, table 3-8). */
size_t ent_utf8_step(bool *valid, const char *s, size_t n);
size_t ent_utf8_put(char out[4], uint32_t c);   /* the bytes of a character; returns how many */
uint32_t ent_utf8_get(const char *s, size_t n); /* the character that `n` valid bytes are */

/* byte_level.c: bytes as printable characters, GPT-2's bytes_to_unicode. */
ent_status ent_byte_level_put(ent_bytes *out, const char *s, size_t n);
ent_status ent_byte_level_decode(ent_pieces *out, const ent_pieces *in);

/* tables.c: a hash table of merges. */
typedef struct ent_merge {
    int32_t left, right; /* left is -1 in a free slot */
    int32_t rank, id;
} ent_merge;

typedef struct ent_merges {
    ent_merge *slots;
    size_t n_slots, count;
} ent_merges;

ent_status ent_merges_put(ent_merges *merges, ent_merge merge); /* takes the place of one with the same pair */
const ent_merge *ent_merges_find(const ent_merges *merges, int32_t left, int32_t right);

enum { ENT_TOKEN_MODEL = 1, ENT_TOKEN_ADDED = 2, ENT_TOKEN_SPECIAL = 4, ENT_TOKEN_NORMALIZED = 8 };

typedef struct ent_token {
    size_t offset; /* of its text, in tokenizer->texts */
    uint32_t n;
    uint32_t flags; /* 0: no token has this id */
} ent_token;

typedef struct ent_trie_node {
    int32_t child, sibling; /* -1: none */
    int32_t added;          /* index of the added token that ends here, or -1 */
    unsigned char byte;
} ent_trie_node;

typedef struct ent_trie { /* empty, or nodes[0] is the root */
    ent_trie_node *nodes;
    size_t count, capacity;
} ent_trie;

typedef struct ent_added {
    int32_t id;
    bool lstrip, rstrip, normalized;
    ent_bytes normal; /* if normalized: what is looked for, and what is decoded */
} ent_added;

typedef struct ent_added_match {
    size_t start, end;
    int32_t id; /* -1: no further match, start and end are the end of the text */
} ent_added_match;

/* added_tokens.c: building the two tries; the next match from `from` on. */
ent_status ent_added_seal(ent_tokenizer *tokenizer);
ent_added_match ent_added_find(const ent_tokenizer *tokenizer, const ent_trie *trie, const char *text, size_t n,
                               size_t from);

typedef enum ent_step_kind {
    ENT_STEP_NFC,
    ENT_STEP_PREPEND,
    ENT_STEP_REPLACE,
    ENT_STEP_SPLIT,
    ENT_STEP_BYTE_LEVEL,
    ENT_STEP_METASPACE,
    ENT_STEP_BYTE_FALLBACK,
    ENT_STEP_FUSE,
    ENT_STEP_STRIP
} ent_step_kind;

typedef struct ent_regex ent_regex;

typedef struct ent_step { /* of a normalizer, pre-tokenizer or decoder */
    ent_step_kind kind;
    ent_bytes pattern, content;
    ent_regex *regex;
    ent_split_behavior behavior;
    ent_prepend_scheme scheme;
    bool invert, split, add_prefix_space, drop_first;
    size_t start, stop;
} ent_step;

typedef struct ent_steps {
    ent_step *steps;
    size_t count, capacity;
} ent_steps;

struct ent_tokenizer {
    char *where;
    ent_bpe_options bpe;
    int32_t unknown;   /* -1: none */
    ent_bytes texts;   /* of all tokens */
    ent_token *tokens; /* by id */
    size_t n_tokens, tokens_capacity;
    size_t n_model, n_new; /* tokens of the model; added ones that are not in it */
    uint32_t *slots;       /* hash table of texts: id + 1, or 0 */
    size_t n_slots, n_texts;
    ent_merges merges;
    int32_t n_merges;
    int32_t short_ids[ENT_SHORT_CHARACTERS]; /* the model's token of a character, or -1 */
    int32_t byte_ids[256];                   /* of <0x00> to <0xFF>, or -1 */
    ent_steps normalizers, pre_tokenizers, decoders;
    ent_ids prefix, suffix; /* of the template */
    bool has_template;
    ent_added *added;
    size_t n_added, added_capacity;
    ent_trie raw, normal; /* added tokens looked for before and after normalization */
};

/* The id of a text if its token has one of `flags`, else -1. */
int32_t ent_tokenizer_find(const ent_tokenizer *tokenizer, const char *text, size_t n, uint32_t flags);

/* A token more; fails if its text or id is taken. */
ent_status ent_tokenizer_put(ent_tokenizer *tokenizer, const char *text, size_t n, int32_t id, uint32_t flags);

/* normalize.c: appends the normalized text to `out`. */
ent_status ent_normalize(ent_bytes *out, const ent_tokenizer *tokenizer, const char *text, size_t n);

/* regex.c: a pattern in Oniguruma's syntax, or a literal, compiled by PCRE2. `place` names it in messages. */
ent_status ent_regex_new(ent_regex **out, const char *pattern, size_t n, bool literal, const char *place);
void ent_regex_free(ent_regex *regex);

typedef struct ent_regex_part {
    size_t start, end;
    bool is_match;
} ent_regex_part;

typedef struct ent_regex_parts { /* a whole text as matches and what is between them; parts may be empty */
    ent_regex_part *parts;
    size_t count, capacity;
} ent_regex_parts;

ent_status ent_regex_parts_add(ent_regex_parts *parts, size_t start, size_t end, bool is_match);
ent_status ent_regex_find_all(ent_regex_parts *out, const ent_regex *regex, const char *text, size_t n);

/* regex_syntax.c: the same pattern in PCRE2's syntax. */
ent_status ent_regex_translate(ent_bytes *out, const char *pattern, size_t n, const char *place);

/* pretokenize.c: one step; `in` is left as it is, `out` is overwritten. */
ent_status ent_pretokenize(ent_pieces *out, const ent_pieces *in, const ent_step *step, ent_regex_parts *scratch);

/* bpe.c: appends the ids of one word. */
typedef struct ent_bpe_scratch {
    struct ent_symbol *symbols;
    size_t n_symbols, symbols_capacity;
    struct ent_candidate *heap;
    size_t n_heap, heap_capacity;
} ent_bpe_scratch;

ent_status ent_bpe_word(ent_ids *out, const ent_tokenizer *tokenizer, const char *word, size_t n,
                        ent_bpe_scratch *scratch);
void ent_bpe_scratch_free(ent_bpe_scratch *scratch);

#endif
