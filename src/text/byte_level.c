/* GPT-2's bytes_to_unicode: printable bytes stand for themselves; the other 68, in order, are U+0100, U+0101, ... */
#include "src/text/parts.h"

enum { FIRST_STAND_IN = 0x100, N_STAND_INS = 68 };

static bool is_printable(unsigned b)
{
    return (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
}

/* Which of the unprintable bytes b is. */
static unsigned stand_in_index(unsigned b)
{
    return b <= 0x20 ? b : b <= 0xa0 ? b - 0x7f + 0x21 : N_STAND_INS - 1;
}

/* The byte that a character stands for, or -1. */
static int character_byte(uint32_t c)
{
    if (c < 0x100)
        return is_printable(c) ? (int)c : -1;
    const uint32_t i = c - FIRST_STAND_IN;
    return i >= N_STAND_INS ? -1 : i <= 0x20 ? (int)i : i < N_STAND_INS - 1 ? (int)(i - 0x21 + 0x7f) : 0xad;
}

ent_status ent_byte_level_put(ent_bytes *out, const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const unsigned b = (unsigned char)s[i];
        char bytes[4];
        ENT_TRY(
            ent_bytes_put(out, bytes, ent_utf8_put(bytes, is_printable(b) ? b : FIRST_STAND_IN + stand_in_index(b))));
    }
    return ENT_OK;
}

/* A token's bytes; one with a character that stands for no byte is taken literally. */
static ent_status put_token(ent_bytes *out, const char *s, size_t n)
{
    const size_t before = out->n;
    bool valid;
    for (size_t i = 0, length; i < n; i += length) {
        length = ent_utf8_step(&valid, s + i, n - i);
        const int byte = valid ? character_byte(ent_utf8_get(s + i, length)) : -1;
        const char c = (char)byte;
        if (byte < 0) {
            out->n = before;
            return ent_bytes_put(out, s, n);
        }
        ENT_TRY(ent_bytes_put(out, &c, 1));
    }
    return ENT_OK;
}

ent_status ent_byte_level_decode(ent_pieces *out, const ent_pieces *in)
{
    ent_bytes bytes = {0};
    ent_status st = ENT_OK;
    size_t n;
    bool valid;
    for (size_t i = 0; i < in->count; i++) {
        const char *s = ent_pieces_at(&n, in, i);
        ENT_GO(put_token(&bytes, s, n));
    }
    for (size_t i = 0, length; i < bytes.n; i += length) {
        length = ent_utf8_step(&valid, bytes.data + i, bytes.n - i);
        ENT_GO(valid ? ent_bytes_put(&out->text, bytes.data + i, length)
                     : ent_bytes_put(&out->text, "\xef\xbf\xbd", 3));
    }
    st = ent_pieces_end(out);
done:
    ent_bytes_free(&bytes);
    return st;
}
