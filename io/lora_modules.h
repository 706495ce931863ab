/* What single modules of an adapter have of their own: PEFT's rank_pattern and alpha_pattern. */
#ifndef ENT_IO_LORA_MODULES_H
#define ENT_IO_LORA_MODULES_H

#include <stdbool.h>
#include <stddef.h>

#include "io/json.h"
#include "src/base/status.h"
#include "src/nn/lora_config.h"

enum { ENT_LORA_MOST_R = 1 << 16, ENT_LORA_MOST_ALPHA = 1000000, ENT_LORA_MOST_PATTERNS = 1000 };

/* Frees what the struct owns and sets all to 0. */
void ent_lora_config_clear(ent_lora_config *config);
void ent_lora_patterns_clear(ent_lora_patterns *patterns);

/* *out = the same with its own memory. Clear it also after a failure. */
ent_status ent_lora_config_copy(ent_lora_config *out, const ent_lora_config *from);

/* Adds a pattern behind those that are there. `where` begins an error: ENT_EUNSUPPORTED for a key that
 * src/text/module_pattern.h doesn't take, or one more than ENT_LORA_MOST_PATTERNS. */
ent_status ent_lora_patterns_add(ent_lora_patterns *to, const char *key, double value, const char *where);

/* Adds the members of a JSON object, in their order; null and absent have none. Values are ranks (whole numbers from 1
 * to ENT_LORA_MOST_R) or alphas (above 0, at most ENT_LORA_MOST_ALPHA): ENT_EFORMAT, ENT_EUNSUPPORTED. */
ent_status ent_lora_patterns_read(ent_lora_patterns *to, const ent_json *object, bool ranks, const char *where);

/* Adds the patterns to a JSON tree as an object; null where there are none and `null`. */
void ent_lora_patterns_put(ent_json *to, const char *key, const ent_lora_patterns *patterns, bool null);

/* Makes config->modules for a model of n_layers layers. */
ent_status ent_lora_resolve(ent_lora_config *config, size_t n_layers);

/* Each pattern sets the value of an adapted module; ENT_ECONFIG names one that doesn't: "WHERE.rank_pattern: ...". */
ent_status ent_lora_patterns_act(const ent_lora_config *config, size_t n_layers, const char *where);

#endif
