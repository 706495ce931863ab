/* Text computed token by token from a cache of keys and values has the bits of the text computed at once: every model
 * and variant of tests/data/oracle, with and without an adapter, however the text is cut, for any number of threads.
 * And the likeliest tokens are those of PyTorch (tests/reference/generate.py). */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <unistd.h>

#include "io/json.h"
#include "launch/model.h"
#include "src/base/philox.h"
#include "src/base/tiles.h"
#include "src/nn/generate.h"
#include "src/nn/sample.h"
#include "tests/file_helpers.h"

enum { T = 300, V = 512 }; /* more than a block of attention (64), a stretch of a product, a piece of a text (256) */

static int32_t ids[T];

static void draw_ids(void)
{
    const ent_rng rng = {.seed = 3};
    for (size_t t = 0; t < T; t++)
        ids[t] = (int32_t)ent_random_below(&rng, t, V);
}

/* A folder with the weights of `from`, whose config.json says something else. */
static const char *variant_folder(const char *from, const ent_json *changes)
{
    static char folder[400];
    ent_json *config;
    ent_text text = {0};
    char *part;
    snprintf(folder, sizeof folder, "%s", scratch("generate"));
    assert_ok(ent_json_read_file(&config, in_folder(from, "config.json")));
    for (const ent_json *c = ent_json_first(changes); c; c = ent_json_next(c))
        ent_json_remove(config, ent_json_key(c));
    assert_ok(ent_json_print(&part, config, false));
    ent_text_printf(&text, "%.*s", (int)strlen(part) - 1, part);
    free(part);
    for (const ent_json *c = ent_json_first(changes); c; c = ent_json_next(c)) {
        assert_ok(ent_json_print(&part, c, false));
        ent_text_printf(&text, ", \"%s\": %s", ent_json_key(c), part);
        free(part);
    }
    ent_text_put(&text, "}");
    put_file(in_folder(folder, "config.json"), text.data, text.n);
    assert_int_equal(symlink(in_folder(from, "model.safetensors"), in_folder(folder, "model.safetensors")), 0);
    ent_json_free(config);
    free(text.data);
    return folder;
}

/* An oracle's model, with a config that says something else where there are changes, and with its adapter or not. */
static void open_variant(ent_model *m, const char *name, const ent_json *changes, bool adapted)
{
    char folder[400], adapter[400];
    snprintf(folder, sizeof folder, "%s/oracle/%s/model", ENT_TEST_DATA, name);
    snprintf(adapter, sizeof adapter, "%s/oracle/%s/adapter_final", ENT_TEST_DATA, name);
    const ent_model_options options = {.path = changes && ent_json_count(changes) ? variant_folder(folder, changes)
                                                                                  : folder,
                                       .adapter = adapted ? adapter : NULL,
                                       .max_positions = T};
    assert_ok(ent_model_open(m, &options));
}

/* The logits of every token of the text, computed at once: (T, V). */
static void at_once(float *out, ent_decoder *decoder)
{
    static const int32_t doc_start[T];
    ent_tape *tape;
    ent_tensor *logits;
    assert_ok(ent_tape_new(&tape, false));
    ent_tape_record(tape, false);
    assert_ok(ent_decoder_logits(&logits, tape, decoder, &(ent_tokens){T, ids, doc_start}));
    memcpy(out, ent_values(logits), sizeof(float[T][V]));
    ent_tape_free(tape);
}

static void assert_row(const float *logits, const float *whole, size_t t, const char *what)
{
    if (memcmp(logits, whole + t * V, V * sizeof *logits) == 0)
        return;
    double worst = 0;
    for (size_t i = 0; i < V; i++)
        worst = fmax(worst, fabs((double)logits[i] - (double)whole[t * V + i]));
    fail_msg("%s: logits of token %zu are other bits, off by up to %g", what, t, worst);
}

/* Pieces of several sizes, some of one token, then the rest one by one. */
static void in_pieces(const float *whole, ent_decoder *decoder, const char *what)
{
    static const size_t pieces[] = {1, 1, 5, 57, 1, 1, 40, 90, 60};
    ent_generator *g;
    const float *logits;
    size_t t = 0;
    assert_ok(ent_generator_new(&g, decoder, T));
    for (size_t i = 0; t < T; i++) {
        const size_t n = i < sizeof pieces / sizeof *pieces ? pieces[i] : 1;
        assert_ok(ent_generator_next(&logits, g, ids + t, n));
        t += n;
        assert_row(logits, whole, t - 1, what);
    }
    assert_fails(ent_generator_next(&logits, g, ids, 1), ENT_EINVAL, "no room for 1 more");
    ent_generator_cut(g, 70); /* the first tokens are kept */
    assert_ok(ent_generator_next(&logits, g, ids + 70, T - 71));
    assert_row(logits, whole, T - 2, what);
    ent_generator_cut(g, 0);
    assert_ok(ent_generator_next(&logits, g, ids, T)); /* more than are computed together */
    assert_row(logits, whole, T - 1, what);
    ent_generator_free(g);
}

static void check_model(const char *name, const ent_json *changes, const char *what)
{
    float *whole = malloc(sizeof(float[T][V]));
    for (int adapted = 0; adapted < 2; adapted++) {
        ent_model m;
        open_variant(&m, name, changes, adapted);
        ent_set_threads(3);
        at_once(whole, m.decoder);
        in_pieces(whole, m.decoder, what);
        ent_set_threads(1);
        if (adapted)
            in_pieces(whole, m.decoder, what);
        ent_model_close(&m);
    }
    free(whole);
}

static void models_give_the_same_bits(void **state)
{
    (void)state;
    static const char *const names[] = {"llama", "qwen2", "qwen3"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        check_model(names[i], NULL, names[i]);
}

static void variants_give_the_same_bits(void **state)
{
    (void)state;
    ent_json *all;
    size_t n = 0;
    assert_ok(ent_json_read_file(&all, ENT_TEST_DATA "/oracle/variants.json"));
    for (const ent_json *v = ent_json_first(all); v; v = ent_json_next(v), n++) {
        char what[32];
        snprintf(what, sizeof what, "variant %zu", n);
        check_model(ent_json_string(ent_json_member(v, "model")), ent_json_member(v, "config"), what);
    }
    assert_int_equal(n, 7);
    ent_json_free(all);
}

/* A window that a block of rows sees in more than one stretch of a product (256), which begins at its first row's. */
static void long_windows_give_the_same_bits(void **state)
{
    (void)state;
    static const char text[] = "{\"model_type\": \"mistral\", \"sliding_window\": 230}";
    ent_json *changes;
    assert_ok(ent_json_parse(&changes, text, strlen(text), "changes"));
    check_model("llama", changes, "a window of 230");
    ent_json_free(changes);
}

static size_t read_ids(int32_t *out, const ent_json *list)
{
    size_t n = 0;
    for (const ent_json *x = ent_json_first(list); x && n < T; x = ent_json_next(x))
        out[n++] = (int32_t)ent_json_number(x);
    return n;
}

static void the_likeliest_tokens_are_pytorch_s(void **state)
{
    (void)state;
    ent_json *all;
    size_t texts = 0;
    assert_ok(ent_json_read_file(&all, ENT_TEST_DATA "/generate/expected.json"));
    for (const ent_json *e = ent_json_first(ent_json_member(all, "ids")); e; e = ent_json_next(e), texts++) {
        ent_model m;
        ent_generator *g;
        const float *logits;
        int32_t prompt[T], want[T], next;
        const ent_sampling greedy = {.top_p = 1};
        const size_t given = read_ids(prompt, ent_json_member(e, "prompt"));
        const size_t n = read_ids(want, ent_json_member(e, "greedy"));
        assert_int_equal(n, 40);
        open_variant(&m, ent_json_string(ent_json_member(e, "model")), ent_json_member(e, "config"),
                     ent_json_bool(ent_json_member(e, "adapter")));
        assert_ok(ent_generator_new(&g, m.decoder, given + n));
        assert_ok(ent_generator_next(&logits, g, prompt, given));
        for (size_t i = 0; i < n; i++) {
            next = ent_sample(logits, V, &greedy, &(ent_rng){0}, 0, NULL);
            if (next != want[i])
                fail_msg("text %zu, new token %zu: %d, expected %d", texts, i, (int)next, (int)want[i]);
            assert_ok(ent_generator_next(&logits, g, &next, 1));
        }
        ent_generator_free(g);
        ent_model_close(&m);
    }
    assert_int_equal(texts, 20);
    ent_json_free(all);
}

/* The loss of some targets, after tokens that are kept: that of the whole text. */
static void losses_agree(void **state)
{
    (void)state;
    static int32_t targets[T];
    static const int32_t doc_start[T];
    ent_model m;
    ent_tape *tape;
    ent_tensor *loss;
    ent_generator *g;
    const float *logits;
    double after;
    const ent_model_options options = {.path = ENT_TEST_DATA "/oracle/qwen3/model", .max_positions = T};
    for (size_t t = 0; t < T; t++)
        targets[t] = t >= 31 && t < 36 ? ids[t + 1] : -100;
    assert_ok(ent_model_open(&m, &options));
    assert_ok(ent_tape_new(&tape, false));
    ent_tape_record(tape, false);
    assert_ok(ent_decoder_loss(&loss, tape, m.decoder, &(ent_tokens){36, ids, doc_start}, targets, NULL));
    assert_ok(ent_generator_new(&g, m.decoder, T));
    assert_ok(ent_generator_next(&logits, g, ids, 30));
    assert_ok(ent_generator_loss(&after, g, ids + 30, targets + 30, 6));
    assert_true(after == (double)ent_values(loss)[0]);
    assert_int_equal(ent_generator_length(g), 36);
    ent_generator_cut(g, 0); /* in more than one piece: sums of sums */
    for (size_t t = 0; t < T; t++)
        targets[t] = t + 1 < T ? ids[t + 1] : -100;
    ent_tape_rewind(tape);
    assert_ok(ent_decoder_loss(&loss, tape, m.decoder, &(ent_tokens){T, ids, doc_start}, targets, NULL));
    assert_ok(ent_generator_loss(&after, g, ids, targets, T));
    assert_true(fabs(after - (double)ent_values(loss)[0]) < 1e-6 * after);
    ent_generator_free(g);
    ent_tape_free(tape);
    ent_model_close(&m);
}

static void what_cannot_be_done_is_refused(void **state)
{
    (void)state;
    ent_model m;
    ent_generator *g;
    ent_kv_cache *cache;
    ent_tape *tape;
    ent_tensor *logits;
    const float *next;
    const ent_model_options options = {.path = ENT_TEST_DATA "/oracle/llama/model", .max_positions = 8};
    assert_ok(ent_model_open(&m, &options));
    assert_fails(ent_generator_new(&g, m.decoder, 9), ENT_EINVAL, "more than 8 tokens");
    assert_null(g);
    assert_ok(ent_decoder_set_positions(m.decoder, 9));
    assert_ok(ent_generator_new(&g, m.decoder, 9));
    assert_fails(ent_generator_next(&next, g, ids, 0), ENT_EINVAL, "no tokens");
    assert_fails(ent_generator_next(&next, g, ids, 10), ENT_EINVAL, "a cache of 9 tokens holds 0");
    assert_fails(ent_generator_next(&next, g, (int32_t[]){V}, 1), ENT_EINVAL, "outside the vocabulary");
    assert_int_equal(ent_generator_length(g), 0);
    assert_ok(ent_kv_cache_new(&cache, &m.config, 9));
    assert_ok(ent_tape_new(&tape, false));
    assert_fails(ent_decoder_next(&logits, tape, m.decoder, cache, ids, 1), ENT_EINVAL, "recording must be off");
    ent_kv_cache_free(cache);
    assert_fails(ent_kv_cache_new(&cache, &m.config, SIZE_MAX / 4), ENT_ENOMEM, "keys and values");
    assert_null(cache);
    ent_tape_free(tape);
    ent_generator_free(g);
    ent_model_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(models_give_the_same_bits),          cmocka_unit_test(variants_give_the_same_bits),
        cmocka_unit_test(long_windows_give_the_same_bits),    cmocka_unit_test(losses_agree),
        cmocka_unit_test(the_likeliest_tokens_are_pytorch_s), cmocka_unit_test(what_cannot_be_done_is_refused),
    };
    draw_ids();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
