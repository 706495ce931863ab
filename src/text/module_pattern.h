/* Patterns that name modules of a model as PEFT's rank_pattern and alpha_pattern do: a key takes a module whose path,
 * such as "model.layers.0.self_attn.q_proj", matches the Python expression re.match(rf"(.*\.)?({key})$", path).
 *
 * Taken are keys that Python's re and PCRE2 understand alike: letters, digits, "_", "-", ".", groups, "|", classes, the
 * quantifiers, \d \w \s and their opposites, "^", "$", and a backslash before punctuation.
 */
#ifndef ENT_TEXT_MODULE_PATTERN_H
#define ENT_TEXT_MODULE_PATTERN_H

#include <stdbool.h>

#include "src/base/status.h"

/* ENT_EUNSUPPORTED "WHERE: pattern \"...\": ..." for a key that isn't understood, or isn't an expression. */
ent_status ent_module_pattern_check(const char *key, const char *where);

/* *out = whether a checked key takes the module. ENT_EUNSUPPORTED if finding out takes too long; ENT_ENOMEM. */
ent_status ent_module_pattern_takes(bool *out, const char *key, const char *module);

#endif
