#include "launch/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/number.h"
#include "launch/cmd.h"
#include "src/base/mem.h"

static ent_status read_int(int64_t *out, const ent_option *o, const char *text)
{
    if (o->words && strcmp(text, o->words) == 0) {
        *out = 0;
        return ENT_OK;
    }
    if (!ent_number_read_int(out, text) || (double)*out < o->low || (o->high > 0 && (double)*out > o->high)) {
        char range[64] = "";
        if (o->high > 0)
            snprintf(range, sizeof range, " from %.0f to %.0f", o->low, o->high);
        else
            snprintf(range, sizeof range, " of at least %.0f", o->low);
        return ent_fail(ENT_ECONFIG, "%s: expected an integer%s%s%s, found \"%s\"", o->name, range,
                        o->words ? " or " : "", o->words ? o->words : "", text);
    }
    return ENT_OK;
}

static ent_status read_number(double *out, const ent_option *o, const char *text)
{
    double x;
    if (ent_number_read_double(&x, text) && (o->low_open ? x > o->low : x >= o->low) &&
        (o->high <= 0 || x <= o->high)) {
        *out = x;
        return ENT_OK;
    }
    char most[64] = "";
    if (o->high > 0)
        snprintf(most, sizeof most, " and at most %g", o->high);
    return ent_fail(ENT_ECONFIG, "%s: expected a number %s %g%s, found \"%s\"", o->name,
                    o->low_open ? "above" : "of at least", o->low, most, text);
}

static ent_status read_choice(int *out, const ent_option *o, const char *text)
{
    int place = 0;
    for (const char *word = o->words; *word; place++) {
        const size_t n = strcspn(word, " ");
        if (strlen(text) == n && memcmp(word, text, n) == 0) {
            *out = place;
            return ENT_OK;
        }
        word += n + (word[n] == ' ');
    }
    char words[256];
    size_t n = 0;
    for (const char *c = o->words; *c && n + 5 < sizeof words; c++) { /* "a, b or c" */
        const char *between = *c != ' ' ? NULL : strchr(c + 1, ' ') ? ", " : " or ";
        n += (size_t)snprintf(words + n, sizeof words - n, "%.*s", between ? 4 : 1, between ? between : c);
    }
    return ent_fail(ENT_ECONFIG, "%s: expected %s, found \"%s\"", o->name, words, text);
}

static ent_status read_value(void *member, const ent_option *o, const char *text)
{
    ent_option_texts *list = member;
    switch (o->type) {
    case ENT_OPTION_INT:
        return read_int(member, o, text);
    case ENT_OPTION_NUMBER:
        return read_number(member, o, text);
    case ENT_OPTION_CHOICE:
        return read_choice(member, o, text);
    case ENT_OPTION_TEXTS:
        ENT_TRY(ent_grow(&list->items, &list->capacity, list->count + 1, sizeof *list->items, "options"));
        list->items[list->count++] = text;
        return ENT_OK;
    default:
        if (*(const char **)member)
            return ent_fail(ENT_ECONFIG, "%s: expected once, found %s and %s", o->name, *(const char **)member, text);
        *(const char **)member = text;
        return ENT_OK;
    }
}

/* NULL: there is none. What doesn't begin with '-' is for the one without an option. */
static const ent_option *find(const ent_option *options, size_t count, const char *argument)
{
    const char *name = strcmp(argument, "-h") == 0 ? "--help" : argument;
    for (size_t i = 0; i < count; i++)
        if (*options[i].name != '-' ? *argument && *argument != '-' : strcmp(options[i].name, name) == 0)
            return &options[i];
    return NULL;
}

ent_status ent_options_read(void *out, const ent_option *options, size_t count, int argc, char *const *argv)
{
    for (int i = 1; i < argc; i++) {
        const ent_option *o = find(options, count, argv[i]);
        if (o == NULL)
            return ent_fail(ENT_ECONFIG, "unknown option %s", *argv[i] ? argv[i] : "\"\"");
        void *member = (char *)out + o->offset;
        if (o->type == ENT_OPTION_FLAG) {
            *(bool *)member = true;
            continue;
        }
        if (*o->name != '-') {
            ENT_TRY(read_value(member, o, argv[i]));
            continue;
        }
        if (i + 1 == argc)
            return ent_fail(ENT_ECONFIG, "%s: expected a value after it", o->name);
        ENT_TRY(read_value(member, o, argv[++i]));
    }
    return ENT_OK;
}

void ent_options_help(const ent_option *options, size_t count)
{
    int widest = 0;
    for (size_t i = 0; i < count; i++) {
        if (options[i].help == NULL)
            continue;
        const int n = (int)(strlen(options[i].name) + (options[i].value ? strlen(options[i].value) + 1 : 0));
        widest = n > widest ? n : widest;
    }
    for (size_t i = 0; i < count; i++) {
        const ent_option *o = &options[i];
        if (o->help == NULL)
            continue;
        const int n = printf("  %s%s%s", o->name, o->value ? " " : "", o->value ? o->value : "");
        int column = n;
        for (const char *line = o->help; line;) {
            const char *end = strchr(line, '\n');
            printf("%*s%.*s\n", widest + 4 - column, "", end ? (int)(end - line) : (int)strlen(line), line);
            line = end ? end + 1 : NULL;
            column = 0;
        }
    }
}

int ent_options_complain(const char *command)
{
    if (ent_is_first_rank())
        fprintf(stderr, "entrenar: %s: %s; `entrenar %s --help` says more\n", command, ent_message(), command);
    return ENT_EXIT_USAGE;
}

bool ent_is_first_rank(void)
{
    static const char *const variables[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"};
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) {
        const char *rank = getenv(variables[i]);
        if (rank)
            return strcmp(rank, "0") == 0;
    }
    return true;
}
