/* Settings of what was opened, as members of an object. Part of launch/contents*.c. */
#ifndef ENT_LAUNCH_CONTENTS_PARTS_H
#define ENT_LAUNCH_CONTENTS_PARTS_H

#include "io/hdf5_checkpoint.h"
#include "io/json.h"
#include "src/nn/lora_config.h"
#include "src/nn/model_config.h"

void ent_contents_add_state(ent_json *to, const ent_ckpt_state *state);
void ent_contents_add_lora(ent_json *to, const ent_lora_config *config);
void ent_contents_add_model(ent_json *to, const ent_model_config *config);

#endif
