/* The adapter that a checkpoint holds, in the place of a PEFT folder. */
#ifndef ENT_LAUNCH_CHECKPOINT_ADAPTER_H
#define ENT_LAUNCH_CHECKPOINT_ADAPTER_H

#include <stdbool.h>

#include "io/hdf5_checkpoint.h"
#include "io/safetensors.h"
#include "src/nn/lora_config.h"

typedef struct ent_checkpoint_adapter {
    ent_hdf5_listing listing;
    ent_st_tensor *tensors; /* listing.count of them */
    ent_lora_config lora;   /* its layers: a flag for each up to the highest */
} ent_checkpoint_adapter;

/* Whether a path names a checkpoint: it ends with ".h5". */
bool ent_is_checkpoint(const char *path);

/* Reads it, with all digests; ent_checkpoint_adapter_close also after a failure. ENT_ECONFIG for a checkpoint of full
 * training; ENT_EIO, ENT_EFORMAT. */
ent_status ent_checkpoint_adapter_open(ent_checkpoint_adapter *out, const char *path);
void ent_checkpoint_adapter_close(ent_checkpoint_adapter *adapter);

#endif
