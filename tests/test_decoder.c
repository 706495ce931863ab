/* The decoder against PyTorch, transformers and PEFT (tests/data/oracle, see PROVENANCE.md): logits, loss and every
 * gradient of the first batch, of Llama, Qwen2 and Qwen3 shapes, with full training and with adapters. The gradients of
 * the adapters are from tests/reference/lora_gradients.py. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/json.h"
#include "io/safetensors.h"
#include "io/text.h"
#include "launch/model.h"
#include "src/base/tiles.h"

enum { ROWS = 4, T = 48, V = 512 };

static const char *const names[] = {"llama", "qwen2", "qwen3"};

typedef struct batch {
    int32_t ids[ROWS][T], targets[ROWS][T], doc_start[T];
    size_t n_targets;
} batch;

#define OK(call)                           \
    do {                                   \
        if ((call) != ENT_OK)              \
            fail_msg("%s", ent_message()); \
    } while (0)

static void path_of(char *out, size_t n, const char *name, const char *what)
{
    snprintf(out, n, "%s/oracle/%s/%s", ENT_TEST_DATA, name, what);
}

/* The first ROWS lines of train.jsonl; the target of position i is label i + 1. */
static void read_batch(batch *b, const char *name)
{
    char path[512], *text;
    size_t n;
    memset(b, 0, sizeof *b);
    path_of(path, sizeof path, name, "train.jsonl");
    OK(ent_text_read_file(&text, &n, path));
    char *line = text;
    for (int r = 0; r < ROWS; r++) {
        char *end = strchr(line, '\n');
        ent_json *json;
        OK(ent_json_parse(&json, line, (size_t)(end - line), path));
        int t = 0;
        for (ent_json *x = ent_json_first(ent_json_member(json, "input_ids")); x && t < T; x = ent_json_next(x))
            b->ids[r][t++] = (int32_t)ent_json_number(x);
        assert_int_equal(t, T);
        t = 0;
        for (ent_json *x = ent_json_first(ent_json_member(json, "labels")); x && t < T; x = ent_json_next(x), t++)
            if (t > 0)
                b->targets[r][t - 1] = (int32_t)ent_json_number(x);
        b->targets[r][T - 1] = -100;
        for (t = 0; t < T; t++)
            b->n_targets += b->targets[r][t] >= 0;
        ent_json_free(json);
        line = end + 1;
    }
    free(text);
}

static void open_model(ent_model *m, const char *name, bool adapted, ent_compute compute)
{
    char model[512], adapter[512];
    path_of(model, sizeof model, name, "model");
    path_of(adapter, sizeof adapter, name, "adapter_init");
    const ent_model_options options = {
        .path = model, .adapter = adapted ? adapter : NULL, .train = true, .compute = compute, .max_positions = T};
    OK(ent_model_open(m, &options));
    OK(ent_model_convert(m, NULL, true, NULL));
}

/* |x - y| / |y| over all elements (L2). */
static double difference(const float *x, const float *y, size_t n, double scale)
{
    double num = 0, den = 0;
    for (size_t i = 0; i < n; i++) {
        const double d = (double)x[i] * scale - (double)y[i];
        num += d * d;
        den += (double)y[i] * (double)y[i];
    }
    return sqrt(num / den);
}

static double expected_loss(const char *name, bool adapted)
{
    char path[512];
    ent_json *json;
    path_of(path, sizeof path, name, "expected.json");
    OK(ent_json_read_file(&json, path));
    const double loss =
        ent_json_number(ent_json_member(json, adapted ? "first_batch_lora_loss" : "first_batch_base_loss"));
    ent_json_free(json);
    return loss;
}

static void compare_logits(ent_model *m, const batch *b, const ent_safetensors *oracle, const char *key)
{
    const ent_st_tensor *want = ent_safetensors_find(oracle, key);
    ent_tape *tape;
    assert_non_null(want);
    OK(ent_tape_new(&tape, false));
    ent_tape_record(tape, false);
    for (int r = 0; r < ROWS; r++) {
        const ent_tokens tokens = {T, b->ids[r], b->doc_start};
        ent_tensor *logits;
        ent_tape_rewind(tape);
        OK(ent_decoder_logits(&logits, tape, m->decoder, &tokens));
        const double d = difference(ent_values(logits), (const float *)want->data + r * T * V, T * V, 1);
        if (!(d < 1e-4))
            fail_msg("%s row %d: logits differ by %g", key, r, d);
    }
    ent_tape_free(tape);
}

/* The mean loss of the batch; the gradients of its sum are in the parameters. */
static double loss_and_gradients(ent_model *m, const batch *b)
{
    ent_tape *tape;
    double loss_sum = 0;
    OK(ent_tape_new(&tape, false));
    for (int r = 0; r < ROWS; r++) {
        const ent_tokens tokens = {T, b->ids[r], b->doc_start};
        ent_tensor *loss;
        ent_tape_rewind(tape);
        OK(ent_decoder_loss(&loss, tape, m->decoder, &tokens, b->targets[r], NULL));
        loss_sum += (double)ent_values(loss)[0];
        OK(ent_tape_backward(tape, loss, 1));
    }
    ent_tape_free(tape);
    return loss_sum / (double)b->n_targets;
}

static void compare_gradients(ent_model *m, const batch *b, const ent_safetensors *oracle, const char *prefix,
                              double want)
{
    const ent_params *p = ent_decoder_params(m->decoder);
    size_t compared = 0;
    const double loss = loss_and_gradients(m, b);
    if (!(fabs(loss - want) < 5e-6 * want))
        fail_msg("loss %.9g, expected %.9g", loss, want);
    for (size_t i = 0; i < p->count; i++) {
        char key[256];
        if (!p->items[i]->trainable)
            continue;
        const ent_tensor *t = &p->items[i]->tensor;
        snprintf(key, sizeof key, "%s.grad.%s", prefix, t->name);
        const ent_st_tensor *g = ent_safetensors_find(oracle, key);
        if (g == NULL)
            fail_msg("no %s", key);
        const double d = difference(t->grad, g->data, ent_tensor_count(t), 1 / (double)b->n_targets);
        if (!(d < 1e-4))
            fail_msg("%s differs by %g", key, d);
        compared++;
    }
    size_t in_oracle = 0;
    for (size_t i = 0; i < ent_safetensors_count(oracle); i++)
        in_oracle += strncmp(ent_safetensors_at(oracle, i)->name, prefix, strlen(prefix)) == 0 &&
                     strstr(ent_safetensors_at(oracle, i)->name, ".grad.") != NULL;
    assert_int_equal(compared, in_oracle); /* every gradient of the oracle was compared */
}

static void first_batch(bool adapted)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[512];
        batch b;
        ent_model m;
        ent_safetensors *oracle, *gradients;
        path_of(path, sizeof path, names[i], "tensors.safetensors");
        read_batch(&b, names[i]);
        open_model(&m, names[i], adapted, ENT_COMPUTE_FP32);
        OK(ent_safetensors_open(&oracle, path));
        path_of(path, sizeof path, names[i], adapted ? "lora_gradients.safetensors" : "tensors.safetensors");
        OK(ent_safetensors_open(&gradients, path));
        ent_set_threads(2);
        compare_logits(&m, &b, oracle, adapted ? "lora.logits" : "base.logits");
        compare_gradients(&m, &b, gradients, adapted ? "lora" : "base", expected_loss(names[i], adapted));
        ent_set_threads(1);
        ent_safetensors_close(gradients);
        ent_safetensors_close(oracle);
        ent_model_close(&m);
    }
}

static void all_weights_agree_with_pytorch(void **state)
{
    (void)state;
    first_batch(false);
}

static void adapters_agree_with_peft(void **state)
{
    (void)state;
    first_batch(true);
}

/* Adds x y, x x and y y to the sums. */
static void add_products(double sums[3], const float *x, const float *y, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        sums[0] += (double)x[i] * (double)y[i];
        sums[1] += (double)x[i] * (double)x[i];
        sums[2] += (double)y[i] * (double)y[i];
    }
}

static double cosine(const double sums[3])
{
    return sums[0] / sqrt(sums[1] * sums[2]);
}

/* A factor that is rounded to bf16 (8 bits) is off by 2^-8 at most, by e = 0.42 * 2^-8 = 0.0017 in the mean square
 * (uniform over an interval, numbers spread evenly in their logarithm). Errors of terms are independent, so a product
 * of two rounded factors is off by sqrt(2) e of its norm; a gradient passes at most 7 products a layer, 3 layers and
 * lm_head, forward and backward: sqrt(44) sqrt(2) e = 0.0156 of its norm, as an angle. Twice that angle is allowed for
 * all together (cosine 1 - 0.0005), five times for a tensor (0.997), for differences of nearly equal numbers, as in
 * gradients of scores, enlarge it in some. The loss is a mean over tokens: a quarter of the largest error of a factor.
 */
static void gradients_in_bf16_point_the_same_way(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[512];
        batch b;
        ent_model m;
        ent_safetensors *gradients;
        read_batch(&b, names[i]);
        open_model(&m, names[i], true, ENT_COMPUTE_BF16);
        path_of(path, sizeof path, names[i], "lora_gradients.safetensors");
        OK(ent_safetensors_open(&gradients, path));
        const double loss = loss_and_gradients(&m, &b), want = expected_loss(names[i], true);
        if (!(fabs(loss - want) < 0x1p-10 * want) || fabs(loss - want) < 1e-7 * want)
            fail_msg("%s: loss %.9g, %.9g in fp32", names[i], loss, want);
        const ent_params *p = ent_decoder_params(m.decoder);
        double lowest = 1, all[3] = {0};
        for (size_t j = 0; j < p->count; j++) {
            char key[256];
            const ent_tensor *t = &p->items[j]->tensor;
            if (!p->items[j]->trainable)
                continue;
            snprintf(key, sizeof key, "lora.grad.%s", t->name);
            const ent_st_tensor *g = ent_safetensors_find(gradients, key);
            assert_non_null(g);
            double sums[3] = {0};
            add_products(sums, t->grad, g->data, ent_tensor_count(t));
            add_products(all, t->grad, g->data, ent_tensor_count(t));
            const double c = cosine(sums);
            lowest = c < lowest ? c : lowest;
            if (!(c > 0.997))
                fail_msg("%s: %s: cosine %.6f", names[i], t->name, c);
        }
        if (!(cosine(all) > 1 - 0.0005))
            fail_msg("%s: cosine of all gradients %.6f", names[i], cosine(all));
        print_message("%s: loss off by %.1e, cosine of the gradient %.6f, of a tensor's at least %.6f\n", names[i],
                      fabs(loss - want) / want, cosine(all), lowest);
        ent_safetensors_close(gradients);
        ent_model_close(&m);
    }
}

/* Packing: two documents in one unit give the loss and gradients of the two alone. */
static void packed_documents_do_not_see_each_other(void **state)
{
    (void)state;
    ent_model m;
    batch b;
    ent_tape *tape;
    ent_tensor *loss;
    double alone = 0;
    read_batch(&b, "qwen3");
    open_model(&m, "qwen3", true, ENT_COMPUTE_FP32);
    OK(ent_tape_new(&tape, false));
    for (int r = 0; r < 2; r++) {
        const ent_tokens tokens = {20, b.ids[r], b.doc_start};
        int32_t targets[20];
        memcpy(targets, b.targets[r], sizeof targets);
        ent_tape_rewind(tape);
        OK(ent_decoder_loss(&loss, tape, m.decoder, &tokens, targets, NULL));
        alone += (double)ent_values(loss)[0];
    }
    int32_t ids[40], targets[40], doc_start[40];
    for (int t = 0; t < 40; t++) {
        ids[t] = b.ids[t / 20][t % 20];
        targets[t] = b.targets[t / 20][t % 20];
        doc_start[t] = t / 20 * 20;
    }
    ent_tape_rewind(tape);
    OK(ent_decoder_loss(&loss, tape, m.decoder, &(ent_tokens){40, ids, doc_start}, targets, NULL));
    assert_true(fabs((double)ent_values(loss)[0] - alone) < 1e-5 * alone);
    doc_start[20] = 0; /* and a boundary that is left out changes it */
    for (int t = 20; t < 40; t++)
        doc_start[t] = 0;
    ent_tape_rewind(tape);
    OK(ent_decoder_loss(&loss, tape, m.decoder, &(ent_tokens){40, ids, doc_start}, targets, NULL));
    assert_true(fabs((double)ent_values(loss)[0] - alone) > 1e-3 * alone);
    ent_tape_free(tape);
    ent_model_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_weights_agree_with_pytorch),
        cmocka_unit_test(adapters_agree_with_peft),
        cmocka_unit_test(gradients_in_bf16_point_the_same_way),
        cmocka_unit_test(packed_documents_do_not_see_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
