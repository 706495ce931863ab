/* What `entrenar generate` prints: text that comes token by token is the text of all tokens, in whole characters, up to
 * what ends it. */
#include "tests/file_helpers.h"

#include "io/chat.h"
#include "io/json.h"
#include "io/tokenizer_json.h"
#include "launch/generate_prompt.h"
#include "launch/generate_text.h"
#include "src/base/philox.h"

static const char *const tokenizers[] = {"spm-512", "gpt2-4k", "qwen2-style-4k", "llama3-style-4k"};

/* Appends what comes, which must be characters. */
static ent_status collect(void *context, const char *text, size_t n)
{
    ent_text *all = context, piece = {0};
    assert_true(n > 0);
    ent_text_put_n(&piece, text, n);
    if (strlen(piece.data) == n && !ent_utf8_is_valid(piece.data))
        fail_msg("no characters: \"%s\"", piece.data);
    ent_text_put_n(all, text, n);
    free(piece.data);
    return ENT_OK;
}

/* All of ids as a reply to the first `given` of them. */
static void reply_to(ent_text *out, const ent_tokenizer *t, const ent_ids *ids, size_t given, const char *const *stops,
                     size_t n_stops, bool drop_space)
{
    const ent_ids prompt = {.ids = ids->ids, .count = given};
    ent_reply r = {
        .tokenizer = t, .stops = stops, .n_stops = n_stops, .drop_space = drop_space, .put = collect, .context = out};
    ent_text_put(out, "");
    assert_ok(ent_reply_begin(&r, &prompt));
    for (size_t i = given; i < ids->count && !r.stopped; i++)
        assert_ok(ent_reply_add(&r, ids->ids[i]));
    assert_ok(ent_reply_end(&r));
    ent_reply_free(&r);
}

static char *text_of(size_t *n, const ent_tokenizer *t, const ent_ids *ids, size_t count)
{
    char *text;
    assert_ok(ent_tokenizer_decode(&text, n, t, ids->ids, count, true));
    return text;
}

static bool is_whole(const char *text, size_t n)
{
    return n < 3 || memcmp(text + n - 3, "\xef\xbf\xbd", 3) != 0;
}

/* Every split of the tokens into a prompt and what comes, where the prompt is whole characters. Returns how many. */
static size_t check_splits(const ent_tokenizer *t, const ent_ids *ids)
{
    size_t n, n_given, checked = 0;
    char *all = text_of(&n, t, ids, ids->count);
    for (size_t given = 0; given <= ids->count; given++) {
        char *before = text_of(&n_given, t, ids, given);
        if (is_whole(before, n_given) && n >= n_given && memcmp(all, before, n_given) == 0) {
            ent_text out = {0};
            reply_to(&out, t, ids, given, NULL, 0, false);
            if (out.n != n - n_given || memcmp(out.data, all + n_given, out.n) != 0)
                fail_msg("after %zu of %zu tokens: \"%s\", expected \"%s\"", given, ids->count, out.data,
                         all + n_given);
            free(out.data);
            checked++;
        }
        free(before);
    }
    free(all);
    return checked;
}

static ent_tokenizer *open_tokenizer(const char *name)
{
    char path[400];
    ent_tokenizer *t;
    snprintf(path, sizeof path, "%s/tokenizers/%s", ENT_TEST_DATA, name);
    assert_ok(ent_tokenizer_load(&t, path));
    return t;
}

/* A text of characters of one to four bytes. */
static void draw_text(ent_text *out, uint32_t unit)
{
    static const char *const characters[] = {"a",
                                             "e",
                                             " ",
                                             " the",
                                             "\n",
                                             "1",
                                             ".",
                                             "  ",
                                             "\xc3\xa9",
                                             "\xd1\x8f",
                                             "\xe2\x82\xac",
                                             "\xe4\xb8\xad",
                                             "\xe2\x80\x8d",
                                             "\xf0\x9f\x98\x80",
                                             "\xf0\x9f\x91\xa9",
                                             "<|im_end|>",
                                             "</s>",
                                             "\t"};
    const ent_rng rng = {.seed = 1, .unit = unit};
    ent_text_put(out, "");
    for (uint32_t i = 0; i < 3 + unit % 20; i++)
        ent_text_put(out, characters[ent_random_below(&rng, i, sizeof characters / sizeof *characters)]);
}

static void the_text_is_that_of_all_tokens(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof tokenizers / sizeof *tokenizers; k++) {
        ent_tokenizer *t = open_tokenizer(tokenizers[k]);
        size_t checked = 0;
        for (uint32_t unit = 0; unit < 40; unit++) {
            ent_text text = {0};
            ent_ids ids = {0};
            draw_text(&text, unit);
            if (unit % 10 == 0) /* the mark of what is no character is one */
                ent_text_put(&text, "\xef\xbf\xbd\xf0\x9f\x98\x80");
            assert_ok(ent_tokenizer_encode(&ids, t, text.data, text.n, true));
            checked += check_splits(t, &ids);
            ent_ids_free(&ids);
            free(text.data);
        }
        assert_true(checked > 300);
        ent_tokenizer_free(t);
    }
}

/* Tokens in any order are mostly no characters: what comes is always UTF-8 (collect), and it is as much as there is. */
static void any_tokens_give_characters(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof tokenizers / sizeof *tokenizers; k++) {
        ent_tokenizer *t = open_tokenizer(tokenizers[k]);
        const size_t bytes = k == 0 ? 3 : 0; /* where tokens of single bytes begin */
        for (uint32_t i = 0; i < 300; i++) {
            const ent_rng rng = {.seed = i};
            ent_ids ids = {0};
            ent_text out = {0};
            for (uint32_t j = 0; j < 20; j++)
                assert_ok(ent_ids_push(&ids, (int32_t)(bytes + ent_random_below(&rng, j, j % 5 == 4 ? 400 : 256))));
            reply_to(&out, t, &ids, 3, NULL, 0, false);
            assert_true(out.n > 0);
            free(out.data);
            ent_ids_free(&ids);
        }
        ent_tokenizer_free(t);
    }
}

/* In a row of bytes one that is no character makes the others none: what was told of them stays. */
static void what_was_told_stays(void **state)
{
    (void)state;
    ent_tokenizer *t = open_tokenizer("spm-512");
    enum { BYTES = 3 }; /* <0x00> */
    int32_t tokens[] = {BYTES + 0xc3, BYTES + 0xa9, BYTES + 0xe2, ent_tokenizer_id(t, "a"), BYTES + 0xe2};
    const ent_ids ids = {.ids = tokens, .count = 5};
    ent_text out = {0};
    reply_to(&out, t, &ids, 0, NULL, 0, false);
    assert_string_equal(out.data, "\xc3\xa9\xef\xbf\xbd"
                                  "a\xef\xbf\xbd");
    free(out.data);
    ent_tokenizer_free(t);
}

static void nothing_comes_of_what_ends_it(void **state)
{
    (void)state;
    static const struct {
        const char *text, *stops[3], *want;
    } cases[] = {
        {"abcabd", {"abd"}, "abc"},
        {"abcabd", {"abx"}, "abcabd"},
        {"abababc!", {"ababc"}, "ab"},
        {"one two\n\nthree", {"\n\n"}, "one two"},
        {"one two\nthree\n", {"\n\n"}, "one two\nthree\n"},
        {"x END y STOP", {"STOP", "END"}, "x "},
        {"END", {"END"}, ""},
        {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z", {"\xf0\x9f\x98\x80"}, "\xc3\xa9\xe2\x82\xac"},
        {"\xc3\xa9\xe2\x82\xac", {"\xe2\x82\xad"}, "\xc3\xa9\xe2\x82\xac"},
    };
    for (size_t k = 0; k < sizeof tokenizers / sizeof *tokenizers; k++) {
        ent_tokenizer *t = open_tokenizer(tokenizers[k]);
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            ent_ids ids = {0};
            ent_text out = {0};
            size_t n_stops = 0;
            while (n_stops < 3 && cases[i].stops[n_stops])
                n_stops++;
            assert_ok(ent_tokenizer_encode(&ids, t, cases[i].text, strlen(cases[i].text), false));
            reply_to(&out, t, &ids, 0, cases[i].stops, n_stops, false);
            assert_string_equal(out.data, cases[i].want);
            free(out.data);
            ent_ids_free(&ids);
        }
        ent_tokenizer_free(t);
    }
}

static void a_template_s_space_is_dropped(void **state)
{
    (void)state;
    ent_tokenizer *t = open_tokenizer("qwen2-style-4k");
    static const char *const texts[] = {" Hello you", "Hello you", "  Hello you"};
    static const char *const want[] = {"Hello you", "Hello you", " Hello you"};
    for (size_t i = 0; i < 3; i++) {
        ent_ids ids = {0};
        ent_text out = {0};
        assert_ok(ent_tokenizer_encode(&ids, t, texts[i], strlen(texts[i]), false));
        reply_to(&out, t, &ids, 0, NULL, 0, true);
        assert_string_equal(out.data, want[i]);
        free(out.data);
        ent_ids_free(&ids);
    }
    ent_tokenizer_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_text_is_that_of_all_tokens),
        cmocka_unit_test(any_tokens_give_characters),
        cmocka_unit_test(what_was_told_stays),
        cmocka_unit_test(nothing_comes_of_what_ends_it),
        cmocka_unit_test(a_template_s_space_is_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
