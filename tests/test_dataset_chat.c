/* Conversations without special tokens; what a cache file may stand for, and what is said of a damaged one. */
#include "file_helpers.h"

#include "io/dataset.h"
#include "io/json.h"
#include "io/tokenizer_json.h"

#define CHATS ENT_TEST_DATA "/text/chat-20.jsonl"
#define SPM ENT_TEST_DATA "/tokenizers/spm-512/tokenizer.json"

enum { MOST = 4096 };

static const char *model; /* a folder */

static void put_text(const char *name, const char *text)
{
    put_file(in_folder(model, name), text, strlen(text));
}

static char *decode(const ent_tokenizer *t, const int32_t *ids, size_t n)
{
    char *out;
    size_t size;
    assert_ok(ent_tokenizer_decode(&out, &size, t, ids, n, false));
    return out;
}

/* Appends without the spaces that SentencePiece writes at the start of a piece after a special token. */
static void append(char *to, const char *s)
{
    char *end = to + strlen(to);
    for (; *s; s++)
        if (*s != ' ')
            *end++ = *s;
    *end = '\0';
}

/* In the plain form, SentencePiece and all: exactly the answers with EOS and newline are learned. */
static void test_plain(void **state)
{
    (void)state;
    ent_dataset *d;
    ent_tokenizer *t;
    char line[8192];
    model = scratch("test_dataset_chat");
    put_text("tokenizer_config.json", "{\"bos_token\": \"<s>\", \"eos_token\": \"</s>\"}");
    assert_ok(ent_tokenizer_load(&t, SPM));
    const ent_dataset_options options = {
        .seq_len = MOST, .vocab_size = 512, .mask_prompt = true, .tokenizer = t, .model_folder = model};
    assert_ok(ent_dataset_open(&d, CHATS, &options));
    FILE *f = fopen(CHATS, "r");
    assert_non_null(f);
    size_t i = 0;
    for (; fgets(line, sizeof line, f); i++) {
        ent_json *row;
        ent_unit u;
        int32_t ids[MOST];
        char expected[8192] = "", found[8192] = "";
        size_t n = 0;
        assert_ok(ent_json_parse(&row, line, strlen(line), CHATS));
        for (const ent_json *m = ent_json_first(ent_json_member(row, "messages")); m; m = ent_json_next(m))
            if (strcmp(ent_json_string(ent_json_member(m, "role")), "assistant") == 0) {
                append(expected, ent_json_string(ent_json_member(m, "content")));
                append(expected, "</s>\n");
            }
        ent_dataset_unit(&u, d, i);
        for (size_t k = 0; k < u.n; k++)
            if (u.targets[k] != ENT_NO_TARGET)
                ids[n++] = u.targets[k];
        char *text = decode(t, ids, n);
        append(found, text);
        assert_string_equal(found, expected);
        assert_int_equal(u.ids[0], ent_tokenizer_id(t, "<s>"));
        free(text);
        ent_json_free(row);
    }
    fclose(f);
    assert_int_equal(i, ent_dataset_units(d));
    ent_dataset_close(d);
    ent_tokenizer_free(t);
}

/* A template that comes to the folder after the cache was made, and cannot be rendered, stops the run all the same. */
static void test_template_comes_later(void **state)
{
    (void)state;
    ent_dataset *d;
    ent_tokenizer *t;
    model = scratch("test_dataset_chat");
    assert_ok(ent_tokenizer_load(&t, SPM));
    ent_dataset_options options = {.seq_len = 256,
                                   .vocab_size = 512,
                                   .mask_prompt = true,
                                   .tokenizer = t,
                                   .tokenizer_path = SPM,
                                   .model_folder = model,
                                   .cache_dir = in_folder(model, "cache")};
    assert_ok(ent_dataset_open(&d, CHATS, &options));
    ent_dataset_close(d);
    put_text("chat_template.jinja", "{{ messages }}");
    assert_fails(ent_dataset_open(&d, CHATS, &options), ENT_EUNSUPPORTED, "chat_template.jinja: chat_template: ");
    options.tokenizer_path = NULL; /* the cache's name would not tell tokenizers apart */
    assert_fails(ent_dataset_open(&d, CHATS, &options), ENT_EINVAL, "tokenizer_path");
    ent_tokenizer_free(t);
}

/* A damaged cache file is named. */
static void test_note(void **state)
{
    (void)state;
    ent_dataset *d;
    char command[700];
    model = scratch("test_dataset_chat");
    put_text("data.jsonl", "{\"input_ids\": [1, 2, 3]}\n");
    const ent_dataset_options options = {.seq_len = 8, .vocab_size = 10, .cache_dir = in_folder(model, "cache")};
    const char *path = in_folder(model, "data.jsonl");
    for (int i = 0; i < 4; i++) {
        assert_ok(ent_dataset_open(&d, path, &options));
        const char *note = ent_dataset_note(d);
        assert_int_equal(note != NULL, i == 2);
        assert_int_equal(ent_dataset_was_cached(d), i == 1 || i == 3);
        if (note) {
            assert_int_equal(strncmp(note, options.cache_dir, strlen(options.cache_dir)), 0);
            assert_non_null(strstr(note, ".bin: damaged, made anew"));
        }
        ent_dataset_close(d);
        snprintf(command, sizeof command, "for f in %s/*.bin; do printf x >> \"$f\"; done", options.cache_dir);
        if (i == 1)
            assert_int_equal(system(command), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_plain), cmocka_unit_test(test_template_comes_later),
                                       cmocka_unit_test(test_note)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
