/* Chat templates: against Jinja's rendering of the same templates (data/text/PROVENANCE.md); what is learned; refusals.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/chat.h"
#include "io/json.h"
#include "io/tokenizer_config.h"
#include "src/text/chat.h"

enum { MAX_MESSAGES = 8 };

static const char *string_of(const ent_json *json, const char *key)
{
    const char *s = ent_json_string(ent_json_member(json, key));
    assert_non_null(s);
    return s;
}

static size_t messages_of(ent_chat_message *out, const ent_json *list)
{
    size_t n = 0;
    for (const ent_json *m = ent_json_first(list); m; m = ent_json_next(m))
        out[n++] = (ent_chat_message){string_of(m, "role"), string_of(m, "content")};
    return n;
}

/* Each span is an assistant's content (perhaps trimmed, perhaps with thoughts) followed by `end`, in order. */
static void check_spans(const ent_masked_text *text, const ent_chat_message *m, size_t n, const char *end)
{
    size_t span = 0;
    for (size_t i = 0; i < n; i++) {
        if (strcmp(m[i].role, "assistant") != 0)
            continue;
        assert_true(span < text->n_spans);
        const ent_span s = text->spans[span++];
        char learned[200];
        snprintf(learned, sizeof learned, "%.*s", (int)(s.end - s.begin), text->text + s.begin);
        const char *from = m[i].content + strspn(m[i].content, " \t\n"), *thought = strstr(from, "</think>\n\n");
        const char *answer = thought ? thought + 10 : from;
        size_t core = strlen(answer);
        while (core && strchr(" \t\n", answer[core - 1]))
            core--;
        if (core >= 3 && memcmp(answer + core - 3, "\u3000", 3) == 0)
            core -= 3;
        char expected[200];
        snprintf(expected, sizeof expected, "%.*s", (int)core, answer);
        assert_non_null(strstr(learned, expected));
        if (i + 1 < n || strcmp(end, "") != 0)
            assert_string_equal(learned + strlen(learned) - strlen(end), end);
        assert_true(strlen(learned) <= strlen(m[i].content) + strlen(end) + 10);
    }
    assert_int_equal(span, text->n_spans);
}

/* What an answer to it goes on from: without its own last one. */
static void check_prompt(const ent_json *c, const ent_chat *chat, const ent_chat_message *m, size_t n, const char *name)
{
    char *prompt;
    size_t bytes;
    if (strcmp(m[n - 1].role, "assistant") == 0)
        n--;
    if (ent_chat_prompt(&prompt, &bytes, chat, m, n, name) != ENT_OK)
        fail_msg("%s", ent_message());
    assert_string_equal(prompt, string_of(c, "prompt"));
    assert_int_equal(bytes, strlen(prompt));
    free(prompt);
}

static void check_turn_end(const ent_chat *chat, const char *end)
{
    char *mark;
    assert_int_equal(ent_chat_turn_end(&mark, chat, "x"), ENT_OK);
    const size_t n = strlen(mark); /* without a new line behind it */
    assert_true(strncmp(mark, end, n) == 0 && strspn(end + n, "\n") == strlen(end + n));
    free(mark);
}

static void check_case(const ent_json *c, const ent_chat *chat, const char *name, const char *end)
{
    ent_chat_message m[MAX_MESSAGES];
    ent_masked_text text = {0};
    const size_t n = messages_of(m, ent_json_member(c, "messages"));
    const char *refused = ent_json_string(ent_json_member(c, "refused"));
    const ent_status st = ent_chat_render(&text, chat, m, n, name);
    if (refused) {
        assert_int_equal(st, ENT_EFORMAT);
        assert_non_null(strstr(ent_message(), refused));
    } else if (st != ENT_OK) {
        fail_msg("%s", ent_message());
    } else {
        assert_string_equal(text.text, string_of(c, "text"));
        check_spans(&text, m, n, end);
        check_prompt(c, chat, m, n, name);
    }
    ent_masked_text_free(&text);
}

static void test_against_jinja(void **state)
{
    (void)state;
    ent_json *all;
    assert_int_equal(ent_json_read_file(&all, ENT_TEST_DATA "/text/chat-templates.json"), ENT_OK);
    size_t cases = 0;
    for (const ent_json *t = ent_json_first(all); t; t = ent_json_next(t)) {
        ent_chat chat;
        const char *name = string_of(t, "name"), *eos = ent_json_string(ent_json_member(t, "eos"));
        const char *end = ent_json_string(ent_json_member(t, "end")), *bos = ent_json_string(ent_json_member(t, "bos"));
        if (ent_chat_init(&chat, string_of(t, "template"), bos, eos, name) != ENT_OK)
            fail_msg("%s", ent_message());
        assert_false(ent_chat_wants_special(&chat));
        end = end ? end : strcmp(name, "chatml") == 0 ? "<|im_end|>" : eos;
        check_turn_end(&chat, end);
        for (const ent_json *c = ent_json_first(ent_json_member(t, "cases")); c; c = ent_json_next(c), cases++)
            check_case(c, &chat, name, end);
        ent_chat_free(&chat);
    }
    assert_int_equal(cases, 79);
    ent_json_free(all);
}

static void test_plain(void **state)
{
    (void)state;
    ent_chat chat;
    ent_masked_text text = {0};
    const ent_chat_message m[] = {{"system", "Be kind."}, {"user", "Hi"}, {"assistant", "Hello"}, {"user", "Bye"}};
    assert_int_equal(ent_chat_init(&chat, NULL, "<s>", "</s>", "x"), ENT_OK);
    assert_true(ent_chat_wants_special(&chat));
    assert_int_equal(ent_chat_render(&text, &chat, m, 4, "x"), ENT_OK);
    assert_string_equal(text.text, "System: Be kind.\nUser: Hi\nAssistant: Hello</s>\nUser: Bye\n");
    assert_int_equal(text.n_spans, 1);
    assert_memory_equal(text.text + text.spans[0].begin, "Hello</s>\n", text.spans[0].end - text.spans[0].begin);
    assert_int_equal(text.spans[0].end - text.spans[0].begin, 10);
    ent_masked_text_free(&text);
    char *prompt;
    size_t n;
    assert_int_equal(ent_chat_prompt(&prompt, &n, &chat, m, 4, "x"), ENT_OK);
    assert_string_equal(prompt, "System: Be kind.\nUser: Hi\nAssistant: Hello</s>\nUser: Bye\nAssistant:");
    free(prompt);
    check_turn_end(&chat, "</s>");
    assert_int_equal(ent_chat_prompt(&prompt, &n, &chat, m, 3, "f:4"), ENT_EFORMAT);
    assert_string_equal(ent_message(), "f:4: messages: expected the last one to be the user's, found the assistant's");
    ent_chat_free(&chat);
}

static void check_refused(const char *template_text, const char *bos, const char *eos, ent_status code,
                          const char *part)
{
    ent_chat chat;
    assert_int_equal(ent_chat_init(&chat, template_text, bos, eos, "dir/tokenizer_config.json"), code);
    if (strstr(ent_message(), part) == NULL || strncmp(ent_message(), "dir/tokenizer_config.json: ", 27) != 0)
        fail_msg("\"%s\" does not say \"%s\"", ent_message(), part);
}

static void test_refusals(void **state)
{
    (void)state;
    static char endless[(1 << 17) + 2]; /* blocks that never end */
    for (size_t i = 0; i + 1 < sizeof endless; i++)
        endless[i] = "{% if a %}"[i % 10];
    check_refused(endless, "", "", ENT_EUNSUPPORTED, "chat_template: expected at most 131072 bytes, found 131073");
    endless[1 << 16] = 0;
    check_refused(endless, "", "", ENT_EUNSUPPORTED, "chat_template: line 1: it is nested too deeply");
    check_refused("{{ messages }}", "", "", ENT_EUNSUPPORTED, "line 1: a list or dict as text is not supported");
    check_refused("no answers", "", "", ENT_EUNSUPPORTED, "chat_template: of two answers it shows 0");
    check_refused("{% for m in messages %}\n{{ m.content + eos_token }}{% endfor %}", "<s>", NULL, ENT_EUNSUPPORTED,
                  "line 2: eos_token is not defined");
    check_refused("{{ bos_token }}", NULL, "</s>", ENT_EUNSUPPORTED, "line 1: bos_token is not defined");
    check_refused("{{ strftime_now('%d') }}", "", "", ENT_EUNSUPPORTED, "line 1: it puts today's date into the text");
    check_refused("{% macro x() %}{% endmacro %}", "", "", ENT_EUNSUPPORTED, "line 1: {% macro %} is not supported");
    check_refused("{{ raise_exception('never') }}", "", "", ENT_EFORMAT, "messages: the chat template refuses them: n");
    check_refused("{% set ns = namespace(x='ab') %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
                  "", "", ENT_EUNSUPPORTED, "it takes more than 268435456 bytes");
    check_refused("{% set n = namespace(x=[]) %}{% for i in range(9999) %}{% set n.x = [n.x] %}{% endfor %}"
                  "{% set k = namespace(x=[]) %}{% for i in range(9999) %}{% set k.x = [k.x] %}{% endfor %}"
                  "{{ n.x == k.x }}",
                  "", "", ENT_EUNSUPPORTED, "it takes too many steps");

    ent_chat chat;
    ent_masked_text text = {0};
    const ent_chat_message tool[] = {{"tool", "a"}};
    assert_int_equal(ent_chat_init(&chat, NULL, "<s>", "</s>", "x"), ENT_OK);
    assert_int_equal(ent_chat_render(&text, &chat, tool, 1, "f:4"), ENT_EFORMAT);
    assert_string_equal(ent_message(), "f:4: messages[0].role: expected system, user or assistant, found \"tool\"");
    ent_masked_text_free(&text);
    ent_chat_free(&chat);
}

static char folder[64];

static void put_file(const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (text == NULL) {
        unlink(path);
        return;
    }
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void check_eos(int32_t expected)
{
    int32_t eos = 77;
    if (ent_model_eos(&eos, folder, NULL) != ENT_OK)
        fail_msg("%s", ent_message());
    assert_int_equal(eos, expected);
}

static void test_folder(void **state)
{
    (void)state;
    ent_chat chat;
    ent_tokenizer_config config;
    strcpy(folder, "/tmp/entrenar-chat-XXXXXX");
    assert_non_null(mkdtemp(folder));
    check_eos(-1);
    assert_int_equal(ent_chat_load(&chat, folder, NULL), ENT_OK);
    assert_true(ent_chat_wants_special(&chat));
    ent_chat_free(&chat);
    put_file("config.json", "{\"eos_token_id\": 5}");
    check_eos(5);
    put_file("generation_config.json", "{\"eos_token_id\": [6, 7]}");
    check_eos(6);
    put_file("generation_config.json", "{\"eos_token_id\": null}");
    check_eos(5);
    put_file("config.json", "{\"eos_token_id\": 1.5}");
    int32_t eos;
    assert_int_equal(ent_model_eos(&eos, folder, NULL), ENT_EFORMAT);
    put_file("tokenizer_config.json",
             "{\"bos_token\": {\"content\": \"<s>\"}, \"eos_token\": \"</s>\", \"chat_template\": "
             "[{\"name\": \"x\", \"template\": \"y\"}, "
             "{\"name\": \"default\", \"template\": \"{% for m in messages %}{{ m.content }}{% endfor %}\"}]}");
    assert_int_equal(ent_tokenizer_config_read(&config, folder), ENT_OK);
    assert_string_equal(config.bos_token, "<s>");
    assert_string_equal(config.eos_token, "</s>");
    ent_tokenizer_config_free(&config);
    assert_int_equal(ent_chat_load(&chat, folder, NULL), ENT_OK);
    assert_string_equal(chat.template_text, "{% for m in messages %}{{ m.content }}{% endfor %}");
    ent_chat_free(&chat);
    put_file("chat_template.jinja", "other");
    assert_int_equal(ent_chat_load(&chat, folder, NULL), ENT_EUNSUPPORTED);
    assert_non_null(strstr(ent_message(), "chat_template.jinja: chat_template: "));
    assert_non_null(strstr(ent_message(), "; data.chat_template takes a file with another, such as {% for m in "));
    put_file("chat_template.jinja", "{% for m in messages %}{{ m.content }};{% endfor %}");
    assert_int_equal(ent_chat_load(&chat, folder, NULL), ENT_OK);
    assert_string_equal(chat.template_text, "{% for m in messages %}{{ m.content }};{% endfor %}");
    ent_chat_free(&chat);
    char other[128];
    snprintf(other, sizeof other, "%s/other", folder);
    put_file("other", "{% for m in messages %}{{ m.content }}!{% endfor %}");
    assert_int_equal(ent_chat_load(&chat, folder, other), ENT_OK);
    assert_string_equal(chat.template_text, "{% for m in messages %}{{ m.content }}!{% endfor %}");
    ent_chat_free(&chat);
    put_file("other", NULL);
    assert_int_equal(ent_chat_load(&chat, folder, other), ENT_EIO);
    const char *names[] = {"config.json", "generation_config.json", "tokenizer_config.json", "chat_template.jinja"};
    for (size_t i = 0; i < 4; i++)
        put_file(names[i], NULL);
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_against_jinja), cmocka_unit_test(test_plain),
                                       cmocka_unit_test(test_refusals), cmocka_unit_test(test_folder)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
