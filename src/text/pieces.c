#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"
#include "src/text/parts.h"

size_t ent_bytes_limit(size_t n)
{
    enum { TIMES = 256, SMALL = 1 << 16 };
    return n < (SIZE_MAX - SMALL) / TIMES ? n * TIMES + SMALL : SIZE_MAX;
}

ent_status ent_bytes_put(ent_bytes *bytes, const char *s, size_t n)
{
    size_t needed;
    if (n == 0)
        return ENT_OK;
    if (__builtin_add_overflow(bytes->n, n, &needed))
        return ent_fail(ENT_ENOMEM, "out of memory: a text");
    if (bytes->limit && needed > bytes->limit)
        return ent_fail(ENT_EINVAL, "the tokenizer's steps make a text longer than %zu bytes", bytes->limit);
    if (needed > bytes->capacity)
        ENT_TRY(ent_grow(&bytes->data, &bytes->capacity, needed, 1, "a text"));
    memcpy(bytes->data + bytes->n, s, n);
    bytes->n = needed;
    return ENT_OK;
}

void ent_bytes_free(ent_bytes *bytes)
{
    free(bytes->data);
    *bytes = (ent_bytes){0};
}

ent_status ent_bytes_put_replaced(ent_bytes *out, const char *s, size_t n, const ent_bytes *pattern,
                                  const ent_bytes *content)
{
    const char *found;
    while (n > 0 && pattern->n > 0 && (found = memmem(s, n, pattern->data, pattern->n)) != NULL) {
        const size_t before = (size_t)(found - s);
        ENT_TRY(ent_bytes_put(out, s, before));
        ENT_TRY(ent_bytes_put(out, content->data, content->n));
        s = found + pattern->n;
        n -= before + pattern->n;
    }
    return ent_bytes_put(out, s, n);
}

ent_status ent_pieces_end(ent_pieces *pieces)
{
    if (pieces->count == pieces->capacity)
        ENT_TRY(
            ent_grow(&pieces->ends, &pieces->capacity, pieces->count + 1, sizeof *pieces->ends, "pieces of a text"));
    pieces->ends[pieces->count++] = pieces->text.n;
    return ENT_OK;
}

ent_status ent_pieces_add(ent_pieces *pieces, const char *s, size_t n)
{
    ENT_TRY(ent_bytes_put(&pieces->text, s, n));
    return ent_pieces_end(pieces);
}

const char *ent_pieces_at(size_t *n, const ent_pieces *pieces, size_t i)
{
    const size_t start = i ? pieces->ends[i - 1] : 0;
    *n = pieces->ends[i] - start;
    return *n ? pieces->text.data + start : "";
}

void ent_pieces_clear(ent_pieces *pieces)
{
    pieces->text.n = 0;
    pieces->count = 0;
    pieces->at_start = false;
}

void ent_pieces_free(ent_pieces *pieces)
{
    ent_bytes_free(&pieces->text);
    free(pieces->ends);
    *pieces = (ent_pieces){0};
}

size_t ent_utf8_step(bool *valid, const char *s, size_t n)
{
    const unsigned char *u = (const unsigned char *)s;
    const unsigned char first = u[0];
    *valid = first < 0x80;
    if (first < 0xc2 || first > 0xf4)
        return 1;
    const size_t length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    unsigned char low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;  /* no longer than needed */
    unsigned char high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf; /* no surrogates; up to U+10FFFF */
    for (size_t i = 1; i < length; i++) {
        if (i == n || u[i] < low || u[i] > high)
            return i;
        low = 0x80;
        high = 0xbf;
    }
    *valid = true;
    return length;
}

size_t ent_utf8_put(char out[4], uint32_t c)
{
    const size_t length = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char marks[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = length; i > 1; i--) {
        out[i - 1] = (char)(0x80 | (c & 0x3f));
        c >>= 6;
    }
    out[0] = (char)(marks[length] | c);
    return length;
}

uint32_t ent_utf8_get(const char *s, size_t n)
{
    static const unsigned char masks[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t c = (unsigned char)s[0] & masks[n];
    for (size_t i = 1; i < n; i++)
        c = c << 6 | ((unsigned char)s[i] & 0x3f);
    return c;
}
