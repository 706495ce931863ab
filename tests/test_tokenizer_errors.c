/* Bad tokenizer.json files: each fault is named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/text.h"
#include "io/tokenizer_json.h"
#include "tests/tokenizer_text.h"

#define FOLDER ENT_TEST_DATA "/tokenizers/"

/* A tokenizer.json of which one part is replaced. */
static ent_status load_with(ent_tokenizer **out, const char *key, const char *value)
{
    static const char *const parts[][2] = {
        {"version", "\"1.0\""},
        {"added_tokens", "[]"},
        {"normalizer", "null"},
        {"pre_tokenizer", "null"},
        {"post_processor", "null"},
        {"decoder", "null"},
        {"model", "{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},\"merges\":[\"a b\"]}"}};
    char json[4096] = "";
    bool replaced = false;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const bool here = strcmp(key, parts[i][0]) == 0;
        const size_t n = strlen(json);
        replaced = replaced || here;
        snprintf(json + n, sizeof json - n, "%s\"%s\":%s", i ? "," : "{", parts[i][0], here ? value : parts[i][1]);
    }
    const size_t n = strlen(json);
    if (replaced)
        snprintf(json + n, sizeof json - n, "}");
    else
        snprintf(json + n, sizeof json - n, ",\"%s\":%s}", key, value);
    return load_text(out, json, strlen(json));
}

#define ADDED(rest) \
    "[{\"content\":\"c\",\"lstrip\":false,\"rstrip\":false,\"normalized\":false,\"special\":true," rest "}]"
#define SPLIT(regex) \
    "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"" regex "\"},\"behavior\":\"Isolated\",\"invert\":false}"
#define SINGLE(pieces)                                                                                \
    "{\"type\":\"TemplateProcessing\",\"single\":[" pieces "],\"pair\":[],\"special_tokens\":{\"s\":" \
    "{\"id\":\"s\",\"ids\":[9],\"tokens\":[\"s\"]}}}"

static void unsupported_parts_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *key, *value, *message;
        ent_status status;
    } cases[] = {
        {"version", "\"2.0\"", "version: \"2.0\" is not supported", ENT_EUNSUPPORTED},
        {"color", "1", "\"color\" is not a known key", ENT_EFORMAT},
        {"truncation", "{}", "truncation: only null", ENT_EUNSUPPORTED},
        {"padding", "{}", "padding: only null", ENT_EUNSUPPORTED},
        {"normalizer", "{\"type\":\"NFKC\"}", "normalizer.type: \"NFKC\" is not supported", ENT_EUNSUPPORTED},
        {"normalizer", "{\"type\":\"NFC\",\"x\":1}", "normalizer: \"x\" is not a known key", ENT_EFORMAT},
        {"normalizer", "{\"type\":\"NFC\",\"type\":\"NFC\"}", "\"type\" stands twice", ENT_EFORMAT},
        {"normalizer", "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"},{\"type\":\"Lowercase\"}]}",
         "normalizer.normalizers[1].type: \"Lowercase\"", ENT_EUNSUPPORTED},
        {"normalizer", "{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"a\"},\"content\":\"\"}",
         "normalizer.pattern: \"Regex\" is not supported", ENT_EUNSUPPORTED},
        {"pre_tokenizer", "{\"type\":\"WordPiece\"}", "pre_tokenizer.type: \"WordPiece\" is not supported",
         ENT_EUNSUPPORTED},
        {"pre_tokenizer", "{\"type\":\"ByteLevel\",\"add_prefix_space\":1,\"trim_offsets\":true}",
         "add_prefix_space: expected true or false", ENT_EFORMAT},
        {"pre_tokenizer", SPLIT("(?i)a|b"), "this kind of group at byte 0", ENT_EUNSUPPORTED},
        {"pre_tokenizer", SPLIT("a\\\\bc"), "this escape at byte 1", ENT_EUNSUPPORTED},
        {"pre_tokenizer", SPLIT("[a[b]]"), "\"[\" inside a class", ENT_EUNSUPPORTED},
        {"pre_tokenizer", SPLIT("a{2}+"), "this repeated repetition", ENT_EUNSUPPORTED},
        {"pre_tokenizer", SPLIT("a{,2}"), "this \"{\"", ENT_EUNSUPPORTED},
        {"pre_tokenizer", SPLIT("(*UCP)a"), "\"(*\"", ENT_EUNSUPPORTED},
        {"pre_tokenizer", SPLIT("(a"), "missing closing parenthesis", ENT_EUNSUPPORTED},
        {"pre_tokenizer", "{\"type\":\"Metaspace\",\"replacement\":\"__\"}", "expected one character", ENT_EFORMAT},
        {"pre_tokenizer", "{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":\"last\"}",
         "prepend_scheme: \"last\" is not supported", ENT_EUNSUPPORTED},
        {"post_processor", "{\"type\":\"BertProcessing\"}", "post_processor.type: \"BertProcessing\"",
         ENT_EUNSUPPORTED},
        {"post_processor", SINGLE("{\"SpecialToken\":{\"id\":\"s\",\"type_id\":0}}"), "expected the sequence A once",
         ENT_EUNSUPPORTED},
        {"post_processor", SINGLE("{\"SpecialToken\":{\"id\":\"t\"}},{\"Sequence\":{\"id\":\"A\"}}"),
         "\"t\" is not among them", ENT_EFORMAT},
        {"post_processor", SINGLE("{\"SpecialToken\":{\"id\":\"s\"}},{\"Sequence\":{\"id\":\"A\"}}"),
         "token id 9 is not in the vocabulary", ENT_EFORMAT},
        {"decoder", "{\"type\":\"CTC\"}", "decoder.type: \"CTC\" is not supported", ENT_EUNSUPPORTED},
        {"decoder", "{\"type\":\"Strip\",\"content\":\" \",\"start\":-1,\"stop\":0}", "expected numbers from 0 on",
         ENT_EFORMAT},
        {"added_tokens", ADDED("\"id\":3,\"single_word\":true"), "[0].single_word: true is not", ENT_EUNSUPPORTED},
        {"added_tokens", ADDED("\"id\":4,\"single_word\":false"), "expected id 3 (the next free one), found 4",
         ENT_EFORMAT},
        {"model", "{\"type\":\"Unigram\"}", "model.type: \"Unigram\" is not supported", ENT_EUNSUPPORTED},
        {"model", "{\"type\":\"BPE\",\"dropout\":0.1,\"vocab\":{},\"merges\":[]}", "dropout", ENT_EUNSUPPORTED},
        {"model", "{\"type\":\"BPE\",\"end_of_word_suffix\":\"</w>\",\"vocab\":{},\"merges\":[]}",
         "end_of_word_suffix: \"</w>\"", ENT_EUNSUPPORTED},
        {"model", "{\"vocab\":{\"a\":0,\"b\":0},\"merges\":[]}", "tokens \"a\" and \"b\" have the same id 0",
         ENT_EFORMAT},
        {"model", "{\"vocab\":{\"a\":0,\"a\":1},\"merges\":[]}", "\"a\" stands twice", ENT_EFORMAT},
        {"model", "{\"vocab\":{\"a\":-1},\"merges\":[]}", "expected an id from 0 to 65551", ENT_EFORMAT},
        {"model", "{\"vocab\":{\"a\":65552},\"merges\":[]}", "expected an id from 0 to 65551", ENT_EFORMAT},
        {"model", "{\"vocab\":{\"a\":2000000000},\"merges\":[]}", "expected an id from 0 to 65551", ENT_EFORMAT},
        {"model", "{\"vocab\":{\"a\":0},\"merges\":[\"a a\"]}", "merges[0]: \"aa\" is not in", ENT_EFORMAT},
        {"model", "{\"vocab\":{\"a\":0},\"merges\":[[\"a\",\"c\"]]}", "merges[0]: \"c\" is not in", ENT_EFORMAT},
        {"model", "{\"vocab\":{\"a\":0},\"merges\":[\"aa\"]}", "merges[0]: expected \"a b\"", ENT_EFORMAT},
        {"model", "{\"vocab\":{\"a\":0},\"merges\":[],\"unk_token\":\"u\"}", "unk_token: \"u\"", ENT_EFORMAT},
        {"model", "{\"vocab\":[],\"merges\":[]}", "vocab: expected an object", ENT_EFORMAT},
    };
    ent_tokenizer *t = NULL;
    assert_int_equal(load_with(&t, "version", "\"1.0\""), ENT_OK);
    ent_tokenizer_free(t);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const ent_status st = load_with(&t, cases[i].key, cases[i].value);
        if (st != cases[i].status || !strstr(ent_message(), cases[i].message))
            fail_msg("%s %s: status %d, \"%s\"", cases[i].key, cases[i].value, st, st ? ent_message() : "");
        assert_null(t);
    }
    assert_int_equal(ent_tokenizer_load(&t, FOLDER "absent"), ENT_EIO);
    assert_int_equal(ent_tokenizer_load(&t, FOLDER), ENT_EIO); /* a folder without tokenizer.json */
}

static void cut_files_are_refused(void **state)
{
    (void)state;
    char *json;
    size_t n;
    ent_tokenizer *t = NULL;
    assert_int_equal(ent_text_read_file(&json, &n, FOLDER "spm-512/tokenizer.json"), ENT_OK);
    while (n > 0 && strchr(" \n", json[n - 1]))
        n--;
    for (size_t cut = 0; cut < n; cut += cut + 300 < n ? 97 : 1)
        assert_int_equal(load_text(&t, json, cut), ENT_EFORMAT);
    free(json);
}

/* A tokenizer with `count` times the same step in a sequence. */
static ent_tokenizer *load_sequence(const char *part, const char *steps, const char *step, int count)
{
    ent_tokenizer *t = NULL;
    char sequence[3500];
    int n = snprintf(sequence, sizeof sequence, "{\"type\":\"Sequence\",\"%s\":[", steps);
    for (int i = 0; i < count; i++)
        n += snprintf(sequence + n, sizeof sequence - (size_t)n, "%s%s", i ? "," : "", step);
    snprintf(sequence + n, sizeof sequence - (size_t)n, "]}");
    if (load_with(&t, part, sequence) != ENT_OK)
        fail_msg("%s", ent_message());
    return t;
}

/* Steps that each double a text are one thing, forty of them another. */
static void texts_do_not_grow_without_end(void **state)
{
    (void)state;
    static const char double_it[] = "{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"},\"content\":\"aa\"}",
                      bytes[] = "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,"
                                "\"use_regex\":false}";
    static const char *const parts[][3] = {{"normalizer", "normalizers", double_it},
                                           {"pre_tokenizer", "pretokenizers", bytes},
                                           {"decoder", "decoders", double_it}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        for (int count = 4; count <= 24; count += 20) {
            ent_tokenizer *t = load_sequence(parts[i][0], parts[i][1], parts[i][2], count);
            ent_ids ids = {0};
            char *text = NULL;
            size_t n = 0;
            const ent_status st = i < 2 ? ent_tokenizer_encode(&ids, t, "a\xc3\xa9", 3, false)
                                        : ent_tokenizer_decode(&text, &n, t, (int32_t[]){0, 2}, 2, false);
            assert_int_equal(st, count == 4 ? ENT_OK : ENT_EINVAL);
            if (st != ENT_OK)
                assert_non_null(strstr(ent_message(), "the tokenizer's steps make a text longer than 6"));
            else
                assert_int_equal(i < 2 ? 0 : n, i < 2 ? 0 : 33);
            free(text);
            ent_ids_free(&ids);
            ent_tokenizer_free(t);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unsupported_parts_are_named),
        cmocka_unit_test(cut_files_are_refused),
        cmocka_unit_test(texts_do_not_grow_without_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
