/* Conversations as text: a model's own chat template (src/text/jinja.h), rendered exactly; a model without one gets the
 * plain form: System: CONTENT\n, User: CONTENT\n, Assistant: CONTENT EOS\n.
 *
 * What is learned of a rendered template: the contents of the assistant's messages, each with the end-of-turn mark
 * after it: white space, then the EOS token or what stands between < and >, such as <|im_end|>. Where a template has
 * {% generation %} blocks, these are what is learned, and nothing else.
 */
#ifndef ENT_TEXT_CHAT_H
#define ENT_TEXT_CHAT_H

#include <stdbool.h>
#include <stddef.h>

#include "src/base/status.h"
#include "src/text/jinja.h"
#include "src/text/masked.h"

typedef struct ent_chat { /* free with ent_chat_free */
    ent_jinja *jinja;     /* NULL: the plain form */
    char *template_text;  /* NULL as well then */
    char *bos, *eos;      /* strings of these tokens; NULL if the model has none */
} ent_chat;

typedef ent_jinja_message ent_chat_message; /* role: system, user or assistant */

/* Takes a template (NULL: the model has none). `bos` and `eos` may be NULL; all are copied. ENT_EUNSUPPORTED
 * "WHERE: chat_template: ..." if it cannot be rendered exactly: for this a conversation or two are tried. */
ent_status ent_chat_init(ent_chat *out, const char *template_text, const char *bos, const char *eos, const char *where);
void ent_chat_free(ent_chat *chat);

/* Appends the conversation's text to *out; its spans are what is learned. ENT_EFORMAT "WHERE: messages: ..." for a role
 * or an order that the template refuses. Free with ent_masked_text_free. */
ent_status ent_chat_render(ent_masked_text *out, const ent_chat *chat, const ent_chat_message *messages, size_t count,
                           const char *where);

/* *out: n bytes, allocated, of the conversation up to where the assistant's answer to it begins; of a template as with
 * add_generation_prompt. ENT_EFORMAT as above, and if the assistant's message is the last. */
ent_status ent_chat_prompt(char **out, size_t *n, const ent_chat *chat, const ent_chat_message *messages, size_t count,
                           const char *where);

/* *out: the end-of-turn mark that is learned behind an answer, such as "<|im_end|>"; allocated, empty if there is none.
 */
ent_status ent_chat_turn_end(char **out, const ent_chat *chat, const char *where);

/* Whether the tokenizer is to put its template's tokens (BOS) around the rendered text. */
bool ent_chat_wants_special(const ent_chat *chat);

#endif
