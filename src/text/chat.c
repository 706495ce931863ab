#include "src/text/chat.h"

#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"

enum { LONGEST_MARK = 64 };

/* Where the end-of-turn mark after an answer's content ends; `at` itself if there is none. */
static size_t mark_end(const ent_jinja_text *t, size_t at, const char *eos)
{
    size_t i = at;
    const size_t n = eos ? strlen(eos) : 0;
    while (i < t->n && t->origin[i] == 0 && (t->text[i] == ' ' || t->text[i] == '\n'))
        i++;
    if (n && t->n - i >= n && memcmp(t->text + i, eos, n) == 0)
        return i + n;
    if (i == t->n || t->text[i] != '<')
        return at;
    for (size_t k = i; k < t->n && k < i + LONGEST_MARK && t->origin[k] == 0 && t->text[k] != '\n'; k++)
        if (t->text[k] == '>')
            return k + 1;
    return at;
}

/* The end of the answer that begins at byte `begin`. What a template puts between two parts of one content (as between
 * thoughts and answer) belongs to it. */
static size_t answer_end(const ent_jinja_text *t, size_t begin, bool marked_by_template)
{
    size_t end = begin;
    for (size_t i = begin; i < t->n; i++) {
        if (t->origin[i] == t->origin[begin])
            end = i + 1;
        else if (t->origin[i] || marked_by_template)
            break;
    }
    return end;
}

static ent_status put_answers(ent_masked_text *out, const ent_chat *chat, const ent_jinja_text *t)
{
    const bool marked = ent_jinja_marks_answers(chat->jinja);
    size_t at = 0;
    for (size_t i = 0; i < t->n; i++) {
        if (t->origin[i] == 0)
            continue;
        size_t end = answer_end(t, i, marked);
        if (!marked)
            end = mark_end(t, end, chat->eos);
        ENT_TRY(ent_masked_text_put(out, t->text + at, i - at, false));
        ENT_TRY(ent_masked_text_put(out, t->text + i, end - i, true));
        at = end;
        i = end - 1;
    }
    return ent_masked_text_put(out, t->text ? t->text + at : "", t->n - at, false);
}

static ent_status render_template(ent_masked_text *out, const ent_chat *chat, const ent_chat_message *messages,
                                  size_t count, const char *where)
{
    ent_status st;
    ent_jinja_text text = {0};
    const ent_jinja_input input = {.messages = messages, .count = count, .bos = chat->bos, .eos = chat->eos};
    ENT_GO(ent_jinja_render(&text, chat->jinja, &input, where));
    ENT_GO(put_answers(out, chat, &text));
done:
    ent_jinja_text_free(&text);
    return st;
}

static ent_status put_plain(ent_masked_text *out, const ent_chat *chat, const ent_chat_message *m)
{
    const bool learned = strcmp(m->role, "assistant") == 0;
    const char *eos = learned && chat->eos ? chat->eos : "";
    const char *name = learned ? "Assistant: " : strcmp(m->role, "user") == 0 ? "User: " : "System: ";
    ENT_TRY(ent_masked_text_put(out, name, strlen(name), false));
    ENT_TRY(ent_masked_text_put(out, m->content, strlen(m->content), learned));
    ENT_TRY(ent_masked_text_put(out, eos, strlen(eos), learned));
    return ent_masked_text_put(out, "\n", 1, learned);
}

static ent_status check_roles(const ent_chat_message *messages, size_t count, const char *where)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(messages[i].role, "system") != 0 && strcmp(messages[i].role, "user") != 0 &&
            strcmp(messages[i].role, "assistant") != 0)
            return ent_fail(ENT_EFORMAT, "%s: messages[%zu].role: expected system, user or assistant, found \"%.40s\"",
                            where, i, messages[i].role);
    return ENT_OK;
}

ent_status ent_chat_render(ent_masked_text *out, const ent_chat *chat, const ent_chat_message *messages, size_t count,
                           const char *where)
{
    ENT_TRY(check_roles(messages, count, where));
    if (chat->jinja)
        return render_template(out, chat, messages, count, where);
    for (size_t i = 0; i < count; i++)
        ENT_TRY(put_plain(out, chat, &messages[i]));
    return ENT_OK;
}

static ent_status prompt_of_template(char **out, size_t *n, const ent_chat *chat, const ent_chat_message *messages,
                                     size_t count, const char *where)
{
    ent_jinja_text text = {0};
    const ent_jinja_input input = {messages, count, chat->bos, chat->eos, true};
    ent_status st = ent_jinja_render(&text, chat->jinja, &input, where);
    *n = text.n;
    if (st == ENT_OK)
        st = ent_strndup(out, text.text ? text.text : "", text.n);
    ent_jinja_text_free(&text);
    return st;
}

ent_status ent_chat_prompt(char **out, size_t *n, const ent_chat *chat, const ent_chat_message *messages, size_t count,
                           const char *where)
{
    static const char header[] = "Assistant:"; /* the space after it is part of the answer's first token */
    ent_status st;
    ent_masked_text text = {0};
    ENT_TRY(check_roles(messages, count, where));
    if (count && strcmp(messages[count - 1].role, "assistant") == 0)
        return ent_fail(ENT_EFORMAT, "%s: messages: expected the last one to be the user's, found the assistant's",
                        where);
    if (chat->jinja)
        return prompt_of_template(out, n, chat, messages, count, where);
    for (size_t i = 0; i < count; i++)
        ENT_GO(put_plain(&text, chat, &messages[i]));
    ENT_GO(ent_masked_text_put(&text, header, strlen(header), false));
    *n = text.n;
    ENT_GO(ent_strndup(out, text.text, text.n));
done:
    ent_masked_text_free(&text);
    return st;
}

ent_status ent_chat_turn_end(char **out, const ent_chat *chat, const char *where)
{
    static const ent_chat_message m[] = {{"user", "u"}, {"assistant", "a"}};
    ent_status st;
    ent_masked_text text = {0};
    ENT_GO(ent_chat_render(&text, chat, m, 2, where));
    size_t begin = text.n, end = text.n;
    if (text.n_spans) {
        begin = text.spans[text.n_spans - 1].begin + strlen(m[1].content);
        end = text.spans[text.n_spans - 1].end;
    }
    while (begin < end && (text.text[begin] == ' ' || text.text[begin] == '\n'))
        begin++;
    while (begin < end && text.text[end - 1] == '\n')
        end--;
    ENT_GO(ent_strndup(out, text.text + begin, end - begin));
done:
    ent_masked_text_free(&text);
    return st;
}

/* Renders what every template takes, and what many do: faults of a template come before those of the data. */
static ent_status try_template(const ent_chat *chat, const char *where)
{
    static const ent_chat_message m[] = {
        {"system", "s"}, {"user", "u"}, {"assistant", "a"}, {"user", "v"}, {"assistant", "b"}};
    for (size_t first = 0; first < 2; first++) {
        ent_masked_text text = {0};
        const ent_status st = ent_chat_render(&text, chat, m + first, 5 - first, where);
        const size_t answers = text.n_spans;
        ent_masked_text_free(&text);
        if (st == ENT_EFORMAT && first == 0)
            continue; /* without system messages */
        ENT_TRY(st);
        if (answers != 2)
            return ent_fail(ENT_EUNSUPPORTED, "%s: chat_template: of two answers it shows %zu", where, answers);
    }
    return ENT_OK;
}

ent_status ent_chat_init(ent_chat *out, const char *template_text, const char *bos, const char *eos, const char *where)
{
    ent_status st = ENT_OK;
    *out = (ent_chat){0};
    if (bos)
        ENT_GO(ent_strdup(&out->bos, bos));
    if (eos)
        ENT_GO(ent_strdup(&out->eos, eos));
    if (template_text) {
        ENT_GO(ent_strdup(&out->template_text, template_text));
        ENT_GO(ent_jinja_parse(&out->jinja, template_text, where));
        ENT_GO(try_template(out, where));
    }
done:
    if (st != ENT_OK)
        ent_chat_free(out);
    return st;
}

void ent_chat_free(ent_chat *chat)
{
    ent_jinja_free(chat->jinja);
    free(chat->template_text);
    free(chat->bos);
    free(chat->eos);
    *chat = (ent_chat){0};
}

bool ent_chat_wants_special(const ent_chat *chat)
{
    return chat->jinja == NULL;
}
