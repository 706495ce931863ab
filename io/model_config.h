/* Reads a Hugging Face model's config.json into the decoder's settings. */
#ifndef ENT_IO_MODEL_CONFIG_H
#define ENT_IO_MODEL_CONFIG_H

#include "src/base/status.h"
#include "src/nn/model_config.h"

/* Reads FOLDER/config.json. Absent keys have the defaults of transformers where the architecture's are unambiguous.
 * A key is read, known to be without effect on what the model computes, or unused (null, false, 0, empty); any other is
 * ENT_EUNSUPPORTED naming it with its value; so is a quantization_config of no known form (io/quantized_config.h).
 * ENT_EIO; ENT_EFORMAT for values out of range or that don't fit. */
ent_status ent_model_config_load(ent_model_config *out, const char *folder);

#endif
