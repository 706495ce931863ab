/* Byte-pair-encoding tokenizers of the two kinds that Llama-family models use: byte-level (GPT-2, Llama 3, Qwen2) and
 * SentencePiece-like with byte fallback (Llama 1/2, Mistral). A tokenizer is built from pieces by a reader of
 * tokenizer.json (io/tokenizer_json.h); ids are equal to those of Hugging Face's tokenizers.
 */
#ifndef ENT_TEXT_TOKENIZER_H
#define ENT_TEXT_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/status.h"

typedef struct ent_tokenizer ent_tokenizer;

typedef struct ent_ids { /* a growing list of token ids; zero-initialise, free with ent_ids_free */
    int32_t *ids;
    size_t count, capacity;
} ent_ids;

void ent_ids_free(ent_ids *ids);
ent_status ent_ids_push(ent_ids *ids, int32_t id);

/* Appends to `out` the ids of `n` bytes of UTF-8 text. Strings of added tokens inside the text become those tokens.
 * With `special`, the template's tokens (BOS for Llama) are put around, as Hugging Face's add_special_tokens does.
 * ENT_EINVAL if the text is not valid UTF-8. Thread-safe on a const tokenizer. */
ent_status ent_tokenizer_encode(ent_ids *out, const ent_tokenizer *tokenizer, const char *text, size_t n, bool special);

/* *out (caller frees) = the text of ids, *n its bytes (it is also zero-terminated); `skip_special` leaves special
 * tokens out. Byte sequences that are not UTF-8 become U+FFFD. ENT_EINVAL for an id that is not in the vocabulary. */
ent_status ent_tokenizer_decode(char **out, size_t *n, const ent_tokenizer *tokenizer, const int32_t *ids, size_t count,
                                bool skip_special);

/* Largest id + 1; the id of an exact token string, or -1. */
size_t ent_tokenizer_vocab_size(const ent_tokenizer *tokenizer);
int32_t ent_tokenizer_id(const ent_tokenizer *tokenizer, const char *token);

/* The text of token `id` as the vocabulary has it (n bytes, borrowed, without a zero at its end); NULL: there is none.
 */
const char *ent_tokenizer_text(size_t *n, const ent_tokenizer *tokenizer, int32_t id);

void ent_tokenizer_free(ent_tokenizer *tokenizer);

#endif
