/* JSON trees, read and written. Texts are read by jansson, which only io/json.c knows.
 *
 * An ent_json is borrowed from its root; ent_json_free(root) frees all. Strings are UTF-8 and end at a zero, so a text
 * holding the escape \u0000 is refused. So is an object in which a key stands twice.
 */
#ifndef ENT_IO_JSON_H
#define ENT_IO_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/status.h"

typedef struct ent_json ent_json;

/* Reads a whole file, or `n` bytes of text (`where` names it in errors, e.g. "train.jsonl:12"). Exactly one JSON value
 * is expected; ENT_EFORMAT with line and column of the fault otherwise. At most 64 containers are one in another. */
ent_status ent_json_read_file(ent_json **out, const char *path);
ent_status ent_json_parse(ent_json **out, const char *text, size_t n, const char *where);
void ent_json_free(ent_json *json);

/* Looking: NULL if `object` is no object, or has no such member (case-sensitive). ent_json_is_null: absent or null. */
ent_json *ent_json_member(const ent_json *object, const char *key);
bool ent_json_is_null(const ent_json *json);
bool ent_json_is_object(const ent_json *json);
bool ent_json_is_array(const ent_json *json);
bool ent_json_is_string(const ent_json *json);
bool ent_json_is_number(const ent_json *json);
bool ent_json_is_bool(const ent_json *json);
const char *ent_json_string(const ent_json *json); /* the text; NULL if it is no string */
double ent_json_number(const ent_json *json);      /* NaN if it is no number */
bool ent_json_bool(const ent_json *json);          /* false if it is no true */

/* Walking: the first element or member, the next one (NULL at the end); a member's key; number of elements. */
ent_json *ent_json_first(const ent_json *json);
ent_json *ent_json_next(const ent_json *json);
const char *ent_json_key(const ent_json *json);
size_t ent_json_count(const ent_json *json);

/* Members of a given type; ENT_EFORMAT "WHERE: KEY: expected an integer, found ..." if it is absent or something else.
 * The _or forms take an absent or null member as `otherwise`. Integers are whole numbers within +-(2^53 - 1). */
ent_status ent_json_get_string(const char **out, const ent_json *object, const char *key, const char *where);
ent_status ent_json_get_double(double *out, const ent_json *object, const char *key, const char *where);
ent_status ent_json_get_int(int64_t *out, const ent_json *object, const char *key, const char *where);
ent_status ent_json_get_bool(bool *out, const ent_json *object, const char *key, const char *where);
ent_status ent_json_get_string_or(const char **out, const ent_json *object, const char *key, const char *otherwise,
                                  const char *where);
ent_status ent_json_get_double_or(double *out, const ent_json *object, const char *key, double otherwise,
                                  const char *where);
ent_status ent_json_get_int_or(int64_t *out, const ent_json *object, const char *key, int64_t otherwise,
                               const char *where);
ent_status ent_json_get_bool_or(bool *out, const ent_json *object, const char *key, bool otherwise, const char *where);

/* Building: each adds to `object` (or `array`) and returns what it added; NULL without memory (checked by
 * ent_json_print, which then fails). `key` NULL adds to an array. Doubles are printed so that they read back exactly.
 */
ent_json *ent_json_new_object(void);
ent_json *ent_json_add_object(ent_json *to, const char *key);
ent_json *ent_json_add_array(ent_json *to, const char *key);
ent_json *ent_json_add_string(ent_json *to, const char *key, const char *value);
ent_json *ent_json_add_double(ent_json *to, const char *key, double value);
ent_json *ent_json_add_int(ent_json *to, const char *key, int64_t value);
ent_json *ent_json_add_bool(ent_json *to, const char *key, bool value);
ent_json *ent_json_add_null(ent_json *to, const char *key);

/* Takes a member out of its object and frees it; none there is fine. */
void ent_json_remove(ent_json *object, const char *key);

/* *out = the text (caller frees with free()), on one line or indented with a final newline. */
ent_status ent_json_print(char **out, const ent_json *json, bool indented);

#endif
