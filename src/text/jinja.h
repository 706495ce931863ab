/* Jinja, as far as chat templates use it: a template is parsed once, and rendered for each conversation to the very
 * text that Hugging Face's apply_chat_template makes (trim_blocks, lstrip_blocks, no trailing newline; no tools, no
 * documents). What is not known is an error, when the template is parsed or, in a branch that is
 * taken, when it is rendered: nothing is left out.
 *
 * Known: for (with if, else, loop, break, continue), if, set, generation; strings, integers, lists, dicts, slices, all
 * operators but ** and a quotient; namespace, range, dict, raise_exception; the filters, tests and methods of
 * src/text/jinja_calls.c. Not known: macros, set blocks, floats, tojson, strftime_now (today's date would make
 * another text each day; templates that ask whether it is defined take the branch for "no").
 */
#ifndef ENT_TEXT_JINJA_H
#define ENT_TEXT_JINJA_H

#include <stdbool.h>
#include <stddef.h>

#include "src/base/status.h"

typedef struct ent_jinja ent_jinja;

typedef struct ent_jinja_message {
    const char *role, *content;
} ent_jinja_message;

/* What a template gets; NULL: not defined. */
typedef struct ent_jinja_input {
    const ent_jinja_message *messages;
    size_t count;
    const char *bos, *eos;
    bool answer_next; /* add_generation_prompt */
} ent_jinja_input;

/* A rendered text. Each byte has an origin: 0 the template, 1 + i % 255 the content of the assistant's message i; with
 * {% generation %} blocks in the template, 1 all that is in one of them. Free with ent_jinja_text_free. */
typedef struct ent_jinja_text {
    char *text; /* n bytes */
    unsigned char *origin;
    size_t n, text_capacity, origin_capacity;
} ent_jinja_text;

/* ENT_EUNSUPPORTED "WHERE: chat_template: line N: ..."; free with ent_jinja_free. */
ent_status ent_jinja_parse(ent_jinja **out, const char *text, const char *where);
void ent_jinja_free(ent_jinja *jinja);

/* ENT_EFORMAT "WHERE: messages: ..." if the template refuses the conversation; ENT_EUNSUPPORTED "WHERE: chat_template:
 * line N: ..."; ENT_ENOMEM. *out starts as {0}, and is to be freed also after a failure. */
ent_status ent_jinja_render(ent_jinja_text *out, const ent_jinja *jinja, const ent_jinja_input *input,
                            const char *where);
void ent_jinja_text_free(ent_jinja_text *text);

/* Whether the template has {% generation %} blocks. */
int ent_jinja_marks_answers(const ent_jinja *jinja);

#endif
