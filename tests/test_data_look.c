/* What `entrenar data` counts: lines that are wrong, targets, documents a unit; and tokens as people read them. */
#include "file_helpers.h"

#include "io/tokenizer_json.h"
#include "launch/data_look.h"

static void look_at(ent_data_look *out, const char *text, size_t seq_len, bool packing, const ent_tokenizer *tokenizer)
{
    const char *folder = scratch("test_data_look"), *path = in_folder(folder, "data.jsonl");
    const ent_dataset_options options = {
        .seq_len = seq_len, .vocab_size = 512, .mask_prompt = true, .packing = packing, .tokenizer = tokenizer};
    put_file(path, text, strlen(text));
    assert_ok(ent_data_look_make(out, path, &options, 1));
}

static void check_lines(const ent_line_list *list, size_t count, size_t first, size_t second)
{
    assert_int_equal(list->count, count);
    if (count > 0)
        assert_int_equal(list->lines[0], first);
    if (count > 1)
        assert_int_equal(list->lines[1], second);
}

static void test_lines(void **state)
{
    (void)state;
    ent_data_look look;
    look_at(&look,
            "{\"input_ids\": [1, 5, 6, 7]}\n"
            "{\"input_ids\": [1, 1, 6]}\n"                                       /* BOS twice */
            "{\"input_ids\": [5, 1, 1], \"labels\": [5, -100, -100]}\n"          /* no target: the first is nobody's */
            "{\"input_ids\": [1, 2, 3, 4, 5], \"labels\": [1, 2, -100, 4, 5]}\n" /* two pieces of 4 and 1 */
            "{\"input_ids\": [1]}\n"
            "{\"input_ids\": [1, 1, 2, 3, 4, 5, 6, 7, 8]}\n", /* three pieces, the last without a target */
            4, true, NULL);
    check_lines(&look.double_bos, 2, 2, 6);
    check_lines(&look.no_target, 2, 3, 5);
    check_lines(&look.cut, 2, 4, 6);
    assert_int_equal(look.rows, 6);
    assert_int_equal(look.tokens, 25);
    assert_int_equal(look.targets, 3 + 2 + 0 + 3 + 0 + 8);
    assert_int_equal(look.shortest, 1);
    assert_int_equal(look.median, 4);
    assert_int_equal(look.longest, 9);
    assert_int_equal(look.counts.units, 5); /* 4; 3; 4; 4; 4 */
    assert_int_equal(look.documents, 5);
    assert_int_equal(look.counts.dropped_units, 4);
    assert_int_equal(ent_data_look_complain(&look), 3);
    ent_data_look_free(&look);

    look_at(&look, "{\"input_ids\": [1, 2]}\n{\"input_ids\": [1, 2]}\n{\"input_ids\": [1, 2, 3]}\n", 4, true, NULL);
    assert_int_equal(look.counts.units, 2);
    assert_int_equal(look.documents, 3);
    assert_int_equal(look.fewest, 1);
    assert_int_equal(look.most, 2);
    assert_int_equal(ent_data_look_complain(&look), 0);
    ent_data_look_free(&look);

    look_at(&look, "{\"input_ids\": [1, 2], \"labels\": [1, -100]}\n", 4, false, NULL); /* nothing is left */
    assert_int_equal(look.counts.units, 0);
    check_lines(&look.no_target, 1, 1, 0);
    ent_data_look_free(&look);
}

/* Pieces, put together, are the text; visible ones stay on one line. */
static void test_pieces(void **state)
{
    (void)state;
    ent_data_look look;
    ent_tokenizer *t;
    char *piece, all[200] = "";
    assert_ok(ent_tokenizer_load(&t, ENT_TEST_DATA "/tokenizers/spm-512/tokenizer.json"));
    look_at(&look, "{\"prompt\": \"Two words\\n\", \"completion\": \" a|b\\\\\\tc \\u0001\"}\n", 100, true, t);
    size_t begin, n;
    ent_data_look_row(&look, 0, &begin, &n);
    for (size_t i = 0; i < n; i++) {
        assert_ok(ent_data_piece(&piece, &look, begin, i, false));
        strcat(all, piece);
        free(piece);
    }
    assert_string_equal(all, "<s> Two words\n a|b\\\tc \x01");
    *all = '\0';
    for (size_t i = 0; i < n; i++) {
        if (!ent_data_look_is_target(&look, begin, i))
            continue;
        assert_ok(ent_data_piece(&piece, &look, begin, i, true));
        strcat(all, piece);
        free(piece);
    }
    assert_string_equal(all, " a\\|b\\\\\\tc \\x01");
    ent_data_look_free(&look);
    ent_tokenizer_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_lines), cmocka_unit_test(test_pieces)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
