#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"
#include "src/text/parts.h"

/* The byte that a token <0xHH> stands for, or -1. */
static int fallback_byte(const char *s, size_t n)
{
    int value = 0;
    if (n != 6 || memcmp(s, "<0x", 3) != 0 || s[5] != '>')
        return -1;
    for (size_t i = 3; i < 5; i++) {
        const char *digits = "0123456789abcdef0123456789ABCDEF", *digit = s[i] ? strchr(digits, s[i]) : NULL;
        if (digit == NULL)
            return -1;
        value = value * 16 + (int)((digit - digits) & 15);
    }
    return value;
}

/* Bytes in a row: one piece if they are UTF-8, else as many U+FFFD. */
static ent_status put_fallback(ent_pieces *out, ent_bytes *bytes)
{
    bool valid = true;
    if (bytes->n == 0)
        return ENT_OK;
    for (size_t i = 0; i < bytes->n && valid;)
        i += ent_utf8_step(&valid, bytes->data + i, bytes->n - i);
    if (valid)
        ENT_TRY(ent_pieces_add(out, bytes->data, bytes->n));
    for (size_t i = 0; i < bytes->n && !valid; i++)
        ENT_TRY(ent_pieces_add(out, "\xef\xbf\xbd", 3));
    bytes->n = 0;
    return ENT_OK;
}

static ent_status byte_fallback(ent_pieces *out, const ent_pieces *in)
{
    ent_bytes bytes = {0};
    ent_status st = ENT_OK;
    for (size_t i = 0; i < in->count; i++) {
        size_t n;
        const char *s = ent_pieces_at(&n, in, i);
        const int byte = fallback_byte(s, n);
        const char c = (char)byte;
        if (byte >= 0) {
            ENT_GO(ent_bytes_put(&bytes, &c, 1));
            continue;
        }
        ENT_GO(put_fallback(out, &bytes));
        ENT_GO(ent_pieces_add(out, s, n));
    }
    st = put_fallback(out, &bytes);
done:
    ent_bytes_free(&bytes);
    return st;
}

static ent_status strip(ent_pieces *out, const char *s, size_t n, const ent_step *step)
{
    const ent_bytes *c = &step->content;
    for (size_t i = 0; i < step->start && n >= c->n && memcmp(s, c->data, c->n) == 0; i++) {
        s += c->n;
        n -= c->n;
    }
    for (size_t i = 0; i < step->stop && n >= c->n && memcmp(s + n - c->n, c->data, c->n) == 0; i++)
        n -= c->n;
    return ent_pieces_add(out, s, n);
}

static ent_status replace(ent_pieces *out, const char *s, size_t n, const ent_step *step, bool is_first)
{
    static const ent_bytes nothing = {0};
    const bool drop = step->drop_first && is_first;
    ENT_TRY(ent_bytes_put_replaced(&out->text, s, n, &step->pattern, drop ? &nothing : &step->content));
    return ent_pieces_end(out);
}

static ent_status decode_step(ent_pieces *out, const ent_pieces *in, const ent_step *step)
{
    ent_pieces_clear(out);
    if (step->kind == ENT_STEP_BYTE_LEVEL)
        return ent_byte_level_decode(out, in);
    if (step->kind == ENT_STEP_BYTE_FALLBACK)
        return byte_fallback(out, in);
    if (step->kind == ENT_STEP_FUSE)
        return ent_pieces_add(out, in->text.data, in->text.n);
    for (size_t i = 0; i < in->count; i++) {
        size_t n;
        const char *s = ent_pieces_at(&n, in, i);
        ENT_TRY(step->kind == ENT_STEP_STRIP ? strip(out, s, n, step) : replace(out, s, n, step, i == 0));
    }
    return ENT_OK;
}

/* A token's text; of an added one that is looked for after normalization, its normalized text. */
static ent_status put_token(ent_pieces *out, const ent_tokenizer *t, int32_t id)
{
    const ent_token *token = &t->tokens[id];
    if (token->flags & ENT_TOKEN_NORMALIZED)
        for (size_t i = 0; i < t->n_added; i++)
            if (t->added[i].id == id)
                return ent_pieces_add(out, t->added[i].normal.data, t->added[i].normal.n);
    return ent_pieces_add(out, t->texts.data + token->offset, token->n);
}

static ent_status put_tokens(ent_pieces *out, const ent_tokenizer *t, const int32_t *ids, size_t count,
                             bool skip_special)
{
    for (size_t i = 0; i < count; i++) {
        const int32_t id = ids[i];
        if (id < 0 || (size_t)id >= t->n_tokens || t->tokens[id].flags == 0)
            return ent_fail(ENT_EINVAL, "token id %d is not in the vocabulary", id);
        if (skip_special && (t->tokens[id].flags & ENT_TOKEN_SPECIAL))
            continue;
        if (t->decoders.count == 0 && out->count > 0)
            ENT_TRY(ent_bytes_put(&out->text, " ", 1));
        ENT_TRY(put_token(out, t, id));
    }
    return ENT_OK;
}

ent_status ent_tokenizer_decode(char **out, size_t *n, const ent_tokenizer *tokenizer, const int32_t *ids, size_t count,
                                bool skip_special)
{
    ent_pieces pieces = {0}, next = {0};
    ent_status st = ENT_OK;
    *out = NULL;
    *n = 0;
    ENT_GO(put_tokens(&pieces, tokenizer, ids, count, skip_special));
    pieces.text.limit = next.text.limit = ent_bytes_limit(pieces.text.n);
    for (size_t i = 0; i < tokenizer->decoders.count; i++) {
        ENT_GO(decode_step(&next, &pieces, &tokenizer->decoders.steps[i]));
        const ent_pieces swap = pieces;
        pieces = next;
        next = swap;
    }
    ENT_GO(ent_strndup(out, pieces.text.data ? pieces.text.data : "", pieces.text.n));
    *n = pieces.text.n;
done:
    ent_pieces_free(&pieces);
    ent_pieces_free(&next);
    return st;
}
