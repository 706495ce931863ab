/* Model files as trees: JSON and YAML, read. JSON's tree becomes one as YAML has, which keeps the digits of numbers.
 * A key that stands twice is refused by the parsers of both. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/json.h"
#include "io/model_file_parts.h"
#include "io/number.h"
#include "io/text.h"
#include "io/yaml.h"
#include "src/base/mem.h"

/* Where in the text of a JSON file the numbers that have not been used begin. */
typedef struct cursor {
    const char *at, *end, *path;
} cursor;

/* *out = the next number of a text that is known to be JSON (caller frees). */
static ent_status next_number(char **out, cursor *c)
{
    for (bool quoted = false; c->at < c->end; c->at++) {
        if (quoted && *c->at == '\\')
            c->at++;
        else if (*c->at == '"')
            quoted = !quoted;
        const size_t n = quoted ? 0 : ent_number_span(c->at, (size_t)(c->end - c->at), NULL);
        if (n == 0)
            continue;
        c->at += n;
        return ent_strndup(out, c->at - n, n);
    }
    return ent_fail(ENT_EFORMAT, "%s: expected a number where the file ends", c->path);
}

/* *out = the tree of a JSON value; as deep as the nesting, which is limited. Whole or half, the caller frees it. */
static ent_status convert(ent_yaml **out, const ent_json *json, cursor *c)
{
    ent_yaml *node, **child;
    ENT_TRY(ent_calloc(out, 1, sizeof **out, c->path));
    node = *out;
    child = &node->first;
    if (ent_json_key(json))
        ENT_TRY(ent_strdup(&node->key, ent_json_key(json)));
    node->kind = ent_json_is_object(json)  ? ENT_YAML_MAPPING
                 : ent_json_is_array(json) ? ENT_YAML_SEQUENCE
                                           : ENT_YAML_SCALAR;
    node->quoted = ent_json_is_string(json);
    if (ent_json_is_number(json))
        return next_number(&node->text, c);
    if (node->kind == ENT_YAML_SCALAR)
        return ent_strdup(&node->text, node->quoted              ? ent_json_string(json)
                                       : !ent_json_is_bool(json) ? "null"
                                       : ent_json_bool(json)     ? "true"
                                                                 : "false");
    for (const ent_json *item = ent_json_first(json); item; item = ent_json_next(item), child = &(*child)->next)
        ENT_TRY(convert(child, item, c));
    return ENT_OK;
}

/* What a message says of a node. */
static const char *found(const ent_yaml *node)
{
    return node->kind == ENT_YAML_MAPPING ? "a mapping" : node->kind == ENT_YAML_SEQUENCE ? "a list" : node->text;
}

static ent_status expected(const ent_yaml *node, const char *what, const char *path, const char *place)
{
    return ent_fail(ENT_EFORMAT, "%s: %s: expected %s, found %.60s", path, place, what,
                    *found(node) ? found(node) : "nothing");
}

/* Whether a node is a scalar of a type. */
static bool is_a(const ent_yaml *node, ent_yaml_type type)
{
    return node->kind == ENT_YAML_SCALAR && ent_yaml_type_of(node->text, node->quoted) == type;
}

/* values[k] = the member keys[k], of exactly n members. `place` is "" for the root. */
static ent_status members(const ent_yaml **values, const char *const *keys, size_t n, const ent_yaml *node,
                          const char *path, const char *place)
{
    const char *point = *place ? "." : "";
    if (node->kind != ENT_YAML_MAPPING)
        return expected(node, "a mapping", path, *place ? place : "the file");
    memset(values, 0, n * sizeof *values);
    for (const ent_yaml *item = node->first; item; item = item->next) {
        size_t k = 0;
        while (k < n && strcmp(keys[k], item->key) != 0)
            k++;
        if (k == n)
            return ent_fail(ENT_EFORMAT, "%s: %s%s%.60s: is not expected there", path, place, point, item->key);
        values[k] = item;
    }
    for (size_t k = 0; k < n; k++)
        if (values[k] == NULL)
            return ent_fail(ENT_EFORMAT, "%s: %s%s%s: is missing", path, place, point, keys[k]);
    return ENT_OK;
}

static size_t count(const ent_yaml *node)
{
    size_t n = 0;
    for (const ent_yaml *item = node->first; item; item = item->next)
        n++;
    return n;
}

/* A text; in YAML one that isn't taken for something else. */
static ent_status read_text(const char **out, const ent_yaml *node, const char *path, const char *place)
{
    char *copy = NULL;
    if (!is_a(node, ENT_YAML_STRING))
        return expected(node, "a text", path, place);
    ENT_TRY(ent_strdup(&copy, node->text));
    *out = copy;
    return ENT_OK;
}

static ent_status read_metadata(ent_model_file *m, const ent_yaml *const values[4], const char *path)
{
    size_t i = 0;
    ENT_TRY(read_text(&m->name, values[0], path, "metadata.name"));
    ENT_TRY(read_text(&m->architecture, values[1], path, "metadata.architecture"));
    ENT_TRY(read_text(&m->version, values[2], path, "metadata.version"));
    for (const ent_yaml *item = values[3]->first; item; item = item->next, i++) {
        ent_model_file_entry *entry = ent_model_file_entry_at(m, i);
        char *key = NULL;
        ENT_TRY(ent_strdup(&key, item->key));
        entry->key = key;
        if (item->kind != ENT_YAML_SCALAR)
            return ent_fail(ENT_EFORMAT, "%s: metadata.custom.%.60s: expected a text, a number or a bool, found %s",
                            path, key, found(item));
        ENT_TRY(ent_model_file_set(entry, item->text, item->quoted, path));
    }
    return ENT_OK;
}

static ent_status read_shape(ent_model_file_param *p, size_t i, const ent_yaml *node, const char *path,
                             const char *place)
{
    int64_t size;
    if (node->kind != ENT_YAML_SEQUENCE)
        return expected(node, "a list", path, place);
    p->n_dims = count(node);
    size_t d = 0, elements;
    for (const ent_yaml *item = node->first; item && d < ENT_MODEL_FILE_MAX_DIMS; item = item->next, d++) {
        if (!is_a(item, ENT_YAML_INT) || !ent_number_read_int(&size, item->text) || size < 0)
            return expected(item, "whole numbers", path, place);
        p->shape[d] = (size_t)size;
    }
    return ent_model_file_shape(&elements, p, i, path, ENT_EFORMAT);
}

static ent_status read_param(ent_model_file_param *p, size_t i, const ent_yaml *node, const char *path)
{
    static const char *const keys[] = {"name", "shape", "dtype", "requires_grad"};
    const ent_yaml *values[4];
    char *places[5] = {0};
    ent_status st;
    ENT_GO(ent_format(&places[4], "parameters[%zu]", i));
    for (size_t k = 0; k < 4; k++)
        ENT_GO(ent_format(&places[k], "parameters[%zu].%s", i, keys[k]));
    ENT_GO(members(values, keys, 4, node, path, places[4]));
    ENT_GO(read_text(&p->name, values[0], path, places[0]));
    ENT_GO(read_shape(p, i, values[1], path, places[1]));
    if (!is_a(values[2], ENT_YAML_STRING) || strcmp(values[2]->text, "f32") != 0)
        ENT_GO(expected(values[2], "f32", path, places[2]));
    if (!is_a(values[3], ENT_YAML_BOOL))
        ENT_GO(expected(values[3], "true or false", path, places[3]));
    p->requires_grad = *values[3]->text == 't' || *values[3]->text == 'T';
done:
    for (size_t k = 0; k < 5; k++)
        free(places[k]);
    return st;
}

/* A number, rounded to a float; false for what is none, or too large for one. */
static bool read_float(float *out, const ent_yaml *node)
{
    double x;
    if (!is_a(node, ENT_YAML_FLOAT) && !is_a(node, ENT_YAML_INT))
        return false;
    if (ent_number_read_double(&x, node->text)) {
        *out = (float)x;
        return isfinite(*out);
    }
    const size_t sign = *node->text == '-' || *node->text == '+';
    if (node->text[sign] != '.' || !strchr("iInN", node->text[sign + 1]) || node->text[sign + 1] == 0)
        return false;
    *out = strchr("nN", node->text[sign + 1]) ? NAN : *node->text == '-' ? -INFINITY : INFINITY;
    return true;
}

static ent_status read_data(ent_model_file_param *p, const ent_yaml *node, const char *path)
{
    const size_t n = ent_model_file_elements(p), numbers = count(node);
    float *data = NULL;
    size_t i = 0;
    if (node->kind != ENT_YAML_SEQUENCE)
        return ent_fail(ENT_EFORMAT, "%s: data.%.255s: expected a list, found %.60s", path, p->name, found(node));
    if (numbers != n)
        return ent_fail(ENT_EFORMAT, "%s: data.%.255s: expected %zu numbers, found %zu", path, p->name, n, numbers);
    ENT_TRY(ent_calloc(&data, n, sizeof *data, path));
    p->data = data;
    for (const ent_yaml *item = node->first; item; item = item->next, i++)
        if (!read_float(&data[i], item))
            return ent_fail(ENT_EFORMAT, "%s: data.%.255s[%zu]: expected a number that a float holds, found %.60s",
                            path, p->name, i, found(item));
    return ENT_OK;
}

static int by_key(const void *a, const void *b)
{
    return strcmp((*(const ent_yaml *const *)a)->key, (*(const ent_yaml *const *)b)->key);
}

/* The data of each parameter, from members sorted by key; `used` is false for all of them. */
static ent_status find_data(ent_model_file *m, const ent_yaml **sorted, bool *used, size_t n, const char *path)
{
    for (size_t i = 0; i < m->n_params; i++) {
        ent_model_file_param *p = ent_model_file_param_at(m, i);
        const ent_yaml key = {.key = (char *)p->name}, *wanted = &key;
        const ent_yaml **at = bsearch(&wanted, sorted, n, sizeof *sorted, by_key);
        if (at == NULL)
            return ent_fail(ENT_EFORMAT, "%s: data.%.255s: is missing", path, p->name);
        if (used[at - sorted])
            return ent_fail(ENT_EFORMAT, "%s: parameters[%zu].name: expected another name, found %.255s again", path, i,
                            p->name);
        used[at - sorted] = true;
        ENT_TRY(read_data(p, *at, path));
    }
    for (size_t i = 0; i < n; i++)
        if (!used[i])
            return ent_fail(ENT_EFORMAT, "%s: data.%.255s: is not among the parameters", path, sorted[i]->key);
    return ENT_OK;
}

/* The members of `data` are those of `parameters`, in any order. Sorts them, for a file may have very many. */
static ent_status read_all_data(ent_model_file *m, const ent_yaml *node, const char *path)
{
    const ent_yaml **sorted = NULL;
    bool *used = NULL;
    size_t n = 0;
    ent_status st;
    if (node->kind != ENT_YAML_MAPPING)
        return expected(node, "a mapping", path, "data");
    ENT_GO(ent_calloc(&sorted, count(node), sizeof *sorted, path));
    ENT_GO(ent_calloc(&used, count(node), sizeof *used, path));
    for (const ent_yaml *item = node->first; item; item = item->next)
        sorted[n++] = item;
    qsort(sorted, n, sizeof *sorted, by_key);
    ENT_GO(find_data(m, sorted, used, n, path));
done:
    free(used);
    free(sorted);
    return st;
}

static ent_status read_tree(ent_model_file **out, const ent_yaml *root, const char *path)
{
    static const char *const parts[] = {"metadata", "parameters", "data"};
    static const char *const keys[] = {"name", "architecture", "version", "custom"};
    const ent_yaml *values[3], *metadata[4];
    size_t i = 0;
    ENT_TRY(members(values, parts, 3, root, path, ""));
    ENT_TRY(members(metadata, keys, 4, values[0], path, parts[0]));
    if (metadata[3]->kind != ENT_YAML_MAPPING)
        return expected(metadata[3], "a mapping", path, "metadata.custom");
    if (values[1]->kind != ENT_YAML_SEQUENCE)
        return expected(values[1], "a list", path, parts[1]);
    ENT_TRY(ent_model_file_new(out, count(metadata[3]), count(values[1]), path));
    ENT_TRY(read_metadata(*out, metadata, path));
    for (const ent_yaml *item = values[1]->first; item; item = item->next, i++)
        ENT_TRY(read_param(ent_model_file_param_at(*out, i), i, item, path));
    return read_all_data(*out, values[2], path);
}

ent_status ent_model_load_json(ent_model_file **out, const char *path)
{
    char *text = NULL;
    ent_json *json = NULL;
    ent_yaml *root = NULL;
    size_t n;
    ent_status st;
    ENT_TRY(ent_text_read_file(&text, &n, path));
    cursor c = {text, text + n, path};
    ENT_GO(ent_json_parse(&json, text, n, path));
    ENT_GO(convert(&root, json, &c));
    ENT_GO(read_tree(out, root, path));
done:
    ent_yaml_free(root);
    ent_json_free(json);
    free(text);
    return st;
}

ent_status ent_model_load_yaml(ent_model_file **out, const char *path)
{
    ent_yaml *root = NULL;
    ENT_TRY(ent_yaml_read_file(&root, path));
    const ent_status st = read_tree(out, root, path);
    ent_yaml_free(root);
    return st;
}
