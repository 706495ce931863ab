/* Conversations as text. Templates are programs (Jinja); this recognises the families that are in common use, and
 * refuses what it cannot render exactly. A model without a template gets the plain form.
 *
 * - ChatML: <|im_start|>ROLE\nCONTENT<|im_end|>\n, with the default system message that Qwen2 and others have
 * - Llama 3: <|start_header_id|>ROLE<|end_header_id|>\n\nCONTENT<|eot_id|>, contents trimmed
 * - Llama 2: BOS[INST] <<SYS>>\nSYSTEM\n<</SYS>>\n\nUSER [/INST] ASSISTANT EOS, trimmed; turns alternate
 * - Zephyr: <|ROLE|>\nCONTENT EOS\n
 * - plain: System: CONTENT\n, User: CONTENT\n, Assistant: CONTENT EOS\n
 */
#ifndef ENT_TEXT_CHAT_H
#define ENT_TEXT_CHAT_H

#include <stdbool.h>
#include <stddef.h>

#include "src/base/status.h"
#include "src/text/masked.h"

typedef enum ent_chat_family {
    ENT_CHAT_PLAIN,
    ENT_CHAT_CHATML,
    ENT_CHAT_LLAMA3,
    ENT_CHAT_LLAMA2,
    ENT_CHAT_ZEPHYR
} ent_chat_family;

typedef struct ent_chat { /* free with ent_chat_free */
    ent_chat_family family;
    bool bos_first;  /* the text begins with `bos`; plain: the tokenizer puts it there */
    char *bos, *eos; /* strings of these tokens; "" if the model has none */
    char *system;    /* ChatML: what a conversation without a system message begins with; NULL: nothing */
} ent_chat;

typedef struct ent_chat_message {
    const char *role, *content; /* role: system, user or assistant */
} ent_chat_message;

/* Recognises a template (NULL: the model has none). `bos` and `eos` may be NULL; all are copied. ENT_EUNSUPPORTED
 * "WHERE: chat_template: ..." if it is none of the families, or has what would change the text. */
ent_status ent_chat_recognise(ent_chat *out, const char *template_text, const char *bos, const char *eos,
                              const char *where);
void ent_chat_free(ent_chat *chat);

/* *out = the conversation's text; its spans are the assistant's turns, each with its end-of-turn mark. ENT_EFORMAT
 * "WHERE: messages: ..." for a role or an order that the template does not have. Free with ent_masked_text_free. */
ent_status ent_chat_render(ent_masked_text *out, const ent_chat *chat, const ent_chat_message *messages, size_t count,
                           const char *where);

/* Whether the tokenizer is to put its template's tokens (BOS) around the rendered text. */
bool ent_chat_wants_special(const ent_chat *chat);

#endif
