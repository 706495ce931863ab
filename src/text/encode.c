#include <stdlib.h>

#include "src/text/parts.h"

typedef struct encoder {
    ent_ids *out;
    const ent_tokenizer *tokenizer;
    ent_bytes normal;
    ent_pieces pieces, next;
    ent_regex_parts parts;
    ent_bpe_scratch bpe;
} encoder;

static void close_encoder(encoder *e)
{
    ent_bytes_free(&e->normal);
    ent_pieces_free(&e->pieces);
    ent_pieces_free(&e->next);
    free(e->parts.parts);
    ent_bpe_scratch_free(&e->bpe);
}

/* Text without added tokens, normalized: pre-tokenizers, then the model, word by word. */
static ent_status encode_plain(encoder *e, const char *text, size_t n, bool at_start)
{
    const ent_steps *steps = &e->tokenizer->pre_tokenizers;
    if (n == 0)
        return ENT_OK;
    if (steps->count == 0)
        return ent_bpe_word(e->out, e->tokenizer, text, n, &e->bpe);
    e->pieces.text.limit = e->next.text.limit = e->normal.limit;
    ent_pieces_clear(&e->pieces);
    e->pieces.at_start = at_start;
    ENT_TRY(ent_pieces_add(&e->pieces, text, n));
    for (size_t i = 0; i < steps->count; i++) {
        ENT_TRY(ent_pretokenize(&e->next, &e->pieces, &steps->steps[i], &e->parts));
        const ent_pieces swap = e->pieces;
        e->pieces = e->next;
        e->next = swap;
    }
    for (size_t i = 0; i < e->pieces.count; i++) {
        size_t n_word;
        const char *word = ent_pieces_at(&n_word, &e->pieces, i);
        ENT_TRY(ent_bpe_word(e->out, e->tokenizer, word, n_word, &e->bpe));
    }
    return ENT_OK;
}

/* Text between added tokens that are looked for before normalization. */
static ent_status encode_segment(encoder *e, const char *text, size_t n, bool at_start)
{
    e->normal.n = 0;
    ENT_TRY(ent_normalize(&e->normal, e->tokenizer, text, n));
    for (size_t from = 0; from < e->normal.n;) {
        const ent_added_match m =
            ent_added_find(e->tokenizer, &e->tokenizer->normal, e->normal.data, e->normal.n, from);
        ENT_TRY(encode_plain(e, e->normal.data + from, m.start - from, at_start && from == 0));
        if (m.id >= 0)
            ENT_TRY(ent_ids_push(e->out, m.id));
        from = m.end;
    }
    return ENT_OK;
}

static ent_status push_all(ent_ids *out, const ent_ids *ids)
{
    for (size_t i = 0; i < ids->count; i++)
        ENT_TRY(ent_ids_push(out, ids->ids[i]));
    return ENT_OK;
}

static ent_status check_text(const char *text, size_t n)
{
    bool valid;
    if (n >= INT32_MAX)
        return ent_fail(ENT_EINVAL, "a text of %zu bytes is too long: at most 2^31 - 2", n);
    for (size_t i = 0; i < n;) {
        const size_t length = ent_utf8_step(&valid, text + i, n - i);
        if (!valid)
            return ent_fail(ENT_EINVAL, "a text is not UTF-8 at byte %zu", i);
        i += length;
    }
    return ENT_OK;
}

ent_status ent_tokenizer_encode(ent_ids *out, const ent_tokenizer *tokenizer, const char *text, size_t n, bool special)
{
    encoder e = {.out = out, .tokenizer = tokenizer};
    const size_t before = out->count;
    ent_status st = ENT_OK;
    ENT_TRY(check_text(text, n));
    if (special)
        ENT_GO(push_all(out, &tokenizer->prefix));
    for (size_t from = 0; from < n;) {
        const ent_added_match m = ent_added_find(tokenizer, &tokenizer->raw, text, n, from);
        ENT_GO(encode_segment(&e, text + from, m.start - from, from == 0));
        if (m.id >= 0)
            ENT_GO(ent_ids_push(out, m.id));
        from = m.end;
    }
    if (special)
        ENT_GO(push_all(out, &tokenizer->suffix));
done:
    close_encoder(&e);
    if (st != ENT_OK)
        out->count = before;
    return st;
}
