#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"
#include "src/text/parts.h"

struct ent_regex {
    pcre2_code *code;
};

enum { JIT_STACK_START = 1 << 15, JIT_STACK_MAX = 1 << 26 };

static ent_status compile(pcre2_code **out, const char *pattern, size_t n, uint32_t options, const char *place)
{
    int error = 0;
    PCRE2_SIZE offset = 0;
    PCRE2_UCHAR text[128] = "";
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    if (context == NULL)
        return ent_fail(ENT_ENOMEM, "out of memory: a pattern");
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    *out = pcre2_compile((PCRE2_SPTR)(n ? pattern : ""), n, options, &error, &offset, context);
    pcre2_compile_context_free(context);
    if (*out == NULL) {
        pcre2_get_error_message(error, text, sizeof text);
        return ent_fail(ENT_EUNSUPPORTED, "%s: pattern \"%.*s\": %s", place, (int)(n < 400 ? n : 400), pattern,
                        (const char *)text);
    }
    pcre2_jit_compile(*out, PCRE2_JIT_COMPLETE); /* without it, matching is slower */
    return ENT_OK;
}

ent_status ent_regex_new(ent_regex **out, const char *pattern, size_t n, bool literal, const char *place)
{
    ent_bytes translated = {0};
    ent_regex *regex = NULL;
    ent_status st = ENT_OK;
    *out = NULL;
    ENT_GO(ent_calloc(&regex, 1, sizeof *regex, "a pattern"));
    if (literal) {
        ENT_GO(compile(&regex->code, pattern, n, PCRE2_UTF | PCRE2_LITERAL, place));
    } else {
        ENT_GO(ent_regex_translate(&translated, pattern, n, place));
        ENT_GO(compile(&regex->code, translated.data, translated.n,
                       PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, place));
    }
    *out = regex;
    regex = NULL;
done:
    ent_regex_free(regex);
    ent_bytes_free(&translated);
    return st;
}

void ent_regex_free(ent_regex *regex)
{
    if (regex)
        pcre2_code_free(regex->code);
    free(regex);
}

ent_status ent_regex_parts_add(ent_regex_parts *parts, size_t start, size_t end, bool is_match)
{
    if (parts->count == parts->capacity)
        ENT_TRY(ent_grow(&parts->parts, &parts->capacity, parts->count + 1, sizeof *parts->parts, "parts of a text"));
    parts->parts[parts->count++] = (ent_regex_part){.start = start, .end = end, .is_match = is_match};
    return ENT_OK;
}

typedef struct matcher {
    pcre2_match_data *data;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
} matcher;

static void close_matcher(matcher *m)
{
    pcre2_match_data_free(m->data);
    pcre2_match_context_free(m->context);
    pcre2_jit_stack_free(m->stack);
}

static ent_status open_matcher(matcher *m, const ent_regex *regex, size_t n)
{
    /* A pattern that backtracks over all of a text is fine, one that does so from everywhere is not. */
    const size_t limit = 10000000 + (n < 20000000 ? n * 100 : 2000000000);
    *m = (matcher){.data = pcre2_match_data_create_from_pattern(regex->code, NULL),
                   .context = pcre2_match_context_create(NULL)};
    if (m->data == NULL || m->context == NULL) {
        close_matcher(m);
        return ent_fail(ENT_ENOMEM, "out of memory: matching a pattern");
    }
    pcre2_set_match_limit(m->context, (uint32_t)limit);
    return ENT_OK;
}

/* The next match from `from` on; *found is false if there is none. */
static ent_status next_match(bool *found, size_t *start, size_t *end, matcher *m, const ent_regex *regex,
                             const char *text, size_t n, size_t from)
{
    int got = pcre2_match(regex->code, (PCRE2_SPTR)text, n, from, PCRE2_NO_UTF_CHECK, m->data, m->context);
    if (got == PCRE2_ERROR_JIT_STACKLIMIT && m->stack == NULL) {
        m->stack = pcre2_jit_stack_create(JIT_STACK_START, JIT_STACK_MAX, NULL);
        if (m->stack == NULL)
            return ent_fail(ENT_ENOMEM, "out of memory: matching a pattern");
        pcre2_jit_stack_assign(m->context, NULL, m->stack);
        got = pcre2_match(regex->code, (PCRE2_SPTR)text, n, from, PCRE2_NO_UTF_CHECK, m->data, m->context);
    }
    *found = got != PCRE2_ERROR_NOMATCH;
    if (got < 0 && got != PCRE2_ERROR_NOMATCH) {
        PCRE2_UCHAR message[128] = "";
        pcre2_get_error_message(got, message, sizeof message);
        return ent_fail(ENT_EINVAL, "splitting a text at byte %zu: %s", from, (const char *)message);
    }
    if (*found) {
        const PCRE2_SIZE *offsets = pcre2_get_ovector_pointer(m->data);
        *start = offsets[0];
        *end = offsets[1];
    }
    return ENT_OK;
}

ent_status ent_regex_find_all(ent_regex_parts *out, const ent_regex *regex, const char *text, size_t n)
{
    size_t from = 0, covered = 0, start = 0, end = 0;
    bool found, matched = false;
    matcher m;
    ent_status st = ENT_OK;
    out->count = 0;
    ENT_TRY(open_matcher(&m, regex, n));
    while (from <= n) {
        ENT_GO(next_match(&found, &start, &end, &m, regex, text, n, from));
        if (!found)
            break;
        if (start == end && matched && end == covered) { /* no empty match right behind a match */
            bool valid;
            from += from < n ? ent_utf8_step(&valid, text + from, n - from) : 1;
            continue;
        }
        if (covered != start)
            ENT_GO(ent_regex_parts_add(out, covered, start, false));
        ENT_GO(ent_regex_parts_add(out, start, end, true));
        covered = from = end;
        matched = true;
    }
    if (covered != n)
        st = ent_regex_parts_add(out, covered, n, false);
done:
    close_matcher(&m);
    return st;
}
