/* One tree, two notations: ent_json trees written as YAML and read from it. */
#ifndef ENT_IO_YAML_JSON_H
#define ENT_IO_YAML_JSON_H

#include <stddef.h>

#include "io/json.h"
#include "src/base/status.h"

/* *out = the tree as YAML (caller frees with free()): a mapping a line, lists of scalars between brackets. Reading it
 * gives an equal tree. ENT_ENOMEM, also for a tree that ran out of memory while it was built. */
ent_status ent_yaml_from_json(char **out, const ent_json *json);

/* The tree of a YAML document, or of a file, whose root must be a mapping. Plain scalars are null, true, false,
 * integers, numbers or else strings, by the core schema of YAML 1.2. Fails as ent_yaml_parse does; ENT_EUNSUPPORTED for
 * .inf and .nan. */
ent_status ent_yaml_to_json(ent_json **out, const char *text, size_t n, const char *where);
ent_status ent_yaml_read_json(ent_json **out, const char *path);

#endif
