/* The scalars of YAML text: what they are, and how they are written. */
#include "io/yaml.h"

#include <string.h>
#include <strings.h>

#include "io/number.h"

/* Whether `text` is one of `words`, which are separated by spaces: in lower case, Capitalised or in UPPER CASE. */
static bool is_word(const char *text, const char *words)
{
    const size_t n = strlen(text);
    if (n == 0 || (strpbrk(text + 1, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") && strpbrk(text, "abcdefghijklmnopqrstuvwxyz")))
        return false;
    for (const char *word = words; *word; word += strcspn(word, " "), word += *word == ' ')
        if (strcspn(word, " ") == n && strncasecmp(word, text, n) == 0)
            return true;
    return false;
}

/* The length of [-+]? (\. [0-9]+ | [0-9]+ (\. [0-9]*)?) ([eE] [-+]? [0-9]+)?, or [-+]? [0-9]+ if *whole; 0: neither. */
static size_t number_length(const char *s, bool *whole)
{
    static const char digit[] = "0123456789";
    const char *start = s;
    s += *s == '-' || *s == '+';
    const size_t before = strspn(s, digit);
    s += before;
    *whole = *s != '.';
    size_t after = 0;
    if (*s == '.') {
        after = strspn(s + 1, digit);
        s += 1 + after;
    }
    if (before + after == 0)
        return 0;
    if (*s == 'e' || *s == 'E') {
        const char *exponent = s + 1;
        exponent += *exponent == '-' || *exponent == '+';
        if (strspn(exponent, digit) == 0)
            return 0;
        s = exponent + strspn(exponent, digit);
        *whole = false;
    }
    return (size_t)(s - start);
}

ent_yaml_type ent_yaml_type_of(const char *text, bool quoted)
{
    const size_t n = strlen(text);
    bool whole;
    if (quoted)
        return ENT_YAML_STRING;
    if (n == 0 || strcmp(text, "~") == 0 || is_word(text, "null"))
        return ENT_YAML_NULL;
    if (is_word(text, "true false"))
        return ENT_YAML_BOOL;
    if (n > 2 && text[0] == '0' &&
        ((text[1] == 'x' && strspn(text + 2, "0123456789abcdefABCDEF") == n - 2) ||
         (text[1] == 'o' && strspn(text + 2, "01234567") == n - 2)))
        return ENT_YAML_INT;
    if (number_length(text, &whole) == n)
        return whole ? ENT_YAML_INT : ENT_YAML_FLOAT;
    const char *special = text + (*text == '-' || *text == '+');
    if (*special == '.' && (is_word(special + 1, "inf") || (special == text && strcasecmp(text, ".nan") == 0)))
        return ENT_YAML_FLOAT;
    return ENT_YAML_STRING;
}

/* Whether a string may stand without quotes: only what no reader, old or new, takes for something else. */
static bool is_plain(const char *s)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_/";
    static const char others[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_/0123456789.-+@";
    const bool starts = *s && (strchr(letters, *s) || (*s == '.' && (s[1] == '/' || s[1] == '.')));
    return starts && s[strspn(s, others)] == 0 && ent_yaml_type_of(s, false) == ENT_YAML_STRING &&
           !is_word(s, "yes no on off y n");
}

/* Whether YAML has no such character, or takes it for a break of the line. */
static bool needs_escape(unsigned point)
{
    return point < ' ' || (point >= 0x7f && point < 0xa0) || point == 0x2028 || point == 0x2029 || point == 0xfeff ||
           point == 0xfffe || point == 0xffff;
}

void ent_yaml_put_string(ent_text *to, const char *s)
{
    if (is_plain(s)) {
        ent_text_put(to, s);
        return;
    }
    ent_text_put(to, "\"");
    for (size_t n = strlen(s), length; n > 0; s += length, n -= length) {
        static const unsigned first[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
        length = ent_utf8_length(s, n);
        unsigned point = (unsigned char)s[0] & first[length];
        for (size_t i = 1; i < length; i++)
            point = point << 6 | ((unsigned char)s[i] & 0x3f);
        if (length == 0) {
            ent_text_put(to, "\xef\xbf\xbd");
            length = 1;
        } else if (*s == '"' || *s == '\\') {
            ent_text_printf(to, "\\%c", *s);
        } else if (*s == '\n' || *s == '\t') {
            ent_text_put(to, *s == '\n' ? "\\n" : "\\t");
        } else if (needs_escape(point)) {
            ent_text_printf(to, "\\u%04x", point);
        } else {
            ent_text_put_n(to, s, length);
        }
    }
    ent_text_put(to, "\"");
}

void ent_yaml_put_double(ent_text *to, double x, bool short_whole)
{
    ent_number_text number;
    const char *text = ent_number_format(&number, x), *e = strchr(text, 'e');
    const size_t mantissa = e ? (size_t)(e - text) : strlen(text);
    ent_text_put_n(to, text, mantissa);
    if (memchr(text, '.', mantissa) == NULL && (e || !short_whole)) /* readers of YAML 1.1 need a point before an e */
        ent_text_put(to, ".0");
    ent_text_put(to, text + mantissa);
}
