/* Choosing among completions: log-likelihoods are PyTorch's (tests/reference/generate.py), and to the last bit those of
 * each text computed at once, whatever its row shares; what is chosen follows from them; rows that are not as needed.
 */
#include "tests/file_helpers.h"

#include <math.h>

#include "io/json.h"
#include "io/tokenizer_json.h"
#include "launch/eval_choices.h"
#include "src/comm/comm.h"

static ent_model model;

static int open_model(void **state)
{
    (void)state;
    const ent_model_options options = {.path = ENT_TEST_DATA "/../../models/stories260K", .max_positions = 512};
    return ent_model_open(&model, &options) != ENT_OK;
}

static int close_model(void **state)
{
    (void)state;
    ent_model_close(&model);
    return 0;
}

/* The rows of expected.json as a file. */
static const char *rows_file(const ent_json *rows)
{
    const char *path = in_folder(scratch("eval_choices"), "rows.jsonl");
    ent_text all = {0};
    for (const ent_json *row = ent_json_first(rows); row; row = ent_json_next(row)) {
        char *line;
        assert_ok(ent_json_print(&line, row, false));
        ent_text_printf(&all, "%s\n", line);
        free(line);
    }
    put_file(path, all.data, all.n);
    free(all.data);
    return path;
}

static void score(ent_choices *c, const char *path)
{
    ent_comm *comm;
    *c = (ent_choices){0};
    assert_ok(ent_comm_self(&comm));
    assert_ok(ent_choices_read(c, path, &model));
    assert_ok(ent_choices_score(c, &model, comm, path));
    ent_comm_free(comm);
}

/* The same, of all tokens at once. */
static double whole_text(const ent_choices *c, const ent_choice *choice)
{
    static const int32_t doc_start[512];
    int32_t targets[512];
    ent_tape *tape;
    ent_tensor *loss;
    const size_t n = choice->n - 1;
    memcpy(targets, c->labels.ids + choice->begin + 1, n * sizeof *targets);
    assert_ok(ent_tape_new(&tape, false));
    ent_tape_record(tape, false);
    assert_ok(ent_decoder_loss(&loss, tape, model.decoder, &(ent_tokens){n, c->ids.ids + choice->begin, doc_start},
                               targets, NULL));
    const double log_likelihood = -(double)ent_values(loss)[0];
    ent_tape_free(tape);
    return log_likelihood;
}

static void log_likelihoods_are_pytorch_s(void **state)
{
    (void)state;
    ent_json *all;
    ent_choices c;
    size_t r = 0;
    assert_ok(ent_json_read_file(&all, ENT_TEST_DATA "/generate/expected.json"));
    const ent_json *rows = ent_json_member(all, "choices");
    score(&c, rows_file(rows));
    for (const ent_json *row = ent_json_first(rows); row; row = ent_json_next(row), r++) {
        const ent_choice *choice = &c.items[c.rows[r].first];
        for (const ent_json *e = ent_json_first(ent_json_member(row, "expected")); e; e = ent_json_next(e), choice++) {
            const double want = ent_json_number(ent_json_member(e, "log_likelihood"));
            assert_int_equal(choice->n - choice->first, (size_t)ent_json_number(ent_json_member(e, "tokens")));
            if (!(fabs(choice->log_likelihood - want) < 2e-6 * (1 - want)))
                fail_msg("row %zu: %.9g, expected %.9g", r, choice->log_likelihood, want);
            assert_true(choice->log_likelihood == whole_text(&c, choice));
        }
    }
    assert_int_equal(r, c.n_rows);
    ent_choices_free(&c);
    ent_json_free(all);
}

/* Completions before which the prompt has other tokens, as many. */
static void prompts_are_computed_as_their_tokens_are(void **state)
{
    (void)state;
    static int32_t ids[] = {1, 403, 261, 300, 1, 410, 261, 310, 1, 410, 261, 300, 320};
    static int32_t labels[] = {-100, -100, -100, 300, -100, -100, -100, 310, -100, -100, -100, 300, 320};
    ent_choice items[] = {
        {.begin = 0, .n = 4, .first = 3}, {.begin = 4, .n = 4, .first = 3}, {.begin = 8, .n = 5, .first = 3}};
    ent_choice_row row = {.line = 1, .count = 3};
    ent_choices c = {.rows = &row,
                     .items = items,
                     .n_rows = 1,
                     .n_items = 3,
                     .ids = {.ids = ids, .count = 13},
                     .labels = {.ids = labels, .count = 13},
                     .longest = 5};
    ent_comm *comm;
    assert_ok(ent_comm_self(&comm));
    assert_ok(ent_choices_score(&c, &model, comm, "x"));
    for (size_t i = 0; i < 3; i++)
        assert_true(items[i].log_likelihood == whole_text(&c, &items[i]));
    ent_comm_free(comm);
}

/* Of sums and means given here: the first of equals, and the shorter or longer one. */
static void the_likeliest_is_chosen(void **state)
{
    (void)state;
    static const char rows[] =
        "{\"prompt\": \"She\", \"choices\": [\" was happy.\", \" was happy.\"], \"answer\": 1}\n"
        "{\"prompt\": \"She\", \"choices\": [\" xq\", \" was\", \" was happy\"], \"answer\": 1}\n";
    const char *path = in_folder(scratch("eval_choices"), "rows.jsonl");
    ent_choices c;
    put_file(path, rows, sizeof rows - 1);
    score(&c, path);
    assert_true(c.items[0].log_likelihood == c.items[1].log_likelihood);
    assert_true(c.rows[0].chosen == 0 && c.rows[0].chosen_normalised == 0);
    assert_true(c.rows[1].chosen == 1 && c.right == 1 && c.rows[1].line == 2);
    const ent_choice *choice = &c.items[c.rows[1].first];
    for (size_t i = 0; i < 3; i++) {
        assert_true(ent_choice_per_token(&choice[i]) ==
                    choice[i].log_likelihood / (double)(choice[i].n - choice[i].first));
        assert_true(ent_choice_per_token(&choice[i]) <= ent_choice_per_token(&choice[c.rows[1].chosen_normalised]));
    }
    ent_choices_free(&c);
}

static void rows_that_are_not_as_needed_are_named(void **state)
{
    (void)state;
    static const char good[] = "{\"prompt\": \"a\", \"choices\": [\"b\", \"c\"], \"answer\": 0}\n";
    static const struct {
        const char *row, *message;
    } cases[] = {
        {"{\"choices\": [\"b\", \"c\"], \"answer\": 0}", "rows.jsonl:2: prompt"},
        {"{\"prompt\": \"a\", \"answer\": 0}", "rows.jsonl:2: choices: expected a list of two"},
        {"{\"prompt\": \"a\", \"choices\": [\"b\"], \"answer\": 0}", "rows.jsonl:2: choices"},
        {"{\"prompt\": \"a\", \"choices\": [\"b\", 1], \"answer\": 0}", "choices[1]: expected a text"},
        {"{\"prompt\": \"a\", \"choices\": [\"\", \"c\"], \"answer\": 0}", "choices[0]: has no tokens"},
        {"{\"prompt\": \"a\", \"choices\": [\"b\", \"c\"], \"answer\": -1}", "answer: expected an index from 0 to 1"},
        {"{\"prompt\": \"a\", \"choices\": [\"b\", \"c\"], \"answer\": 2}", "answer: expected an index from 0 to 1"},
        {"{\"prompt\": \"a\", \"choices\": [\"b\", \"c\"], \"answer\": \"b\"}", "answer"},
        {"[1]", "rows.jsonl:2: expected an object"},
        {"{", "rows.jsonl:2"},
        {"", "rows.jsonl:2"},
    };
    const char *path = in_folder(scratch("eval_choices"), "rows.jsonl");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ent_choices c = {0};
        char text[300];
        put_file(path, text, (size_t)snprintf(text, sizeof text, "%s%s\n", good, cases[i].row));
        assert_fails(ent_choices_read(&c, path, &model), ENT_EFORMAT, cases[i].message);
        ent_choices_free(&c);
    }
    ent_choices c = {0};
    put_file(path, "", 0);
    assert_fails(ent_choices_read(&c, path, &model), ENT_EFORMAT, "no rows");
    ent_choices_free(&c);
}

/* A tokenizer that puts nothing before a text, and has more tokens than the model. */
static void texts_that_the_model_cannot_take_are_named(void **state)
{
    (void)state;
    static const char no_prompt[] = "{\"prompt\": \"\", \"choices\": [\"b\", \"c\"], \"answer\": 0}\n";
    static const char others[] = "{\"prompt\": \"The\", \"choices\": [\" together\", \" more\"], \"answer\": 0}\n";
    const char *path = in_folder(scratch("eval_choices"), "rows.jsonl");
    ent_model other = model;
    ent_choices c = {0};
    assert_ok(ent_tokenizer_load(&other.tokenizer, ENT_TEST_DATA "/tokenizers/qwen2-style-4k"));
    put_file(path, no_prompt, sizeof no_prompt - 1);
    assert_fails(ent_choices_read(&c, path, &other), ENT_EFORMAT,
                 "rows.jsonl:1: choices[0]: no token stands before it");
    ent_choices_free(&c);
    put_file(path, others, sizeof others - 1);
    assert_fails(ent_choices_read(&c, path, &other), ENT_EFORMAT, "outside the model's vocabulary of 512");
    ent_choices_free(&c);
    ent_tokenizer_free(other.tokenizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(log_likelihoods_are_pytorch_s),
        cmocka_unit_test(prompts_are_computed_as_their_tokens_are),
        cmocka_unit_test(the_likeliest_is_chosen),
        cmocka_unit_test(rows_that_are_not_as_needed_are_named),
        cmocka_unit_test(texts_that_the_model_cannot_take_are_named),
    };
    return cmocka_run_group_tests(tests, open_model, close_model);
}
