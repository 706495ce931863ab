/* A text of which parts are to be learned, and its tokens with labels. */
#ifndef ENT_TEXT_MASKED_H
#define ENT_TEXT_MASKED_H

#include <stdbool.h>
#include <stddef.h>

#include "src/base/status.h"
#include "src/text/tokenizer.h"

typedef struct ent_span {
    size_t begin, end; /* bytes */
} ent_span;

typedef struct ent_masked_text { /* starts as {0}; free with ent_masked_text_free */
    char *text;                  /* n bytes and a terminating zero; NULL while empty */
    size_t n, capacity;
    ent_span *spans; /* what is to be learned: in order, apart */
    size_t n_spans, spans_capacity;
} ent_masked_text;

/* Appends n bytes; `learned` ones join the last span if they follow it directly. ENT_ENOMEM. */
ent_status ent_masked_text_put(ent_masked_text *text, const char *s, size_t n, bool learned);
void ent_masked_text_free(ent_masked_text *text);

/* Appends the tokens of the whole text to `ids`, and to `labels` the same, or -100 for a token outside of the spans.
 * The token at which a span begins or ends is found by comparing with the tokens of the text up to there: one that
 * reaches over the boundary belongs to what follows. With `mask` false, all tokens are learned. */
ent_status ent_masked_text_encode(ent_ids *ids, ent_ids *labels, const ent_tokenizer *tokenizer,
                                  const ent_masked_text *text, bool special, bool mask);

#endif
