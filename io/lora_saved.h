/* PEFT's modules_to_save: lists of names, and which modules of a model they take. */
#ifndef ENT_IO_LORA_SAVED_H
#define ENT_IO_LORA_SAVED_H

#include <stdbool.h>

#include "io/json.h"
#include "src/base/status.h"
#include "src/nn/lora_config.h"
#include "src/nn/model_config.h"

enum { ENT_LORA_MOST_SAVED = 100 };

void ent_lora_names_clear(ent_lora_names *names);
ent_status ent_lora_names_copy(ent_lora_names *out, const ent_lora_names *from);
bool ent_lora_names_equal(const ent_lora_names *a, const ent_lora_names *b);

/* Adds a name behind those that are there. ENT_EUNSUPPORTED, beginning with `where`: an empty one, which takes the
 * whole model, one that doesn't consist of letters, digits, '_' and '.', or one more than ENT_LORA_MOST_SAVED. */
ent_status ent_lora_names_add(ent_lora_names *to, const char *name, const char *where);

/* Adds those of a JSON array; null and absent have none. Puts them into a tree as an array; null where there are none.
 */
ent_status ent_lora_names_read(ent_lora_names *to, const ent_json *list, const char *where);
void ent_lora_names_put(ent_json *to, const char *key, const ent_lora_names *names);

/* Each key takes norms, lm_head or embed_tokens of a model with layers as `model` has them, and nothing else: not a
 * projection, not what holds modules, not the one matrix of tied embeddings. With `all`, each takes something.
 * ENT_ECONFIG names a key that doesn't: "WHERE: \"q_proj\": ...". */
ent_status ent_lora_saved_act(const ent_lora_config *config, const ent_model_config *model, bool all,
                              const char *where);

#endif
