/* Tokenizers: against Hugging Face's (data/tokenizers/PROVENANCE.md); long texts, threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "io/json.h"
#include "io/jsonstring.h"
#include "io/tokenizer_json.h"
#include "tests/tokenizer_text.h"

#define FOLDER ENT_TEST_DATA "/tokenizers/"

typedef struct text {
    char *s;
    size_t n;
} text;

static ent_tokenizer *load(const char *path)
{
    ent_tokenizer *t = NULL;
    if (ent_tokenizer_load(&t, path) != ENT_OK)
        fail_msg("%s", ent_message());
    return t;
}

static void check_encode(const ent_tokenizer *t, const text *in, const ent_ids *expected, bool special)
{
    ent_ids got = {0};
    assert_int_equal(ent_tokenizer_encode(&got, t, in->s, in->n, special), ENT_OK);
    bool same = got.count == expected->count;
    for (size_t i = 0; same && i < got.count; i++)
        same = got.ids[i] == expected->ids[i];
    if (!same)
        fail_msg("\"%s\": %zu ids, expected %zu, or others", in->s, got.count, expected->count);
    ent_ids_free(&got);
}

static void check_decode(const ent_tokenizer *t, const ent_ids *ids, const text *expected, bool skip_special)
{
    text got;
    assert_int_equal(ent_tokenizer_decode(&got.s, &got.n, t, ids->ids, ids->count, skip_special), ENT_OK);
    if (got.n != expected->n || memcmp(got.s, expected->s, got.n) != 0)
        fail_msg("decoded \"%s\", expected \"%s\"", got.s, expected->s);
    free(got.s);
}

/* The string after `key` in a line; *at moves behind it. */
static text read_text(const char **at, const char *key)
{
    text out;
    const char *start = strstr(*at, key), *end;
    assert_non_null(start);
    start += strlen(key);
    for (end = start + 1; *end != '"'; end++)
        end += *end == '\\';
    if (ent_jsonstring_read(&out.s, &out.n, start, (size_t)(end + 1 - start), key) != ENT_OK)
        fail_msg("%s", ent_message());
    *at = end + 1;
    return out;
}

static ent_ids read_ids(const char **at, const char *key)
{
    ent_ids out = {0};
    const char *start = strstr(*at, key);
    char *end;
    assert_non_null(start);
    start += strlen(key);
    for (assert_int_equal(*start++, '['); *start != ']'; start = *end == ',' ? end + 1 : end)
        assert_int_equal(ent_ids_push(&out, (int32_t)strtol(start, &end, 10)), ENT_OK);
    *at = start;
    return out;
}

static void check_line(const ent_tokenizer *t, const char *line)
{
    text in = read_text(&line, "{\"text\":");
    ent_ids ids = read_ids(&line, "\"ids\":"), special = read_ids(&line, "\"ids_with_special\":");
    text decoded = read_text(&line, "\"decoded\":"), skipped = read_text(&line, "\"decoded_skip_special\":");
    check_encode(t, &in, &ids, false);
    check_encode(t, &in, &special, true);
    check_decode(t, &special, &decoded, false);
    check_decode(t, &special, &skipped, true);
    free(in.s);
    free(decoded.s);
    free(skipped.s);
    ent_ids_free(&ids);
    ent_ids_free(&special);
}

static void equals_reference(void **state)
{
    const char *folder = *state;
    char path[512], *line = NULL;
    size_t capacity = 0, count = 0, zeros = 0;
    ent_tokenizer *t = load(folder);
    snprintf(path, sizeof path, "%s/vectors.json", folder);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (getline(&line, &capacity, file) > 0)
        if (*line == '{') {
            check_line(t, line);
            zeros += strstr(line, "\\u0000") != NULL;
            count++;
        }
    assert_int_equal(count, 302);
    assert_int_equal(zeros, 2);
    fclose(file);
    free(line);
    ent_tokenizer_free(t);
}

static ent_ids array_ids(const ent_json *array)
{
    ent_ids out = {0};
    for (const ent_json *id = ent_json_first(array); id; id = ent_json_next(id))
        assert_int_equal(ent_ids_push(&out, (int32_t)ent_json_number(id)), ENT_OK);
    return out;
}

static text json_text(const ent_json *json)
{
    char *s;
    memcpy(&s, &(const char *){ent_json_string(json)}, sizeof s);
    return (text){.s = s, .n = strlen(s)};
}

/* One line of variants.jsonl. */
static size_t check_variant(const char *line)
{
    ent_json *json;
    ent_tokenizer *t = NULL;
    char *file;
    size_t count = 0;
    assert_int_equal(ent_json_parse(&json, line, strlen(line), "variants.jsonl"), ENT_OK);
    assert_int_equal(ent_json_print(&file, ent_json_member(json, "tokenizer"), false), ENT_OK);
    if (load_text(&t, file, strlen(file)) != ENT_OK)
        fail_msg("%s: %s", ent_json_string(ent_json_member(json, "name")), ent_message());
    const ent_json *vectors = ent_json_member(json, "vectors");
    for (const ent_json *v = ent_json_first(vectors); v; v = ent_json_next(v), count++) {
        const ent_json *in = ent_json_first(v), *plain = ent_json_next(in), *special = ent_json_next(plain);
        const ent_json *decoded = ent_json_next(special), *skipped = ent_json_next(decoded);
        const text in_text = json_text(in), decoded_text = json_text(decoded), skipped_text = json_text(skipped);
        ent_ids ids = array_ids(plain), ids_special = array_ids(special);
        check_encode(t, &in_text, &ids, false);
        check_encode(t, &in_text, &ids_special, true);
        check_decode(t, &ids_special, &decoded_text, false);
        check_decode(t, &ids_special, &skipped_text, true);
        ent_ids_free(&ids);
        ent_ids_free(&ids_special);
    }
    ent_tokenizer_free(t);
    free(file);
    ent_json_free(json);
    return count;
}

static void variants_equal_reference(void **state)
{
    (void)state;
    FILE *file = fopen(FOLDER "variants.jsonl", "r");
    char *line = NULL;
    size_t capacity = 0, count = 0;
    assert_non_null(file);
    while (getline(&line, &capacity, file) > 0)
        count += check_variant(line);
    assert_int_equal(count, 42 * 21);
    fclose(file);
    free(line);
}

static void faults_of_calls(void **state)
{
    (void)state;
    ent_tokenizer *t = load(FOLDER "gpt2-4k/tokenizer.json");
    ent_ids ids = {0};
    text out;
    assert_int_equal(ent_ids_push(&ids, 7), ENT_OK);
    static const char *const bad[] = {"a\xff", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "ab\xe2\x82"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(ent_tokenizer_encode(&ids, t, bad[i], strlen(bad[i]), true), ENT_EINVAL);
    assert_int_equal(ids.count, 1);
    assert_int_equal(ent_tokenizer_decode(&out.s, &out.n, t, (int32_t[]){4257}, 1, false), ENT_EINVAL);
    assert_int_equal(ent_tokenizer_decode(&out.s, &out.n, t, (int32_t[]){-1}, 1, false), ENT_EINVAL);
    assert_null(out.s);
    assert_int_equal(ent_tokenizer_vocab_size(t), 4257);
    assert_int_equal(ent_tokenizer_id(t, "<|endoftext|>"), 4256);
    assert_int_equal(ent_tokenizer_id(t, "no such token"), -1);
    /* E2 82 (two of three bytes), 41, FF: one U+FFFD for the cut sequence, one for the byte (Unicode 15.0, table 3-8)
     */
    const int32_t cut[] = {ent_tokenizer_id(t, "\xc3\xa2"), ent_tokenizer_id(t, "\xc4\xa4"), ent_tokenizer_id(t, "A"),
                           ent_tokenizer_id(t, "\xc3\xbf")};
    const text expected = {.s = (char[]){"\xef\xbf\xbd"
                                         "A"
                                         "\xef\xbf\xbd"},
                           .n = 7};
    check_decode(t, &(ent_ids){.ids = (int32_t *)(uintptr_t)cut, .count = 4}, &expected, false);
    ent_ids_free(&ids);
    ent_tokenizer_free(t);
    ent_tokenizer_free(NULL);
}

/* n bytes of words in no order; the text comes back. Encoding takes a tenth of a second of the CPU's time; an hour if it
 * looked at the whole text for each token. */
static void check_long(const char *folder, size_t n)
{
    static const char *const words[] = {"the ",    "king",  " of",  "\n\n", "   ",
                                        "Queen's", " 1234", "aaaa", "!?",   "\xc3\xa9"};
    ent_tokenizer *t = load(folder);
    char *s = calloc(n + 16, 1);
    uint32_t seed = 1;
    assert_non_null(s);
    text in = {.s = s};
    while (in.n < n) {
        seed = seed * 1664525u + 1013904223u;
        const char *word = words[(seed >> 16) % (sizeof words / sizeof *words)];
        memcpy(s + in.n, word, strlen(word) + 1);
        in.n += strlen(word);
    }
    ent_ids ids = {0};
    struct timespec a, b;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
    assert_int_equal(ent_tokenizer_encode(&ids, t, in.s, in.n, false), ENT_OK);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
    assert_true((double)(b.tv_sec - a.tv_sec) + 1e-9 * (double)(b.tv_nsec - a.tv_nsec) < 30.0);
    check_decode(t, &ids, &in, true);
    ent_ids_free(&ids);
    free(s);
    ent_tokenizer_free(t);
}

static void long_texts_take_no_time(void **state)
{
    (void)state;
    check_long(FOLDER "spm-512", 100000); /* one word of 100 kB */
    check_long(FOLDER "llama3-style-4k", 100000);
    check_long(FOLDER "qwen2-style-4k", 100000);
}

static void threads_share_a_tokenizer(void **state)
{
    (void)state;
    ent_tokenizer *t = load(FOLDER "llama3-style-4k");
    static const char words[] = "We'll see 12345 na\xc3\xafve readers<|eot_id|> again, and\n\n  again.";
    ent_ids expected = {0};
    int wrong = 0;
    assert_int_equal(ent_tokenizer_encode(&expected, t, words, sizeof words - 1, true), ENT_OK);
#pragma omp parallel for num_threads(4) reduction(+ : wrong)
    for (int i = 0; i < 200; i++) {
        ent_ids got = {0};
        wrong += ent_tokenizer_encode(&got, t, words, sizeof words - 1, true) != ENT_OK ||
                 got.count != expected.count || memcmp(got.ids, expected.ids, got.count * sizeof *got.ids) != 0;
        ent_ids_free(&got);
    }
    assert_int_equal(wrong, 0);
    ent_ids_free(&expected);
    ent_tokenizer_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(equals_reference, FOLDER "gpt2-4k"),
        cmocka_unit_test_prestate(equals_reference, FOLDER "llama3-style-4k"),
        cmocka_unit_test_prestate(equals_reference, FOLDER "qwen2-style-4k"),
        cmocka_unit_test_prestate(equals_reference, FOLDER "spm-512"),
        cmocka_unit_test(variants_equal_reference),
        cmocka_unit_test(faults_of_calls),
        cmocka_unit_test(long_texts_take_no_time),
        cmocka_unit_test(threads_share_a_tokenizer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
