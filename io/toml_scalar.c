#include "io/toml_scalar.h"

#include <stdlib.h>
#include <string.h>

#include "io/number.h"
#include "src/base/mem.h"

static const char digit[] = "0123456789";

/* The length of digits with a single _ between any two; 0: there are none. */
static size_t digits_length(const char *s)
{
    size_t n = strspn(s, digit);
    while (n > 0 && s[n] == '_' && strspn(s + n + 1, digit) > 0)
        n += 1 + strspn(s + n + 1, digit);
    return n;
}

/* The length of a number at `s`; 0: there is none. */
static size_t number_length(const char *s, bool *whole)
{
    size_t i = *s == '+' || *s == '-';
    const size_t before = digits_length(s + i);
    if (before == 0 || (s[i] == '0' && before > 1))
        return 0;
    i += before;
    *whole = true;
    if (s[i] == '.') {
        const size_t after = digits_length(s + i + 1);
        if (after == 0)
            return 0;
        i += 1 + after;
        *whole = false;
    }
    if (s[i] == 'e' || s[i] == 'E') {
        i += s[i + 1] == '+' || s[i + 1] == '-' ? 2 : 1;
        const size_t exponent = digits_length(s + i);
        if (exponent == 0)
            return 0;
        i += exponent;
        *whole = false;
    }
    return i;
}

/* Says what a word is that is no number of ours; NULL: nothing of TOML. */
static const char *other_scalar(const char *word)
{
    const char *unsigned_word = word + (*word == '+' || *word == '-');
    if (strcmp(unsigned_word, "inf") == 0 || strcmp(unsigned_word, "nan") == 0)
        return "inf and nan are";
    if (word[0] == '0' && word[1] && strchr("xob", word[1]))
        return "hexadecimal, octal and binary numbers are";
    const size_t n = strspn(word, digit);
    if ((n == 4 && word[4] == '-') || (n == 2 && word[2] == ':'))
        return "dates and times are";
    return NULL;
}

ent_status ent_toml_read_scalar(ent_toml *node, const char *word, const char *where, size_t line)
{
    bool whole;
    const size_t n = number_length(word, &whole);
    if (strcmp(word, "true") == 0 || strcmp(word, "false") == 0) {
        node->kind = ENT_TOML_BOOL;
        node->truth = *word == 't';
        return ENT_OK;
    }
    if (n == 0 || word[n]) {
        const char *other = other_scalar(word);
        if (other)
            return ent_fail(ENT_EUNSUPPORTED, "%s:%zu: %s: %s not supported", where, line, node->key, other);
        return ent_fail(ENT_EFORMAT, "%s:%zu: %s: expected a value, found %s", where, line, node->key, word);
    }
    char *plain;
    size_t length = 0;
    ENT_TRY(ent_strdup(&node->text, word));
    ENT_TRY(ent_strdup(&plain, word));
    for (const char *c = word; *c; c++)
        if (*c != '_')
            plain[length++] = *c;
    plain[length] = 0;
    node->kind = whole ? ENT_TOML_INT : ENT_TOML_FLOAT;
    const bool fits =
        (!whole || ent_number_read_int(&node->integer, plain)) && ent_number_read_double(&node->number, plain);
    free(plain);
    return fits ? ENT_OK : ent_fail(ENT_EFORMAT, "%s:%zu: %s: %s is out of range", where, line, node->key, word);
}
