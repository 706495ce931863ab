/* Reads rules. */
#include "trace/rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/toml.h"
#include "src/base/mem.h"
#include "trace/rules_parts.h"

enum { WHERE = 512 };

static const char *const types[ENT_RULE_TYPES + 1] = {"critical_path", "span_count", "memory_usage", "anti_pattern",
                                                      "custom"};
static const char *const measures[] = {"wall", "syscalls", NULL};
static const char *const modes[] = {"allocations", "rss", NULL};
static const char *const patterns[] = {"GodProcess", "TightLoop", NULL};

typedef ent_status take(ent_rule *rule, const ent_toml *value, const char *where, const void *context);

static ent_status wrong(const ent_toml *value, const char *where, const char *expected)
{
    static const char *const kinds[] = {"a text", "a whole number", "a number", "true or false", "a table", "tables"};
    const bool shown = value->text && strlen(value->text) < 100;
    return ent_fail(ENT_EFORMAT, "%s: expected %s, found %s%s%s", where, expected,
                    value->kind == ENT_TOML_BOOL ? (value->truth ? "true" : "false") : kinds[value->kind],
                    shown ? " " : "", shown ? value->text : "");
}

/* A text of at least one character, without control characters: it is for one line of a report. */
static ent_status is_line(const ent_toml *value, const char *where)
{
    if (value->kind != ENT_TOML_STRING)
        return wrong(value, where, "a text");
    if (*value->text == 0)
        return ent_fail(ENT_EFORMAT, "%s: expected a text, found \"\"", where);
    for (const char *c = value->text; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            return ent_fail(ENT_EFORMAT, "%s: a control character (0x%02x) in the text", where, (unsigned char)*c);
    return ENT_OK;
}

static ent_status take_name(ent_rule *rule, const ent_toml *value, const char *where, const void *context)
{
    (void)context;
    ENT_TRY(is_line(value, where));
    return ent_strdup(&rule->name, value->text);
}

/* One of the names at `context`. */
static ent_status choose(int *out, const ent_toml *value, const char *where, const void *context)
{
    const char *const *names = context;
    char all[200] = "";
    ENT_TRY(is_line(value, where));
    for (int i = 0; names[i]; i++) {
        if (strcmp(names[i], value->text) == 0) {
            *out = i;
            return ENT_OK;
        }
        const size_t n = strlen(all);
        snprintf(all + n, sizeof all - n, "%s%s", i ? ", " : "", names[i]);
    }
    return ent_fail(ENT_EFORMAT, "%s: found \"%s\", expected one of %s", where, value->text, all);
}

static ent_status take_type(ent_rule *rule, const ent_toml *value, const char *where, const void *context)
{
    int type = 0;
    ENT_TRY(choose(&type, value, where, context));
    rule->type = (ent_rule_type)type;
    return ENT_OK;
}

static ent_status take_choice(ent_rule *rule, const ent_toml *value, const char *where, const void *context)
{
    return choose(&rule->choice, value, where, context);
}

static ent_status take_anti_pattern(ent_rule *rule, const ent_toml *value, const char *where, const void *context)
{
    if (value->kind == ENT_TOML_STRING && strcmp(value->text, "PcieBottleneck") == 0)
        return ent_fail(ENT_EUNSUPPORTED, "%s: PcieBottleneck is not supported: system calls don't show PCIe transfers",
                        where);
    return choose(&rule->choice, value, where, context);
}

static ent_status take_switch(ent_rule *rule, const ent_toml *value, const char *where, const void *context)
{
    if (value->kind != ENT_TOML_BOOL)
        return wrong(value, where, "true or false");
    *(context ? &rule->warns : &rule->disabled) = !value->truth;
    return ENT_OK;
}

static ent_status take_count(ent_rule *rule, const ent_toml *value, const char *where, const void *context)
{
    (void)context;
    if (value->kind != ENT_TOML_INT || value->integer < 0)
        return wrong(value, where, "a whole number that is at least 0");
    rule->count = value->integer;
    return ENT_OK;
}

/* A number from 0 to the one at `context`. */
static ent_status take_limit(ent_rule *rule, const ent_toml *value, const char *where, const void *context)
{
    const double *most = context;
    if ((value->kind != ENT_TOML_INT && value->kind != ENT_TOML_FLOAT) || value->number < 0 ||
        (most && value->number > *most))
        return wrong(value, where, most ? "a number from 0 to 1" : "a number that is at least 0");
    rule->limit = value->number;
    return ENT_OK;
}

static ent_status take_pattern(ent_rule *rule, const ent_toml *value, const char *where, const void *context)
{
    (void)context;
    ENT_TRY(is_line(value, where));
    return ent_pattern_read(&rule->pattern, value->text, where);
}

static ent_status take_expression(ent_rule *rule, const ent_toml *value, const char *where, const void *context)
{
    (void)context;
    ENT_TRY(is_line(value, where));
    return ent_expression_read(&rule->expression, value->text, where);
}

enum { ANY = (1 << ENT_RULE_TYPES) - 1 };

static const double one = 1;

/* The keys: of which types, whether they must stand, and who takes them. */
static const struct key_row {
    const char *key;
    unsigned types;
    bool required;
    take *take;
    const void *context;
    const char *help;
} keys[] = {
    {"name", ANY, true, take_name, NULL, "what the report calls the rule"},
    {"type", ANY, true, take_type, types, "what it looks at, see below"},
    {"fail_on_violation", ANY, false, take_switch, "warns", "false: what breaks the rule is a warning; default true"},
    {"enabled", ANY, false, take_switch, NULL, "false: the rule is read but not checked; default true"},
    {"max_duration_ms", 1 << ENT_RULE_CRITICAL_PATH, true, take_limit, NULL, "milliseconds"},
    {"measure", 1 << ENT_RULE_CRITICAL_PATH, false, take_choice, measures,
     "\"wall\": from start to end (default); \"syscalls\": time within calls, summed over threads"},
    {"trace_name_pattern", 1 << ENT_RULE_CRITICAL_PATH, false, take_pattern, NULL,
     "the programs it is for; default all"},
    {"max_spans", 1 << ENT_RULE_SPAN_COUNT, true, take_count, NULL, "system calls"},
    {"span_name_pattern", 1 << ENT_RULE_SPAN_COUNT, false, take_pattern, NULL, "the calls that count; default all"},
    {"max_bytes", 1 << ENT_RULE_MEMORY_USAGE, true, take_count, NULL, "bytes"},
    {"tracking_mode", 1 << ENT_RULE_MEMORY_USAGE, false, take_choice, modes,
     "\"allocations\": asked for by anonymous mmap, mremap, brk (default); \"rss\": peak of a process"},
    {"pattern", 1 << ENT_RULE_ANTI_PATTERN, true, take_anti_pattern, patterns,
     "\"GodProcess\": the busiest process's share; \"TightLoop\": that of the longest run of one call"},
    {"threshold", 1 << ENT_RULE_ANTI_PATTERN, true, take_limit, &one, "the largest share that is allowed, 0 to 1"},
    {"process_name_pattern", 1 << ENT_RULE_ANTI_PATTERN, false, take_pattern, NULL,
     "the programs to look at; default all"},
    {"expression", 1 << ENT_RULE_CUSTOM, true, take_expression, NULL, "must be true"},
};

enum { KEYS = sizeof keys / sizeof *keys };

static void put_keys(ent_text *to, unsigned of)
{
    for (size_t i = 0; i < KEYS; i++)
        if (keys[i].types == of)
            ent_text_printf(to, "  %-22s%s%s\n", keys[i].key, keys[i].help, keys[i].required ? "; must stand" : "");
}

void ent_rules_help(ent_text *to)
{
    ent_text_put(to, "Rules are TOML: [[assertion]], as often as wanted, with the keys\n");
    put_keys(to, ANY);
    for (unsigned type = 0; type < ENT_RULE_TYPES; type++) {
        ent_text_printf(to, "type = \"%s\"\n", types[type]);
        put_keys(to, 1U << type);
    }
    ent_text_put(
        to, "Limits are allowed themselves. Patterns are extended regular expressions that match whole names.\n\n");
    ent_expression_help(to);
}

void ent_rules_free(ent_rules *rules)
{
    if (rules == NULL)
        return;
    for (size_t i = 0; i < rules->n_rules; i++) {
        free(rules->rules[i].name);
        ent_pattern_free(rules->rules[i].pattern);
        ent_expression_free(rules->rules[i].expression);
    }
    free(rules->rules);
    free(rules);
}

/* Fails for a key that isn't one of the rule's type. */
static ent_status foreign_key(const ent_rule *rule, const ent_toml *value, const char *path, bool known)
{
    char all[300] = "";
    for (size_t i = 0; i < KEYS; i++) {
        const size_t n = strlen(all);
        if (keys[i].types >> rule->type & 1)
            snprintf(all + n, sizeof all - n, "%s%s", n ? ", " : "", keys[i].key);
    }
    return ent_fail(ENT_EFORMAT, "%s:%zu: %s %s%s; its keys are %s", path, value->line,
                    known ? value->key : "unknown key", known ? "is no key of type " : value->key,
                    known ? types[rule->type] : "", all);
}

static ent_status take_key(ent_rule *rule, const ent_toml *value, const char *path)
{
    char where[WHERE];
    const struct key_row *row = NULL;
    for (size_t i = 0; i < KEYS; i++)
        if (strcmp(keys[i].key, value->key) == 0)
            row = &keys[i];
    if (row == NULL || !(row->types >> rule->type & 1))
        return foreign_key(rule, value, path, row != NULL);
    snprintf(where, sizeof where, "%.400s:%zu: %s", path, value->line, value->key);
    return row->take(rule, value, where, row->context);
}

static ent_status read_rule(ent_rule *rule, const ent_toml *table, const char *path)
{
    char where[WHERE];
    const ent_toml *type = ent_toml_member(table, "type");
    if (type) { /* first: it decides what the other keys may be */
        snprintf(where, sizeof where, "%.400s:%zu: type", path, type->line);
        ENT_TRY(take_type(rule, type, where, types));
    }
    for (const ent_toml *value = table->first; value && type; value = value->next)
        ENT_TRY(take_key(rule, value, path));
    for (size_t i = 0; i < KEYS; i++)
        if (keys[i].required && (keys[i].types >> rule->type & 1) && ent_toml_member(table, keys[i].key) == NULL)
            return ent_fail(ENT_EFORMAT, "%s:%zu: this [[assertion]] has no %s", path, table->line, keys[i].key);
    return ENT_OK;
}

static ent_status check_name(const ent_rules *rules, const ent_toml *table, const char *path)
{
    const size_t last = rules->n_rules - 1;
    for (size_t i = 0; i < last; i++)
        if (strcmp(rules->rules[i].name, rules->rules[last].name) == 0)
            return ent_fail(ENT_EFORMAT, "%s:%zu: name: a second rule is named \"%s\"", path,
                            ent_toml_member(table, "name")->line, rules->rules[i].name);
    return ENT_OK;
}

static ent_status read_rules(ent_rules *rules, const ent_toml *root, const char *path)
{
    size_t capacity = 0;
    for (const ent_toml *part = root->first; part; part = part->next) {
        const bool section = part->kind == ENT_TOML_TABLE || part->kind == ENT_TOML_TABLES;
        if (strcmp(part->key, "assertion") != 0 || !section)
            return ent_fail(ENT_EFORMAT, "%s:%zu: unknown %s %s; expected [[assertion]]", path, part->line,
                            section ? "section" : "key", part->key);
        if (part->kind == ENT_TOML_TABLE)
            return ent_fail(ENT_EFORMAT, "%s:%zu: expected [[assertion]], found [assertion]", path, part->line);
        for (const ent_toml *table = part->first; table; table = table->next) {
            ENT_TRY(ent_grow(&rules->rules, &capacity, rules->n_rules + 1, sizeof *rules->rules, path));
            rules->rules[rules->n_rules] = (ent_rule){0};
            ENT_TRY(read_rule(&rules->rules[rules->n_rules++], table, path));
            ENT_TRY(check_name(rules, table, path));
        }
    }
    return rules->n_rules > 0 ? ENT_OK : ent_fail(ENT_EFORMAT, "%s:1: no [[assertion]] in the file", path);
}

ent_status ent_rules_read(ent_rules **out, const char *path)
{
    ent_toml *root = NULL;
    ent_rules *rules = NULL;
    ent_status st;
    *out = NULL;
    ENT_GO(ent_toml_read_file(&root, path));
    ENT_GO(ent_calloc(&rules, 1, sizeof *rules, path));
    ENT_GO(read_rules(rules, root, path));
    *out = rules;
    rules = NULL;
done:
    ent_rules_free(rules);
    ent_toml_free(root);
    return st;
}
