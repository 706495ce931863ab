/* Gives a decoder the weights of a Hugging Face model folder, used in place from the mapped files; and lists those that
 * were trained, to be written. */
#ifndef ENT_IO_MODEL_WEIGHTS_H
#define ENT_IO_MODEL_WEIGHTS_H

#include "io/safetensors.h"
#include "src/nn/lora_config.h"
#include "src/nn/params.h"

/* Binds every tensor of `files` to the parameter of its name. ENT_EFORMAT naming a tensor of another shape, an
 * unexpected one, or a missing one. `tied`: an lm_head.weight in the files is passed over, as transformers does. Names
 * of adapters are the business of ent_adapter_bind. `files` must stay open as long as the parameters are used. */
ent_status ent_model_bind(ent_params *params, const ent_safetensors *files, bool tied, const char *folder);

/* The same for a PEFT adapter's tensors and the parameters named "base_model.model.…". */
ent_status ent_adapter_bind(ent_params *params, const ent_safetensors *files, const char *folder);

/* The same for tensors that stand in memory, under the names of a model, or with `adapters` of an adapter: every
 * parameter of the kind is among them, and nothing else. Their data must last as long as the parameters. */
ent_status ent_bind_tensors(ent_params *params, const ent_st_tensor *tensors, size_t count, bool adapters,
                            const char *where);

/* What the names and shapes of an adapter's tensors tell of it: r, targets, layers (a flag for each up to the highest),
 * use_dora. Those of modules that are saved whole tell nothing. The rest is 0. The caller frees out->layers (io/peft.h,
 * ent_lora_config_clear). ENT_EFORMAT. */
ent_status ent_adapter_describe(ent_lora_config *out, const ent_st_tensor *tensors, size_t count, const char *where);

/* The way back: *tensors (caller frees; names and data are those of `params`) = the *count trainable parameters, as
 * ent_safetensors_write and ent_peft_write take them. */
ent_status ent_trainable_tensors(ent_st_tensor **tensors, size_t *count, const ent_params *params);

/* The same for the parameters of an adapter, as they are stored. */
ent_status ent_adapter_tensors(ent_st_tensor **tensors, size_t *count, const ent_params *params);

#endif
