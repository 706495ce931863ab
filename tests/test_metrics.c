/* The log of a run: cut back to where a run goes on, and never twice the same. */
#include "file_helpers.h"

#include <unistd.h>

#include "io/metrics.h"

static const char *path;

static int set_up(void **state)
{
    (void)state;
    path = strdup(in_folder(scratch("metrics"), "metrics.jsonl"));
    return path ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    free((void *)path);
    return 0;
}

/* Steps begin..end, with an evaluation after every second one. */
static void log_steps(ent_metrics *m, int64_t begin, int64_t end)
{
    for (int64_t step = begin; step <= end; step++) {
        const ent_metrics_step line = {
            .step = step, .epoch = 0.1, .loss = 2.5, .lr = 1e-4, .grad_norm = 1, .tokens = 9};
        assert_ok(ent_metrics_write_step(m, &line));
        if (step % 2 == 0)
            assert_ok(ent_metrics_write_eval(m, step, 2, 7.4, 100));
    }
    assert_ok(ent_metrics_sync(m));
}

/* Opens for going on after `step`; what is in the log then is "s1 s2 e2 s3 ...". */
static void cut_is(int64_t step, int64_t eval_step, int64_t missing, const char *expected)
{
    char found[400] = "", line[512];
    int64_t lacks;
    ent_metrics *m;
    assert_ok(ent_metrics_open(&m, &lacks, path, step, eval_step));
    assert_int_equal(lacks, missing);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        long long number;
        assert_int_equal(sscanf(line, "{\"step\": %lld", &number), 1);
        sprintf(found + strlen(found), "%s%c%lld", *found ? " " : "", strstr(line, "val_loss") ? 'e' : 's', number);
    }
    fclose(f);
    assert_string_equal(found, expected);
    ent_metrics_close(m);
}

static void fill(int64_t end)
{
    int64_t missing;
    ent_metrics *m;
    unlink(path);
    assert_ok(ent_metrics_open(&m, &missing, path, 0, -1));
    assert_ok(ent_metrics_write_eval(m, 0, 5, 148, 100));
    log_steps(m, 1, end);
    ent_metrics_close(m);
}

static void is_cut_back_to_the_checkpoint(void **state)
{
    (void)state;
    fill(5);
    cut_is(5, 4, 0, "e0 s1 s2 e2 s3 s4 e4 s5");
    cut_is(4, 4, 0, "e0 s1 s2 e2 s3 s4 e4");
    cut_is(4, 2, 0, "e0 s1 s2 e2 s3 s4"); /* saved before its evaluation */
    cut_is(3, 2, 0, "e0 s1 s2 e2 s3");
    cut_is(0, -1, 0, ""); /* from the beginning */
    cut_is(2, 2, 2, "");
}

static void a_torn_line_is_cut_off(void **state)
{
    (void)state;
    fill(3);
    FILE *f = fopen(path, "a");
    fputs("{\"step\": 4, \"epoch\": 0.1, \"lo", f);
    fclose(f);
    cut_is(4, 2, 1, "e0 s1 s2 e2 s3");
    fill(3);
    f = fopen(path, "r+"); /* a page that was never written, after a loss of power */
    fseek(f, 300, SEEK_SET);
    fwrite("\0\0\0\0\0\0\0\0", 1, 8, f);
    fclose(f);
    int64_t missing;
    ent_metrics *m;
    assert_ok(ent_metrics_open(&m, &missing, path, 3, 2));
    assert_true(missing >= 1);
    log_steps(m, 4, 4);
    ent_metrics_close(m);
}

static void a_log_that_is_gone_is_told(void **state)
{
    (void)state;
    int64_t missing;
    ent_metrics *m;
    fill(2);
    assert_ok(ent_metrics_open(&m, &missing, path, 2, 2));
    assert_ok(ent_metrics_sync(m));
    unlink(path);
    assert_fails(ent_metrics_sync(m), ENT_EIO, "metrics.jsonl: No such file or directory");
    put_file(path, "", 0);
    assert_fails(ent_metrics_sync(m), ENT_EIO, "metrics.jsonl: another file has taken its place");
    ent_metrics_close(m);
    assert_fails(ent_metrics_open(&m, &missing, "scratch/metrics/none/metrics.jsonl", 0, -1), ENT_EIO,
                 "none/metrics.jsonl: No such file or directory");
    assert_null(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_cut_back_to_the_checkpoint),
        cmocka_unit_test(a_torn_line_is_cut_off),
        cmocka_unit_test(a_log_that_is_gone_is_told),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
