/* Ranges, scales, zero points and codes against what PyTorch's observers and numpy recorded; clipping; any number of
 * threads; what can't be quantised. */
#include "file_helpers.h"

#include <math.h>

#include "io/json.h"
#include "src/base/philox.h"
#include "src/base/tiles.h"
#include "src/quant/int8_choice.h"
#include "src/quant/ptq.h"
#include "src/tensor/gemm.h"

enum { MOST = 4096 };

static ent_json *recorded;
static float w[MOST];
static ent_tensor weight;

static size_t floats(float *to, const ent_json *list)
{
    size_t n = 0;
    for (const ent_json *item = ent_json_first(list); item; item = ent_json_next(item))
        to[n++] = (float)ent_json_number(item);
    return n;
}

static int read_recorded(void **state)
{
    (void)state;
    assert_ok(ent_json_read_file(&recorded, ENT_TEST_DATA "/quant/ptq.json"));
    const size_t n = floats(w, ent_json_member(recorded, "w"));
    const size_t columns = (size_t)ent_json_number(ent_json_member(recorded, "columns"));
    weight = ent_tensor_view(w, 2, (size_t[]){n / columns, columns});
    weight.name = "w";
    return 0;
}

static int forget(void **state)
{
    (void)state;
    ent_json_free(recorded);
    return 0;
}

static void test_weights(void **state)
{
    static const char *const pieces[] = {"tensor", "channel", "group"};
    (void)state;
    for (int asymmetric = 0; asymmetric < 2; asymmetric++)
        for (int per = 0; per < 3; per++) {
            const ent_json *r =
                ent_json_member(ent_json_member(recorded, asymmetric ? "asymmetric" : "symmetric"), pieces[per]);
            const ent_ptq how = {.per = (ent_ptq_per)per,
                                 .group_size = (size_t)ent_json_number(ent_json_member(recorded, "group")),
                                 .asymmetric = asymmetric};
            const size_t rows = weight.shape[0], columns = weight.shape[1], n = ent_ptq_scales(&how, &weight);
            ent_ptq_scale scales[64];
            float scale[64], zero[64], code[MOST], y[MOST];
            int8_t q[MOST];
            assert_int_equal(floats(scale, ent_json_member(r, "scale")), n);
            floats(zero, ent_json_member(r, "zero"));
            floats(code, ent_json_member(r, "q"));
            assert_ok(ent_ptq_weight_scales(scales, &how, &weight));
            for (size_t i = 0; i < n; i++) {
                assert_true(scales[i].scale == scale[i]);
                assert_true((float)scales[i].zero == zero[i]);
            }
            for (size_t i = 0; i < rows; i++) { /* in two stretches */
                ent_ptq_row(q + i * columns, &how, &weight, scales, i, 0, 11);
                ent_ptq_row(q + i * columns + 11, &how, &weight, scales, i, 11, columns - 11);
            }
            for (size_t i = 0; i < rows * columns; i++) {
                assert_true((float)q[i] == code[i]);
                const size_t k = per == 0 ? 0 : per == 1 ? i / columns : i / how.group_size;
                ent_ptq_numbers(&y[i], &q[i], 1, scales[k].scale, scales[k].zero);
                assert_true(fabsf(y[i] - w[i]) <= 0.5001f * scales[k].scale); /* within half a step */
            }
        }
}

/* Symmetric and by rows it is what the core makes of a matrix by itself. */
static void test_core(void **state)
{
    const ent_ptq how = {.per = ENT_PTQ_CHANNEL};
    ent_ptq_scale scales[64];
    int8_t q[MOST], expected[MOST];
    float expected_scales[64];
    (void)state;
    assert_ok(ent_ptq_weight_scales(scales, &how, &weight));
    ent_int8_rows(expected, expected_scales, &weight, NULL, 0, weight.shape[0]);
    for (size_t i = 0; i < weight.shape[0]; i++) {
        ent_ptq_row(q, &how, &weight, scales, i, 0, weight.shape[1]);
        assert_true(scales[i].scale == expected_scales[i]);
        assert_memory_equal(q, expected + i * weight.shape[1], weight.shape[1]);
    }
}

static void test_moving_average(void **state)
{
    (void)state;
    for (const ent_json *r = ent_json_first(ent_json_member(recorded, "averages")); r; r = ent_json_next(r)) {
        const float averaging = (float)ent_json_number(ent_json_member(r, "averaging"));
        const ent_json *expected = ent_json_first(ent_json_member(r, "ranges"));
        ent_ptq_range range;
        size_t batches = 0;
        for (const ent_json *b = ent_json_first(ent_json_member(recorded, "batches")); b; b = ent_json_next(b)) {
            float x[64], ends[2];
            ent_ptq_average(&range, &batches, x, floats(x, b), averaging);
            floats(ends, expected);
            assert_true(range.low == ends[0] && range.high == ends[1]);
            expected = ent_json_next(expected);
        }
        assert_int_equal(batches, 9);
        const ent_ptq_scale s = ent_ptq_scale_of(range, true);
        assert_true(s.scale == (float)ent_json_number(ent_json_member(r, "scale")));
        assert_true((double)s.zero == ent_json_number(ent_json_member(r, "zero")));
    }
}

static void test_percentiles(void **state)
{
    const ent_json *sets[] = {ent_json_member(recorded, "of_all"), ent_json_member(recorded, "of_sizes"),
                              ent_json_member(recorded, "of_first_row")};
    const size_t n = ent_tensor_count(&weight), columns = weight.shape[1];
    (void)state;
    for (int s = 0; s < 3; s++) {
        const ent_json *expected = ent_json_first(sets[s]);
        for (const ent_json *p = ent_json_first(ent_json_member(recorded, "percentiles")); p; p = ent_json_next(p)) {
            float x[MOST];
            for (size_t i = 0; i < n; i++)
                x[i] = s == 1 ? fabsf(w[i]) : w[i];
            const double found = ent_ptq_percentile(x, s == 2 ? columns : n, ent_json_number(p));
            assert_true(fabs(found - ent_json_number(expected)) <= 1e-12);
            expected = ent_json_next(expected);
        }
    }
    float same[300]; /* equal numbers, as pruned weights have them */
    for (size_t i = 0; i < 300; i++)
        same[i] = i % 3 == 0 ? 1 : 0;
    assert_true(ent_ptq_percentile(same, 300, 50) == 0 && ent_ptq_percentile(same, 300, 90) == 1);
}

static float recorded_percentile(const char *set, double percentile)
{
    const ent_json *p = ent_json_first(ent_json_member(recorded, "percentiles"));
    const ent_json *value = ent_json_first(ent_json_member(recorded, set));
    while (ent_json_number(p) != percentile) {
        p = ent_json_next(p);
        value = ent_json_next(value);
    }
    return (float)ent_json_number(value);
}

/* An outlier is clipped, and costs the others nothing. */
static void test_clipping(void **state)
{
    (void)state;
    for (int asymmetric = 0; asymmetric < 2; asymmetric++) {
        const ent_ptq how = {
            .observer = ENT_PTQ_PERCENTILE, .percentile = 99, .per = ENT_PTQ_TENSOR, .asymmetric = asymmetric};
        ent_ptq_scale s, plain;
        int8_t q[64];
        assert_ok(ent_ptq_weight_scales(&s, &how, &weight));
        assert_ok(ent_ptq_weight_scales(&plain, &(ent_ptq){.per = ENT_PTQ_TENSOR, .asymmetric = asymmetric}, &weight));
        assert_true(s.scale < plain.scale / 4);
        assert_true(s.scale == (asymmetric
                                    ? (recorded_percentile("of_all", 99) - recorded_percentile("of_all", 1)) / 255
                                    : recorded_percentile("of_sizes", 99) / 127));
        ent_ptq_row(q, &how, &weight, &s, 3, 0, weight.shape[1]);
        assert_int_equal(q[5], 127); /* 40 */
        const ent_tensor minus = ent_tensor_view((float[]){-1, -1000}, 2, (size_t[]){1, 2});
        ent_ptq_row(q, &how, &minus, &s, 0, 0, 2);
        assert_int_equal(q[1], asymmetric ? -128 : -127);
    }
}

static void test_threads(void **state)
{
    static float x[MOST];
    static const ent_ptq hows[] = {{.per = ENT_PTQ_TENSOR},
                                   {.observer = ENT_PTQ_PERCENTILE, .percentile = 97, .per = ENT_PTQ_TENSOR},
                                   {.observer = ENT_PTQ_PERCENTILE, .percentile = 90, .per = ENT_PTQ_CHANNEL},
                                   {.per = ENT_PTQ_GROUP, .group_size = 16, .asymmetric = true}};
    const ent_rng rng = {.seed = 4};
    const ent_tensor t = ent_tensor_view(x, 2, (size_t[]){MOST / 64, 64});
    (void)state;
    for (size_t i = 0; i < MOST; i++)
        x[i] = ent_random_normal(&rng, i);
    for (size_t k = 0; k < sizeof hows / sizeof *hows; k++) {
        ent_ptq_scale one[MOST / 16] = {0}, four[MOST / 16] = {0};
        ent_set_threads(1);
        assert_ok(ent_ptq_weight_scales(one, &hows[k], &t));
        ent_set_threads(4);
        assert_ok(ent_ptq_weight_scales(four, &hows[k], &t));
        for (size_t i = 0; i < ent_ptq_scales(&hows[k], &t); i++)
            assert_true(one[i].scale == four[i].scale && one[i].zero == four[i].zero && one[i].scale > 0);
    }
}

static void test_refused(void **state)
{
    float x[6] = {1, 2, 3, 4, 5, 6};
    ent_tensor t = ent_tensor_view(x, 2, (size_t[]){2, 3});
    ent_ptq_scale s[6];
    (void)state;
    t.name = "t";
    assert_fails(ent_ptq_weight_scales(s, &(ent_ptq){.observer = ENT_PTQ_MOVING_AVERAGE}, &t), ENT_EINVAL,
                 "t: a moving average is over batches");
    assert_fails(ent_ptq_weight_scales(s, &(ent_ptq){.per = ENT_PTQ_GROUP, .group_size = 2}, &t), ENT_EINVAL,
                 "t: 3 columns are no multiple of groups of 2");
    x[4] = NAN;
    for (int observer = 0; observer < 2; observer++)
        for (int per = 0; per < 3; per++)
            assert_fails(ent_ptq_weight_scales(s,
                                               &(ent_ptq){.observer = (ent_ptq_observer)observer,
                                                          .percentile = 90,
                                                          .per = (ent_ptq_per)per,
                                                          .group_size = 3},
                                               &t),
                         ENT_ENUMERIC, "t: row 1, column 1 is nan");
    x[4] = x[3] = x[5] = 0; /* a row of zeros */
    for (int asymmetric = 0; asymmetric < 2; asymmetric++) {
        int8_t q[3];
        float y[3];
        const ent_ptq how = {.per = ENT_PTQ_CHANNEL, .asymmetric = asymmetric};
        assert_ok(ent_ptq_weight_scales(s, &how, &t));
        ent_ptq_row(q, &how, &t, s, 1, 0, 3);
        ent_ptq_numbers(y, q, 3, s[1].scale, s[1].zero);
        assert_true(y[0] == 0 && y[1] == 0 && y[2] == 0);
    }
}

/* Products with an identity, so that they show x as it was rounded. */
static void test_rounded_input(void **state)
{
    const size_t rows = weight.shape[0], columns = weight.shape[1];
    float identity[MOST] = {0}, y[MOST], expected[MOST], plain[MOST];
    ent_tensor w1 = ent_tensor_view(identity, 2, (size_t[]){columns, columns});
    (void)state;
    for (size_t i = 0; i < columns; i++)
        identity[i * columns + i] = 1;
    for (const ent_json *r = ent_json_first(ent_json_member(recorded, "rounded")); r; r = ent_json_next(r)) {
        const float scale = (float)ent_json_number(ent_json_member(r, "scale"));
        const ent_input_rounding how = {scale, 1 / scale, (float)ent_json_number(ent_json_member(r, "zero")),
                                        (float)ent_json_number(ent_json_member(r, "low"))};
        size_t bytes;
        w1.input = &how;
        assert_ok(ent_gemm_weight_plan(&bytes, &w1, rows));
        assert_int_equal(bytes, rows * columns * sizeof(float));
        void *scratch = malloc(bytes);
        ent_gemm_weight(y, rows, w, &w1, true, 0, scratch);
        floats(expected, ent_json_member(r, "x"));
        for (size_t i = 0; i < rows * columns; i++)
            assert_true(y[i] == expected[i]);
        ent_gemm_weight(plain, rows, w, &w1, false, 0, scratch); /* the way back is not rounded */
        assert_memory_equal(plain, w, rows * columns * sizeof(float));
        free(scratch);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_weights),     cmocka_unit_test(test_core),          cmocka_unit_test(test_moving_average),
        cmocka_unit_test(test_percentiles), cmocka_unit_test(test_clipping),      cmocka_unit_test(test_threads),
        cmocka_unit_test(test_refused),     cmocka_unit_test(test_rounded_input),
    };
    return cmocka_run_group_tests(tests, read_recorded, forget);
}
