/* Settings read from JSON files of other tools: is a value nothing in particular, and how it looks in a message. */
#ifndef ENT_IO_JSON_VALUE_H
#define ENT_IO_JSON_VALUE_H

#include <stdbool.h>
#include <stddef.h>

#include "io/json.h"
#include "src/base/status.h"

/* Absent, null, false, 0, "", [] or {}: what a setting is that is not in use. */
bool ent_json_is_trivial(const ent_json *json);

/* ENT_EUNSUPPORTED "WHERE: KEY: VALUE is not supported", the value as JSON, shortened. */
ent_status ent_json_unsupported(const char *where, const char *key, const ent_json *value);

/* Is `key` one of the n names? */
bool ent_json_key_in(const char *key, const char *const *names, size_t n);

#endif
