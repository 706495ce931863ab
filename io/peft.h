/* LoRA adapters as folders in PEFT's format: adapter_config.json beside adapter_model.safetensors.
 *
 * Read are adapters of plain LoRA and of DoRA, with modules_to_save, whose tensors stand beside those of the others as
 * "base_model.model.lm_head.weight", as PEFT writes them: any setting that changes the mathematics and is not one of
 * ent_lora_config is refused by name.
 */
#ifndef ENT_IO_PEFT_H
#define ENT_IO_PEFT_H

#include <stddef.h>

#include "io/lora_modules.h"
#include "io/safetensors.h"
#include "src/base/status.h"
#include "src/nn/lora_config.h"

/* Reads FOLDER/adapter_config.json. out->layers is owned by *out, its n_layers is the highest index + 1: compare it
 * with the model, and call ent_lora_resolve. Clear with ent_lora_config_clear; after a failure all is 0. ENT_EIO,
 * ENT_EFORMAT, ENT_EUNSUPPORTED.
 */
ent_status ent_peft_read_config(ent_lora_config *out, const char *folder);

/* Writes an adapter: tensors as ent_safetensors_write takes them, under PEFT's names
 * ("base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"). A folder that isn't there yet appears as a whole;
 * in one that is, the files are replaced one by one. base_model: path or name of the model it was trained on. */
ent_status ent_peft_write(const char *folder, const ent_lora_config *config, const char *base_model,
                          const ent_st_tensor *tensors, size_t count);

#endif
