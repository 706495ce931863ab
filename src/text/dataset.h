/* From tokenised documents to units, and the order in which units are used.
 *
 * Labels follow transformers: label i is token i, or -100 where the token is not to be learned; the target of position
 * i is label i + 1 of the same document. Attention and targets never cross a document.
 */
#ifndef ENT_TEXT_DATASET_H
#define ENT_TEXT_DATASET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/status.h"
#include "src/text/tokenizer.h"
#include "src/text/unit.h"

enum { ENT_NO_TARGET = -100 };

/* Documents, one after the other. Starts as {0}; free with ent_corpus_free. */
typedef struct ent_corpus {
    ent_ids ids, labels; /* of all documents, equally long */
    size_t *ends;        /* document d ends before token ends[d] */
    size_t n_documents, capacity;
} ent_corpus;

/* Ends the document that was appended to ids and labels. ENT_ENOMEM. */
ent_status ent_corpus_end_document(ent_corpus *corpus);
void ent_corpus_free(ent_corpus *corpus);

/* What became of the documents. `dropped_units`: documents, or pieces of them, that hold no target and are left out
 * before packing, for nothing is learned from them. Truncation happens only with packing off. */
typedef struct ent_dataset_counts {
    uint64_t documents, units, tokens, targets; /* tokens and targets are those of the units */
    uint64_t dropped_units;
    uint64_t truncated_documents, truncated_tokens;
} ent_dataset_counts;

/* Which tokens make which unit. Off: a document is a unit, cut off after seq_len tokens. On: longer documents are cut
 * into pieces of seq_len, each a document of its own, and pieces are put into units of at most seq_len tokens: into the
 * fullest of the last few open units that has room, else into a new one. Depends on nothing but its arguments. */
typedef struct ent_packing {
    struct ent_piece *pieces; /* by unit, in order within a unit */
    size_t n_pieces, capacity;
    ent_dataset_counts counts;
} ent_packing;

/* Free with ent_packing_free, also after a failure: ENT_ENOMEM; ENT_EFORMAT beyond 2^32 - 1 units. */
ent_status ent_packing_plan(ent_packing *out, const ent_corpus *corpus, size_t seq_len, bool packing);
void ent_packing_free(ent_packing *packing);

/* Units in memory or mapped: token t of unit u is at offsets[u] + t. */
typedef struct ent_units {
    uint64_t *offsets;                  /* [units + 1] */
    int32_t *ids, *targets, *doc_start; /* [tokens] */
} ent_units;

/* Fills arrays of the sizes that the plan's counts tell. */
void ent_packing_fill(const ent_units *out, const ent_packing *packing, const ent_corpus *corpus);

/* order[n] = the units of one epoch: a permutation that is a function of (seed, epoch), or 0, 1, 2, ... (Durstenfeld's
 * form of the Fisher-Yates shuffle.) */
void ent_order_fill(uint32_t *order, size_t n, uint64_t seed, uint64_t epoch, bool shuffle);

#endif
