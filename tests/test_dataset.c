/* Datasets: masks on GSM8K and chats; the cache; errors with their line.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/dataset.h"
#include "io/json.h"
#include "io/tokenizer_json.h"

#define TOKENIZERS ENT_TEST_DATA "/tokenizers/"

static char folder[64], cache[96], data_path[96];

static void check_ok(ent_status st)
{
    if (st != ENT_OK)
        fail_msg("%s", ent_message());
}

static void write_file(const char *path, const char *text, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, n, f), n);
    fclose(f);
}

static ent_tokenizer *load(const char *name)
{
    ent_tokenizer *t;
    char path[256];
    snprintf(path, sizeof path, TOKENIZERS "%s/tokenizer.json", name);
    check_ok(ent_tokenizer_load(&t, path));
    return t;
}

static void put_data(const char *text)
{
    write_file(data_path, text, strlen(text));
}

static char *decode(const ent_tokenizer *t, const int32_t *ids, size_t n)
{
    char *out;
    size_t size;
    check_ok(ent_tokenizer_decode(&out, &size, t, ids, n, false));
    return out;
}

/* What is learned in unit u, as text. */
static char *learned(const ent_dataset *d, const ent_tokenizer *t, size_t i)
{
    ent_unit u;
    int32_t ids[2048];
    size_t n = 0;
    ent_dataset_unit(&u, d, i);
    for (size_t k = 0; k < u.n; k++)
        if (u.targets[k] != ENT_NO_TARGET)
            ids[n++] = u.targets[k];
    return decode(t, ids, n);
}

/* The lines of a file. */
static size_t read_rows(ent_json **rows, size_t most, const char *path)
{
    static char line[65536];
    size_t n = 0;
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    while (n < most && fgets(line, sizeof line, f))
        check_ok(ent_json_parse(&rows[n++], line, strlen(line), path));
    fclose(f);
    return n;
}

static void put_config(const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/tokenizer_config.json", folder);
    write_file(path, text, strlen(text));
}

static void check_completions(const char *tokenizer, const char *eos)
{
    ent_json *rows[32];
    ent_dataset *d;
    char config[64];
    ent_tokenizer *t = load(tokenizer);
    const size_t n = read_rows(rows, 32, ENT_TEST_DATA "/text/gsm8k-20.jsonl");
    snprintf(config, sizeof config, "{\"eos_token\": \"%s\"}", eos);
    put_config(config);
    ent_dataset_options options = {
        .seq_len = 1024, .vocab_size = 4300, .mask_prompt = true, .tokenizer = t, .model_folder = folder};
    check_ok(ent_dataset_open(&d, ENT_TEST_DATA "/text/gsm8k-20.jsonl", &options));
    assert_int_equal(ent_dataset_units(d), n);
    for (size_t i = 0; i < n; i++) {
        char expected[4096];
        snprintf(expected, sizeof expected, "%s%s", ent_json_string(ent_json_member(rows[i], "completion")), eos);
        char *text = learned(d, t, i);
        const size_t skip = strncmp(text, " ", 1) == 0 && *expected != ' '; /* SentencePiece's */
        assert_string_equal(text + skip, expected);
        free(text);
    }
    ent_dataset_close(d);
    options.mask_prompt = false;
    check_ok(ent_dataset_open(&d, ENT_TEST_DATA "/text/gsm8k-20.jsonl", &options));
    const ent_dataset_counts *c = ent_dataset_counts_of(d);
    assert_int_equal(c->targets, c->tokens - n); /* all but the first of each */
    ent_dataset_close(d);
    for (size_t i = 0; i < n; i++)
        ent_json_free(rows[i]);
    ent_tokenizer_free(t);
}

static void test_completions(void **state)
{
    (void)state;
    check_completions("spm-512", "</s>");
    check_completions("qwen2-style-4k", "<|endoftext|>");
}

static void test_messages(void **state)
{
    (void)state;
    ent_json *rows[32];
    ent_dataset *d;
    ent_tokenizer *t = load("qwen2-style-4k");
    const size_t n = read_rows(rows, 32, ENT_TEST_DATA "/text/chat-20.jsonl");
    put_config("{\"eos_token\": \"<|im_end|>\", \"chat_template\": \"{% for message in messages %}{{'<|im_start|>' + "
               "message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}\"}");
    const ent_dataset_options options = {
        .seq_len = 1024, .vocab_size = 4300, .mask_prompt = true, .tokenizer = t, .model_folder = folder};
    check_ok(ent_dataset_open(&d, ENT_TEST_DATA "/text/chat-20.jsonl", &options));
    assert_int_equal(ent_dataset_units(d), n);
    for (size_t i = 0; i < n; i++) {
        char expected[8192] = "", all[16384] = "";
        ent_unit u;
        for (const ent_json *m = ent_json_first(ent_json_member(rows[i], "messages")); m; m = ent_json_next(m)) {
            const char *role = ent_json_string(ent_json_member(m, "role"));
            const char *content = ent_json_string(ent_json_member(m, "content"));
            if (strcmp(role, "assistant") == 0)
                strcat(strcat(expected, content), "<|im_end|>");
            sprintf(all + strlen(all), "<|im_start|>%s\n%s<|im_end|>\n", role, content);
        }
        char *text = learned(d, t, i);
        assert_string_equal(text, expected);
        free(text);
        ent_dataset_unit(&u, d, i);
        text = decode(t, u.ids, u.n);
        assert_string_equal(text, all);
        free(text);
        ent_json_free(rows[i]);
    }
    ent_dataset_close(d);
    put_config("{\"chat_template\": \"something\"}");
    assert_int_equal(ent_dataset_open(&d, ENT_TEST_DATA "/text/chat-20.jsonl", &options), ENT_EUNSUPPORTED);
    assert_non_null(strstr(ent_message(), "tokenizer_config.json: chat_template: "));
    ent_tokenizer_free(t);
}

static void test_instruction_and_text(void **state)
{
    (void)state;
    ent_dataset *d;
    ent_unit u;
    ent_tokenizer *t = load("qwen2-style-4k");
    put_config("{\"eos_token\": \"<|endoftext|>\"}");
    const ent_dataset_options options = {
        .seq_len = 256, .vocab_size = 4300, .mask_prompt = true, .tokenizer = t, .model_folder = folder};
    put_data("{\"instruction\": \"Add.\", \"input\": \"1 2\", \"output\": \"3\", \"text\": \"all\"}\n"
             "{\"instruction\": \"Greet.\", \"input\": \"\", \"output\": \"Hi\"}\n\n \n");
    check_ok(ent_dataset_open(&d, data_path, &options));
    const char *expected[] = {
        "Below is an instruction that describes a task, paired with an input that provides further context. Write a "
        "response that appropriately completes the request.\n\n### Instruction:\nAdd.\n\n### Input:\n1 2\n\n### "
        "Response:\n3<|endoftext|>",
        "Below is an instruction that describes a task. Write a response that appropriately completes the "
        "request.\n\n### Instruction:\nGreet.\n\n### Response:\nHi<|endoftext|>"};
    for (size_t i = 0; i < 2; i++) {
        ent_dataset_unit(&u, d, i);
        char *all = decode(t, u.ids, u.n), *out = learned(d, t, i);
        assert_string_equal(all, expected[i]);
        assert_string_equal(out, i ? "Hi<|endoftext|>" : "3<|endoftext|>");
        free(all);
        free(out);
    }
    ent_dataset_close(d);
    put_data("{\"text\": \"Hello there\"}\n{\"text\": \"has it<|endoftext|>\"}");
    check_ok(ent_dataset_open(&d, data_path, &options));
    ent_dataset_unit(&u, d, 1);
    char *all = decode(t, u.ids, u.n);
    assert_string_equal(all, "has it<|endoftext|>");
    free(all);
    ent_dataset_close(d);
    ent_tokenizer_free(t);
}

/* The one file of the cache folder. */
static void cache_file(char path[512])
{
    size_t n = 0;
    DIR *dir = opendir(cache);
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir)) != NULL;)
        if (*e->d_name != '.') {
            snprintf(path, 512, "%s/%s", cache, e->d_name);
            n++;
        }
    closedir(dir);
    assert_int_equal(n, 1);
}

static void check_same(const ent_dataset *a, const ent_dataset *b)
{
    assert_int_equal(ent_dataset_units(a), ent_dataset_units(b));
    assert_memory_equal(ent_dataset_counts_of(a), ent_dataset_counts_of(b), sizeof(ent_dataset_counts));
    assert_string_equal(ent_dataset_digest(a), ent_dataset_digest(b));
    for (size_t i = 0; i < ent_dataset_units(a); i++) {
        ent_unit u, v;
        ent_dataset_unit(&u, a, i);
        ent_dataset_unit(&v, b, i);
        assert_int_equal(u.n, v.n);
        assert_memory_equal(u.ids, v.ids, u.n * 4);
        assert_memory_equal(u.targets, v.targets, u.n * 4);
        assert_memory_equal(u.doc_start, v.doc_start, u.n * 4);
    }
}

static void test_cache(void **state)
{
    (void)state;
    ent_dataset *fresh, *built, *again;
    ent_tokenizer *t = load("spm-512");
    ent_dataset_options options = {.seq_len = 128,
                                   .vocab_size = 512,
                                   .mask_prompt = true,
                                   .packing = true,
                                   .tokenizer = t,
                                   .tokenizer_path = TOKENIZERS "spm-512/tokenizer.json",
                                   .model_folder = folder};
    const char *path = ENT_TEST_DATA "/text/gsm8k-20.jsonl";
    char file[512];
    put_config("{\"eos_token\": \"</s>\"}");
    check_ok(ent_dataset_open(&fresh, path, &options));
    options.cache_dir = cache;
    check_ok(ent_dataset_open(&built, path, &options));
    assert_false(ent_dataset_was_cached(built));
    check_same(fresh, built);
    cache_file(file);
    FILE *f = fopen(file, "rb");
    static char bytes[1 << 20];
    const size_t n = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    check_ok(ent_dataset_open(&again, path, &options));
    assert_true(ent_dataset_was_cached(again));
    check_same(fresh, again);
    ent_dataset_close(again);
    ent_dataset_close(built);
    const size_t damages[] = {0, 3, 20, 80, 128, 140, n / 2, n - 1};
    for (size_t i = 0; i < 2 + sizeof damages / sizeof *damages; i++) { /* a flipped bit; cut off; longer */
        static char damaged[sizeof bytes + 1];
        memcpy(damaged, bytes, n);
        if (i >= 2)
            damaged[damages[i - 2]] ^= 4;
        unlink(file);
        write_file(file, damaged, i == 0 ? n / 3 : i == 1 ? n + 1 : n);
        check_ok(ent_dataset_open(&again, path, &options));
        assert_false(ent_dataset_was_cached(again));
        check_same(fresh, again);
        ent_dataset_close(again);
        check_ok(ent_dataset_open(&again, path, &options));
        assert_true(ent_dataset_was_cached(again));
        ent_dataset_close(again);
    }
    for (int i = 0; i < 4; i++) { /* whatever decides the units is in the name */
        ent_dataset_options other = options;
        other.seq_len -= i == 0;
        other.mask_prompt ^= i == 1;
        other.packing ^= i == 2;
        if (i == 3)
            put_config("{}");
        check_ok(ent_dataset_open(&again, path, &other));
        assert_false(ent_dataset_was_cached(again));
        ent_dataset_close(again);
    }
    ent_dataset_close(fresh);
    ent_tokenizer_free(t);
}

static void check_error(const ent_dataset_options *options, const char *text, const char *expected)
{
    ent_dataset *d = NULL;
    write_file(data_path, text, strlen(text));
    assert_int_not_equal(ent_dataset_open(&d, data_path, options), ENT_OK);
    assert_null(d);
    const size_t n = strlen(data_path);
    if (strncmp(ent_message(), data_path, n) != 0 || strncmp(ent_message() + n, expected, strlen(expected)) != 0)
        fail_msg("\"%s\", expected FILE\"%s\"", ent_message(), expected);
}

static void test_errors(void **state)
{
    (void)state;
    ent_dataset *d;
    ent_tokenizer *t = load("spm-512");
    const ent_dataset_options ids = {.seq_len = 8, .vocab_size = 512, .model_folder = folder},
                              text = {.seq_len = 8, .vocab_size = 512, .tokenizer = t, .mask_prompt = true},
                              small = {.seq_len = 8, .vocab_size = 100, .tokenizer = t};
    put_config("{}");
    check_error(&ids, "", ": no rows");
    check_error(&ids, "\n \n", ": no rows");
    check_error(&ids, "{\"input_ids\": [1, 99999]}", ":1: input_ids[1]: 99999 is outside the vocabulary of 512");
    check_error(&ids, "{\"input_ids\": [1, -1]}", ":1: input_ids[1]: -1 is outside the vocabulary of 512");
    check_error(&ids, "{\"input_ids\": [1, 2.5]}", ":1: input_ids[1]: expected a token id");
    check_error(&ids, "{\"input_ids\": [1, 1e300]}", ":1: input_ids[1]: expected a token id");
    check_error(&ids, "{\"input_ids\": [1, \"a\"]}", ":1: input_ids[1]: expected a token id");
    check_error(&ids, "{\"input_ids\": 3}", ":1: input_ids: expected a list");
    check_error(&ids, "{\"input_ids\": []}", ":1: has no tokens");
    check_error(&ids, "{\"input_ids\": [1, 2]}\n{\"input_ids\": [1, 2], \"labels\": [1]}",
                ":2: labels: expected 2, as many as input_ids, found 1");
    check_error(&ids, "{\"input_ids\": [1, 2], \"labels\": [-100, 512]}",
                ":1: labels[1]: 512 is outside the vocabulary of 512 and not -100");
    check_error(&ids, "{\"input_ids\": [1, 2], \"labels\": [1, -100]}", ": no targets");
    check_error(&ids, "{\"input_ids\": [1, 2]}\n\n{\"input_ids\": [1, 2]}",
                ":2: expected an object, found a blank line");
    check_error(&ids, "{\"input_ids\": [1, 2]", ":1");
    check_error(&ids, "{\"input_ids\": [1, 2]}\n[1]", ":2: expected an object with");
    check_error(&ids, "{\"text\": \"a\"}", ":1: {\"text\"} needs a tokenizer: /tmp/");
    check_error(&text, "{\"text\": \"a\"}\n{\"prompt\": \"a\", \"completion\": \"b\"}",
                ":2: expected {\"text\"} as in the first line, found {\"prompt\", \"completion\"}");
    check_error(&text, "{\"text\": 1}", ":1: text: expected a string, found 1");
    check_error(&text, "{\"text\": \"\xff\"}", ":1");
    check_error(&text, "{\"text\": \"a\\u0000\"}", ":1");
    check_error(&text, "{\"messages\": []}", ":1: messages: expected a list of messages");
    check_error(&text, "{\"messages\": [{\"role\": \"user\"}]}", ":1: messages[0]: content: expected a string");
    check_error(&text, "{\"prompt\": \"a long prompt, with more tokens than eight\", \"completion\": \"b\"}",
                ": no targets");
    check_error(&small, "{\"text\": \"hello\"}", ":1: the tokenizer makes id ");
    unlink(data_path);
    assert_int_equal(ent_dataset_open(&d, data_path, &text), ENT_EIO);
    ent_tokenizer_free(t);
}

static void test_input_ids(void **state)
{
    (void)state;
    ent_dataset *d;
    ent_unit u;
    const ent_dataset_options options = {.seq_len = 5, .vocab_size = 10};
    put_data(
        "{\"input_ids\": [1, 2, 3], \"labels\": [7, -100, 9], \"id\": \"x\"}\n{\"input_ids\": [4, 5, 6, 7, 8, 9]}\r\n");
    check_ok(ent_dataset_open(&d, data_path, &options));
    const ent_dataset_counts counts = {
        .documents = 2, .units = 2, .tokens = 8, .targets = 5, .truncated_documents = 1, .truncated_tokens = 1};
    assert_memory_equal(ent_dataset_counts_of(d), &counts, sizeof counts);
    ent_dataset_unit(&u, d, 0);
    assert_int_equal(u.n, 3);
    assert_memory_equal(u.targets, ((int32_t[]){-100, 9, -100}), 12);
    ent_dataset_unit(&u, d, 1);
    assert_memory_equal(u.ids, ((int32_t[]){4, 5, 6, 7, 8}), 20);
    assert_memory_equal(u.targets, ((int32_t[]){5, 6, 7, 8, -100}), 20);
    ent_dataset_close(d);
}

static int set_up(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/entrenar-data-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(cache, sizeof cache, "%s/cache", folder);
    snprintf(data_path, sizeof data_path, "%s/data.jsonl", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_input_ids), cmocka_unit_test(test_completions),
                                       cmocka_unit_test(test_messages),  cmocka_unit_test(test_instruction_and_text),
                                       cmocka_unit_test(test_cache),     cmocka_unit_test(test_errors)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
