/* What io/gguf_tokenizer*.c share. Not for users. */
#ifndef ENT_IO_GGUF_TOKENIZER_PARTS_H
#define ENT_IO_GGUF_TOKENIZER_PARTS_H

#include "io/json.h"
#include "io/text.h"
#include "src/base/status.h"
#include "src/text/tokenizer.h"

typedef struct ent_gguf_tokenizer_kind {
    const char *pre;   /* tokenizer.ggml.pre of "gpt2"; NULL: "llama" */
    bool space_prefix; /* of "llama": a text gets a space in front */
} ent_gguf_tokenizer_kind;

/* Which one the tree of a tokenizer.json is; `path` names it in messages. */
ent_status ent_gguf_tokenizer_kind_of(ent_gguf_tokenizer_kind *out, ent_text *notes, const ent_json *root,
                                      const char *path);

/* The merge of a "merges" list: *left, *n_left and *right point into the tree. */
void ent_gguf_merge_of(const char **left, size_t *n_left, const char **right, const ent_json *merge);

/* scores (by id, n of them): -1, -2, ... for the results of merges in their order, less for all others.
 * ENT_EUNSUPPORTED if merging by these scores isn't merging by the list; of runs of spaces, a note says so. */
ent_status ent_gguf_scores(float *scores, size_t n, ent_text *notes, const ent_json *model,
                           const ent_tokenizer *tokenizer, const char *path);

#endif
