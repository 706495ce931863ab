/* What a plan says by formula: products of a unit as they are counted when it runs, memory, and steps on several ranks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>

#include "io/weights_cache.h"
#include "launch/plan_memory.h"
#include "launch/plan_model.h"
#include "src/base/profile.h"
#include "src/tensor/gemm_int8.h"

enum { N = 150, Q = 1 << ENT_Q_PROJ, V = 1 << ENT_V_PROJ, ALL = (1 << ENT_N_PROJ) - 1 };

static const ent_model_config grouped = {.model_type = "llama",
                                         .vocab_size = 61,
                                         .hidden_size = 24,
                                         .intermediate_size = 40,
                                         .n_layers = 3,
                                         .n_heads = 4,
                                         .n_kv_heads = 2,
                                         .head_dim = 8,
                                         .rms_norm_eps = 1e-5,
                                         .rope_theta = 10000};

static ent_status one_document(ent_unit *out, void *context, size_t i)
{
    static int32_t ids[N], targets[N], doc_start[N];
    (void)i;
    for (int t = 0; t < N; t++) {
        ids[t] = t * 7 % 61;
        targets[t] = t < *(int *)context ? t % 61 : -100;
    }
    *out = (ent_unit){N, ids, targets, doc_start};
    return ENT_OK;
}

/* Frozen weights are all 0.01: what they are doesn't matter. */
static ent_decoder *new_decoder(const ent_model_config *config, const ent_lora_config *lora, float *values, size_t n)
{
    ent_decoder *d;
    assert_int_equal(ent_decoder_new(&d, config, lora, true, N), ENT_OK);
    for (size_t i = 0; i < n; i++)
        values[i] = 0.01f;
    ent_params *p = ent_decoder_params(d);
    for (size_t i = 0; i < p->count; i++) {
        const ent_tensor *t = &p->items[i]->tensor;
        assert_true(ent_tensor_count(t) <= n);
        if (!p->items[i]->trainable)
            assert_int_equal(ent_params_bind(p, p->items[i], t->n_dims, t->shape, ENT_DTYPE_F32, values, "test"),
                             ENT_OK);
    }
    if (lora) {
        ent_decoder_init_adapters(d, 1);
        assert_int_equal(ent_decoder_init_magnitudes(d), ENT_OK);
    } else
        ent_decoder_init_weights(d, 1);
    return d;
}

static void check_once(const ent_model_config *config, const ent_lora_config *lora, int targets, bool recompute)
{
    static float values[4096];
    ent_decoder *d = new_decoder(config, lora, values, 4096);
    ent_comm *comm;
    ent_trainer *trainer;
    ent_step_result result;
    ent_profile profile;
    const ent_trainer_options options = {.optimizer = {.kind = ENT_OPTIMIZER_SGD},
                                         .schedule = {.kind = ENT_SCHEDULE_CONSTANT, .lr = 0.1, .steps = 1},
                                         .batch_size = 1,
                                         .seq_len = N};
    ent_decoder_recompute(d, recompute);
    assert_int_equal(ent_comm_self(&comm), ENT_OK);
    assert_int_equal(ent_trainer_new(&trainer, d, comm, &options), ENT_OK);
    ent_profile_start();
    assert_int_equal(ent_trainer_step(&result, trainer, 0, 1, one_document, &targets), ENT_OK);
    ent_profile_stop(&profile);
    const ent_unit_flops f = ent_plan_unit(config, lora, N, (size_t)targets, recompute);
    assert_int_equal((uint64_t)(f.frozen + f.other + ent_plan_norms(config, lora)), profile.flops[ENT_FLOPS_FP32]);
    assert_true(lora ? f.frozen > 0 : f.frozen == 0);
    ent_trainer_free(trainer);
    ent_comm_free(comm);
    ent_decoder_free(d);
}

static void check_flops(const ent_model_config *config, const ent_lora_config *lora, int targets)
{
    check_once(config, lora, targets, false);
    check_once(config, lora, targets, true);
}

static void products_are_those_that_run(void **state)
{
    (void)state;
    const unsigned sets[] = {Q | V, 1 << ENT_K_PROJ, 1 << ENT_O_PROJ, 1 << ENT_GATE_PROJ, 1 << ENT_DOWN_PROJ, ALL};
    uint8_t second[] = {0, 1}, last[] = {0, 0, 1};
    const char *const saved[] = {"lm_head",
                                 "model.norm",
                                 "0.input_layernorm",
                                 "post_attention_layernorm",
                                 "1.self_attn.k_norm",
                                 "0.self_attn.q_norm",
                                 "norm",
                                 "embed_tokens"};
    ent_model_config window = grouped, heads = grouped;
    heads.qk_norm = true;
    window.sliding_window = 37;
    window.first_window_layer = 1;
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        ent_lora_module own[2 * ENT_N_PROJ] = {[ENT_Q_PROJ] = {.r = 2}, [ENT_DOWN_PROJ + ENT_N_PROJ] = {.r = 5}};
        ent_lora_config lora = {.r = 3, .alpha = 6, .targets = sets[i]};
        check_flops(&grouped, &lora, N - 1);
        check_flops(&window, &lora, 10);
        lora.use_dora = true;
        check_flops(&grouped, &lora, N - 1);
        lora.modules = own;
        lora.n_modules = 2 * ENT_N_PROJ;
        check_flops(&grouped, &lora, N - 1);
        lora.use_dora = false;
        lora.pissa = true;
        check_flops(&grouped, &lora, N - 1);
        lora.pissa = false;
        lora.modules = NULL;
        lora.n_modules = 0;
        lora.layers = second;
        lora.n_layers = 2;
        check_flops(&grouped, &lora, N - 1);
        lora.layers = last;
        lora.n_layers = 3;
        check_flops(&window, &lora, 1);
        lora.layers = NULL;
        for (size_t k = 0; k < sizeof saved / sizeof *saved; k++) {
            lora.saved = (ent_lora_names){(char **)&saved[k], 1};
            check_flops(&heads, &lora, N - 1);
        }
    }
    check_flops(&grouped, NULL, N - 1);
    check_flops(&window, NULL, 70);
}

static void memory_is_told_by_kind(void **state)
{
    (void)state;
    static float values[4096];
    const ent_lora_config lora = {.r = 3, .alpha = 6, .targets = Q | V};
    ent_decoder *d = new_decoder(&grouped, &lora, values, 4096);
    ent_comm *comm;
    ent_trainer *trainer;
    ent_memory_plan m;
    const ent_trainer_options options = {.batch_size = 1, .seq_len = N};
    assert_int_equal(ent_comm_self(&comm), ENT_OK);
    assert_int_equal(ent_trainer_new(&trainer, d, comm, &options), ENT_OK);
    ent_plan_memory(&m, d, &grouped, trainer, N);
    const int q = 32, kv = 16, c = 24, mlp = 40, v = 61, layers = 3;
    const int frozen = 2 * v * c + c + layers * (2 * c + 2 * q * c + 2 * kv * c + 3 * mlp * c);
    const int trained = layers * (3 * (c + q) + 3 * (c + kv));
    assert_true(m.mapped_weights == 4 * frozen);
    assert_true(m.parameters == 4 * trained && m.gradients == 4 * trained);
    assert_true(m.optimizer == 8 * trained && m.gradient_sums == 8 * trained);
    assert_true(m.tables == 2 * N * 4 * sizeof(float));
    assert_true(m.activations > layers * N * 4 * (6 * c + q + 2 * kv + 3 * mlp)); /* the least that backward needs */
    assert_true(m.workspace >= N * (v + c) * 4);
    m.program = 1000;
    m.file_cache = 10;
    assert_true(ent_plan_shared(&m) == 4 * frozen + 10);
    assert_true(ent_plan_private(&m) == 24 * trained + m.tables + m.activations + m.workspace + 1000);
    ent_trainer_free(trainer);
    ent_comm_free(comm);
    ent_decoder_free(d);
}

/* NF4: codes, a byte for 64, up to four, a float for 256 of those, and one. */
static size_t nf4_bytes(size_t rows, size_t columns)
{
    const size_t scales = rows * ((columns + 63) / 64);
    return (rows * ((columns + 1) / 2) + scales + 3) / 4 * 4 + (scales + 255) / 256 * 4 + 4;
}

static void quantized_weights_are_small(void **state)
{
    (void)state;
    static float values[4096];
    const size_t q = 32, kv = 16, c = 24, mlp = 40, v = 61, layers = 3, norms = 4 * (c + layers * 2 * c);
    const size_t nf4 =
        norms + 2 * nf4_bytes(v, c) +
        layers * (nf4_bytes(q, c) + 2 * nf4_bytes(kv, c) + nf4_bytes(c, q) + 2 * nf4_bytes(mlp, c) + nf4_bytes(c, mlp));
    const size_t numbers = 2 * v * c + layers * (2 * q * c + 2 * kv * c + 3 * mlp * c);
    const size_t rows = 2 * v + layers * (q + 2 * kv + 2 * c + 2 * mlp);
    const ent_lora_config lora = {.r = 3, .alpha = 6, .targets = Q | V};
    const ent_trainer_options options = {.batch_size = 1, .seq_len = N};
    for (int i = 0; i < 2; i++) {
        ent_decoder *d = new_decoder(&grouped, &lora, values, 4096);
        ent_comm *comm;
        ent_trainer *trainer;
        ent_weights_cache *cache;
        ent_memory_plan m;
        assert_int_equal(ent_weights_cache_quantize(&cache, ent_decoder_params(d), i ? ENT_DTYPE_NF4 : ENT_DTYPE_I8,
                                                    NULL, true, NULL),
                         ENT_OK);
        assert_int_equal(ent_comm_self(&comm), ENT_OK);
        assert_int_equal(ent_trainer_new(&trainer, d, comm, &options), ENT_OK);
        ent_plan_memory(&m, d, &grouped, trainer, N);
        assert_true(m.mapped_weights == (double)(i ? nf4 : norms + numbers + 4 * rows));
        assert_true(m.tables == 2 * N * 4 * sizeof(float));
        ent_tensor *w = ent_decoder_projection(d, ENT_Q_PROJ); /* (32, 24) */
        const ent_int8_rounding rounding = {values, values, NULL}, smoothed = {values, values, values};
        w->column_factors = values;
        w->rounding = &rounding;
        ent_plan_memory(&m, d, &grouped, trainer, N);
        assert_true(m.tables == (2 * N * 4 + 24 + 2 * 32) * sizeof(float));
        w->rounding = &smoothed;
        ent_plan_memory(&m, d, &grouped, trainer, N);
        assert_true(m.tables == (2 * N * 4 + 2 * 24 + 2 * 32) * sizeof(float));
        ent_trainer_free(trainer);
        ent_comm_free(comm);
        ent_decoder_free(d);
        ent_weights_cache_close(cache);
    }
}

static void networks_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double bandwidth, latency;
    } right[] = {{"100Gbit,2us", 12.5e9, 2e-6}, {"1.5GB,30ns", 1.5e9, 30e-9}, {"1Tbit,0s", 125e9, 0},
                 {"800bit,1ms", 100, 1e-3},     {"5B,0.5us", 5, 5e-7},        {"10MB,1s", 1e7, 1}};
    static const char *const wrong[] = {"",           "100Gbit",    "100Gbit,",    "100Gbit,2",   "100,2us",
                                        "0Gbit,2us",  "-1Gbit,2us", "1Gbit,-2us",  "1Gbit,2us,",  "1Gbit,2us ",
                                        "1Gbi,2us",   "1gbit,2us",  "infGbit,1us", "nanGbit,1us", "Gbit,2us",
                                        "1Gbit,2uss", "1Gbit;2us",  "1Gbit, 2 us"};
    ent_network n;
    for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
        assert_int_equal(ent_network_parse(&n, right[i].text), ENT_OK);
        assert_true(fabs(n.bandwidth / right[i].bandwidth - 1) < 1e-12);
        assert_true(fabs(n.latency - right[i].latency) < 1e-18);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(ent_network_parse(&n, wrong[i]), ENT_ECONFIG);
    assert_string_equal(ent_message(),
                        "--network: expected a rate and a latency such as 100Gbit,2us, found \"1Gbit, 2 us\"");
}

static bool near(double x, double expected)
{
    return fabs(x - expected) <= 1e-12 * fabs(expected);
}

static void the_reduction_is_the_shorter_of_two(void **state)
{
    (void)state;
    const ent_network fast = {.latency = 1, .bandwidth = 1000};
    assert_true(ent_plan_reduction(&fast, 1, 5000) == 0);
    assert_true(near(ent_plan_reduction(&fast, 2, 5000), 1 + 5));                    /* one exchange; ring: 2 + 5 */
    assert_true(near(ent_plan_reduction(&fast, 8, 5), 3 * (1 + 0.005)));             /* few bytes: doubling */
    assert_true(near(ent_plan_reduction(&fast, 8, 1e6), 2 * 7 + 2 * 7 / 8.0 * 1e3)); /* many: ring */
    assert_true(near(ent_plan_reduction(&fast, 5, 5), 3 * (1 + 0.005)));             /* ceil(log2 5) = 3 */
}

static void a_step_is_that_of_the_rank_with_most_units(void **state)
{
    (void)state;
    const ent_network network = {.latency = 0.5, .bandwidth = 100};
    const ent_step_parts parts = {.unit = 10, .update = 3, .bytes = 50};
    assert_true(near(ent_plan_step(&parts, &network, 5, 1), 50 + 3));
    assert_true(near(ent_plan_step(&parts, &network, 5, 2), 30 + 1 + 3));
    assert_true(near(ent_plan_step(&parts, &network, 4, 4), 10 + 2 + 3)); /* doubling 2 (0.5 + 0.5), ring 3.75 */
    assert_true(near(ent_plan_step(&parts, &network, 2, 4), 10 + 2 + 3)); /* two ranks have none */
}

static void this_process_has_memory(void **state)
{
    (void)state;
    const double resident = ent_resident();
    assert_true(resident > 100000 && ent_resident_peak() >= resident - 1000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_are_those_that_run),
        cmocka_unit_test(memory_is_told_by_kind),
        cmocka_unit_test(quantized_weights_are_small),
        cmocka_unit_test(networks_are_read),
        cmocka_unit_test(the_reduction_is_the_shorter_of_two),
        cmocka_unit_test(a_step_is_that_of_the_rank_with_most_units),
        cmocka_unit_test(this_process_has_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
