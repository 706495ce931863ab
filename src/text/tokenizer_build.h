/* How a tokenizer is put together: what a reader of tokenizer.json calls, in this order: new, bpe and vocabulary,
 * merges, normalizers, pre-tokenizers, decoders, template, added tokens, seal. Steps act in the order they are added.
 * Messages start with the `where` given to ent_tokenizer_new and name the place in the file. Texts are copied; none may
 * be longer than 2^30 bytes. Each function fails with ENT_EFORMAT for what does not fit, ENT_EUNSUPPORTED, or
 * ENT_ENOMEM.
 */
#ifndef ENT_TEXT_TOKENIZER_BUILD_H
#define ENT_TEXT_TOKENIZER_BUILD_H

#include "src/text/tokenizer.h"

ent_status ent_tokenizer_new(ent_tokenizer **out, const char *where);

/* byte_fallback: a character that is not in the vocabulary becomes its bytes' tokens <0x00> to <0xFF>. ignore_merges: a
 * whole word of the vocabulary is taken as it is. fuse_unk: neighbouring unknown characters are one unknown token. */
typedef struct ent_bpe_options {
    bool byte_fallback, ignore_merges, fuse_unk;
} ent_bpe_options;

void ent_tokenizer_set_bpe(ent_tokenizer *tokenizer, ent_bpe_options options);

/* A token of the model. Each text and each id comes once; ids are below 2^24. */
ent_status ent_tokenizer_add_vocab(ent_tokenizer *tokenizer, const char *text, int32_t id);

/* The token that stands for what the vocabulary has not; it must be in the vocabulary. Without one, unknown characters
 * are left out. */
ent_status ent_tokenizer_set_unknown(ent_tokenizer *tokenizer, const char *text);

/* The next merge: left and right, in the vocabulary as is their concatenation. Earlier ones come first. */
ent_status ent_tokenizer_add_merge(ent_tokenizer *tokenizer, const char *left, size_t n_left, const char *right,
                                   size_t n_right);

/* Normalizers: canonical composition; text put in front of what is not empty; each `pattern` replaced by `content`. */
ent_status ent_tokenizer_add_nfc(ent_tokenizer *tokenizer);
ent_status ent_tokenizer_add_prepend(ent_tokenizer *tokenizer, const char *content);
ent_status ent_tokenizer_add_replace(ent_tokenizer *tokenizer, const char *pattern, const char *content);

typedef enum ent_split_behavior { /* what becomes of the matches of a split's pattern */
                                  ENT_SPLIT_ISOLATED,
                                  ENT_SPLIT_REMOVED,
                                  ENT_SPLIT_CONTIGUOUS,
                                  ENT_SPLIT_MERGED_WITH_PREVIOUS,
                                  ENT_SPLIT_MERGED_WITH_NEXT
} ent_split_behavior;

typedef enum ent_prepend_scheme { ENT_PREPEND_NEVER, ENT_PREPEND_FIRST, ENT_PREPEND_ALWAYS } ent_prepend_scheme;

/* Pre-tokenizers. A split's pattern is a literal or a regular expression in Oniguruma's (Ruby's) syntax; one that PCRE2
 * could read in another way is ENT_EUNSUPPORTED. `place` names it in messages. byte_level maps bytes to characters,
 * after GPT-2's split if `use_regex`. metaspace replaces spaces by `replacement`, one character, and splits before it.
 */
ent_status ent_tokenizer_add_split(ent_tokenizer *tokenizer, const char *pattern, bool literal,
                                   ent_split_behavior behavior, bool invert, const char *place);
ent_status ent_tokenizer_add_byte_level(ent_tokenizer *tokenizer, bool add_prefix_space, bool use_regex);
ent_status ent_tokenizer_add_metaspace(ent_tokenizer *tokenizer, const char *replacement, ent_prepend_scheme scheme,
                                       bool split);

/* Decoders. Without any, tokens are joined by spaces. `strip` takes up to `start` leading and `stop` trailing
 * characters equal to `content` from each part; `metaspace` turns `replacement` into spaces, and into nothing in the
 * first token if `drop_first`. */
ent_status ent_tokenizer_add_byte_level_decoder(ent_tokenizer *tokenizer);
ent_status ent_tokenizer_add_byte_fallback_decoder(ent_tokenizer *tokenizer);
ent_status ent_tokenizer_add_fuse_decoder(ent_tokenizer *tokenizer);
ent_status ent_tokenizer_add_replace_decoder(ent_tokenizer *tokenizer, const char *pattern, const char *content);
ent_status ent_tokenizer_add_strip_decoder(ent_tokenizer *tokenizer, const char *content, size_t start, size_t stop);
ent_status ent_tokenizer_add_metaspace_decoder(ent_tokenizer *tokenizer, const char *replacement, bool drop_first);

/* Ids put around a text, checked by ent_tokenizer_seal. At most one template, as in the reference. */
ent_status ent_tokenizer_set_template(ent_tokenizer *tokenizer, const ent_ids *prefix, const ent_ids *suffix);

/* A string that becomes a token wherever it stands. lstrip, rstrip: takes the white space on that side along.
 * normalized: looked for after normalization. Its id must be the one of its text in the vocabulary, or else the number
 * of tokens of the vocabulary plus that of earlier new ones, as Hugging Face gives it whatever the file says. */
typedef struct ent_added_token {
    const char *content;
    int32_t id;
    bool lstrip, rstrip, normalized, special;
} ent_added_token;

ent_status ent_tokenizer_add_token(ent_tokenizer *tokenizer, const ent_added_token *token);

/* The last call; from here on the tokenizer is const. */
ent_status ent_tokenizer_seal(ent_tokenizer *tokenizer);

#endif
