/* New tokens as text, as it comes: no character before it is whole, nothing that may yet be the beginning of a text
 * that ends the answer. */
#ifndef ENT_LAUNCH_GENERATE_TEXT_H
#define ENT_LAUNCH_GENERATE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "src/text/tokenizer.h"

typedef struct ent_reply { /* the caller sets the first members, and leaves the others 0 */
    const ent_tokenizer *tokenizer;
    const char *const *stops; /* n_stops texts, none empty */
    size_t n_stops;
    bool drop_space; /* the first character, if it is one */
    ent_status (*put)(void *context, const char *text, size_t n);
    void *context;

    ent_ids ids;   /* all tokens, those of the prompt first */
    size_t window; /* what comes next is decoded with the tokens from here on */
    size_t shown;  /* tokens whose text has been told */
    bool stopped;  /* a text has come that ends it */
    char *held;    /* n_held bytes that wait: none of a stop before its end */
    size_t n_held, capacity;
} ent_reply;

/* Begins after the tokens of the prompt, which are not told. ENT_ENOMEM. */
ent_status ent_reply_begin(ent_reply *reply, const ent_ids *prompt);

/* One token more: its text, or what can be told now. */
ent_status ent_reply_add(ent_reply *reply, int32_t id);

/* The text is at its end: what waits is told. */
ent_status ent_reply_end(ent_reply *reply);

void ent_reply_free(ent_reply *reply);

#endif
