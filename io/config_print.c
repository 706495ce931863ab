/* The configuration as YAML, as JSON and as help: one walk over the table each. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/config_fields.h"
#include "io/lora_modules.h"

static const void *member(const ent_config *config, const ent_config_field *field)
{
    return (const char *)config + field->offset;
}

static const char *path_of(const ent_config *config, const ent_config_field *field)
{
    char *path;
    memcpy(&path, member(config, field), sizeof path);
    return path;
}

/* The name of a choice as it stands in the config. */
static void put_choice(ent_text *to, const ent_config *config, const ent_config_field *field)
{
    unsigned choice;
    memcpy(&choice, member(config, field), sizeof choice);
    ent_config_field_names(to, field->choices, 1u << choice);
}

/* The layers from number i on that follow each other: returns the index behind them. */
static size_t end_of_range(const ent_config *c, size_t i)
{
    size_t end = i + 1;
    while (end < c->lora.n_layers && c->lora.layers[end] == c->lora.layers[end - 1] + 1)
        end++;
    return end;
}

static void put_list(ent_text *to, const ent_config *c, ent_field_type type)
{
    const char *separator = "";
    ent_text_put(to, "[");
    for (unsigned p = 0; type == ENT_FIELD_TARGETS && p < ENT_N_PROJ; p++)
        if (c->lora.targets >> p & 1) {
            ent_text_printf(to, "%s%s", separator, ent_proj_name((ent_proj)p));
            separator = ", ";
        }
    for (size_t i = 0, end; type == ENT_FIELD_LAYERS && i < c->lora.n_layers; i = end) {
        end = end_of_range(c, i);
        ent_text_printf(to, "%s%zu", separator, c->lora.layers[i]);
        if (end > i + 1)
            ent_text_printf(to, "-%zu", c->lora.layers[end - 1]);
        separator = ", ";
    }
    for (size_t i = 0; type == ENT_FIELD_SAVED && i < c->lora.saved.count; i++) {
        ent_text_put(to, i ? ", " : "");
        ent_yaml_put_string(to, c->lora.saved.items[i]);
    }
    for (size_t i = 0; type == ENT_FIELD_TEACHERS && i < c->distill.n_teachers; i++) {
        ent_text_put(to, i ? ", " : "");
        ent_yaml_put_string(to, c->distill.teachers[i]);
    }
    for (size_t i = 0; type == ENT_FIELD_WEIGHTS && i < c->distill.n_weights; i++) {
        ent_text_put(to, i ? ", " : "");
        ent_yaml_put_double(to, c->distill.weights[i], false);
    }
    ent_text_put(to, "]");
}

static const ent_lora_patterns *patterns_of(const ent_config *config, const ent_config_field *field)
{
    return ent_field_is_patterns(field->type) ? member(config, field) : NULL;
}

/* Whether a path, a list or patterns aren't there. */
static bool is_absent(const ent_config *config, const ent_config_field *field)
{
    const ent_lora_patterns *patterns = patterns_of(config, field);
    const bool is_path = field->type == ENT_FIELD_PATH;
    const bool is_list = ent_field_is_list(field->type) && field->type != ENT_FIELD_TARGETS;
    const void *pointer = NULL;
    if (is_path || is_list)
        memcpy(&pointer, member(config, field), sizeof pointer);
    return patterns ? patterns->count == 0 : (is_path || is_list) && pointer == NULL;
}

/* Keys hold no quote: io/lora_modules.h. */
static void put_patterns(ent_text *to, const ent_lora_patterns *p)
{
    for (size_t i = 0; i < p->count; i++) {
        ent_text_printf(to, "%s'%s': ", i ? ", " : "{", p->items[i].key);
        ent_yaml_put_double(to, p->items[i].value, true);
    }
    ent_text_put(to, "}");
}

void ent_config_field_put(ent_text *to, const ent_config *config, const ent_config_field *field)
{
    const void *value = member(config, field);
    const ent_lora_patterns *patterns = patterns_of(config, field);
    if (is_absent(config, field))
        ent_text_put(to, "null");
    else if (patterns)
        put_patterns(to, patterns);
    else if (field->type == ENT_FIELD_PATH)
        ent_yaml_put_string(to, path_of(config, field));
    else if (field->type == ENT_FIELD_CHOICE)
        put_choice(to, config, field);
    else if (field->type == ENT_FIELD_INT && field->word && *(const int64_t *)value == 0)
        ent_text_put(to, field->word);
    else if (field->type == ENT_FIELD_INT)
        ent_text_printf(to, "%" PRId64, *(const int64_t *)value);
    else if (field->type == ENT_FIELD_FLOAT)
        ent_yaml_put_double(to, *(const double *)value, false);
    else if (field->type == ENT_FIELD_BOOL)
        ent_text_put(to, *(const bool *)value ? "true" : "false");
    else
        put_list(to, config, field->type);
}

/* Adds a list: names of projections, or layers and ranges as they stand in a config. */
static void add_list(ent_json *to, const char *key, const ent_config *c, ent_field_type type)
{
    ent_json *list = ent_json_add_array(to, key);
    for (unsigned p = 0; type == ENT_FIELD_TARGETS && p < ENT_N_PROJ; p++)
        if (c->lora.targets >> p & 1)
            ent_json_add_string(list, NULL, ent_proj_name((ent_proj)p));
    for (size_t i = 0; type == ENT_FIELD_LAYERS && i < c->lora.n_layers; i++)
        ent_json_add_int(list, NULL, (int64_t)c->lora.layers[i]);
    for (size_t i = 0; type == ENT_FIELD_SAVED && i < c->lora.saved.count; i++)
        ent_json_add_string(list, NULL, c->lora.saved.items[i]);
    for (size_t i = 0; type == ENT_FIELD_TEACHERS && i < c->distill.n_teachers; i++)
        ent_json_add_string(list, NULL, c->distill.teachers[i]);
    for (size_t i = 0; type == ENT_FIELD_WEIGHTS && i < c->distill.n_weights; i++)
        ent_json_add_double(list, NULL, c->distill.weights[i]);
}

/* Adds a value that is a word of its own: a choice, "auto". */
static void add_word(ent_json *to, const char *key, const ent_config *config, const ent_config_field *field)
{
    ent_text text = {0};
    char *word;
    ent_config_field_put(&text, config, field);
    if (ent_text_finish(&word, &text) == ENT_OK)
        ent_json_add_string(to, key, word);
    free(word);
}

void ent_config_field_add(ent_json *to, const ent_config *config, const ent_config_field *field)
{
    const void *value = member(config, field);
    const char *key = strchr(field->path, '.') + 1;
    switch (field->type) {
    case ENT_FIELD_PATH:
        ent_json_add_string(to, key, path_of(config, field)); /* null where there is none */
        break;
    case ENT_FIELD_INT:
        if (field->word && *(const int64_t *)value == 0)
            add_word(to, key, config, field);
        else
            ent_json_add_int(to, key, *(const int64_t *)value);
        break;
    case ENT_FIELD_FLOAT:
        ent_json_add_double(to, key, *(const double *)value);
        break;
    case ENT_FIELD_BOOL:
        ent_json_add_bool(to, key, *(const bool *)value);
        break;
    case ENT_FIELD_CHOICE:
        add_word(to, key, config, field);
        break;
    case ENT_FIELD_RANKS:
    case ENT_FIELD_ALPHAS:
    case ENT_FIELD_PAIRS:
        ent_lora_patterns_put(to, key, member(config, field), true);
        break;
    default:
        if (is_absent(config, field))
            ent_json_add_null(to, key);
        else
            add_list(to, key, config, field->type);
        break;
    }
}

/* The length of a path's section, and whether the row before is of another one. */
static bool starts_section(size_t i, size_t *length)
{
    const char *path = ent_config_fields[i].path;
    *length = strcspn(path, ".");
    return i == 0 || strncmp(ent_config_fields[i - 1].path, path, *length + 1) != 0;
}

/* Says why a key is not there. */
static void put_inactive(ent_text *to, const ent_config_field *field)
{
    ent_text_printf(to, "  # %s: ", strchr(field->path, '.') + 1);
    if (field->needs == NULL) {
        ent_text_put(to, "set by the adapter\n");
        return;
    }
    ent_text_printf(to, "only with %s: ", field->needs);
    ent_config_field_names(to, ent_config_field_find(field->needs)->choices, field->needs_choices);
    ent_text_put(to, "\n");
}

ent_status ent_config_print(char **out, const ent_config *config)
{
    ent_text text = {0};
    size_t length;
    for (size_t i = 0; i < ent_config_n_fields; i++) {
        const ent_config_field *field = &ent_config_fields[i];
        const bool starts = starts_section(i, &length), lora = strncmp(field->path, "lora.", 5) == 0;
        if (ent_config_field_absent(config, field)) {
            if (starts)
                ent_text_printf(&text, "# %.*s: absent, %s\n", (int)length, field->path,
                                lora ? "all weights train" : "no teacher");
            continue;
        }
        if (starts)
            ent_text_printf(&text, "%.*s:\n", (int)length, field->path);
        if (!ent_config_field_acts(config, field)) {
            put_inactive(&text, field);
            continue;
        }
        ent_text_printf(&text, "  %s: ", field->path + length + 1);
        ent_config_field_put(&text, config, field);
        ent_text_put(&text, "\n");
    }
    return ent_text_finish(out, &text);
}

ent_status ent_config_to_json(ent_json *to, const ent_config *config)
{
    ent_json *section = NULL;
    size_t length;
    char name[32];
    for (size_t i = 0; i < ent_config_n_fields; i++) {
        const ent_config_field *field = &ent_config_fields[i];
        if (ent_config_field_absent(config, field))
            continue;
        if (starts_section(i, &length)) {
            snprintf(name, sizeof name, "%.*s", (int)length, field->path);
            section = ent_json_add_object(to, name);
            if (section == NULL)
                return ent_fail(ENT_ENOMEM, "out of memory: the configuration as JSON");
        }
        if (ent_config_field_acts(config, field))
            ent_config_field_add(section, config, field);
    }
    return ENT_OK;
}

/* What a key takes, in the table of help: short. */
static void put_takes(ent_text *to, const ent_config_field *field)
{
    if (field->type == ENT_FIELD_TARGETS) {
        ent_text_put(to, "a list of q_proj ... down_proj, or all-linear");
        return;
    }
    if (field->type == ENT_FIELD_LAYERS) {
        ent_text_put(to, "a list such as [0, 2-5]");
        return;
    }
    if (field->type == ENT_FIELD_PAIRS) {
        ent_text_put(to, "pairs such as {0: 1, 1: 3}");
        return;
    }
    if (ent_field_is_patterns(field->type)) {
        ent_text_put(to,
                     field->type == ENT_FIELD_RANKS ? "patterns such as {q_proj: 4}" : "patterns such as {q_proj: 8}");
        return;
    }
    ent_config_field_expected(to, field);
}

ent_status ent_config_help(char **out)
{
    ent_text text = {0};
    for (size_t i = 0; i < ent_config_n_fields; i++) {
        const ent_config_field *field = &ent_config_fields[i];
        ent_text_printf(&text, "  %-28s %s\n%31s", field->path, field->help, "");
        put_takes(&text, field);
        if (field->otherwise)
            ent_text_printf(&text, "; default %s", field->otherwise);
        else
            ent_text_put(&text, field->required ? "; required" : "; default: absent");
        if (field->needs) {
            ent_text_printf(&text, "; only with %s: ", field->needs);
            ent_config_field_names(&text, ent_config_field_find(field->needs)->choices, field->needs_choices);
        }
        ent_text_put(&text, "\n");
    }
    return ent_text_finish(out, &text);
}
