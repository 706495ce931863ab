/* What `entrenar generate` goes on from, and where it ends. */
#ifndef ENT_LAUNCH_GENERATE_PROMPT_H
#define ENT_LAUNCH_GENERATE_PROMPT_H

#include <stdbool.h>

#include "launch/model.h"
#include "src/base/status.h"
#include "src/text/chat.h"

typedef struct ent_prompt { /* starts as {0}; free with ent_prompt_free */
    char *text;             /* what the model is given, n bytes */
    size_t n;
    bool drop_space; /* a space that an answer begins with is the template's: answers go on in its line */
    ent_ids ids;     /* its tokens */
    ent_ids ends;    /* tokens after which there is no more */
} ent_prompt;

typedef struct ent_prompt_source { /* NULL: not given */
    const char *text;              /* without it, and without messages: standard input, but for a last newline */
    const char *messages;          /* a JSON file */
    bool chat;                     /* the text is a user's message */
    const char *const *stops;      /* texts that end an answer: those that are one token are ends, too */
    size_t n_stops;
} ent_prompt_source;

/* ENT_EIO, ENT_EFORMAT; ENT_EUNSUPPORTED for a chat template that can't be rendered. */
ent_status ent_prompt_read(ent_prompt *out, const ent_prompt_source *source, const ent_model *model,
                           const char *folder);
void ent_prompt_free(ent_prompt *prompt);

#endif
