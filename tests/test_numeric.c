/* Comparing what two runs computed: step by step of the same number, to the bit or within what their kernels allow. */
#include "tests/file_helpers.h"

#include "io/numeric_trace.h"
#include "trace/numeric.h"

/* Writes a trace of steps `first` to `last`: losses of 4, moved by `off`, relative, in the last one. */
static const char *write_trace(const char *name, const char *kernel, int64_t first, int64_t last, double off)
{
    const char *path = in_folder("scratch/numeric", name);
    const float params[2] = {1, (float)off};
    ent_numeric_trace *t;
    assert_ok(ent_numeric_trace_new(&t, path, kernel, 2));
    for (int64_t i = first; i <= last; i++) {
        const double loss = i == last ? 4 * (1 + off) : 4;
        assert_ok(ent_numeric_trace_step(t, &(ent_numeric_step){i, loss, (double)i, 1e-3}, params, 2));
    }
    assert_ok(ent_numeric_trace_commit(t));
    ent_numeric_trace_free(t);
    return path;
}

static void assert_compares(const char *golden, const char *fresh, bool equal, const char *part)
{
    ent_text report = {0};
    bool found;
    assert_ok(ent_numeric_compare(&report, &found, golden, fresh));
    if (found != equal || strstr(report.data, part) == NULL)
        fail_msg("expected \"%s\" in: %s", part, report.data);
    free(report.data);
}

static void kernels_decide_what_is_near(void **state)
{
    (void)state;
    static const struct {
        const char *golden, *fresh;
        double off;
        bool equal;
    } cases[] = {
        {"fused fp32", "fused fp32", 0, true},
        {"fused fp32", "fused fp32", 1e-15, false},
        {"fused fp32", "other fp32", 0.9e-4, true},
        {"fused fp32", "other fp32", 1.1e-4, false},
        {"bf16 values, fused fp32", "bf16 by oneDNN, fused fp32", 1.9e-3, true},
        {"bf16 values, fused fp32", "bf16 by oneDNN, fused fp32", 2.1e-3, false},
        {"fused fp32", "bf16 by oneDNN, fused fp32", 1.9e-3, true},
        {"int8, bf16 values, fused fp32", "int8, bf16 by oneDNN, fused fp32", 4.9e-3, true},
        {"int8, bf16 values, fused fp32", "int8, bf16 by oneDNN, fused fp32", 5.1e-3, false},
    };
    scratch("numeric");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *golden = write_trace("golden", cases[i].golden, 1, 3, 0);
        const char *fresh = write_trace("fresh", cases[i].fresh, 1, 3, cases[i].off);
        assert_compares(golden, fresh, cases[i].equal, cases[i].equal ? "equal: 3 of 3" : "step 3: loss: expected");
    }
}

/* A run that went on has the later steps alone. */
static void steps_are_compared_by_their_number(void **state)
{
    (void)state;
    scratch("numeric");
    const char *whole = write_trace("whole", "k", 1, 6, 0), *rest = write_trace("rest", "k", 4, 6, 0);
    assert_compares(whole, rest, false, "expected steps 1 to 6, found 4 to 6\ndifferent: 3 of 6 steps the same");
    assert_compares(rest, whole, false, "expected steps 4 to 6, found 1 to 6\ndifferent: 3 of 3 steps the same");
    const char *later = write_trace("later", "k", 9, 9, 0);
    assert_compares(whole, later, false, "different: 0 of 6 steps the same");
}

static void other_numbers_are_refused(void **state)
{
    (void)state;
    static const char *const losses[] = {"1", "1.5", "inf", "nan", "-inf", "0x", "0x1p+9999", "0x1p+0 ", ""};
    const char *path = in_folder("scratch/numeric", "bad");
    ent_text report = {0};
    char text[400], hash[65];
    bool equal;
    scratch("numeric");
    snprintf(hash, sizeof hash, "%064d", 0);
    for (size_t i = 0; i < sizeof losses / sizeof *losses; i++) {
        snprintf(text, sizeof text,
                 "{\"format\": \"entrenar-numeric-v1\", \"kernel\": \"k\", \"trainable\": 1}\n"
                 "{\"step\": 1, \"loss\": \"%s\", \"grad_norm\": \"0x1p+0\", \"lr\": \"0x1p+0\", \"params\": \"%s\"}\n",
                 losses[i], hash);
        put_file(path, text, strlen(text));
        assert_fails(ent_numeric_compare(&report, &equal, path, path), ENT_EFORMAT,
                     "bad:2: loss: expected a hexadecimal float");
    }
    free(report.data);
}

/* Before the first step: a trace is written when the last one is done. */
static void a_place_without_room_for_a_file_is_refused(void **state)
{
    (void)state;
    ent_numeric_trace *t;
    scratch("numeric/taken");
    assert_fails(ent_numeric_trace_new(&t, "scratch/numeric/taken", "k", 1), ENT_EIO, "taken: expected a place for a");
    assert_fails(ent_numeric_trace_new(&t, "/dev/null", "k", 1), ENT_EIO, "found a device");
    assert_fails(ent_numeric_trace_new(&t, "scratch/nowhere/t", "k", 1), ENT_EIO, "nowhere/t: No such file");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kernels_decide_what_is_near),
        cmocka_unit_test(steps_are_compared_by_their_number),
        cmocka_unit_test(other_numbers_are_refused),
        cmocka_unit_test(a_place_without_room_for_a_file_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
