/* Building and printing. cJSON's own printer keeps 15 digits where 17 are needed, so numbers and layout are ours. */
#include "io/json.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/number.h"
#include "io/text.h"

ent_json *ent_json_new_object(void)
{
    return cJSON_CreateObject();
}

/* Hands `item` to `to`. What could not be added leaves its container invalid, which printing finds. */
static ent_json *add(ent_json *to, const char *key, ent_json *item)
{
    if (to && item && (key ? cJSON_AddItemToObject(to, key, item) : cJSON_AddItemToArray(to, item)))
        return item;
    if (to)
        to->type = cJSON_Invalid;
    cJSON_Delete(item);
    return NULL;
}

ent_json *ent_json_add_object(ent_json *to, const char *key)
{
    return add(to, key, cJSON_CreateObject());
}

ent_json *ent_json_add_array(ent_json *to, const char *key)
{
    return add(to, key, cJSON_CreateArray());
}

ent_json *ent_json_add_string(ent_json *to, const char *key, const char *value)
{
    return add(to, key, value ? cJSON_CreateString(value) : cJSON_CreateNull());
}

ent_json *ent_json_add_double(ent_json *to, const char *key, double value)
{
    return add(to, key, isfinite(value) ? cJSON_CreateNumber(value) : cJSON_CreateNull());
}

ent_json *ent_json_add_int(ent_json *to, const char *key, int64_t value)
{
    if (llabs(value) < INT64_C(1) << 53 && value != INT64_MIN)
        return add(to, key, cJSON_CreateNumber((double)value));
    char digits[32];
    snprintf(digits, sizeof digits, "%" PRId64, value);
    ent_json *item = cJSON_CreateRaw(digits);
    if (item)
        item->valuedouble = (double)value;
    return add(to, key, item);
}

ent_json *ent_json_add_bool(ent_json *to, const char *key, bool value)
{
    return add(to, key, cJSON_CreateBool(value));
}

ent_json *ent_json_add_null(ent_json *to, const char *key)
{
    return add(to, key, cJSON_CreateNull());
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

static void print_value(ent_text *text, const ent_json *json, bool indented, int depth)
{
    ent_number_text number;
    const bool object = cJSON_IsObject(json);
    if (cJSON_IsString(json)) {
        print_string(text, json->valuestring);
    } else if (cJSON_IsNumber(json)) {
        ent_text_put(text, ent_number_format(&number, json->valuedouble));
    } else if (cJSON_IsRaw(json)) {
        ent_text_put(text, json->valuestring);
    } else if (cJSON_IsBool(json)) {
        ent_text_put(text, cJSON_IsTrue(json) ? "true" : "false");
    } else if (cJSON_IsNull(json)) {
        ent_text_put(text, "null");
    } else if (object || cJSON_IsArray(json)) {
        ent_text_put(text, object ? "{" : "[");
        for (const ent_json *item = json->child; item; item = item->next) {
            print_break(text, indented, depth + 1);
            if (object) {
                print_string(text, item->string);
                ent_text_put(text, indented ? ": " : ":");
            }
            print_value(text, item, indented, depth + 1);
            if (item->next)
                ent_text_put(text, ",");
        }
        if (json->child)
            print_break(text, indented, depth);
        ent_text_put(text, object ? "}" : "]");
    } else {
        text->failed = true; /* marked by `add` */
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
