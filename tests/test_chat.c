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

/* Each span is an assistant's content (perhaps trimmed) followed by `end`, in order. */
static void check_spans(const ent_masked_text *text, const ent_chat_message *m, size_t n, const char *end)
{
    size_t span = 0;
    for (size_t i = 0; i < n; i++) {
        if (strcmp(m[i].role, "assistant") != 0)
            continue;
        assert_true(span < text->n_spans);
        const ent_span s = text->spans[span++];
        char learned[200], core[200];
        snprintf(learned, sizeof learned, "%.*s", (int)(s.end - s.begin), text->text + s.begin);
        const char *from = m[i].content + strspn(m[i].content, " \t\n");
        snprintf(core, sizeof core, "%s", from);
        for (size_t k = strlen(core); k && strchr(" \t\n", core[k - 1]); k--)
            core[k - 1] = '\0';
        assert_non_null(strstr(learned, core));
        assert_string_equal(learned + strlen(learned) - strlen(end), end);
        assert_true(strlen(learned) <= strlen(m[i].content) + strlen(end) + 2);
    }
    assert_int_equal(span, text->n_spans);
}

static void test_against_jinja(void **state)
{
    (void)state;
    ent_json *all;
    assert_int_equal(ent_json_read_file(&all, ENT_TEST_DATA "/text/chat-templates.json"), ENT_OK);
    size_t cases = 0;
    for (const ent_json *t = ent_json_first(all); t; t = ent_json_next(t)) {
        ent_chat chat;
        const char *name = string_of(t, "name"), *eos = string_of(t, "eos");
        if (ent_chat_recognise(&chat, string_of(t, "template"), string_of(t, "bos"), eos, name) != ENT_OK)
            fail_msg("%s", ent_message());
        assert_false(ent_chat_wants_special(&chat));
        for (const ent_json *c = ent_json_first(ent_json_member(t, "cases")); c; c = ent_json_next(c), cases++) {
            ent_chat_message m[MAX_MESSAGES];
            ent_masked_text text = {0};
            const size_t n = messages_of(m, ent_json_member(c, "messages"));
            assert_int_equal(ent_chat_render(&text, &chat, m, n, name), ENT_OK);
            assert_string_equal(text.text, string_of(c, "text"));
            check_spans(&text, m, n, strcmp(name, "chatml") == 0 ? "<|im_end|>" : eos);
            ent_masked_text_free(&text);
        }
        ent_chat_free(&chat);
    }
    assert_int_equal(cases, 24);
    ent_json_free(all);
}

static void test_plain(void **state)
{
    (void)state;
    ent_chat chat;
    ent_masked_text text = {0};
    const ent_chat_message m[] = {{"system", "Be kind."}, {"user", "Hi"}, {"assistant", "Hello"}, {"user", "Bye"}};
    assert_int_equal(ent_chat_recognise(&chat, NULL, "<s>", "</s>", "x"), ENT_OK);
    assert_true(ent_chat_wants_special(&chat));
    assert_int_equal(ent_chat_render(&text, &chat, m, 4, "x"), ENT_OK);
    assert_string_equal(text.text, "System: Be kind.\nUser: Hi\nAssistant: Hello</s>\nUser: Bye\n");
    assert_int_equal(text.n_spans, 1);
    assert_memory_equal(text.text + text.spans[0].begin, "Hello</s>\n", text.spans[0].end - text.spans[0].begin);
    assert_int_equal(text.spans[0].end - text.spans[0].begin, 10);
    ent_masked_text_free(&text);
    ent_chat_free(&chat);
}

static void check_refused(const char *template_text, const char *bos, const char *eos, ent_status code,
                          const char *part)
{
    ent_chat chat;
    assert_int_equal(ent_chat_recognise(&chat, template_text, bos, eos, "dir/tokenizer_config.json"), code);
    if (strstr(ent_message(), part) == NULL || strncmp(ent_message(), "dir/tokenizer_config.json: ", 27) != 0)
        fail_msg("\"%s\" does not say \"%s\"", ent_message(), part);
}

static void test_refusals(void **state)
{
    (void)state;
    check_refused("{{ messages }}", "", "", ENT_EUNSUPPORTED, "found another");
    static char endless[(1 << 17) + 2]; /* <|im_start|>system without an end, again and again */
    for (size_t i = 0; i + 1 < sizeof endless; i++)
        endless[i] = "<|im_start|>system\n"[i % 19];
    check_refused(endless, "", "", ENT_EUNSUPPORTED, "chat_template: expected at most 131072 bytes, found 131073");
    check_refused("<|im_start|> <think>", "", "", ENT_EUNSUPPORTED, "<think>");
    check_refused("<|start_header_id|> trim Cutting Knowledge Date", "b", "e", ENT_EUNSUPPORTED, "Knowledge Date");
    check_refused("<|start_header_id|>", "b", "e", ENT_EUNSUPPORTED, "does not trim");
    check_refused("<<SYS>>", "<s>", NULL, ENT_EFORMAT, "eos_token");
    check_refused("<<SYS>>", NULL, "</s>", ENT_EFORMAT, "bos_token");
    /* of Qwen1.5 at first, of Phi-4 as a Llama, of Falcon3: near to a family, but another text */
    check_refused("{{'<|im_start|>' + message['role'] + '\\n' + message['content']}}{% if not loop.last %}"
                  "{{ '<|im_end|>' + '\\n'}}{% endif %}",
                  "", "", ENT_EUNSUPPORTED, "\"not loop.last\"");
    check_refused("{{'<|im_start|>user<|im_sep|>' + message['content'] + '<|im_end|>\\n'}}", "", "", ENT_EUNSUPPORTED,
                  "\"<|im_sep|>\"");
    check_refused("{{'<|im_start|>user\\n' + message['content'] + '<|im_end|>'}}", "", "", ENT_EUNSUPPORTED,
                  "does not end turns as it does: \"<|im_end|>\"");
    check_refused("{{ '<|user|>\n' + message['content'] + '\n' }}{{ '<|assistant|>\n' + message['content'] + eos_token "
                  "+ '\n' }}",
                  "", "</s>", ENT_EUNSUPPORTED, "does not end turns as it does: \"<|user|>\"");
    check_refused("<|im_start|>{{ 'You are ' + name }}", "", "", ENT_EUNSUPPORTED, "default system message");

    ent_chat chat;
    ent_masked_text text = {0};
    assert_int_equal(ent_chat_recognise(&chat, "<<SYS>>", "<s>", "</s>", "x"), ENT_OK);
    const ent_chat_message twice[] = {{"user", "a"}, {"user", "b"}}, tool[] = {{"tool", "a"}};
    assert_int_equal(ent_chat_render(&text, &chat, twice, 2, "f:3"), ENT_EFORMAT);
    assert_string_equal(ent_message(), "f:3: messages: turns alternate: expected role assistant, found user");
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
    assert_int_equal(ent_chat_load(&chat, folder), ENT_OK);
    assert_int_equal(chat.family, ENT_CHAT_PLAIN);
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
             "{\"name\": \"default\", \"template\": \"<|im_start|>\"}]}");
    assert_int_equal(ent_tokenizer_config_read(&config, folder), ENT_OK);
    assert_string_equal(config.bos_token, "<s>");
    assert_string_equal(config.eos_token, "</s>");
    ent_tokenizer_config_free(&config);
    assert_int_equal(ent_chat_load(&chat, folder), ENT_OK);
    assert_int_equal(chat.family, ENT_CHAT_CHATML);
    ent_chat_free(&chat);
    put_file("chat_template.jinja", "other");
    assert_int_equal(ent_chat_load(&chat, folder), ENT_EUNSUPPORTED);
    assert_non_null(strstr(ent_message(), "chat_template.jinja: chat_template: "));
    put_file("chat_template.jinja", "<|user|>");
    assert_int_equal(ent_chat_load(&chat, folder), ENT_OK);
    assert_int_equal(chat.family, ENT_CHAT_ZEPHYR);
    ent_chat_free(&chat);
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
