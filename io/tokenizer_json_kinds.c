/* Members that several parts of a tokenizer.json have, and the choice by type. */
#include <stdlib.h>
#include <string.h>

#include "io/text.h"
#include "io/tokenizer_json_parts.h"
#include "src/base/mem.h"

static ent_status read_list(ent_tokenizer *t, const ent_json *json, const ent_tokenizer_kind *kinds, const char *list,
                            const char *where)
{
    const char *const keys[] = {"type", list, NULL};
    const ent_json *steps = ent_json_member(json, list);
    size_t index = 0;
    ENT_TRY(ent_tokenizer_check_keys(json, keys, where));
    if (!ent_json_is_array(steps))
        return ent_fail(ENT_EFORMAT, "%s: %s: expected an array", where, list);
    for (const ent_json *step = ent_json_first(steps); step; step = ent_json_next(step), index++) {
        char *place;
        ENT_TRY(ent_format(&place, "%s.%s[%zu]", where, list, index));
        const ent_status st = ent_json_is_object(step) ? ent_tokenizer_read_kind(t, step, kinds, place)
                                                       : ent_fail(ENT_EFORMAT, "%s: expected an object", place);
        free(place);
        ENT_TRY(st);
    }
    return ENT_OK;
}

ent_status ent_tokenizer_read_kind(ent_tokenizer *t, const ent_json *json, const ent_tokenizer_kind *kinds,
                                   const char *where)
{
    const char *type;
    if (ent_json_is_null(json))
        return ENT_OK;
    if (!ent_json_is_object(json))
        return ent_fail(ENT_EFORMAT, "%s: expected an object or null", where);
    ENT_TRY(ent_json_get_string(&type, json, "type", where));
    for (const ent_tokenizer_kind *kind = kinds; kind->type; kind++)
        if (strcmp(kind->type, type) == 0)
            return kind->list ? read_list(t, json, kinds, kind->list, where) : kind->read(t, json, where);
    return ent_fail(ENT_EUNSUPPORTED, "%s.type: \"%.60s\" is not supported", where, type);
}

ent_status ent_tokenizer_read_pattern(const char **out, bool *literal, const ent_json *json, const char *where)
{
    const ent_json *pattern = ent_json_member(json, "pattern"), *kind = ent_json_first(pattern);
    const char *text = ent_json_string(kind);
    if (!ent_json_is_object(pattern) || text == NULL || ent_json_next(kind) ||
        (strcmp(ent_json_key(kind), "String") != 0 && strcmp(ent_json_key(kind), "Regex") != 0))
        return ent_fail(ENT_EFORMAT, "%s: pattern: expected {\"String\": ...} or {\"Regex\": ...}", where);
    *literal = ent_json_key(kind)[0] == 'S';
    *out = text;
    return ENT_OK;
}

ent_status ent_tokenizer_read_character(const char **out, const ent_json *json, const char *key, const char *where)
{
    ENT_TRY(ent_json_get_string(out, json, key, where));
    const size_t n = strlen(*out);
    if (n == 0 || ent_utf8_length(*out, n) != n)
        return ent_fail(ENT_EFORMAT, "%s: %s: expected one character, found \"%.60s\"", where, key, *out);
    return ENT_OK;
}

ent_status ent_tokenizer_read_metaspace(const char **replacement, ent_prepend_scheme *scheme, bool *split,
                                        const ent_json *json, const char *where)
{
    static const char *const keys[] = {"type",    "replacement", "add_prefix_space", "prepend_scheme", "split",
                                       "str_rep", NULL};
    static const char *const schemes[] = {
        [ENT_PREPEND_NEVER] = "never", [ENT_PREPEND_FIRST] = "first", [ENT_PREPEND_ALWAYS] = "always"};
    const char *name;
    bool add_prefix_space;
    ENT_TRY(ent_tokenizer_check_keys(json, keys, where));
    ENT_TRY(ent_tokenizer_read_character(replacement, json, "replacement", where));
    ENT_TRY(ent_json_get_bool_or(&add_prefix_space, json, "add_prefix_space", true, where));
    ENT_TRY(ent_json_get_string_or(&name, json, "prepend_scheme", add_prefix_space ? "always" : "never", where));
    ENT_TRY(ent_json_get_bool_or(split, json, "split", true, where));
    for (*scheme = ENT_PREPEND_NEVER; *scheme <= ENT_PREPEND_ALWAYS; ++*scheme)
        if (strcmp(schemes[*scheme], name) == 0)
            break;
    if (*scheme > ENT_PREPEND_ALWAYS)
        return ent_fail(ENT_EUNSUPPORTED, "%s.prepend_scheme: \"%.60s\" is not supported", where, name);
    if (!add_prefix_space && *scheme != ENT_PREPEND_NEVER)
        return ent_fail(ENT_EFORMAT, "%s: add_prefix_space: false does not fit prepend_scheme \"%s\"", where, name);
    return ENT_OK;
}
