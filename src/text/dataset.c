#include "src/text/dataset.h"

#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"
#include "src/base/philox.h"

enum { OPEN_UNITS = 64 };

struct ent_piece {
    size_t begin, n; /* tokens of the corpus */
    size_t unit;
};

typedef struct open_units {
    size_t unit[OPEN_UNITS], room[OPEN_UNITS], count;
} open_units;

ent_status ent_corpus_end_document(ent_corpus *corpus)
{
    ENT_TRY(ent_grow(&corpus->ends, &corpus->capacity, corpus->n_documents + 1, sizeof *corpus->ends, "documents"));
    corpus->ends[corpus->n_documents++] = corpus->ids.count;
    return ENT_OK;
}

void ent_corpus_free(ent_corpus *corpus)
{
    ent_ids_free(&corpus->ids);
    ent_ids_free(&corpus->labels);
    free(corpus->ends);
    *corpus = (ent_corpus){0};
}

/* The open unit with the least room that still holds n tokens; OPEN_UNITS if none does. */
static size_t best_fit(const open_units *open, size_t n)
{
    size_t best = OPEN_UNITS;
    for (size_t i = 0; i < open->count; i++)
        if (open->room[i] >= n && (best == OPEN_UNITS || open->room[i] < open->room[best]))
            best = i;
    return best;
}

/* Where a new unit stands among the open ones: at the end, or in the place of the fullest. */
static size_t open_place(open_units *open)
{
    size_t fullest = 0;
    if (open->count < OPEN_UNITS)
        return open->count++;
    for (size_t i = 1; i < OPEN_UNITS; i++)
        if (open->room[i] < open->room[fullest])
            fullest = i;
    return fullest;
}

/* Gives a piece its unit. With packing off, no unit is ever open to a second piece. */
static ent_status place_piece(ent_packing *p, open_units *open, size_t begin, size_t n, size_t seq_len, bool packing)
{
    size_t unit = p->counts.units;
    const size_t place = packing ? best_fit(open, n) : OPEN_UNITS;
    if (place < OPEN_UNITS) {
        unit = open->unit[place];
        open->room[place] -= n;
    } else {
        if (p->counts.units == UINT32_MAX)
            return ent_fail(ENT_EFORMAT, "the data makes more than %u units", UINT32_MAX);
        p->counts.units++;
        if (packing) {
            const size_t at = open_place(open);
            open->unit[at] = unit;
            open->room[at] = seq_len - n;
        }
    }
    ENT_TRY(ent_grow(&p->pieces, &p->capacity, p->n_pieces + 1, sizeof *p->pieces, "pieces of documents"));
    p->pieces[p->n_pieces++] = (struct ent_piece){.begin = begin, .n = n, .unit = unit};
    p->counts.tokens += n;
    return ENT_OK;
}

/* Orders pieces by unit, keeping the order inside of one: a counting sort. */
static ent_status sort_pieces(ent_packing *p)
{
    ent_status st;
    size_t *next = NULL;
    struct ent_piece *sorted = NULL;
    ENT_GO(ent_calloc(&next, p->counts.units + 1, sizeof *next, "units"));
    ENT_GO(ent_calloc(&sorted, p->n_pieces, sizeof *sorted, "pieces of documents"));
    for (size_t i = 0; i < p->n_pieces; i++)
        next[p->pieces[i].unit + 1]++;
    for (size_t u = 0; u < p->counts.units; u++)
        next[u + 1] += next[u];
    for (size_t i = 0; i < p->n_pieces; i++)
        sorted[next[p->pieces[i].unit]++] = p->pieces[i];
    free(p->pieces);
    p->pieces = sorted;
    p->capacity = p->n_pieces;
    sorted = NULL;
done:
    free(sorted);
    free(next);
    return st;
}

/* Targets of n tokens from `begin` as a document of its own: its first label is nobody's target. */
static size_t count_targets(const ent_corpus *corpus, size_t begin, size_t n)
{
    size_t count = 0;
    for (size_t i = begin + 1; i < begin + n; i++)
        count += corpus->labels.ids[i] != ENT_NO_TARGET;
    return count;
}

ent_status ent_packing_plan(ent_packing *out, const ent_corpus *corpus, size_t seq_len, bool packing)
{
    open_units open = {.count = 0};
    *out = (ent_packing){.counts.documents = corpus->n_documents};
    for (size_t d = 0; d < corpus->n_documents; d++) {
        size_t begin = d ? corpus->ends[d - 1] : 0, end = corpus->ends[d];
        if (!packing && end - begin > seq_len) {
            out->counts.truncated_documents++;
            out->counts.truncated_tokens += end - begin - seq_len;
            end = begin + seq_len;
        }
        do {
            const size_t n = end - begin < seq_len ? end - begin : seq_len;
            const size_t targets = count_targets(corpus, begin, n);
            if (targets)
                ENT_TRY(place_piece(out, &open, begin, n, seq_len, packing));
            else
                out->counts.dropped_units++;
            out->counts.targets += targets;
            begin += n;
        } while (begin < end);
    }
    return sort_pieces(out);
}

void ent_packing_free(ent_packing *packing)
{
    free(packing->pieces);
    *packing = (ent_packing){0};
}

void ent_packing_fill(const ent_units *out, const ent_packing *packing, const ent_corpus *corpus)
{
    size_t at = 0, unit_begin = 0;
    for (size_t i = 0; i < packing->n_pieces; i++) {
        const struct ent_piece *piece = &packing->pieces[i];
        if (i == 0 || piece->unit != packing->pieces[i - 1].unit) {
            unit_begin = at;
            out->offsets[piece->unit] = at;
        }
        memcpy(out->ids + at, corpus->ids.ids + piece->begin, piece->n * sizeof *out->ids);
        memcpy(out->targets + at, corpus->labels.ids + piece->begin + 1, (piece->n - 1) * sizeof *out->targets);
        out->targets[at + piece->n - 1] = ENT_NO_TARGET;
        for (size_t t = 0; t < piece->n; t++)
            out->doc_start[at + t] = (int32_t)(at - unit_begin);
        at += piece->n;
    }
    out->offsets[packing->counts.units] = at;
}

void ent_order_fill(uint32_t *order, size_t n, uint64_t seed, uint64_t epoch, bool shuffle)
{
    const ent_rng rng = {.seed = seed, .stream = ENT_STREAM_SHUFFLE, .step = (uint32_t)epoch};
    for (size_t i = 0; i < n; i++)
        order[i] = (uint32_t)i;
    for (size_t i = n; shuffle && i > 1; i--) {
        const uint32_t j = ent_random_below(&rng, i, (uint32_t)i);
        const uint32_t swapped = order[i - 1];
        order[i - 1] = order[j];
        order[j] = swapped;
    }
}
