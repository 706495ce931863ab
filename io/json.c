#include "io/json.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/json_tree.h"
#include "io/number.h"
#include "io/text.h"

#define MAX_INT 9007199254740991.0 /* 2^53 - 1: beyond it, different integers are the same double */
enum { MAX_DEPTH = 64, SHOWN = 60 };

/* The string whose closing quote is the last of the `end` bytes at `text`, as it is written there. */
static const char *string_before(size_t *length, const char *text, size_t end)
{
    size_t start = end - 1, backslashes = 1;
    while (backslashes % 2 == 1 && start > 0) { /* back to a quote that is not escaped */
        for (start--; start > 0 && text[start] != '"';)
            start--;
        for (backslashes = 0; backslashes < start && text[start - 1 - backslashes] == '\\';)
            backslashes++;
    }
    *length = end - start;
    return text + start;
}

static bool is_blank(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (text[i] != ' ' && text[i] != '\t' && text[i] != '\n' && text[i] != '\r')
            return false;
    return true;
}

/* What a fault is called; NULL: jansson's words will do. */
static const char *name_of(enum json_error_code code, bool blank)
{
    switch (code) {
    case json_error_premature_end_of_input:
        return blank ? "expected a JSON value, found nothing" : "the text ends too early";
    case json_error_end_of_input_expected:
        return "something follows the JSON value";
    case json_error_invalid_utf8:
        return "not UTF-8";
    case json_error_null_character:
    case json_error_null_byte_in_key:
        return "\\u0000 in a string is not supported";
    case json_error_numeric_overflow:
        return "number too large";
    case json_error_stack_overflow:
        return "nested more than 64 deep";
    default:
        return NULL;
    }
}

/* ENT_EFORMAT: what jansson found in the n bytes of text, and where. */
static ent_status parse_fault(json_error_t *error, const char *text, size_t n, const char *where)
{
    const enum json_error_code code = json_error_code(error);
    const char *message = name_of(code, is_blank(text, n));
    const size_t position = (size_t)error->position; /* wraps in a text of gigabytes */
    const int line = error->line, column = error->column + (code == json_error_invalid_utf8); /* told: the one before */
    if (*error->text == 0) /* it has words for faults of the text only */
        return ent_fail(ENT_ENOMEM, "%s: out of memory", where);
    if (code == json_error_duplicate_key && position >= 2 && position <= n) {
        size_t length;
        const char *key = string_before(&length, text, position);
        return ent_fail(ENT_EFORMAT, "%s: line %d column %d: %.*s stands twice in its object", where, line, column,
                        length < SHOWN ? (int)length : SHOWN, key);
    }
    for (char *c = error->text; *c; c++) /* they may quote the text */
        *c = (*c >= 0 && *c < ' ') || *c == 0x7f ? '?' : *c;
    const bool at_end = message == NULL && position <= n && is_blank(text + position, n - position);
    return ent_fail(ENT_EFORMAT, "%s: line %d column %d: %s%s", where, line, column > 0 ? column : 1,
                    message ? message : error->text, at_end ? ", at the end of the text" : "");
}

/* ENT_EFORMAT if a byte of the text is 0, which jansson passes over where it stands behind a number or a word. */
static ent_status check_zeros(const char *text, size_t n, const char *where)
{
    const char *zero = memchr(text, 0, n), *start = text, *newline;
    size_t line = 1;
    if (zero == NULL)
        return ENT_OK;
    while ((newline = memchr(start, '\n', (size_t)(zero - start))) != NULL) {
        start = newline + 1;
        line++;
    }
    return ent_fail(ENT_EFORMAT, "%s: line %zu column %td: control character", where, line, zero - start + 1);
}

ent_json *ent_json_node(ent_json *to, ent_json_kind kind, const char *key, const char *string)
{
    const size_t key_size = key ? strlen(key) + 1 : 0, string_size = string ? strlen(string) + 1 : 0;
    ent_json *node = calloc(1, sizeof *node + key_size + string_size);
    if (node == NULL)
        return NULL;
    node->kind = kind;
    if (key)
        node->key = memcpy(node->text, key, key_size);
    if (string)
        node->string = memcpy(node->text + key_size, string, string_size);
    if (to && to->last)
        to->last->next = node;
    else if (to)
        to->first = node;
    if (to)
        to->last = node;
    return node;
}

static ent_json_kind kind_of(const json_t *from)
{
    switch (json_typeof(from)) {
    case JSON_OBJECT:
        return ENT_JSON_OBJECT;
    case JSON_ARRAY:
        return ENT_JSON_ARRAY;
    case JSON_STRING:
        return ENT_JSON_STRING;
    case JSON_TRUE:
        return ENT_JSON_TRUE;
    case JSON_FALSE:
        return ENT_JSON_FALSE;
    case JSON_INTEGER:
    case JSON_REAL:
        return ENT_JSON_NUMBER;
    case JSON_NULL:
        break;
    }
    return ENT_JSON_NULL;
}

/* Copies jansson's tree to the end of `to` (NULL: *root takes it), which is `depth` containers deep. */
static ent_status convert(ent_json **root, ent_json *to, const char *key, json_t *from, int depth, const char *where)
{
    const ent_json_kind kind = kind_of(from);
    const bool container = kind == ENT_JSON_OBJECT || kind == ENT_JSON_ARRAY;
    if (container && depth == MAX_DEPTH)
        return ent_fail(ENT_EFORMAT, "%s: nested more than %d deep", where, MAX_DEPTH);
    ent_json *node = ent_json_node(to, kind, key, json_string_value(from));
    if (node == NULL)
        return ent_fail(ENT_ENOMEM, "%s: out of memory", where);
    if (to == NULL)
        *root = node;
    node->number = json_number_value(from);
    for (void *i = json_object_iter(from); i; i = json_object_iter_next(from, i)) /* NULL: it is no object */
        ENT_TRY(convert(root, node, json_object_iter_key(i), json_object_iter_value(i), depth + 1, where));
    for (size_t i = 0; i < json_array_size(from); i++) /* 0: it is no array */
        ENT_TRY(convert(root, node, NULL, json_array_get(from, i), depth + 1, where));
    return ENT_OK;
}

ent_status ent_json_parse(ent_json **out, const char *text, size_t n, const char *where)
{
    const size_t flags = JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL;
    json_error_t error;
    ent_json *json = NULL;
    *out = NULL;
    if (n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) { /* the mark that some editors begin a file with */
        text += 3;
        n -= 3;
    }
    ENT_TRY(check_zeros(text, n, where));
    json_object_seed(1); /* its hashes need no secret; the first call counts */
    json_t *from = json_loadb(text, n, flags, &error);
    if (from == NULL)
        return parse_fault(&error, text, n, where);
    const ent_status st = convert(&json, NULL, NULL, from, 0, where);
    json_decref(from);
    if (st != ENT_OK) {
        ent_json_free(json);
        return st;
    }
    *out = json;
    return ENT_OK;
}

ent_status ent_json_read_file(ent_json **out, const char *path)
{
    char *text;
    size_t n;
    *out = NULL;
    ENT_TRY(ent_text_read_file(&text, &n, path));
    const ent_status st = ent_json_parse(out, text, n, path);
    free(text);
    return st;
}

void ent_json_free(ent_json *json)
{
    while (json) {
        ent_json *next = json->next;
        ent_json_free(json->first);
        free(json);
        json = next;
    }
}

ent_json *ent_json_member(const ent_json *object, const char *key)
{
    ent_json *found = ent_json_is_object(object) ? object->first : NULL;
    while (found && strcmp(found->key, key) != 0)
        found = found->next;
    return found;
}

bool ent_json_is_null(const ent_json *json)
{
    return json == NULL || json->kind == ENT_JSON_NULL;
}

bool ent_json_is_object(const ent_json *json)
{
    return json && json->kind == ENT_JSON_OBJECT;
}

bool ent_json_is_array(const ent_json *json)
{
    return json && json->kind == ENT_JSON_ARRAY;
}

bool ent_json_is_string(const ent_json *json)
{
    return json && json->kind == ENT_JSON_STRING;
}

bool ent_json_is_number(const ent_json *json)
{
    return json && json->kind == ENT_JSON_NUMBER;
}

bool ent_json_is_bool(const ent_json *json)
{
    return json && (json->kind == ENT_JSON_TRUE || json->kind == ENT_JSON_FALSE);
}

const char *ent_json_string(const ent_json *json)
{
    return ent_json_is_string(json) ? json->string : NULL;
}

double ent_json_number(const ent_json *json)
{
    return ent_json_is_number(json) ? json->number : (double)NAN;
}

bool ent_json_bool(const ent_json *json)
{
    return json && json->kind == ENT_JSON_TRUE;
}

ent_json *ent_json_first(const ent_json *json)
{
    return json ? json->first : NULL;
}

ent_json *ent_json_next(const ent_json *json)
{
    return json ? json->next : NULL;
}

const char *ent_json_key(const ent_json *json)
{
    return json ? json->key : NULL;
}

size_t ent_json_count(const ent_json *json)
{
    size_t n = 0;
    for (const ent_json *item = ent_json_first(json); item; item = item->next)
        n++;
    return n;
}

/* ENT_EFORMAT: what was expected as member `key`, and what is there. */
static ent_status unexpected(const ent_json *object, const char *key, const char *expected, const char *where)
{
    const ent_json *found = ent_json_member(object, key);
    ent_number_text number;
    if (!ent_json_is_object(object))
        return ent_fail(ENT_EFORMAT, "%s: expected an object with member %s, found something else", where, key);
    if (ent_json_is_string(found))
        return ent_fail(ENT_EFORMAT, "%s: %s: expected %s, found \"%.60s\"", where, key, expected, found->string);
    const char *what = found == NULL               ? "nothing"
                       : ent_json_is_null(found)   ? "null"
                       : ent_json_is_bool(found)   ? (ent_json_bool(found) ? "true" : "false")
                       : ent_json_is_array(found)  ? "an array"
                       : ent_json_is_object(found) ? "an object"
                       : isfinite(found->number)   ? ent_number_format(&number, found->number)
                                                   : "no number";
    return ent_fail(ENT_EFORMAT, "%s: %s: expected %s, found %s", where, key, expected, what);
}

ent_status ent_json_get_string(const char **out, const ent_json *object, const char *key, const char *where)
{
    const ent_json *found = ent_json_member(object, key);
    if (!ent_json_is_string(found))
        return unexpected(object, key, "a string", where);
    *out = found->string;
    return ENT_OK;
}

ent_status ent_json_get_double(double *out, const ent_json *object, const char *key, const char *where)
{
    const ent_json *found = ent_json_member(object, key);
    if (!ent_json_is_number(found))
        return unexpected(object, key, "a number", where);
    *out = found->number;
    return ENT_OK;
}

ent_status ent_json_get_int(int64_t *out, const ent_json *object, const char *key, const char *where)
{
    const ent_json *found = ent_json_member(object, key);
    if (!ent_json_is_number(found) || !(fabs(found->number) <= MAX_INT) || found->number != trunc(found->number))
        return unexpected(object, key, "an integer", where);
    *out = (int64_t)found->number;
    return ENT_OK;
}

ent_status ent_json_get_bool(bool *out, const ent_json *object, const char *key, const char *where)
{
    const ent_json *found = ent_json_member(object, key);
    if (!ent_json_is_bool(found))
        return unexpected(object, key, "true or false", where);
    *out = ent_json_bool(found);
    return ENT_OK;
}

/* Whether an optional member takes its default. Something that is no object has no members to be absent. */
static bool is_absent(const ent_json *object, const char *key)
{
    return ent_json_is_object(object) && ent_json_is_null(ent_json_member(object, key));
}

ent_status ent_json_get_string_or(const char **out, const ent_json *object, const char *key, const char *otherwise,
                                  const char *where)
{
    *out = otherwise;
    return is_absent(object, key) ? ENT_OK : ent_json_get_string(out, object, key, where);
}

ent_status ent_json_get_double_or(double *out, const ent_json *object, const char *key, double otherwise,
                                  const char *where)
{
    *out = otherwise;
    return is_absent(object, key) ? ENT_OK : ent_json_get_double(out, object, key, where);
}

ent_status ent_json_get_int_or(int64_t *out, const ent_json *object, const char *key, int64_t otherwise,
                               const char *where)
{
    *out = otherwise;
    return is_absent(object, key) ? ENT_OK : ent_json_get_int(out, object, key, where);
}

ent_status ent_json_get_bool_or(bool *out, const ent_json *object, const char *key, bool otherwise, const char *where)
{
    *out = otherwise;
    return is_absent(object, key) ? ENT_OK : ent_json_get_bool(out, object, key, where);
}
