/* Text, tags and tokens of a template. */
#include <string.h>

#include "src/text/jinja_parts.h"
#include "src/text/parts.h"

static bool is_blank(char c)
{
    return ent_jspace((unsigned char)c);
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static bool starts(const ent_jparser *p, size_t at, const char *s)
{
    return p->n - at >= strlen(s) && memcmp(p->text + at, s, strlen(s)) == 0;
}

/* After a tag's end: "-" takes all white space that follows, a block or comment else one newline (trim_blocks). */
static void skip_after(ent_jparser *p, bool minus, bool plus, bool variable)
{
    while (minus && p->at < p->n && is_blank(p->text[p->at]))
        p->at++;
    if (!minus && !plus && !variable && p->at < p->n && p->text[p->at] == '\n')
        p->at++;
}

static ent_status skip_comment(ent_jparser *p)
{
    const char *end = NULL;
    for (size_t i = p->at; i + 1 < p->n && end == NULL; i++)
        if (starts(p, i, "#}"))
            end = p->text + i;
    if (end == NULL)
        return ent_jparser_fail(p, "a comment has no end");
    const char sign = end > p->text + p->at ? end[-1] : 0;
    p->at = (size_t)(end - p->text) + 2;
    skip_after(p, sign == '-', sign == '+', false);
    return ENT_OK;
}

/* The end of the text [begin, end) before a tag: without its white space ("-"), or without the blanks that stand
 * between the start of the line and a block (lstrip_blocks). */
static size_t text_end(const ent_jparser *p, size_t begin, size_t end, char sign, bool variable)
{
    size_t e = end;
    while (sign == '-' && e > begin && is_blank(p->text[e - 1]))
        e--;
    if (sign == '-' || sign == '+' || variable)
        return e;
    while (e > begin && is_blank(p->text[e - 1]) && p->text[e - 1] != '\n')
        e--;
    const bool line_start = e == 0 || p->text[e - 1] == '\n';
    return line_start ? e : end;
}

ent_status ent_jlex_text(ent_jparser *p, ent_jvalue *text, char *tag)
{
    const size_t begin = p->at;
    size_t open = begin;
    while (open < p->n && !(p->text[open] == '{' && open + 1 < p->n && strchr("{%#", p->text[open + 1])))
        open++;
    *text = (ent_jvalue){.kind = ENT_J_STRING, .s = p->text + begin, .n = open - begin};
    *tag = 0;
    p->at = open;
    if (open == p->n)
        return ENT_OK;
    *tag = p->text[open + 1];
    const char sign = open + 2 < p->n ? p->text[open + 2] : 0;
    text->n = text_end(p, begin, open, sign, *tag == '{') - begin;
    p->at = open + 2 + (*tag != '#' && (sign == '-' || sign == '+'));
    p->close = *tag == '{' ? "}}" : "%}";
    p->braces = 0;
    return *tag == '#' ? skip_comment(p) : ent_jlex_next(p);
}

/* The character of a backslash and what follows it; *n its bytes. */
static ent_status read_escape(ent_jparser *p, char out[4], size_t *n)
{
    static const char letters[] = "n\nt\tr\r\\\\''\"\"";
    const char c = p->at < p->n ? p->text[p->at] : 0;
    uint32_t code = 0;
    for (size_t i = 0; c && letters[i]; i += 2)
        if (letters[i] == c) {
            out[0] = letters[i + 1];
            *n = 1;
            p->at++;
            return ENT_OK;
        }
    const size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : 0;
    for (size_t i = 1; i <= digits; i++) {
        static const char hex[] = "0123456789abcdef0123456789ABCDEF";
        const char *digit = p->at + i < p->n && p->text[p->at + i] ? strchr(hex, p->text[p->at + i]) : NULL;
        if (digit == NULL)
            return ent_jparser_fail(p, "\\%c needs %zu hexadecimal digits", c, digits);
        code = code << 4 | (uint32_t)((digit - hex) & 15);
    }
    if (digits == 0 || code == 0 || (code >= 0xd800 && code < 0xe000))
        return ent_jparser_fail(p, "the escape \\%.1s is not supported", c > ' ' && c < 127 ? &p->text[p->at] : "");
    *n = ent_utf8_put(out, code);
    p->at += 1 + digits;
    return ENT_OK;
}

static ent_status read_string(ent_jparser *p)
{
    const char quote = p->text[p->at++];
    char *s;
    size_t end = p->at, n = 0;
    while (end < p->n && p->text[end] != quote)
        end += p->text[end] == '\\' ? 2 : 1;
    if (end >= p->n)
        return ent_jparser_fail(p, "a string has no end");
    ENT_TRY(ent_arena_alloc(&s, p->jinja->arena, 2 * (end - p->at) + 4)); /* \x80 becomes two bytes of four */
    while (p->at < end) {
        size_t step = 1;
        if (p->text[p->at] == '\\') {
            p->at++;
            ENT_TRY(read_escape(p, s + n, &step));
        } else {
            s[n] = p->text[p->at++];
        }
        n += step;
    }
    p->at = end + 1;
    p->token.kind = ENT_J_QUOTED;
    p->token.value = (ent_jvalue){.kind = ENT_J_STRING, .s = s, .n = n};
    return ENT_OK;
}

static ent_status read_word(ent_jparser *p)
{
    const size_t begin = p->at;
    char *s;
    while (p->at < p->n && is_word(p->text[p->at]))
        p->at++;
    const size_t n = p->at - begin;
    if (p->text[begin] >= '0' && p->text[begin] <= '9') {
        int64_t value = 0;
        for (size_t i = begin; i < p->at; i++) {
            if (!(p->text[i] >= '0' && p->text[i] <= '9') || n > 9)
                return ent_jparser_fail(p, "the number %.*s is not supported", n < 20 ? (int)n : 20, p->text + begin);
            value = value * 10 + (p->text[i] - '0');
        }
        p->token = (ent_jtoken){.kind = ENT_J_NUMBER, .value = ent_jint(value)};
        return ENT_OK;
    }
    ENT_TRY(ent_arena_alloc(&s, p->jinja->arena, n + 1));
    memcpy(s, p->text + begin, n);
    s[n] = 0;
    p->token = (ent_jtoken){.kind = ENT_J_WORD, .value = {.kind = ENT_J_STRING, .s = s, .n = n}};
    return ENT_OK;
}

ent_status ent_jlex_next(ent_jparser *p)
{
    static const char *const ops[] = {"//", "**", "==", "!=", "<=", ">=", "<", ">", "=", "+", "-", "*", "/",
                                      "%",  "~",  "(",  ")",  "[",  "]",  "{", "}", ",", ".", ":", "|"};
    while (p->at < p->n && is_blank(p->text[p->at]))
        p->at++;
    if (p->at == p->n)
        return ent_jparser_fail(p, "a tag has no end");
    const char c = p->text[p->at];
    const bool sign = c == '-' || (c == '+' && *p->close == '%');
    if (p->braces == 0 && starts(p, p->at + sign, p->close)) {
        p->at += sign + 2u;
        skip_after(p, c == '-', c == '+', *p->close == '}');
        p->token = (ent_jtoken){.kind = ENT_J_CLOSE};
        return ENT_OK;
    }
    if (c == '\'' || c == '"')
        return read_string(p);
    if (is_word(c))
        return read_word(p);
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        if (!starts(p, p->at, ops[i]))
            continue;
        p->token = (ent_jtoken){.kind = ENT_J_OP};
        strcpy(p->token.op, ops[i]);
        p->at += strlen(ops[i]);
        p->braces += c == '{';
        p->braces -= c == '}' && p->braces;
        return ENT_OK;
    }
    return ent_jparser_fail(p, "\"%.1s\" is not supported", c > ' ' && c < 127 ? p->text + p->at : "?");
}

bool ent_jlex_is(const ent_jparser *p, const char *s)
{
    return (p->token.kind == ENT_J_OP && strcmp(p->token.op, s) == 0) ||
           (p->token.kind == ENT_J_WORD && strcmp(p->token.value.s, s) == 0);
}
