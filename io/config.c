#include "io/config.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/config_fields.h"
#include "src/base/mem.h"

/* What was written for one key. */
typedef struct given {
    const ent_yaml *value; /* NULL: nothing, the default counts */
    char *where;           /* "config.yaml:3: optimizer.lr", "--set optimizer.lr" */
    bool from_set;
} given;

typedef struct loader {
    const char *path;
    char *folder, *cwd;        /* what relative paths are relative to */
    ent_yaml *root, *assigned; /* values are borrowed from here */
    given *given;              /* one a field */
    ent_config *config;
} loader;

static ent_status unknown(const char *where, const char *path)
{
    ent_text text = {0};
    char *hint;
    ent_config_suggest(&text, path);
    ENT_TRY(ent_text_finish(&hint, &text));
    ent_fail(ENT_ECONFIG, "%s: unknown key%s", where, hint);
    free(hint);
    return ENT_ECONFIG;
}

static bool in_section(const ent_config_field *field, const char *section)
{
    const size_t n = strlen(section);
    return strncmp(field->path, section, n) == 0 && field->path[n] == '.';
}

static bool is_section(const char *name)
{
    for (size_t i = 0; i < ent_config_n_fields; i++)
        if (in_section(&ent_config_fields[i], name))
            return true;
    return false;
}

static bool is_null(const ent_yaml *value)
{
    return value->kind == ENT_YAML_SCALAR && ent_yaml_type_of(value->text, value->quoted) == ENT_YAML_NULL;
}

/* Whether null means something: the key is absent by default. */
static bool may_be_null(const ent_config_field *field)
{
    return field->otherwise == NULL && !field->required;
}

static void forget(given *g)
{
    free(g->where);
    *g = (given){0};
}

static ent_status take_member(loader *l, const ent_yaml *section, const ent_yaml *member)
{
    char *path = NULL, *where = NULL;
    ent_status st;
    ENT_GO(ent_format(&path, "%s.%s", section->key, member->key));
    ENT_GO(ent_format(&where, "%s:%zu: %s", l->path, member->line, path));
    const ent_config_field *field = ent_config_field_find(path);
    if (field == NULL) {
        st = unknown(where, path);
    } else if (!(is_null(member) && may_be_null(field))) {
        l->given[field - ent_config_fields] = (given){member, where, false};
        where = NULL;
    }
done:
    free(where);
    free(path);
    return st;
}

static ent_status take_file(loader *l)
{
    const ent_status st = ent_yaml_read_file(&l->root, l->path);
    if (st != ENT_OK)
        return st == ENT_ENOMEM ? st : ENT_ECONFIG; /* the message stays */
    if (l->root->kind != ENT_YAML_MAPPING && !is_null(l->root))
        return ent_fail(ENT_ECONFIG, "%s:%zu: expected sections such as model: {path: ./model}", l->path,
                        l->root->line);
    for (const ent_yaml *section = l->root->first; section; section = section->next) {
        char *where;
        ENT_TRY(ent_format(&where, "%s:%zu: %s", l->path, section->line, section->key));
        ent_status status = ENT_OK;
        if (!is_section(section->key))
            status = unknown(where, section->key);
        else if (section->kind != ENT_YAML_MAPPING && !is_null(section))
            status = ent_fail(ENT_ECONFIG, "%s: expected a mapping of keys", where);
        else if (section->first == NULL && strcmp(section->key, "distill") == 0)
            status = ent_fail(ENT_ECONFIG, "%s: expected at least teacher: FOLDER; or no section", where);
        else if (section->first == NULL && strcmp(section->key, "lora") == 0)
            /* left empty, it could mean an adapter with all defaults, or none: two very different runs */
            status = ent_fail(ENT_ECONFIG, "%s: expected at least one key, such as rank: 8; or no section", where);
        free(where);
        ENT_TRY(status);
        for (const ent_yaml *member = section->first; member; member = member->next)
            ENT_TRY(take_member(l, section, member));
    }
    return ENT_OK;
}

/* *out = the value as a tree: [a, b] and a,b where a list is due, {a: 1} where patterns are, else one scalar. */
static ent_status parse_assigned(ent_yaml **out, const ent_config_field *field, const char *value, const char *where)
{
    const bool list = ent_field_is_list(field->type);
    if (!ent_utf8_is_valid(value))
        return ent_fail(ENT_ECONFIG, "%s: not UTF-8", where);
    if (list && strpbrk(value, "[,")) {
        char *text;
        ENT_TRY(ent_format(&text, *value == '[' ? "%s" : "[%s]", value));
        const ent_status st = ent_yaml_parse(out, text, strlen(text), where);
        free(text);
        return st == ENT_OK || st == ENT_ENOMEM ? st : ENT_ECONFIG;
    }
    if (ent_field_is_patterns(field->type) && *value == '{') {
        const ent_status st = ent_yaml_parse(out, value, strlen(value), where);
        return st == ENT_OK || st == ENT_ENOMEM ? st : ENT_ECONFIG;
    }
    ENT_TRY(ent_calloc(out, 1, sizeof **out, where));
    return ent_strdup(&(*out)->text, value);
}

static ent_status take_assignment(loader *l, const char *assignment)
{
    const char *equals = strchr(assignment, '='), *value = equals ? equals + 1 : NULL;
    char *path = NULL, *where = NULL;
    ent_yaml *tree = NULL;
    ent_status st;
    if (equals == NULL || equals == assignment)
        return ent_fail(ENT_ECONFIG, "--set %s: expected section.key=value", assignment);
    ENT_GO(ent_strndup(&path, assignment, (size_t)(equals - assignment)));
    ENT_GO(ent_format(&where, "--set %s", path));
    const ent_config_field *field = ent_config_field_find(path);
    if (field == NULL && is_section(path) && *value == 0) {
        for (size_t i = 0; i < ent_config_n_fields; i++)
            if (in_section(&ent_config_fields[i], path))
                forget(&l->given[i]);
    } else if (field == NULL && is_section(path)) {
        st = ent_fail(ENT_ECONFIG, "%s: a section; expected %s.key=value", where, path);
    } else if (field == NULL) {
        st = unknown(where, path);
    } else {
        given *g = &l->given[field - ent_config_fields];
        ENT_GO(parse_assigned(&tree, field, value, where));
        forget(g);
        if (*value && !(is_null(tree) && may_be_null(field))) {
            *g = (given){tree, where, true};
            where = NULL;
            tree->next = l->assigned;
            l->assigned = tree;
            tree = NULL;
        }
    }
done:
    ent_yaml_free(tree);
    free(where);
    free(path);
    return st;
}

static ent_status set_defaults(loader *l)
{
    for (size_t i = 0; i < ent_config_n_fields; i++) {
        const ent_config_field *field = &ent_config_fields[i];
        if (field->otherwise == NULL || ent_config_field_absent(l->config, field))
            continue;
        ent_yaml *value;
        ent_status st = ent_yaml_parse(&value, field->otherwise, strlen(field->otherwise), field->path);
        if (st == ENT_OK)
            st = ent_config_field_set(l->config, field, value, l->folder, field->path);
        ent_yaml_free(value);
        ENT_TRY(st);
    }
    return ENT_OK;
}

static ent_status set_given(loader *l)
{
    for (size_t i = 0; i < ent_config_n_fields; i++) {
        const given *g = &l->given[i];
        const ent_config_field *field = &ent_config_fields[i];
        if (g->value)
            ENT_TRY(ent_config_field_set(l->config, field, g->value, g->from_set ? l->cwd : l->folder, g->where));
        else if (field->required)
            return ent_fail(ENT_ECONFIG, "%s: %s: expected a path, found nothing", l->path, field->path);
    }
    return ENT_OK;
}

/* What begins an error about a key: where it was given, or else the file. */
typedef struct place {
    const char *where, *separator, *path;
} place;

static place place_of(const loader *l, const char *path)
{
    const given *g = &l->given[ent_config_field_find(path) - ent_config_fields];
    return g->where ? (place){g->where, "", ""} : (place){l->path, ": ", path};
}

/* A key that was given must act. */
static ent_status check_acts(const loader *l, const ent_config_field *field)
{
    const char *where = l->given[field - ent_config_fields].where;
    unsigned choice;
    if (where == NULL || ent_config_field_acts(l->config, field))
        return ENT_OK;
    if (field->needs == NULL)
        return ent_fail(ENT_ECONFIG, "%s: expected to be absent beside lora.path, whose adapter sets it", where);
    const ent_config_field *needed = ent_config_field_find(field->needs);
    ent_text text = {0};
    char *choices;
    memcpy(&choice, (const char *)l->config + needed->offset, sizeof choice);
    ent_config_field_names(&text, needed->choices, field->needs_choices);
    ent_text_printf(&text, ", found %s: ", needed->path);
    ent_config_field_names(&text, needed->choices, 1u << choice);
    ENT_TRY(ent_text_finish(&choices, &text));
    ent_fail(ENT_ECONFIG, "%s: acts only with %s: %s", where, needed->path, choices);
    free(choices);
    return ENT_ECONFIG;
}

/* One teacher, or several, with as many weights. */
static ent_status check_teachers(const loader *l)
{
    const ent_config *c = l->config;
    const bool one = c->distill.teacher, several = c->distill.teachers;
    place at = place_of(l, several ? "distill.teachers" : "distill.teacher");
    if (!c->has_distill)
        return ENT_OK;
    if (one == several)
        return ent_fail(ENT_ECONFIG, "%s%s%s: expected one of distill.teacher and distill.teachers, found %s", at.where,
                        at.separator, at.path, one ? "both" : "neither");
    at = place_of(l, "distill.hidden_layers");
    if (c->distill.hidden_layers.count && c->distill.hidden == 0)
        return ent_fail(ENT_ECONFIG, "%s%s%s: acts only with distill.hidden > 0, found distill.hidden: 0", at.where,
                        at.separator, at.path);
    at = place_of(l, "distill.weights");
    if (c->distill.weights && one)
        return ent_fail(ENT_ECONFIG, "%s%s%s: acts only with distill.teachers", at.where, at.separator, at.path);
    if (c->distill.weights && c->distill.n_weights != c->distill.n_teachers)
        return ent_fail(ENT_ECONFIG, "%s%s%s: expected a weight for each of %zu teachers, found %zu", at.where,
                        at.separator, at.path, c->distill.n_teachers, c->distill.n_weights);
    return ENT_OK;
}

/* All weights train, in fp32, rounded in forward alone. */
static ent_status check_qat(const loader *l)
{
    const ent_config *c = l->config;
    const place at = place_of(l, "quantize.qat");
    if (c->quantize.qat == ENT_QAT_NONE)
        return ENT_OK;
    if (c->has_lora)
        return ent_fail(ENT_ECONFIG, "%s%s%s: int8 trains all weights: expected no lora section, found one", at.where,
                        at.separator, at.path);
    if (c->quantize.base != ENT_BASE_NONE)
        return ent_fail(ENT_ECONFIG, "%s%s%s: int8 trains all weights: expected quantize.base: none, found %s",
                        at.where, at.separator, at.path, c->quantize.base == ENT_BASE_NF4 ? "nf4" : "int8");
    if (c->compute.precision != ENT_PRECISION_FP32)
        return ent_fail(ENT_ECONFIG, "%s%s%s: int8 trains all weights: expected compute.precision: fp32, found %s",
                        at.where, at.separator, at.path, c->compute.precision == ENT_PRECISION_INT8 ? "int8" : "bf16");
    return ENT_OK;
}

static ent_status check_together(const loader *l)
{
    const ent_config *c = l->config;
    place at;
    for (size_t i = 0; i < ent_config_n_fields; i++)
        ENT_TRY(check_acts(l, &ent_config_fields[i]));
    ENT_TRY(check_teachers(l));
    ENT_TRY(check_qat(l));
    if (c->scheduler.name == ENT_NAME_STEP && c->scheduler.step_size == 0) {
        at = place_of(l, "scheduler.step_size");
        return ent_fail(ENT_ECONFIG, "%s%s%s: expected an integer >= 1 with scheduler.name: step, found nothing",
                        at.where, at.separator, at.path);
    }
    if (c->scheduler.min_lr > c->optimizer.lr) {
        at = place_of(l, "scheduler.min_lr");
        return ent_fail(ENT_ECONFIG, "%s%s%s: expected at most optimizer.lr, which is %g, found %g", at.where,
                        at.separator, at.path, c->optimizer.lr, c->scheduler.min_lr);
    }
    if (c->eval.patience > 0 && c->eval.every == 0) {
        at = place_of(l, "eval.patience");
        return ent_fail(ENT_ECONFIG, "%s%s%s: acts only with eval.every > 0, found eval.every: 0", at.where,
                        at.separator, at.path);
    }
    if (c->eval.every > 0 && c->data.val == NULL) {
        at = place_of(l, "eval.every");
        return ent_fail(ENT_ECONFIG, "%s%s%s: needs data.val, found nothing there", at.where, at.separator, at.path);
    }
    return ENT_OK;
}

/* The working folder, and the folder of the file. Both come to stand in YAML and JSON, so they must be UTF-8. */
static ent_status find_folders(loader *l)
{
    l->cwd = getcwd(NULL, 0);
    if (l->cwd == NULL)
        return ent_fail(ENT_ECONFIG, "working folder: %s", strerror(errno));
    const char *slash = strrchr(l->path, '/');
    if (slash == NULL)
        ENT_TRY(ent_strdup(&l->folder, l->cwd));
    else if (slash == l->path)
        ENT_TRY(ent_strdup(&l->folder, "/"));
    else if (l->path[0] == '/')
        ENT_TRY(ent_strndup(&l->folder, l->path, (size_t)(slash - l->path)));
    else
        ENT_TRY(ent_format(&l->folder, "%s/%.*s", l->cwd, (int)(slash - l->path), l->path));
    if (!ent_utf8_is_valid(l->folder) || !ent_utf8_is_valid(l->cwd))
        return ent_fail(ENT_ECONFIG, "%s: the name of its folder or of the working folder is not UTF-8", l->path);
    return ENT_OK;
}

void ent_config_free(ent_config *config)
{
    for (size_t i = 0; config && i < ent_config_n_fields; i++)
        ent_config_field_clear(config, &ent_config_fields[i]);
    free(config);
}

ent_status ent_config_load(ent_config **out, const char *path, const char *const *sets, size_t n_sets)
{
    loader l = {.path = path};
    ent_status st;
    *out = NULL;
    ENT_GO(ent_calloc(&l.config, 1, sizeof *l.config, "the configuration"));
    ENT_GO(ent_calloc(&l.given, ent_config_n_fields, sizeof *l.given, "the configuration"));
    ENT_GO(take_file(&l));
    ENT_GO(find_folders(&l));
    for (size_t i = 0; i < n_sets; i++)
        ENT_GO(take_assignment(&l, sets[i]));
    for (size_t i = 0; i < ent_config_n_fields; i++) {
        l.config->has_lora |= l.given[i].value && in_section(&ent_config_fields[i], "lora");
        l.config->has_distill |= l.given[i].value && in_section(&ent_config_fields[i], "distill");
    }
    ENT_GO(set_defaults(&l));
    ENT_GO(set_given(&l));
    ENT_GO(check_together(&l));
    *out = l.config;
    l.config = NULL;
done:
    for (size_t i = 0; l.given && i < ent_config_n_fields; i++)
        forget(&l.given[i]);
    free(l.given);
    ent_yaml_free(l.assigned);
    ent_yaml_free(l.root);
    free(l.folder);
    free(l.cwd);
    ent_config_free(l.config);
    return st;
}
