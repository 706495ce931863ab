/* Reading, writing and freeing the value of one key. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/config_fields.h"
#include "io/lora_modules.h"
#include "io/lora_saved.h"
#include "io/number.h"
#include "src/autograd/ops_model.h"
#include "src/base/mem.h"

void ent_config_field_names(ent_text *to, const char *choices, unsigned which)
{
    unsigned left = which;
    for (unsigned i = 0; *choices; i++) {
        const size_t n = strcspn(choices, " ");
        if (which >> i & 1) {
            left &= ~(1u << i);
            ent_text_put_n(to, choices, n);
            ent_text_put(to, left == 0 ? "" : left & (left - 1) ? ", " : " or ");
        }
        choices += n + (choices[n] == ' ');
    }
}

/* The number of names, as bits. */
static unsigned all_choices(const char *choices)
{
    unsigned bits = 1;
    for (; *choices; choices++)
        bits = *choices == ' ' ? bits << 1 | 1 : bits;
    return bits;
}

/* "[0, 1)" for people: "a number >= 0 and < 1". */
static void put_interval(ent_text *to, const ent_config_field *f)
{
    ent_number_text number;
    ent_text_printf(to, "a number %s %s", f->low_open ? ">" : ">=", ent_number_format(&number, f->low));
    if (f->high > 0)
        ent_text_printf(to, " and %s %s", f->high_open ? "<" : "<=", ent_number_format(&number, f->high));
}

void ent_config_field_expected(ent_text *to, const ent_config_field *f)
{
    switch (f->type) {
    case ENT_FIELD_PATH:
        ent_text_put(to, "a path");
        break;
    case ENT_FIELD_CHOICE:
        ent_config_field_names(to, f->choices, all_choices(f->choices));
        break;
    case ENT_FIELD_INT:
        if (f->word)
            ent_text_printf(to, "%s or ", f->word);
        if (f->max == INT64_MAX)
            ent_text_printf(to, "an integer >= %lld", (long long)f->min);
        else
            ent_text_printf(to, "an integer from %lld to %lld", (long long)f->min, (long long)f->max);
        break;
    case ENT_FIELD_FLOAT:
        put_interval(to, f);
        break;
    case ENT_FIELD_BOOL:
        ent_text_put(to, "true or false");
        break;
    case ENT_FIELD_TARGETS:
        ent_text_put(to, "all-linear or a list of");
        for (int p = 0; p < ENT_N_PROJ; p++)
            ent_text_printf(to, "%s %s", p ? "," : "", ent_proj_name((ent_proj)p));
        break;
    case ENT_FIELD_LAYERS:
        ent_text_printf(to, "a list of layers and ranges such as [0, 2-5], each below %d", ENT_MAX_LAYERS);
        break;
    case ENT_FIELD_SAVED:
        ent_text_put(to, "a list of names such as [lm_head, norm]");
        break;
    case ENT_FIELD_TEACHERS:
        ent_text_printf(to, "a list of 1 to %d paths", ENT_MAX_TEACHERS);
        break;
    case ENT_FIELD_WEIGHTS:
        ent_text_printf(to, "a list of 1 to %d numbers > 0 and <= 1000000", ENT_MAX_TEACHERS);
        break;
    case ENT_FIELD_RANKS:
        ent_text_printf(to, "patterns of modules such as {q_proj: 4}, each with an integer from %lld to %lld",
                        (long long)f->min, (long long)f->max);
        break;
    case ENT_FIELD_ALPHAS:
        ent_text_put(to, "patterns of modules such as {q_proj: 8}, each with ");
        put_interval(to, f);
        break;
    case ENT_FIELD_PAIRS:
        ent_text_printf(to, "pairs of layers such as {0: 1, 1: 3}, each from 0 to %lld", (long long)f->max);
        break;
    }
}

/* ENT_ECONFIG "WHERE: expected ..., found ...". */
static ent_status unexpected(const ent_config_field *field, const ent_yaml *found, const char *where)
{
    ent_text expected = {0};
    char *text;
    ent_config_field_expected(&expected, field);
    ENT_TRY(ent_text_finish(&text, &expected));
    const char *what = found->kind == ENT_YAML_MAPPING                                 ? "a mapping"
                       : found->kind == ENT_YAML_SEQUENCE                              ? "a list"
                       : ent_yaml_type_of(found->text, found->quoted) == ENT_YAML_NULL ? "nothing"
                                                                                       : NULL;
    if (found->kind == ENT_YAML_SEQUENCE && found->first == NULL)
        what = "an empty list";
    if (what)
        ent_fail(ENT_ECONFIG, "%s: expected %s, found %s", where, text, what);
    else
        ent_fail(ENT_ECONFIG, "%s: expected %s, found \"%.200s\"", where, text, found->text);
    free(text);
    return ENT_ECONFIG;
}

static bool read_int(int64_t *out, const ent_config_field *field, const char *text)
{
    if (field->word && strcmp(text, field->word) == 0) {
        *out = 0;
        return true;
    }
    return ent_number_read_int(out, text) && *out >= field->min && *out <= field->max;
}

static bool read_float(double *out, const ent_config_field *f, const char *text)
{
    double x;
    if (!ent_number_read_double(&x, text) || x < f->low || (f->low_open && x <= f->low) ||
        (f->high > 0 && (x > f->high || (f->high_open && x >= f->high))))
        return false;
    *out = x + 0.0; /* -0 is 0 */
    return true;
}

static bool read_choice(unsigned *out, const ent_config_field *field, const char *text)
{
    const char *name = field->choices;
    const size_t length = strlen(text);
    for (unsigned i = 0; *name; i++) {
        const size_t n = strcspn(name, " ");
        if (n == length && memcmp(name, text, n) == 0) {
            *out = i;
            return true;
        }
        name += n + (name[n] == ' ');
    }
    return false;
}

/* Adds the projection that `text` names. */
static bool read_target(unsigned *targets, const char *text)
{
    for (unsigned p = 0; p < ENT_N_PROJ; p++)
        if (strcmp(text, ent_proj_name((ent_proj)p)) == 0 || strcmp(text, "all-linear") == 0)
            *targets |= 1u << p;
    return *targets != 0;
}

/* Marks the layers of "3" or "2-5". */
static bool read_layers(bool *marked, const char *text)
{
    char copy[32];
    int64_t from, to;
    if (strlen(text) >= sizeof copy || strspn(text, "0123456789-") != strlen(text) || *text == '-')
        return false;
    strcpy(copy, text);
    char *dash = strchr(copy, '-');
    if (dash)
        *dash = 0;
    if (!ent_number_read_int(&from, copy) || !ent_number_read_int(&to, dash ? dash + 1 : copy) || from < 0 ||
        from > to || to >= ENT_MAX_LAYERS)
        return false;
    for (int64_t i = from; i <= to; i++)
        marked[i] = true;
    return true;
}

/* A list, or one element of it alone. */
static ent_status set_list(ent_config *c, const ent_config_field *field, const ent_yaml *value, const char *where)
{
    const ent_yaml *item = value->kind == ENT_YAML_SCALAR ? value : value->first;
    unsigned targets = 0;
    bool marked[ENT_MAX_LAYERS] = {false};
    size_t n = 0;
    if (item == NULL || value->kind == ENT_YAML_MAPPING)
        return unexpected(field, value, where);
    for (; item; item = item == value ? NULL : item->next) {
        unsigned target = 0;
        if (item->kind != ENT_YAML_SCALAR ||
            !(field->type == ENT_FIELD_TARGETS ? read_target(&target, item->text) : read_layers(marked, item->text)))
            return unexpected(field, item, where);
        targets |= target;
    }
    if (field->type == ENT_FIELD_TARGETS) {
        c->lora.targets = targets;
        return ENT_OK;
    }
    for (size_t i = 0; i < ENT_MAX_LAYERS; i++)
        n += marked[i];
    ENT_TRY(ent_calloc(&c->lora.layers, n, sizeof *c->lora.layers, where));
    for (size_t i = 0; i < ENT_MAX_LAYERS; i++)
        if (marked[i])
            c->lora.layers[c->lora.n_layers++] = i;
    return ENT_OK;
}

/* A list of names, or one alone. */
static ent_status set_saved(ent_lora_names *out, const ent_config_field *field, const ent_yaml *value,
                            const char *where)
{
    const ent_yaml *item = value->kind == ENT_YAML_SCALAR ? value : value->first;
    if (item == NULL || value->kind == ENT_YAML_MAPPING)
        return unexpected(field, value, where);
    for (; item; item = item == value ? NULL : item->next) {
        if (item->kind != ENT_YAML_SCALAR || *item->text == 0 ||
            ent_yaml_type_of(item->text, item->quoted) == ENT_YAML_NULL)
            return unexpected(field, item, where);
        const ent_status st = ent_lora_names_add(out, item->text, where);
        if (st != ENT_OK)
            return st == ENT_ENOMEM ? st : ENT_ECONFIG; /* the message stays */
    }
    return ENT_OK;
}

/* A number without needless zeros, so that it stands for one layer once. */
static bool is_layer(const ent_config_field *field, const char *key)
{
    int64_t layer;
    return read_int(&layer, field, key) && strspn(key, "0123456789") == strlen(key) && (*key != '0' || key[1] == 0);
}

/* A mapping of patterns to numbers; {} is what its absence is. */
static ent_status set_patterns(ent_lora_patterns *out, const ent_config_field *field, const ent_yaml *value,
                               const char *where)
{
    if (value->kind != ENT_YAML_MAPPING)
        return unexpected(field, value, where);
    for (const ent_yaml *item = value->first; item; item = item->next) {
        int64_t r = 0;
        double x = 0;
        const bool integers = field->type != ENT_FIELD_ALPHAS;
        if (item->kind != ENT_YAML_SCALAR || item->quoted ||
            !(integers ? read_int(&r, field, item->text) : read_float(&x, field, item->text)))
            return unexpected(field, item, where);
        if (field->type == ENT_FIELD_PAIRS && !is_layer(field, item->key))
            return ent_fail(ENT_ECONFIG, "%s: expected layers from 0 to %lld, found \"%.200s\"", where,
                            (long long)field->max, item->key);
        const ent_status st = ent_lora_patterns_add(out, item->key, integers ? (double)r : x, where);
        if (st != ENT_OK)
            return st == ENT_ENOMEM ? st : ENT_ECONFIG; /* the message stays */
    }
    return ENT_OK;
}

/* *out = an absolute path without needless dots; ".." stays, since a folder may be a link. */
static ent_status set_path(char **out, const char *folder, const char *text)
{
    while (text[0] == '.' && text[1] == '/') {
        text += 2;
        text += strspn(text, "/");
    }
    if (text[0] == 0 || strcmp(text, ".") == 0)
        return ent_strdup(out, folder);
    return text[0] == '/' ? ent_strdup(out, text)
                          : ent_format(out, "%s%s%s", folder, strcmp(folder, "/") == 0 ? "" : "/", text);
}

/* Paths of teachers, or their weights. */
static ent_status set_teachers(ent_config *c, const ent_config_field *field, const ent_yaml *value, const char *folder,
                               const char *where)
{
    static const ent_config_field weight = {.low_open = true, .high = 1e6};
    const bool paths = field->type == ENT_FIELD_TEACHERS;
    const ent_yaml *item = value->kind == ENT_YAML_SCALAR ? value : value->first;
    if (item == NULL || value->kind == ENT_YAML_MAPPING)
        return unexpected(field, value, where);
    if (paths)
        ENT_TRY(ent_calloc(&c->distill.teachers, ENT_MAX_TEACHERS, sizeof *c->distill.teachers, where));
    else
        ENT_TRY(ent_calloc(&c->distill.weights, ENT_MAX_TEACHERS, sizeof *c->distill.weights, where));
    size_t *n = paths ? &c->distill.n_teachers : &c->distill.n_weights;
    for (; item; item = item == value ? NULL : item->next, ++*n) {
        const bool is_null =
            item->kind == ENT_YAML_SCALAR && ent_yaml_type_of(item->text, item->quoted) == ENT_YAML_NULL;
        if (*n == ENT_MAX_TEACHERS)
            return ent_fail(ENT_ECONFIG, "%s: expected at most %d, found more", where, ENT_MAX_TEACHERS);
        if (item->kind != ENT_YAML_SCALAR || is_null || *item->text == 0 ||
            (!paths && (item->quoted || !read_float(&c->distill.weights[*n], &weight, item->text))))
            return unexpected(field, item, where);
        if (paths)
            ENT_TRY(set_path(&c->distill.teachers[*n], folder, item->text));
    }
    return ENT_OK;
}

ent_status ent_config_field_set(ent_config *config, const ent_config_field *field, const ent_yaml *value,
                                const char *folder, const char *where)
{
    void *member = (char *)config + field->offset;
    if (ent_field_is_list(field->type)) {
        ent_config_field_clear(config, field);
        if (field->type == ENT_FIELD_SAVED)
            return set_saved(member, field, value, where);
        return field->type >= ENT_FIELD_TEACHERS ? set_teachers(config, field, value, folder, where)
                                                 : set_list(config, field, value, where);
    }
    if (ent_field_is_patterns(field->type)) {
        ent_config_field_clear(config, field);
        return set_patterns(member, field, value, where);
    }
    if (value->kind != ENT_YAML_SCALAR)
        return unexpected(field, value, where);
    const char *text = value->text;
    const ent_yaml_type type = ent_yaml_type_of(text, value->quoted);
    const bool truth = *text == 't' || *text == 'T';
    unsigned choice;
    bool fits = !value->quoted; /* "5" is a string, not a number */
    switch (field->type) {
    case ENT_FIELD_PATH:
        if (*text == 0 || type == ENT_YAML_NULL)
            return unexpected(field, value, where);
        ent_config_field_clear(config, field);
        return set_path(member, folder, text);
    case ENT_FIELD_CHOICE:
        fits = read_choice(&choice, field, text);
        if (fits)
            memcpy(member, &choice, sizeof choice);
        break;
    case ENT_FIELD_INT:
        fits = fits && read_int(member, field, text);
        break;
    case ENT_FIELD_FLOAT:
        fits = fits && read_float(member, field, text);
        break;
    default:
        fits = fits && type == ENT_YAML_BOOL;
        memcpy(member, &truth, sizeof truth);
        break;
    }
    return fits ? ENT_OK : unexpected(field, value, where);
}

void ent_config_field_clear(ent_config *config, const ent_config_field *field)
{
    char **path = (char **)(void *)((char *)config + field->offset);
    if (field->type == ENT_FIELD_PATH) {
        free(*path);
        *path = NULL;
    } else if (field->type == ENT_FIELD_LAYERS) {
        free(config->lora.layers);
        config->lora.layers = NULL;
        config->lora.n_layers = 0;
    } else if (field->type == ENT_FIELD_SAVED) {
        ent_lora_names_clear(&config->lora.saved);
    } else if (field->type == ENT_FIELD_TEACHERS) {
        for (size_t i = 0; i < config->distill.n_teachers; i++)
            free(config->distill.teachers[i]);
        free(config->distill.teachers);
        config->distill.teachers = NULL;
        config->distill.n_teachers = 0;
    } else if (field->type == ENT_FIELD_WEIGHTS) {
        free(config->distill.weights);
        config->distill.weights = NULL;
        config->distill.n_weights = 0;
    } else if (ent_field_is_patterns(field->type)) {
        ent_lora_patterns_clear((ent_lora_patterns *)(void *)((char *)config + field->offset));
    }
}
