#include "src/text/chat.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"
#include "src/text/parts.h"

/* How a family is known (the first of its marks), which other marks its templates have, and what inside of one tells
 * that it renders more than the family does. */
static const struct family {
    ent_chat_family family;
    const char *name;
    const char *marks[5];
    const char *extra[6];
} FAMILIES[] = {
    {ENT_CHAT_CHATML,
     "ChatML",
     {"<|im_start|>", "<|im_end|>"},
     {"<think>", "reasoning", "trim", "strip(", "not loop.last"}},
    {ENT_CHAT_LLAMA3,
     "Llama 3",
     {"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|begin_of_text|>"},
     {"Knowledge Date", "strftime", "tool", "not loop.last"}},
    {ENT_CHAT_LLAMA2, "Llama 2", {"<<SYS>>"}, {"tool"}},
    {ENT_CHAT_ZEPHYR,
     "Zephyr",
     {"<|user|>", "<|system|>", "<|assistant|>"},
     {"trim", "strip(", "tool", "not loop.last"}},
};

/* Templates are a few kilobytes; looking for marks in a hostile one takes the square of its length. */
enum { N_FAMILIES = sizeof FAMILIES / sizeof *FAMILIES, MAX_TEMPLATE = 1 << 17 };

/* The default system message of a ChatML template: what stands in one literal between the marks of a system turn. The
 * newline is one, or Jinja's escape for it. */
static ent_status find_system(char **out, const char *text)
{
    static const char BEGIN[] = "<|im_start|>system", END[] = "<|im_end|>";
    for (const char *p = text; (p = strstr(p, BEGIN)) != NULL;) {
        p += sizeof BEGIN - 1;
        const char *content = *p == '\n' ? p + 1 : strncmp(p, "\\n", 2) == 0 ? p + 2 : NULL;
        const char *end = content ? strstr(content, END) : NULL;
        const size_t n = end ? (size_t)(end - content) : 0;
        if (n && !memchr(content, '\'', n) && !memchr(content, '{', n) && !memchr(content, '\\', n))
            return ent_strndup(out, content, n);
    }
    return ENT_OK;
}

/* A default that is there but not understood would be left out silently. */
static ent_status check_system(const ent_chat *chat, const char *text, const char *where)
{
    if (chat->system == NULL && strstr(text, "You are "))
        return ent_fail(ENT_EUNSUPPORTED, "%s: chat_template: its default system message is not of the known form",
                        where);
    return ENT_OK;
}

/* A mark <|...|> that the family does not have is one that would be left out silently. */
static ent_status check_marks(const struct family *f, const char *text, const char *where)
{
    for (const char *p = text; (p = strstr(p, "<|")) != NULL; p += 2) {
        const size_t n = 2 + strcspn(p + 2, "|'\"{} \n");
        bool known = p[n] != '|' || p[n + 1] != '>'; /* put together by the template, if it is a mark at all */
        for (size_t i = 0; !known && f->marks[i]; i++)
            known = strlen(f->marks[i]) == n + 2 && strncmp(p, f->marks[i], n + 2) == 0;
        if (!known)
            return ent_fail(ENT_EUNSUPPORTED, "%s: chat_template: looks like %s, but \"%.*s\" in it is not supported",
                            where, f->name, n < 60 ? (int)n + 2 : 60, p);
    }
    return ENT_OK;
}

/* Turns must end as the family's do: in ChatML with a newline after the mark, in Zephyr with EOS after a content. */
static ent_status check_ends(const struct family *f, const char *text, const char *where)
{
    const char *unlike = NULL;
    for (const char *p = text; f->family == ENT_CHAT_CHATML && (p = strstr(p, "<|im_end|>")) != NULL;) {
        p += strlen("<|im_end|>");
        const char *next = p + strspn(p, "'\" +");
        if (*next != '\n' && strncmp(next, "\\n", 2) != 0)
            unlike = "<|im_end|>";
    }
    for (size_t i = 0; f->family == ENT_CHAT_ZEPHYR && f->marks[i]; i++)
        for (const char *p = text; (p = strstr(p, f->marks[i])) != NULL; p++) {
            const char *end = strstr(p, "}}"), *content = strstr(p, "content"), *eos = strstr(p, "eos_token");
            if (end && content && content < end && (eos == NULL || eos > end))
                unlike = f->marks[i];
        }
    return unlike ? ent_fail(ENT_EUNSUPPORTED,
                             "%s: chat_template: looks like %s, but does not end turns as it does: \"%s\"", where,
                             f->name, unlike)
                  : ENT_OK;
}

static ent_status recognise_family(ent_chat *out, const char *text, const char *where)
{
    const struct family *f = NULL;
    if (strlen(text) > MAX_TEMPLATE)
        return ent_fail(ENT_EUNSUPPORTED, "%s: chat_template: expected at most %d bytes, found %zu", where,
                        MAX_TEMPLATE, strlen(text));
    for (size_t i = 0; i < N_FAMILIES && f == NULL; i++)
        if (strstr(text, FAMILIES[i].marks[0]))
            f = &FAMILIES[i];
    if (f == NULL)
        return ent_fail(ENT_EUNSUPPORTED,
                        "%s: chat_template: expected one of ChatML, Llama 3, Llama 2 or Zephyr, found another", where);
    for (size_t i = 0; f->extra[i]; i++)
        if (strstr(text, f->extra[i]))
            return ent_fail(ENT_EUNSUPPORTED, "%s: chat_template: looks like %s, but \"%s\" in it is not supported",
                            where, f->name, f->extra[i]);
    ENT_TRY(check_marks(f, text, where));
    ENT_TRY(check_ends(f, text, where));
    out->family = f->family;
    out->bos_first = f->family != ENT_CHAT_LLAMA2 && (strstr(text, "bos_token") || strstr(text, "<|begin_of_text|>"));
    if (f->family == ENT_CHAT_LLAMA3 && !strstr(text, "trim"))
        return ent_fail(ENT_EUNSUPPORTED, "%s: chat_template: looks like Llama 3, but does not trim contents", where);
    if (f->family == ENT_CHAT_CHATML)
        ENT_TRY(find_system(&out->system, text));
    return check_system(out, text, where);
}

ent_status ent_chat_recognise(ent_chat *out, const char *template_text, const char *bos, const char *eos,
                              const char *where)
{
    ent_status st;
    *out = (ent_chat){.family = ENT_CHAT_PLAIN};
    ENT_GO(ent_strdup(&out->bos, bos ? bos : ""));
    ENT_GO(ent_strdup(&out->eos, eos ? eos : ""));
    if (template_text)
        ENT_GO(recognise_family(out, template_text, where));
    const bool needs_eos = out->family == ENT_CHAT_LLAMA2 || out->family == ENT_CHAT_ZEPHYR;
    if ((needs_eos && !*out->eos) || ((out->family == ENT_CHAT_LLAMA2 || out->bos_first) && !*out->bos))
        ENT_GO(ent_fail(ENT_EFORMAT, "%s: %s: the chat template needs it, found nothing", where,
                        needs_eos && !*out->eos ? "eos_token" : "bos_token"));
done:
    if (st != ENT_OK)
        ent_chat_free(out);
    return st;
}

void ent_chat_free(ent_chat *chat)
{
    free(chat->bos);
    free(chat->eos);
    free(chat->system);
    *chat = (ent_chat){0};
}

bool ent_chat_wants_special(const ent_chat *chat)
{
    return chat->family == ENT_CHAT_PLAIN;
}

/* Appends strings up to a NULL. */
static ent_status put_all(ent_masked_text *out, bool learned, const char *const *strings)
{
    for (; *strings; strings++)
        ENT_TRY(ent_masked_text_put(out, *strings, strlen(*strings), learned));
    return ENT_OK;
}

#define PUT(out, learned, ...) put_all(out, learned, (const char *const[]){__VA_ARGS__, NULL})

/* What Python's str.strip takes away. */
static bool is_space(uint32_t c)
{
    return (c >= 9 && c <= 13) || (c >= 28 && c <= 32) || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

/* Without white space around it, as Jinja's trim and Python's strip do. */
static ent_status put_trimmed(ent_masked_text *out, bool learned, const char *s)
{
    const size_t n = strlen(s);
    size_t begin = 0, end = 0, step;
    for (size_t i = 0; i < n; i += step) {
        bool valid;
        step = ent_utf8_step(&valid, s + i, n - i);
        if (valid && is_space(ent_utf8_get(s + i, step)))
            continue;
        if (end == 0)
            begin = i;
        end = i + step;
    }
    return ent_masked_text_put(out, s + begin, end - begin, learned);
}

static ent_status put_plain(ent_masked_text *out, const ent_chat *chat, const ent_chat_message *m, bool learned)
{
    const char *name = learned ? "Assistant: " : strcmp(m->role, "user") == 0 ? "User: " : "System: ";
    ENT_TRY(PUT(out, false, name));
    return learned ? PUT(out, true, m->content, chat->eos, "\n") : PUT(out, false, m->content, "\n");
}

static ent_status put_llama3(ent_masked_text *out, const ent_chat_message *m, bool learned)
{
    ENT_TRY(PUT(out, false, "<|start_header_id|>", m->role, "<|end_header_id|>\n\n"));
    ENT_TRY(put_trimmed(out, learned, m->content));
    return PUT(out, learned, "<|eot_id|>");
}

static ent_status put_message(ent_masked_text *out, const ent_chat *chat, const ent_chat_message *m)
{
    const bool learned = strcmp(m->role, "assistant") == 0;
    switch (chat->family) {
    case ENT_CHAT_LLAMA3:
        return put_llama3(out, m, learned);
    case ENT_CHAT_CHATML:
        ENT_TRY(PUT(out, false, "<|im_start|>", m->role, "\n"));
        ENT_TRY(PUT(out, learned, m->content, "<|im_end|>"));
        return PUT(out, false, "\n");
    case ENT_CHAT_ZEPHYR:
        ENT_TRY(PUT(out, false, "<|", m->role, "|>\n"));
        ENT_TRY(PUT(out, learned, m->content, chat->eos));
        return PUT(out, false, "\n");
    default:
        return put_plain(out, chat, m, learned);
    }
}

/* Llama 2: the system message is part of the first question, and turns alternate. */
static ent_status render_llama2(ent_masked_text *out, const ent_chat *chat, const ent_chat_message *messages,
                                size_t count, const char *where)
{
    const char *system = NULL;
    if (count && strcmp(messages[0].role, "system") == 0) {
        system = messages->content;
        messages++;
        count--;
    }
    for (size_t i = 0; i < count; i++) {
        const char *role = i % 2 ? "assistant" : "user";
        ent_masked_text question = {0};
        if (strcmp(messages[i].role, role) != 0)
            return ent_fail(ENT_EFORMAT, "%s: messages: turns alternate: expected role %s, found %s", where, role,
                            messages[i].role);
        if (i % 2) {
            ENT_TRY(PUT(out, true, " "));
            ENT_TRY(put_trimmed(out, true, messages[i].content));
            ENT_TRY(PUT(out, true, " ", chat->eos));
            continue;
        }
        ENT_TRY(PUT(out, false, chat->bos, "[INST] "));
        ent_status st = system && i == 0
                            ? PUT(&question, false, "<<SYS>>\n", system, "\n<</SYS>>\n\n", messages[i].content)
                            : PUT(&question, false, messages[i].content);
        if (st == ENT_OK)
            st = put_trimmed(out, false, question.text ? question.text : "");
        ent_masked_text_free(&question);
        ENT_TRY(st);
        ENT_TRY(PUT(out, false, " [/INST]"));
    }
    return ENT_OK;
}

ent_status ent_chat_render(ent_masked_text *out, const ent_chat *chat, const ent_chat_message *messages, size_t count,
                           const char *where)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(messages[i].role, "system") != 0 && strcmp(messages[i].role, "user") != 0 &&
            strcmp(messages[i].role, "assistant") != 0)
            return ent_fail(ENT_EFORMAT, "%s: messages[%zu].role: expected system, user or assistant, found \"%.40s\"",
                            where, i, messages[i].role);
    if (chat->family == ENT_CHAT_LLAMA2)
        return render_llama2(out, chat, messages, count, where);
    if (chat->bos_first)
        ENT_TRY(PUT(out, false, chat->bos));
    if (chat->system && (count == 0 || strcmp(messages[0].role, "system") != 0))
        ENT_TRY(PUT(out, false, "<|im_start|>system\n", chat->system, "<|im_end|>\n"));
    for (size_t i = 0; i < count; i++)
        ENT_TRY(put_message(out, chat, &messages[i]));
    return ENT_OK;
}
