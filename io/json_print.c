/* Building and printing. Numbers are as short as reads back exactly, whoever printed them. */
#include "io/json.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/json_tree.h"
#include "io/number.h"
#include "io/text.h"

ent_json *ent_json_new_object(void)
{
    return ent_json_node(NULL, ENT_JSON_OBJECT, NULL, NULL);
}

/* Adds a node to `to`. What could not be added leaves its container incomplete, which printing finds. */
static ent_json *add(ent_json *to, ent_json_kind kind, const char *key, const char *string)
{
    if (to == NULL || to->kind == ENT_JSON_INCOMPLETE)
        return NULL;
    assert(to->kind == (key ? ENT_JSON_OBJECT : ENT_JSON_ARRAY));
    ent_json *node = ent_json_node(to, kind, key, string);
    if (node == NULL)
        to->kind = ENT_JSON_INCOMPLETE;
    return node;
}

static ent_json *add_number(ent_json *to, const char *key, double value, const char *digits)
{
    ent_json *node = add(to, ENT_JSON_NUMBER, key, digits);
    if (node)
        node->number = value;
    return node;
}

ent_json *ent_json_add_object(ent_json *to, const char *key)
{
    return add(to, ENT_JSON_OBJECT, key, NULL);
}

ent_json *ent_json_add_array(ent_json *to, const char *key)
{
    return add(to, ENT_JSON_ARRAY, key, NULL);
}

ent_json *ent_json_add_string(ent_json *to, const char *key, const char *value)
{
    return value ? add(to, ENT_JSON_STRING, key, value) : ent_json_add_null(to, key);
}

ent_json *ent_json_add_double(ent_json *to, const char *key, double value)
{
    return isfinite(value) ? add_number(to, key, value, NULL) : ent_json_add_null(to, key);
}

ent_json *ent_json_add_int(ent_json *to, const char *key, int64_t value)
{
    char digits[32];
    if (value > -(INT64_C(1) << 53) && value < INT64_C(1) << 53)
        return add_number(to, key, (double)value, NULL);
    snprintf(digits, sizeof digits, "%" PRId64, value);
    return add_number(to, key, (double)value, digits);
}

ent_json *ent_json_add_bool(ent_json *to, const char *key, bool value)
{
    return add(to, value ? ENT_JSON_TRUE : ENT_JSON_FALSE, key, NULL);
}

ent_json *ent_json_add_null(ent_json *to, const char *key)
{
    return add(to, ENT_JSON_NULL, key, NULL);
}

void ent_json_remove(ent_json *object, const char *key)
{
    ent_json *before = NULL, *gone = ent_json_member(object, key);
    if (gone == NULL)
        return;
    for (ent_json *j = object->first; j != gone; j = j->next)
        before = j;
    *(before ? &before->next : &object->first) = gone->next;
    if (object->last == gone)
        object->last = before;
    gone->next = NULL;
    ent_json_free(gone);
}

/* A string in quotes. What isn't UTF-8 (a file's name may be anything) becomes U+FFFD: the text stays JSON. */
static void print_string(ent_text *text, const char *s)
{
    static const char special[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    size_t n = strlen(s);
    ent_text_put(text, "\"");
    while (n > 0) {
        const size_t length = ent_utf8_length(s, n);
        const char *escape = strchr(special, *s);
        if (length == 0)
            ent_text_put(text, "\xef\xbf\xbd");
        else if (escape)
            ent_text_printf(text, "\\%c", letters[escape - special]);
        else if ((unsigned char)*s < ' ' || *s == 0x7f)
            ent_text_printf(text, "\\u%04x", (unsigned)*s);
        else
            ent_text_put_n(text, s, length);
        s += length ? length : 1;
        n -= length ? length : 1;
    }
    ent_text_put(text, "\"");
}

static void print_break(ent_text *text, bool indented, int depth)
{
    if (indented)
        ent_text_printf(text, "\n%*s", 2 * depth, "");
}

static void print_value(ent_text *text, const ent_json *json, bool indented, int depth);

static void print_container(ent_text *text, const ent_json *json, bool indented, int depth)
{
    const bool object = json->kind == ENT_JSON_OBJECT;
    ent_text_put(text, object ? "{" : "[");
    for (const ent_json *item = json->first; item; item = item->next) {
        print_break(text, indented, depth + 1);
        if (object) {
            print_string(text, item->key);
            ent_text_put(text, indented ? ": " : ":");
        }
        print_value(text, item, indented, depth + 1);
        if (item->next)
            ent_text_put(text, ",");
    }
    if (json->first)
        print_break(text, indented, depth);
    ent_text_put(text, object ? "}" : "]");
}

static void print_value(ent_text *text, const ent_json *json, bool indented, int depth)
{
    ent_number_text number;
    switch (json ? json->kind : ENT_JSON_INCOMPLETE) {
    case ENT_JSON_NULL:
        ent_text_put(text, "null");
        break;
    case ENT_JSON_FALSE:
        ent_text_put(text, "false");
        break;
    case ENT_JSON_TRUE:
        ent_text_put(text, "true");
        break;
    case ENT_JSON_NUMBER:
        ent_text_put(text, json->string ? json->string : ent_number_format(&number, json->number));
        break;
    case ENT_JSON_STRING:
        print_string(text, json->string);
        break;
    case ENT_JSON_ARRAY:
    case ENT_JSON_OBJECT:
        print_container(text, json, indented, depth);
        break;
    case ENT_JSON_INCOMPLETE:
        text->failed = true;
        break;
    }
}

ent_status ent_json_print(char **out, const ent_json *json, bool indented)
{
    ent_text text = {0};
    print_value(&text, json, indented, 0);
    if (indented)
        ent_text_put(&text, "\n");
    return ent_text_finish(out, &text);
}
