#include "trace/pattern.h"

#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"

enum { MAX_LENGTH = 500, MAX_REPEATS = 1000 };

struct ent_pattern {
    char *text;
    regex_t regex;
};

/* Whether its repetitions ask for few copies: the C library makes a copy of what is repeated for each of {n}, and one
 * more for +, and of those again when they are nested. */
static bool repeats_little(const char *text)
{
    unsigned long product = 1;
    for (const char *c = strpbrk(text, "{+"); c; c = strpbrk(c + 1, "{+")) {
        unsigned long bound = *c == '+' && c > text && strchr(")+*?}", c[-1]) ? 2 : 1;
        for (const char *d = c + 1; *c == '{' && strspn(d, "0123456789,") > 0;) {
            const unsigned long n = strtoul(d, NULL, 10);
            bound = n > bound ? n : bound;
            d += strspn(d, "0123456789");
            d += *d == ',';
        }
        if (bound > MAX_REPEATS || (product *= bound) > MAX_REPEATS)
            return false;
    }
    return true;
}

ent_status ent_pattern_read(ent_pattern **out, const char *text, const char *where)
{
    char reason[200];
    *out = NULL;
    if (*text == 0)
        return ent_fail(ENT_EFORMAT, "%s: an empty pattern; expected a regular expression", where);
    if (strlen(text) > MAX_LENGTH)
        return ent_fail(ENT_EFORMAT, "%s: a pattern of %zu bytes; at most %d", where, strlen(text), MAX_LENGTH);
    if (!repeats_little(text))
        return ent_fail(ENT_EFORMAT, "%s: pattern %s repeats more than %d times", where, text, MAX_REPEATS);
    ent_pattern *pattern;
    ENT_TRY(ent_calloc(&pattern, 1, sizeof *pattern, "a pattern"));
    const int code = regcomp(&pattern->regex, text, REG_EXTENDED);
    if (code != 0) {
        regerror(code, &pattern->regex, reason, sizeof reason);
        free(pattern);
        return ent_fail(code == REG_ESPACE ? ENT_ENOMEM : ENT_EFORMAT, "%s: pattern %s: %s", where, text, reason);
    }
    const ent_status st = ent_strdup(&pattern->text, text);
    if (st == ENT_OK)
        *out = pattern;
    else
        ent_pattern_free(pattern);
    return st;
}

void ent_pattern_free(ent_pattern *pattern)
{
    if (pattern == NULL)
        return;
    regfree(&pattern->regex);
    free(pattern->text);
    free(pattern);
}

bool ent_pattern_matches(const ent_pattern *pattern, const char *name)
{
    regmatch_t match; /* the leftmost and longest: it is the whole name if anything is */
    return pattern == NULL || (regexec(&pattern->regex, name, 1, &match, 0) == 0 && match.rm_so == 0 &&
                               (size_t)match.rm_eo == strlen(name));
}

const char *ent_pattern_text(const ent_pattern *pattern)
{
    return pattern->text;
}
