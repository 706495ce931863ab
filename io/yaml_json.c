#include "io/yaml_json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "io/number.h"
#include "io/yaml.h"

enum { MAX_SIMPLE_KEY = 128, LINE_WIDTH = 110 }; /* bytes; YAML ends a key at 1024, and an escape may take 6 */

static bool is_container(const ent_json *json)
{
    return ent_json_is_object(json) || ent_json_is_array(json);
}

static void put_scalar(ent_text *to, const ent_json *json)
{
    if (ent_json_is_string(json)) {
        ent_yaml_put_string(to, ent_json_string(json));
    } else if (ent_json_is_number(json)) {
        char *digits; /* printed by the tree's owner: it has integers that a double does not hold */
        if (ent_json_print(&digits, json, false) != ENT_OK) {
            to->failed = true;
            return;
        }
        if (strpbrk(digits, ".e"))
            ent_yaml_put_double(to, ent_json_number(json), true);
        else
            ent_text_put(to, digits);
        free(digits);
    } else if (ent_json_is_bool(json)) {
        ent_text_put(to, ent_json_bool(json) ? "true" : "false");
    } else if (ent_json_is_null(json)) {
        ent_text_put(to, "null");
    } else {
        to->failed = true; /* a container that memory ran out for */
    }
}

/* [1, 2, 3], broken into lines. */
static void put_flow(ent_text *to, const ent_json *list, int indent)
{
    size_t line = to->n;
    ent_text_put(to, "[");
    for (const ent_json *item = ent_json_first(list); item; item = ent_json_next(item)) {
        put_scalar(to, item);
        if (ent_json_next(item) && to->n - line > LINE_WIDTH) {
            ent_text_printf(to, ",\n%*s", indent, "");
            line = to->n;
        } else if (ent_json_next(item)) {
            ent_text_put(to, ", ");
        }
    }
    ent_text_put(to, "]");
}

static bool is_flow(const ent_json *json)
{
    for (const ent_json *item = ent_json_first(json); item; item = ent_json_next(item))
        if (is_container(item))
            return false;
    return ent_json_is_array(json);
}

/* A container that has elements: one a line. The cursor stands where the first line begins. */
static void put_block(ent_text *to, const ent_json *json, int indent)
{
    const bool object = ent_json_is_object(json);
    for (const ent_json *item = ent_json_first(json); item; item = ent_json_next(item)) {
        if (item != ent_json_first(json))
            ent_text_printf(to, "%*s", indent, "");
        if (object) {
            const bool complex = strlen(ent_json_key(item)) > MAX_SIMPLE_KEY;
            ent_text_put(to, complex ? "? " : "");
            ent_yaml_put_string(to, ent_json_key(item));
            if (complex)
                ent_text_printf(to, "\n%*s", indent, "");
            ent_text_put(to, ":");
        } else {
            ent_text_put(to, "-");
        }
        const bool block = is_container(item) && ent_json_first(item) && !is_flow(item);
        if (block && object)
            ent_text_printf(to, "\n%*s", indent + 2, "");
        else
            ent_text_put(to, " ");
        if (block) {
            put_block(to, item, indent + 2);
            continue;
        }
        if (ent_json_is_object(item))
            ent_text_put(to, "{}");
        else if (ent_json_is_array(item))
            put_flow(to, item, indent + 2);
        else
            put_scalar(to, item);
        ent_text_put(to, "\n");
    }
}

ent_status ent_yaml_from_json(char **out, const ent_json *json)
{
    ent_text text = {0};
    if (json && is_container(json) && ent_json_first(json) && !is_flow(json)) {
        put_block(&text, json, 0);
    } else {
        if (json == NULL)
            text.failed = true;
        else if (ent_json_is_object(json))
            ent_text_put(&text, "{}");
        else if (ent_json_is_array(json))
            put_flow(&text, json, 2);
        else
            put_scalar(&text, json);
        ent_text_put(&text, "\n");
    }
    return ent_text_finish(out, &text);
}

/* Reads an integer of the core schema: decimal, 0x or 0o. False: too large. */
static bool read_int(long long *out, const char *text)
{
    const int base = text[0] == '0' && text[1] == 'x' ? 16 : text[0] == '0' && text[1] == 'o' ? 8 : 10;
    errno = 0;
    *out = strtoll(text + (base == 10 ? 0 : 2), NULL, base);
    return errno == 0;
}

/* Adds a scalar's value. An integer that is too large for one is still a number. */
static ent_status add_scalar(ent_json *to, const ent_yaml *from, const char *where)
{
    const char *text = from->text;
    const ent_yaml_type type = ent_yaml_type_of(text, from->quoted);
    long long integer;
    double number;
    if (type == ENT_YAML_NULL)
        ent_json_add_null(to, from->key);
    else if (type == ENT_YAML_BOOL)
        ent_json_add_bool(to, from->key, *text == 't' || *text == 'T');
    else if (type == ENT_YAML_STRING)
        ent_json_add_string(to, from->key, text);
    else if (type == ENT_YAML_INT && read_int(&integer, text))
        ent_json_add_int(to, from->key, integer);
    else if (ent_number_read_double(&number, text))
        ent_json_add_double(to, from->key, number);
    else
        return ent_fail(ENT_EUNSUPPORTED, "%s:%zu: expected a finite number, found %.60s", where, from->line, text);
    return ENT_OK;
}

/* Adds the children of `from` to `to`. As deep as the YAML tree, which is limited. */
static ent_status add_children(ent_json *to, const ent_yaml *from, const char *where)
{
    for (const ent_yaml *child = from->first; child; child = child->next) {
        if (child->kind == ENT_YAML_SCALAR) {
            ENT_TRY(add_scalar(to, child, where));
            continue;
        }
        ent_json *container =
            child->kind == ENT_YAML_MAPPING ? ent_json_add_object(to, child->key) : ent_json_add_array(to, child->key);
        if (container == NULL)
            return ent_fail(ENT_ENOMEM, "%s: out of memory", where);
        ENT_TRY(add_children(container, child, where));
    }
    return ENT_OK;
}

ent_status ent_yaml_to_json(ent_json **out, const char *text, size_t n, const char *where)
{
    ent_yaml *root = NULL;
    ent_json *json = NULL;
    ent_status st;
    *out = NULL;
    ENT_GO(ent_yaml_parse(&root, text, n, where));
    if (root->kind != ENT_YAML_MAPPING) {
        st = ent_fail(ENT_EFORMAT, "%s:%zu: expected a mapping", where, root->line);
        goto done;
    }
    json = ent_json_new_object();
    if (json == NULL) {
        st = ent_fail(ENT_ENOMEM, "%s: out of memory", where);
        goto done;
    }
    ENT_GO(add_children(json, root, where));
    *out = json;
    json = NULL;
done:
    ent_json_free(json);
    ent_yaml_free(root);
    return st;
}

ent_status ent_yaml_read_json(ent_json **out, const char *path)
{
    char *text;
    size_t n;
    *out = NULL;
    ENT_TRY(ent_text_read_file(&text, &n, path));
    const ent_status st = ent_yaml_to_json(out, text, n, path);
    free(text);
    return st;
}
