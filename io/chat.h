/* The chat template of a model folder. */
#ifndef ENT_IO_CHAT_H
#define ENT_IO_CHAT_H

#include "src/base/status.h"
#include "src/text/chat.h"

/* Reads the template file `other` or, if that is NULL, the folder's chat_template.jinja or, if there is none,
 * tokenizer_config.json's chat_template (a string, or the one named "default" of a list). Without any of them, or with
 * folder NULL: the plain form. Free with ent_chat_free. ENT_EUNSUPPORTED naming the file and the key that takes
 * another template; ENT_EFORMAT, ENT_EIO. */
ent_status ent_chat_load(ent_chat *out, const char *folder, const char *other);

#endif
