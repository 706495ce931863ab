#include "io/json.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/json_scan.h"
#include "io/number.h"
#include "io/text.h"

#define MAX_INT 9007199254740991.0 /* 2^53 - 1: beyond it, different integers are the same double */

ent_status ent_json_parse(ent_json **out, const char *text, size_t n, const char *where)
{
    const char *end = NULL;
    *out = NULL;
    ENT_TRY(ent_json_scan(text, n, where));
    if (n == 0)
        return ent_fail(ENT_EFORMAT, "%s: line 1 column 1: expected a JSON value, found nothing", where);
    ent_json *json = cJSON_ParseWithLengthOpts(text, n, &end, 0);
    size_t offset = end ? (size_t)(end - text) : 0;
    if (json == NULL) {
        while (offset + 1 < n && strchr(" \t\r\n", text[offset]) && text[offset])
            offset++;
        const bool cut = offset + 1 >= n;
        return ent_json_fault(text, n, offset, where, cut ? "malformed JSON, or it ends too early" : "malformed JSON");
    }
    while (offset < n && strchr(" \t\r\n", text[offset]) && text[offset])
        offset++;
    if (offset < n) {
        cJSON_Delete(json);
        return ent_json_fault(text, n, offset, where, "something follows the JSON value");
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
    cJSON_Delete(json);
}

ent_json *ent_json_member(const ent_json *object, const char *key)
{
    return cJSON_IsObject(object) ? cJSON_GetObjectItemCaseSensitive(object, key) : NULL;
}

bool ent_json_is_null(const ent_json *json)
{
    return json == NULL || cJSON_IsNull(json);
}

bool ent_json_is_object(const ent_json *json)
{
    return cJSON_IsObject(json);
}

bool ent_json_is_array(const ent_json *json)
{
    return cJSON_IsArray(json);
}

bool ent_json_is_string(const ent_json *json)
{
    return cJSON_IsString(json);
}

bool ent_json_is_number(const ent_json *json)
{
    return cJSON_IsNumber(json) || cJSON_IsRaw(json); /* raw: an integer that a double cannot hold */
}

bool ent_json_is_bool(const ent_json *json)
{
    return cJSON_IsBool(json);
}

const char *ent_json_string(const ent_json *json)
{
    return cJSON_IsString(json) ? json->valuestring : NULL;
}

double ent_json_number(const ent_json *json)
{
    return ent_json_is_number(json) ? json->valuedouble : (double)NAN;
}

bool ent_json_bool(const ent_json *json)
{
    return cJSON_IsTrue(json);
}

ent_json *ent_json_first(const ent_json *json)
{
    return json ? json->child : NULL;
}

ent_json *ent_json_next(const ent_json *json)
{
    return json ? json->next : NULL;
}

const char *ent_json_key(const ent_json *json)
{
    return json ? json->string : NULL;
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
    if (!cJSON_IsObject(object))
        return ent_fail(ENT_EFORMAT, "%s: expected an object with member %s, found something else", where, key);
    if (cJSON_IsString(found))
        return ent_fail(ENT_EFORMAT, "%s: %s: expected %s, found \"%.60s\"", where, key, expected, found->valuestring);
    const char *what = found == NULL                  ? "nothing"
                       : cJSON_IsNull(found)          ? "null"
                       : cJSON_IsBool(found)          ? (cJSON_IsTrue(found) ? "true" : "false")
                       : cJSON_IsArray(found)         ? "an array"
                       : cJSON_IsObject(found)        ? "an object"
                       : isfinite(found->valuedouble) ? ent_number_format(&number, found->valuedouble)
                                                      : "no number";
    return ent_fail(ENT_EFORMAT, "%s: %s: expected %s, found %s", where, key, expected, what);
}

ent_status ent_json_get_string(const char **out, const ent_json *object, const char *key, const char *where)
{
    const ent_json *found = ent_json_member(object, key);
    if (!cJSON_IsString(found))
        return unexpected(object, key, "a string", where);
    *out = found->valuestring;
    return ENT_OK;
}

ent_status ent_json_get_double(double *out, const ent_json *object, const char *key, const char *where)
{
    const ent_json *found = ent_json_member(object, key);
    if (!ent_json_is_number(found))
        return unexpected(object, key, "a number", where);
    *out = found->valuedouble;
    return ENT_OK;
}

ent_status ent_json_get_int(int64_t *out, const ent_json *object, const char *key, const char *where)
{
    const ent_json *found = ent_json_member(object, key);
    if (!ent_json_is_number(found) || !(fabs(found->valuedouble) <= MAX_INT) ||
        found->valuedouble != trunc(found->valuedouble))
        return unexpected(object, key, "an integer", where);
    *out = (int64_t)found->valuedouble;
    return ENT_OK;
}

ent_status ent_json_get_bool(bool *out, const ent_json *object, const char *key, const char *where)
{
    const ent_json *found = ent_json_member(object, key);
    if (!cJSON_IsBool(found))
        return unexpected(object, key, "true or false", where);
    *out = cJSON_IsTrue(found);
    return ENT_OK;
}

/* Whether an optional member takes its default. Something that is no object has no members to be absent. */
static bool is_absent(const ent_json *object, const char *key)
{
    return cJSON_IsObject(object) && ent_json_is_null(ent_json_member(object, key));
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
