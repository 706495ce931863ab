#include "io/jsonstring.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"

typedef struct reader {
    const char *text, *where;
    size_t n, i;
} reader;

static ent_status fault(const reader *r, const char *what)
{
    return ent_fail(ENT_EFORMAT, "%s: column %zu: %s", r->where, r->i + 1, what);
}

/* *c = the code unit \uHHHH at the reader. */
static ent_status code_unit(uint32_t *c, reader *r)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    *c = 0;
    if (r->n - r->i < 6 || r->text[r->i] != '\\' || r->text[r->i + 1] != 'u')
        return fault(r, "expected \\u and four hexadecimal digits");
    for (size_t k = 2; k < 6; k++) {
        const char *digit = memchr(digits, r->text[r->i + k], sizeof digits - 1);
        if (digit == NULL)
            return fault(r, "expected \\u and four hexadecimal digits");
        *c = *c << 4 | (uint32_t)((digit - digits) & 15);
    }
    r->i += 6;
    return ENT_OK;
}

/* *c = the character \uHHHH or a pair of surrogates. */
static ent_status code_point(uint32_t *c, reader *r)
{
    const size_t start = r->i;
    uint32_t low;
    ENT_TRY(code_unit(c, r));
    if (*c < 0xd800 || *c > 0xdfff)
        return ENT_OK;
    if (*c < 0xdc00 && r->n - r->i >= 6 && r->text[r->i] == '\\' && r->text[r->i + 1] == 'u') {
        ENT_TRY(code_unit(&low, r));
        if (low >= 0xdc00 && low <= 0xdfff) {
            *c = 0x10000 + ((*c - 0xd800) << 10) + (low - 0xdc00);
            return ENT_OK;
        }
    }
    r->i = start;
    return fault(r, "a surrogate without its other half");
}

static size_t put_utf8(char *out, uint32_t c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3f));
        out[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3f));
    out[2] = (char)(0x80 | (c >> 6 & 0x3f));
    out[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

static ent_status escape(char *out, size_t *n, reader *r)
{
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    const char name = r->i + 1 < r->n ? r->text[r->i + 1] : 0;
    uint32_t c;
    if (name == 'u') {
        ENT_TRY(code_point(&c, r));
        *n += put_utf8(out + *n, c);
        return ENT_OK;
    }
    const char *found = name ? strchr(names, name) : NULL;
    if (found == NULL)
        return fault(r, "unknown escape");
    out[(*n)++] = values[found - names];
    r->i += 2;
    return ENT_OK;
}

static void skip_space(reader *r)
{
    while (r->i < r->n && (r->text[r->i] == ' ' || r->text[r->i] == '\t' || r->text[r->i] == '\r'))
        r->i++;
}

/* The characters up to the closing quote; what is written is never longer than what is read. */
static ent_status body(char *out, size_t *n, reader *r)
{
    while (r->i < r->n && r->text[r->i] != '"') {
        if (r->text[r->i] == '\\') {
            ENT_TRY(escape(out, n, r));
            continue;
        }
        if ((unsigned char)r->text[r->i] < 0x20)
            return fault(r, "a control character inside a string");
        const size_t length = ent_utf8_length(r->text + r->i, r->n - r->i);
        if (length == 0)
            return fault(r, "not UTF-8");
        memcpy(out + *n, r->text + r->i, length);
        *n += length;
        r->i += length;
    }
    return r->i < r->n ? ENT_OK : fault(r, "a string without an end");
}

ent_status ent_jsonstring_read(char **out, size_t *n, const char *text, size_t n_text, const char *where)
{
    reader r = {.text = text, .where = where, .n = n_text};
    char *string = NULL;
    ent_status st = ENT_OK;
    *out = NULL;
    *n = 0;
    skip_space(&r);
    if (r.i == r.n || r.text[r.i] != '"')
        return fault(&r, "expected a JSON string");
    r.i++;
    ENT_TRY(ent_calloc(&string, n_text + 1, 1, "a string"));
    ENT_GO(body(string, n, &r));
    r.i++;
    skip_space(&r);
    if (r.i < r.n) {
        st = fault(&r, "something follows the JSON string");
        goto done;
    }
    *out = string;
    string = NULL;
done:
    free(string);
    return st;
}

enum { NONE = 0xffff };

/* A control character, or one that some programs take for the end of a line (U+0085, U+2028, U+2029), at the start of n
 * bytes of UTF-8: its code and bytes; else NONE. */
static unsigned control_at(size_t *bytes, const unsigned char *s, size_t n)
{
    *bytes = 1;
    if (s[0] < 0x20)
        return s[0];
    if (n >= 2 && s[0] == 0xc2 && s[1] < 0xa0) {
        *bytes = 2;
        return s[1];
    }
    if (n >= 3 && s[0] == 0xe2 && s[1] == 0x80 && (s[2] == 0xa8 || s[2] == 0xa9)) {
        *bytes = 3;
        return 0x2000u + (s[2] & 0x3fu);
    }
    return NONE;
}

void ent_jsonstring_put(ent_text *text, const char *s, size_t n)
{
    static const char values[] = "\"\\\b\f\n\r\t", names[] = "\"\\bfnrt";
    size_t plain = 0; /* where what is not yet written starts */
    ent_text_put(text, "\"");
    for (size_t i = 0; i < n; i++) {
        const unsigned char c = (unsigned char)s[i];
        size_t bytes = 1;
        const unsigned control = control_at(&bytes, (const unsigned char *)s + i, n - i);
        if (control == NONE && c != '"' && c != '\\')
            continue;
        const char *found = c ? strchr(values, c) : NULL;
        ent_text_put_n(text, s + plain, i - plain);
        if (found)
            ent_text_printf(text, "\\%c", names[found - values]);
        else
            ent_text_printf(text, "\\u%04x", control);
        i += bytes - 1;
        plain = i + 1;
    }
    ent_text_put_n(text, s + plain, n - plain);
    ent_text_put(text, "\"");
}
