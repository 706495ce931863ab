/* The chat template of a model folder. */
#ifndef ENT_IO_CHAT_H
#define ENT_IO_CHAT_H

#include "src/base/status.h"
#include "src/text/chat.h"

/* Reads chat_template.jinja or, if there is none, tokenizer_config.json's chat_template (a string, or the one named
 * "default" of a list). Without either, or with folder NULL: the plain form. Free with ent_chat_free.
 * ENT_EUNSUPPORTED naming the file; ENT_EFORMAT, ENT_EIO. */
ent_status ent_chat_load(ent_chat *out, const char *folder);

#endif
