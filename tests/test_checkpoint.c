/* Checkpoints of a run: the newest good one is read, damaged ones are passed over by name, old ones go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/checkpoint.h"
#include "io/text.h"
#include "io/yaml_json.h"

static char run[] = "/tmp/entrenar-checkpoint-XXXXXX";
static const ent_ckpt_evals evals0 = {.best_val_loss = 1.25, .best_step = 5, .evals_since_best = 2, .eval_step = 7};
static float numbers[3][6], again[3][6];

static ent_ckpt_tensor tensor(float memory[3][6])
{
    return (ent_ckpt_tensor){.name = "model.layers.0.mlp.up_proj.lora_A.weight",
                             .n_dims = 2,
                             .shape = {2, 3},
                             .value = memory[0],
                             .m = memory[1],
                             .v = memory[2]};
}

static int set_up(void **state)
{
    (void)state;
    return mkdtemp(run) ? 0 : -1;
}

static int clear(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s/*", run);
    return system(command);
}

static int tear_down(void **state)
{
    (void)state;
    return rmdir(run);
}

static const char *in_run(const char *name)
{
    static char paths[2][128]; /* two calls in one expression */
    static int which;
    which = !which;
    snprintf(paths[which], sizeof paths[which], "%s/checkpoints/%s", run, name);
    return paths[which];
}

static bool is_there(const char *name)
{
    return access(in_run(name), F_OK) == 0;
}

static void write_step(int64_t step, int64_t keep, bool yaml)
{
    const ent_ckpt_state state = {
        .step = step, .unit_position = 8 * step, .epoch = 0.5, .seed = 42, .config_hash = "abc", .kernel = "Zen"};
    for (int i = 0; i < 18; i++)
        numbers[i / 6][i % 6] = (float)(100 * step + i);
    const ent_ckpt_tensor t = tensor(numbers);
    ent_json *metadata = ent_json_new_object();
    ent_json_add_double(ent_json_add_object(metadata, "metrics"), "loss", 2.5);
    ent_json *decides = ent_json_add_object(metadata, "decides");
    ent_json_add_string(decides, "optimizer.lr", "0.001");
    ent_json_add_string(decides, "training.seed", "42");
    if (ent_checkpoint_write(run, &t, 1, &state, &evals0, metadata, yaml) != ENT_OK ||
        ent_checkpoint_prune(run, step, keep) != ENT_OK)
        fail_msg("%s", ent_message());
    ent_json_free(metadata);
}

/* The newest, as a run of this rate and seed reads it. */
static ent_status read_newest(ent_ckpt_state *state, char **notes, const char *lr, const char *seed)
{
    ent_ckpt_tensor t = tensor(again);
    ent_ckpt_evals evals;
    ent_json *metadata, *decides = ent_json_new_object();
    ent_json_add_string(decides, "optimizer.lr", lr);
    ent_json_add_string(decides, "training.seed", seed);
    memset(again, 0, sizeof again);
    const ent_status st = ent_checkpoint_read_newest(state, &evals, &metadata, notes, run, &t, 1, decides);
    if (st == ENT_OK) {
        assert_true(evals.best_val_loss == 1.25 && evals.best_step == 5);
        assert_true(evals.evals_since_best == 2 && evals.eval_step == 7);
        assert_true(ent_json_number(ent_json_member(ent_json_member(metadata, "metrics"), "loss")) == 2.5);
    } else {
        assert_null(metadata);
    }
    ent_json_free(metadata);
    ent_json_free(decides);
    return st;
}

/* Reads the newest: it is that of `step`, and `passed` (NULL: nothing) is in the notes. */
static void newest_is(int64_t step, const char *passed)
{
    ent_ckpt_state state;
    char *notes;
    if (read_newest(&state, &notes, "0.001", "42") != ENT_OK)
        fail_msg("%s", ent_message());
    assert_int_equal(state.step, step);
    for (int i = 0; i < 18; i++)
        assert_true(again[i / 6][i % 6] == (float)(100 * step + i));
    if (passed == NULL)
        assert_null(notes);
    else if (notes == NULL || strstr(notes, passed) == NULL)
        fail_msg("expected \"%s\" in: %s", passed, notes ? notes : "nothing");
    free(notes);
}

static void damage(const char *name, long at)
{
    FILE *f = fopen(in_run(name), "r+");
    assert_non_null(f);
    fseek(f, at, SEEK_SET);
    const int c = fgetc(f);
    fseek(f, at, SEEK_SET);
    fputc(c ^ 1, f);
    fclose(f);
}

static void keeps_the_newest(void **unused)
{
    (void)unused;
    for (int64_t step = 1; step <= 5; step++)
        write_step(step, 2, false);
    newest_is(5, NULL);
    assert_false(is_there("step-00000003.h5") || is_there("step-00000003.json"));
    assert_true(is_there("step-00000004.h5") && is_there("step-00000004.json") && is_there("step-00000005.h5"));
    char *latest;
    size_t n;
    assert_int_equal(ent_text_read_file(&latest, &n, in_run("latest")), ENT_OK);
    assert_string_equal(latest, "step-00000005\n");
    free(latest);
    write_step(6, 0, true); /* the one just written stays, whatever is asked for */
    newest_is(6, NULL);
    assert_false(is_there("step-00000005.h5"));
    write_step(6, 1, false);
    assert_true(is_there("step-00000006.json") && !is_there("step-00000006.yaml"));
    newest_is(6, NULL);
    write_step(100000000, 1, false);
    newest_is(100000000, NULL);
}

static void passes_over_the_damaged(void **unused)
{
    (void)unused;
    for (int64_t step = 10; step <= 50; step += 10)
        write_step(step, 9, step == 40);
    damage("step-00000050.h5", 1000);
    newest_is(40, "checkpoints: passed over: step-00000050.h5: has SHA-256 ");
    unlink(in_run("step-00000040.yaml"));
    newest_is(30, "step-00000040.h5: its metadata is missing\n");
    unlink(in_run("step-00000030.h5"));
    newest_is(20, "step-00000030.h5: No such file or directory\n");
    rename(in_run("step-00000010.h5"), in_run("step-00000020.h5")); /* good, but of another step */
    rename(in_run("step-00000010.json"), in_run("step-00000020.json"));
    ent_ckpt_state state;
    char *notes, expected[128];
    assert_int_equal(read_newest(&state, &notes, "0.001", "42"), ENT_EFORMAT);
    assert_non_null(strstr(notes, "step-00000020.h5: step: expected 20, found 10\n"));
    free(notes);
    snprintf(expected, sizeof expected, "%s/checkpoints: no usable checkpoint: step-00000050.h5: has SHA-256 ", run);
    assert_memory_equal(ent_message(), expected, strlen(expected));
    write_step(25, 1, false); /* the run goes on: what is damaged and newer is not in the way */
    newest_is(25, "step-00000030.h5");
}

/* Metadata that is cut, or of other numbers. */
static void passes_over_bad_metadata(void **unused)
{
    (void)unused;
    write_step(1, 9, false);
    write_step(2, 9, false);
    char *text;
    size_t n;
    assert_int_equal(ent_text_read_file(&text, &n, in_run("step-00000002.json")), ENT_OK);
    for (size_t cut = 0; cut + 2 < n; cut += 37) {
        FILE *f = fopen(in_run("step-00000002.json"), "w");
        fwrite(text, 1, cut, f);
        fclose(f);
        newest_is(1, "step-00000002.json");
    }
    static const char *const values[] = {"2.5", "0.001", "Zen", "1.25"}; /* numbers and texts all over it */
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        char *at = strstr(text, values[i]);
        assert_non_null(at);
        at[2]++;
        FILE *f = fopen(in_run("step-00000002.json"), "w");
        fwrite(text, 1, n, f);
        fclose(f);
        at[2]--;
        newest_is(1, "step-00000002.json: has SHA-256 ");
    }
    free(text);
}

/* Another configuration isn't a damage: the older checkpoints are not looked at, and what differs is named. */
static void refuses_another_configuration(void **unused)
{
    (void)unused;
    ent_ckpt_state state;
    char *notes;
    write_step(1, 9, false);
    write_step(2, 9, true);
    assert_int_equal(read_newest(&state, &notes, "0.002", "42"), ENT_ECONFIG);
    assert_null(notes);
    assert_non_null(strstr(ent_message(), "step-00000002.h5: is of another configuration: "
                                          "optimizer.lr was 0.001, is 0.002"));
    assert_null(strstr(ent_message(), "seed"));
    assert_int_equal(read_newest(&state, &notes, "0.002", "43"), ENT_ECONFIG);
    assert_non_null(strstr(ent_message(), "; training.seed was 42, is 43"));
}

/* The same digests as sha256sum's, in both notations; what the caller gave is there. */
static void metadata_tells_what_was_written(void **unused)
{
    (void)unused;
    for (int yaml = 0; yaml < 2; yaml++) {
        ent_json *tree;
        char command[256], sum[65] = "";
        write_step(7, 1, yaml);
        const char *path = in_run(yaml ? "step-00000007.yaml" : "step-00000007.json");
        assert_int_equal(yaml ? ent_yaml_read_json(&tree, path) : ent_json_read_file(&tree, path), ENT_OK);
        assert_true(ent_json_number(ent_json_member(ent_json_member(tree, "metrics"), "loss")) == 2.5);
        assert_true(ent_json_number(ent_json_member(tree, "step")) == 7);
        assert_string_equal(ent_json_string(ent_json_member(tree, "kernel")), "Zen");
        snprintf(command, sizeof command, "sha256sum %s", in_run("step-00000007.h5"));
        FILE *pipe = popen(command, "r");
        assert_int_equal(fscanf(pipe, "%64s", sum), 1);
        pclose(pipe);
        assert_string_equal(ent_json_string(ent_json_member(ent_json_member(tree, "file"), "sha256")), sum);
        assert_int_equal(ent_json_count(ent_json_member(tree, "datasets")), 3);
        ent_json_free(tree);
    }
}

static void says_when_there_is_none(void **unused)
{
    (void)unused;
    ent_ckpt_state state;
    char *notes;
    assert_int_equal(read_newest(&state, &notes, "0.001", "42"), ENT_EIO);
    assert_non_null(strstr(ent_message(), "/checkpoints: No such file or directory"));
    assert_null(notes);
    bool any;
    assert_int_equal(ent_checkpoint_exists(&any, run), ENT_OK);
    assert_false(any);
    write_step(1, 1, false);
    assert_int_equal(ent_checkpoint_exists(&any, run), ENT_OK);
    assert_true(any);
    unlink(in_run("step-00000001.h5"));
    unlink(in_run("step-00000001.json"));
    assert_int_equal(read_newest(&state, &notes, "0.001", "42"), ENT_EIO);
    assert_non_null(strstr(ent_message(), "/checkpoints: no checkpoint"));
    assert_int_equal(ent_checkpoint_exists(&any, run), ENT_OK); /* there has been one: `latest` names it */
    assert_true(any);
    unlink(in_run("latest"));
    assert_int_equal(ent_checkpoint_exists(&any, run), ENT_OK);
    assert_false(any);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(keeps_the_newest, clear),
        cmocka_unit_test_teardown(passes_over_the_damaged, clear),
        cmocka_unit_test_teardown(passes_over_bad_metadata, clear),
        cmocka_unit_test_teardown(refuses_another_configuration, clear),
        cmocka_unit_test_teardown(metadata_tells_what_was_written, clear),
        cmocka_unit_test_teardown(says_when_there_is_none, clear),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
