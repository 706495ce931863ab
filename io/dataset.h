/* Training data: a JSONL file as units, tokenised once, kept in a cache file and mapped from there.
 *
 * Lines are objects of one of five kinds; the first line decides, every other must be of the same kind:
 *   {"messages": [{"role", "content"}, ...]}        rendered by the model's chat template (src/text/chat.h)
 *   {"input_ids": [...], "labels": [...]}           as they are; without labels all ids are targets
 *   {"instruction", "input", "output"}              Alpaca's prompt; input may be absent or empty
 *   {"prompt", "completion"}                        one text; what belongs to both is completion
 *   {"text"}
 * A line that fits several is of the kind that stands first here; other members are metadata and not read. Documents of
 * the last three kinds begin as the tokenizer's template says (BOS) and end with the model's EOS token.
 */
#ifndef ENT_IO_DATASET_H
#define ENT_IO_DATASET_H

#include <stdbool.h>
#include <stddef.h>

#include "src/base/status.h"
#include "src/text/dataset.h"
#include "src/text/tokenizer.h"

typedef struct ent_dataset ent_dataset;

typedef struct ent_dataset_options {
    size_t seq_len;    /* tokens of a unit, at least 2 */
    size_t vocab_size; /* the model's: every id is below */
    bool mask_prompt;  /* only completions, outputs and assistant turns are targets */
    bool packing;
    const ent_tokenizer *tokenizer; /* NULL: only input_ids can be read */
    const char *tokenizer_path;     /* its tokenizer.json, part of what decides the tokens: needed with cache_dir */
    const char *model_folder;       /* where EOS and the chat template stand; NULL: there are none */
    const char *chat_template;      /* a file that stands for the model's; NULL: none */
    const char *cache_dir;          /* made when needed, in a folder that is there; NULL: units stay in memory */
    bool (*stop)(void);             /* asked before each line that is tokenised; yes: ENT_ESTOPPED. NULL: never */
} ent_dataset_options;

/* Opens a JSONL file; close with ent_dataset_close. A cache file is used if its digest fits, and otherwise made anew;
 * two processes may do that at the same time. ENT_EFORMAT "FILE:LINE: ..." for a line that is not as it should be, a
 * file without rows or without targets; ENT_EUNSUPPORTED for a chat template that cannot be rendered; ENT_EIO. */
ent_status ent_dataset_open(ent_dataset **out, const char *path, const ent_dataset_options *options);
void ent_dataset_close(ent_dataset *dataset);

/* Appends the documents of a JSONL file to *out as they are before packing: document d is line d + 1. Nothing is kept
 * in cache_dir. Free with ent_corpus_free. Errors as above, but rows need not have targets. */
ent_status ent_dataset_read(ent_corpus *out, const char *path, const ent_dataset_options *options);

size_t ent_dataset_units(const ent_dataset *dataset);
const ent_dataset_counts *ent_dataset_counts_of(const ent_dataset *dataset);

/* SHA-256 (hexadecimal) of the units: equal for equal tokens, targets and documents. */
const char *ent_dataset_digest(const ent_dataset *dataset);

/* Whether the units came from a cache file that was there already. */
bool ent_dataset_was_cached(const ent_dataset *dataset);

/* One line for the user about a cache file that was damaged and has been made anew; NULL if there was none. */
const char *ent_dataset_note(const ent_dataset *dataset);

/* *out = unit i < ent_dataset_units; its arrays are borrowed from the dataset. */
void ent_dataset_unit(ent_unit *out, const ent_dataset *dataset, size_t i);

#endif
