/* Patterns of tokenizers are written for Oniguruma (Ruby's syntax), matching is PCRE2's. This file passes what means
 * the same in both, rewrites what can be written otherwise (\s, \w and \v differ), and refuses the rest by name: a
 * pattern that is understood differently would change ids silently.
 */
#include <stdio.h>
#include <string.h>

#include "src/text/parts.h"

/* Oniguruma's \w: letters, marks, digits, connectors; and, but for inside a class, six numbers of Latin-1. */
#define CLASS_WORD "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}"
#define WORD CLASS_WORD "\\x{b2}\\x{b3}\\x{b9}\\x{bc}-\\x{be}"

typedef struct reader {
    const char *pattern;
    size_t n, i;
    bool in_class;
    const char *place;
    ent_bytes *out;
} reader;

static ent_status refuse(const reader *r, const char *what)
{
    return ent_fail(ENT_EUNSUPPORTED, "%s: %s at byte %zu of the pattern is not supported", r->place, what, r->i);
}

static ent_status put(reader *r, const char *s)
{
    return ent_bytes_put(r->out, s, strlen(s));
}

/* Copies the next `n` bytes. */
static ent_status pass(reader *r, size_t n)
{
    ENT_TRY(ent_bytes_put(r->out, r->pattern + r->i, n));
    r->i += n;
    return ENT_OK;
}

static char peek(const reader *r, size_t ahead)
{
    return r->i + ahead < r->n ? r->pattern[r->i + ahead] : 0;
}

/* \p{NAME} and \P{NAME}: general categories; anything else is taken for a script, by the property Script, for PCRE2
 * would take Script_Extensions. */
static ent_status property(reader *r)
{
    char text[64];
    bool negated = peek(r, 1) == 'P';
    size_t start = r->i + 3, end = start;
    if (peek(r, 2) != '{')
        return refuse(r, "\\p without braces");
    if (peek(r, 3) == '^') {
        negated = !negated;
        start++;
    }
    while (end < r->n && r->pattern[end] != '}')
        end++;
    const size_t n = end > start ? end - start : 0;
    if (end == r->n || n == 0 || n > 40)
        return refuse(r, "this \\p{...}");
    for (size_t i = start; i < end; i++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_", r->pattern[i]) || !r->pattern[i])
            return refuse(r, "this \\p{...}");
    const bool is_category = n <= 2 && strchr("CLMNPSZ", r->pattern[start]);
    snprintf(text, sizeof text, "\\%c{%s%.*s}", negated ? 'P' : 'p', is_category ? "" : "sc:", (int)n,
             r->pattern + start);
    r->i = end + 1;
    return put(r, text);
}

/* \uHHHH */
static ent_status code_point(reader *r)
{
    char text[16];
    for (size_t i = 2; i < 6; i++)
        if (peek(r, i) == 0 || !strchr("0123456789abcdefABCDEF", peek(r, i)))
            return refuse(r, "this \\u");
    snprintf(text, sizeof text, "\\x{%.4s}", r->pattern + r->i + 2);
    r->i += 6;
    return put(r, text);
}

static ent_status escape(reader *r)
{
    static const struct {
        char name;
        const char *text, *in_class; /* NULL: not supported there */
    } rewritten[] = {
        {'s', "\\p{WSpace}", "\\p{WSpace}"}, /* PCRE2's \s has U+180E too */
        {'S', "\\P{WSpace}", "\\P{WSpace}"}, {'d', "\\p{Nd}", "\\p{Nd}"},
        {'D', "\\P{Nd}", "\\P{Nd}"},         {'w', "[" WORD "]", CLASS_WORD},
        {'W', "[^" WORD "]", NULL},          {'v', "\\x{b}", "\\x{b}"}, /* PCRE2's \v is any vertical space */
    };
    const char c = peek(r, 1);
    if (c == 'p' || c == 'P')
        return property(r);
    if (c == 'u')
        return code_point(r);
    for (size_t i = 0; i < sizeof rewritten / sizeof *rewritten; i++)
        if (c == rewritten[i].name) {
            const char *text = r->in_class ? rewritten[i].in_class : rewritten[i].text;
            if (text == NULL)
                break;
            r->i += 2;
            return put(r, text);
        }
    if (c && strchr("nrtf!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~ ", c))
        return pass(r, 2);
    return refuse(r, "this escape");
}

/* Groups without a name or a change of meaning. */
static ent_status group(reader *r)
{
    static const char *const known[] = {"(?:", "(?i:", "(?-i:", "(?=", "(?!", "(?<=", "(?<!", "(?>"};
    if (peek(r, 1) == '*')
        return refuse(r, "\"(*\"");
    if (peek(r, 1) != '?')
        return pass(r, 1);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const size_t n = strlen(known[i]);
        if (r->n - r->i >= n && memcmp(r->pattern + r->i, known[i], n) == 0)
            return pass(r, n);
    }
    return refuse(r, "this kind of group");
}

/* {n}, {n,} or {n,m}; what follows may be read in different ways: a{2}? is an optional a{2} for one, lazy for the
 * other. */
static ent_status interval(reader *r)
{
    size_t n = 1, digits = 0, commas = 0;
    for (; peek(r, n) && strchr("0123456789,", peek(r, n)); n++) {
        commas += peek(r, n) == ',';
        digits += peek(r, n) != ',' && commas == 0;
    }
    if (peek(r, n) != '}' || digits == 0 || commas > 1)
        return refuse(r, "this \"{\"");
    const char after = peek(r, n + 1);
    if (after == '+' || (after == '?' && commas == 0))
        return refuse(r, "this repeated repetition");
    return pass(r, n + 1);
}

static ent_status open_class(reader *r)
{
    ENT_TRY(pass(r, peek(r, 1) == '^' ? 2 : 1));
    r->in_class = true;
    return peek(r, 0) == ']' ? refuse(r, "\"]\" at the start of a class") : ENT_OK;
}

ent_status ent_regex_translate(ent_bytes *out, const char *pattern, size_t n, const char *place)
{
    reader r = {.pattern = pattern, .n = n, .place = place, .out = out};
    while (r.i < r.n) {
        const char c = peek(&r, 0);
        if (c == '\\') {
            ENT_TRY(escape(&r));
        } else if (r.in_class) {
            if (c == '[')
                return refuse(&r, "\"[\" inside a class");
            if (c == '&' && peek(&r, 1) == '&')
                return refuse(&r, "\"&&\" inside a class");
            r.in_class = c != ']';
            ENT_TRY(pass(&r, 1));
        } else if (c == '[') {
            ENT_TRY(open_class(&r));
        } else if (c == '(') {
            ENT_TRY(group(&r));
        } else if (c == '{') {
            ENT_TRY(interval(&r));
        } else {
            ENT_TRY(pass(&r, 1));
        }
    }
    return ENT_OK;
}
