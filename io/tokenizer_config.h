/* What stands beside tokenizer.json: tokenizer_config.json, and the EOS token of a model. */
#ifndef ENT_IO_TOKENIZER_CONFIG_H
#define ENT_IO_TOKENIZER_CONFIG_H

#include <stdint.h>

#include "src/base/status.h"
#include "src/text/tokenizer.h"

typedef struct ent_tokenizer_config { /* NULL: not given. Free with ent_tokenizer_config_free. */
    char *bos_token, *eos_token;
    char *chat_template;
} ent_tokenizer_config;

/* Reads FOLDER/tokenizer_config.json; all NULL if there is no such file. ENT_EFORMAT, ENT_EIO. */
ent_status ent_tokenizer_config_read(ent_tokenizer_config *out, const char *folder);
void ent_tokenizer_config_free(ent_tokenizer_config *config);

/* *eos = the id of the model's EOS token: tokenizer_config.json's eos_token (needs a tokenizer), else eos_token_id of
 * generation_config.json, else of config.json (of a list, the first); -1 if none of them tells. ENT_EFORMAT, ENT_EIO.
 */
ent_status ent_model_eos(int32_t *eos, const char *folder, const ent_tokenizer *tokenizer);

/* The same for the BOS token, with bos_token and bos_token_id. */
ent_status ent_model_bos(int32_t *bos, const char *folder, const ent_tokenizer *tokenizer);

#endif
