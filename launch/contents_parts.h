/* What the files launch/contents*.c share. */
#ifndef ENT_LAUNCH_CONTENTS_PARTS_H
#define ENT_LAUNCH_CONTENTS_PARTS_H

#include "io/hdf5_checkpoint.h"
#include "io/json.h"
#include "launch/contents.h"
#include "src/nn/lora_config.h"
#include "src/nn/model_config.h"

/* Settings of what was opened, as members of an object. */
void ent_contents_add_state(ent_json *to, const ent_ckpt_state *state);
void ent_contents_add_lora(ent_json *to, const ent_lora_config *config);
void ent_contents_add_model(ent_json *to, const ent_model_config *config);

/* Fills the contents of a GGUF file; ent_contents_bytes of its tensor i. */
ent_status ent_contents_open_gguf(ent_contents *contents);
ent_status ent_contents_gguf_bytes(const void **out, ent_contents *contents, size_t i, size_t first, size_t n);

#endif
