#define PCRE2_CODE_UNIT_WIDTH 8
#include "src/text/module_pattern.h"

#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"

enum { MOST_STEPS = 100000, LONGEST = 1000 };

/* Names of modules are ASCII, so that classes of letters and digits are the same with and without Unicode. */
static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static size_t digits(const char *s)
{
    return strspn(s, "0123456789");
}

/* The length of what a backslash begins; 0: not understood. */
static size_t escape(const char *s)
{
    return s[1] && strchr("dDwWsS.-()[]{}|*+?^$\\", s[1]) ? 2 : 0;
}

/* "[...]" of letters, digits, points, ranges and \d, \w. */
static size_t class(const char *s)
{
    size_t i = 1 + (s[1] == '^');
    const size_t first = i;
    while (s[i] != ']') {
        if (s[i] == '\\' && s[i + 1] && strchr("dw.", s[i + 1])) {
            i += 2;
        } else if (is_word(s[i]) || s[i] == '.') {
            i += s[i] != '.' && s[i + 1] == '-' && is_word(s[i + 2]) ? 3 : 1;
        } else {
            return 0;
        }
    }
    return i > first ? i + 1 : 0;
}

/* "*", "+", "?", "{2}", "{2,}" or "{2,5}", and "?" behind it. */
static size_t quantifier(const char *s)
{
    size_t i = 1;
    if (*s == '{') {
        const size_t low = digits(s + i);
        i += low;
        i += s[i] == ',' ? 1 + digits(s + i + 1) : 0;
        if (low == 0 || s[i++] != '}')
            return 0;
    }
    return i + (s[i] == '?');
}

/* Where the first thing stands that isn't understood; NULL: nowhere. */
static const char *stranger(const char *key)
{
    const char *s = key;
    size_t depth = 0;
    bool atom = false; /* before: something that can be repeated */
    if (*s == '\0' || strlen(s) > LONGEST)
        return s;
    while (*s) {
        size_t n = 1;
        if (*s == '(') {
            depth++;
            n = s[1] == '?' ? (s[2] == ':' ? 3 : 0) : 1;
            atom = false;
        } else if (*s == ')') {
            n = depth > 0;
            depth -= n;
            atom = true;
        } else if (strchr("*+?{", *s)) {
            n = atom ? quantifier(s) : 0;
            atom = false;
        } else if (strchr("|^$", *s)) {
            atom = false;
        } else {
            n = *s == '[' ? class(s) : *s == '\\' ? escape(s) : is_word(*s) || *s == '.' || *s == '-';
            atom = true;
        }
        if (n == 0)
            return s;
        s += n;
    }
    return depth ? s : NULL;
}

static ent_status compile(pcre2_code **out, const char *key, const char *where)
{
    int error = 0;
    PCRE2_SIZE offset = 0;
    PCRE2_UCHAR why[128] = "";
    char *text;
    ENT_TRY(ent_format(&text, "(.*\\.)?(%s)$", key));
    *out = pcre2_compile((PCRE2_SPTR)text, strlen(text), PCRE2_ANCHORED, &error, &offset, NULL);
    free(text);
    if (*out)
        return ENT_OK;
    pcre2_get_error_message(error, why, sizeof why);
    return ent_fail(ENT_EUNSUPPORTED, "%s: pattern \"%.200s\": %s", where, key, (const char *)why);
}

ent_status ent_module_pattern_check(const char *key, const char *where)
{
    const char *at = stranger(key);
    pcre2_code *code;
    if (at)
        return ent_fail(ENT_EUNSUPPORTED,
                        "%s: pattern \"%.200s\": not supported from \"%.20s\" on: expected a module's name, or an "
                        "expression of letters, digits, . - _ ( ) | [ ] * + ? { } ^ $ \\d \\w \\s",
                        where, key, at);
    ENT_TRY(compile(&code, key, where));
    pcre2_code_free(code);
    return ENT_OK;
}

ent_status ent_module_pattern_takes(bool *out, const char *key, const char *module)
{
    pcre2_code *code;
    ENT_TRY(compile(&code, key, "a module's pattern"));
    pcre2_match_data *data = pcre2_match_data_create_from_pattern(code, NULL);
    pcre2_match_context *context = pcre2_match_context_create(NULL);
    int got = PCRE2_ERROR_NOMEMORY;
    if (data && context) {
        pcre2_set_match_limit(context, MOST_STEPS);
        got = pcre2_match(code, (PCRE2_SPTR)module, strlen(module), 0, 0, data, context);
    }
    pcre2_match_context_free(context);
    pcre2_match_data_free(data);
    pcre2_code_free(code);
    *out = got >= 0;
    if (got >= 0 || got == PCRE2_ERROR_NOMATCH)
        return ENT_OK;
    if (got == PCRE2_ERROR_NOMEMORY)
        return ent_fail(ENT_ENOMEM, "out of memory: a module's pattern");
    return ent_fail(ENT_EUNSUPPORTED, "pattern \"%.200s\": takes too long to compare with %s", key, module);
}
