/* The rotary embedding's keys of config.json. Part of io/model_config.c. */
#ifndef ENT_IO_MODEL_CONFIG_ROPE_H
#define ENT_IO_MODEL_CONFIG_ROPE_H

#include "io/json.h"
#include "src/base/status.h"
#include "src/nn/model_config.h"

/* Reads rope_theta and rope_scaling, or rope_parameters, which holds both in files of transformers 5. `path` names the
 * file. ENT_EUNSUPPORTED for a kind of scaling other than default, linear and llama3; ENT_EFORMAT. */
ent_status ent_model_config_read_rope(ent_model_config *config, const ent_json *json, const char *path);

#endif
