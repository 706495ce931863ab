#include "io/json_value.h"

#include <stdlib.h>
#include <string.h>

bool ent_json_is_trivial(const ent_json *json)
{
    if (ent_json_is_null(json))
        return true;
    if (ent_json_is_bool(json))
        return !ent_json_bool(json);
    if (ent_json_is_number(json))
        return ent_json_number(json) == 0;
    if (ent_json_is_string(json))
        return *ent_json_string(json) == '\0';
    return ent_json_first(json) == NULL;
}

ent_status ent_json_unsupported(const char *where, const char *key, const ent_json *value)
{
    enum { SHOWN = 80 };
    char *text = NULL;
    if (value)
        ENT_TRY(ent_json_print(&text, value, false));
    const char *shown = text ? text : "null";
    const ent_status st = ent_fail(ENT_EUNSUPPORTED, "%s: %s: %.*s%s is not supported", where, key, SHOWN, shown,
                                   strlen(shown) > SHOWN ? "…" : "");
    free(text);
    return st;
}

bool ent_json_key_in(const char *key, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(key, names[i]) == 0)
            return true;
    return false;
}
