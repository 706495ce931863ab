/* PEFT adapters: what PEFT wrote is read; what we write reads back the same; every other kind of adapter is refused. */
#include "file_helpers.h"

#include "io/lora_saved.h"
#include "io/model_weights.h"
#include "io/peft.h"
#include "src/nn/decoder.h"

#define LORA "\"peft_type\":\"LORA\",\"r\":4,\"target_modules\":[\"q_proj\"]"

static ent_status read_text(ent_lora_config *out, const char *text)
{
    assert_ok(ent_make_dirs("scratch/peft_text"));
    put_file("scratch/peft_text/adapter_config.json", text, strlen(text));
    return ent_peft_read_config(out, "scratch/peft_text");
}

/* Reads {LORA, REST}. */
static ent_status read_rest(ent_lora_config *out, const char *rest)
{
    char text[1000];
    snprintf(text, sizeof text, "{" LORA ",%s}", rest);
    return read_text(out, text);
}

static void refused(const char *text, ent_status code, const char *part)
{
    ent_lora_config config;
    assert_fails(read_text(&config, text), code, part);
    assert_non_null(strstr(ent_message(), "scratch/peft_text/adapter_config.json: "));
    assert_int_equal(config.r, 0);
    assert_null(config.layers);
}

static void reads_what_peft_wrote(void **state)
{
    (void)state;
    static const char *const models[] = {"llama", "qwen2", "qwen3"};
    for (size_t i = 0; i < 3; i++) {
        char folder[600];
        ent_lora_config config;
        snprintf(folder, sizeof folder, ENT_TEST_DATA "/oracle/%s/adapter_init", models[i]);
        assert_ok(ent_peft_read_config(&config, folder));
        assert_int_equal(config.r, 8);
        assert_true(config.alpha == 16);
        assert_true(config.dropout == 0);
        assert_false(config.use_rslora);
        assert_true(config.targets & 1u << ENT_Q_PROJ);
        assert_null(config.layers);
        ent_lora_config_clear(&config);
    }
    ent_lora_config llama;
    assert_ok(ent_peft_read_config(&llama, ENT_TEST_DATA "/oracle/llama/adapter_init"));
    assert_int_equal(llama.targets, (1u << ENT_N_PROJ) - 1);
}

static void targets_and_layers(void **state)
{
    (void)state;
    ent_lora_config c;
    assert_ok(read_text(&c, "{\"peft_type\":\"LORA\",\"r\":4,\"target_modules\":\"all-linear\"}"));
    assert_int_equal(c.targets, (1u << ENT_N_PROJ) - 1);
    assert_ok(read_text(&c, "{\"peft_type\":\"LORA\",\"target_modules\":[\"mlp.down_proj\",\"v_proj\"]}"));
    assert_int_equal(c.targets, 1u << ENT_DOWN_PROJ | 1u << ENT_V_PROJ);
    assert_int_equal(c.r, 8); /* PEFT's defaults */
    assert_true(c.alpha == 8);
    assert_ok(read_rest(&c, "\"layers_to_transform\":[5,0],\"layers_pattern\":\"layers\",\"use_rslora\":true,"
                            "\"use_dora\":true,\"lora_alpha\":3,\"lora_dropout\":0.25"));
    assert_int_equal(c.n_layers, 6);
    assert_memory_equal(c.layers, "\1\0\0\0\0\1", 6);
    assert_true(c.use_rslora && c.use_dora && c.alpha == 3 && c.dropout == 0.25);
    ent_lora_config_clear(&c);
    assert_null(c.layers);
    assert_ok(read_rest(&c, "\"layers_to_transform\":2"));
    assert_int_equal(c.n_layers, 3);
    assert_memory_equal(c.layers, "\0\0\1", 3);
    ent_lora_config_clear(&c);
}

static void what_changes_the_mathematics_is_refused(void **state)
{
    (void)state;
    static const char *const rest[][2] = {
        {"\"use_something_new\":true", "use_something_new: true"},
        {"\"rank_pattern\":{\"(?!q).*\":2}", "rank_pattern: pattern \"(?!q).*\": not supported from \"(?!q).*\" on"},
        {"\"modules_to_save\":[\"\"]", "modules_to_save: \"\": expected letters"},
        {"\"bias\":\"all\"", "bias: \"all\""},
        {"\"lora_bias\":true", "lora_bias: true"},
        {"\"fan_in_fan_out\":true", "fan_in_fan_out: true"},
        {"\"layer_replication\":[[0,2]]", "layer_replication: [[0,2]]"},
        {"\"exclude_modules\":[\"x\"]", "exclude_modules: [\"x\"]"},
        {"\"trainable_token_indices\":[1]", "trainable_token_indices: [1]"},
        {"\"target_parameters\":[\"x\"]", "target_parameters: [\"x\"]"},
        {"\"init_lora_weights\":\"pissa\"", "init_lora_weights: \"pissa\""},
        {"\"layers_pattern\":\"blocks\"", "layers_pattern: \"blocks\""},
        {"\"layers_to_transform\":[]", "layers_to_transform: []"},
        {"\"task_type\":\"SEQ_CLS\"", "task_type: \"SEQ_CLS\""},
    };
    for (size_t i = 0; i < sizeof rest / sizeof *rest; i++) {
        char text[500];
        snprintf(text, sizeof text, "{" LORA ",%s}", rest[i][0]);
        refused(text, ENT_EUNSUPPORTED, rest[i][1]);
    }
    refused("{\"peft_type\":\"IA3\",\"target_modules\":[\"q_proj\"]}", ENT_EUNSUPPORTED, "peft_type: \"IA3\"");
    refused("{\"peft_type\":\"LORA\",\"target_modules\":\".*_proj\"}", ENT_EUNSUPPORTED, "target_modules: \".*_proj\"");
    refused("{\"peft_type\":\"LORA\",\"target_modules\":[\"lm_head\"]}", ENT_EUNSUPPORTED,
            "target_modules: \"lm_head\"");
}

static void malformed_values_are_refused(void **state)
{
    (void)state;
    refused("[]", ENT_EFORMAT, "expected an object");
    refused("{}", ENT_EFORMAT, "peft_type: expected a string");
    refused("{\"peft_type\":\"LORA\"}", ENT_EFORMAT, "target_modules: expected a list");
    refused("{\"peft_type\":\"LORA\",\"target_modules\":[]}", ENT_EFORMAT, "target_modules: expected a list");
    refused("{\"peft_type\":\"LORA\",\"r\":0,\"target_modules\":[\"q_proj\"]}", ENT_EFORMAT, "r: expected");
    refused("{\"peft_type\":\"LORA\",\"r\":1e15,\"target_modules\":[\"q_proj\"]}", ENT_EFORMAT, "r: expected");
    refused("{" LORA ",\"r\":8}", ENT_EFORMAT, "\"r\" stands twice");
    refused("{" LORA ",\"lora_alpha\":0}", ENT_EFORMAT, "lora_alpha: expected");
    refused("{" LORA ",\"lora_dropout\":1}", ENT_EFORMAT, "lora_dropout: expected");
    refused("{" LORA ",\"rank_pattern\":{\"q_proj\":2.5}}", ENT_EFORMAT,
            "rank_pattern: q_proj: expected an integer from 1");
    refused("{" LORA ",\"rank_pattern\":[3]}", ENT_EFORMAT, "rank_pattern: expected an object");
    refused("{" LORA ",\"alpha_pattern\":{\"q_proj\":0}}", ENT_EFORMAT,
            "alpha_pattern: q_proj: expected a number above 0");
    refused("{" LORA ",\"alpha_pattern\":{\"q_proj\":\"2\"}}", ENT_EFORMAT, "alpha_pattern: q_proj: expected a number");
    refused("{" LORA ",\"modules_to_save\":\"norm\"}", ENT_EFORMAT,
            "modules_to_save: expected a list of names, found \"norm\"");
    refused("{" LORA ",\"modules_to_save\":[1]}", ENT_EFORMAT, "modules_to_save: expected a list of names, found 1");
    refused("{" LORA ",\"layers_to_transform\":[0,-1]}", ENT_EFORMAT, "layers_to_transform: expected");
    refused("{" LORA ",\"layers_to_transform\":[9007199254740991]}", ENT_EFORMAT, "layers_to_transform: expected");
    ent_lora_config c;
    assert_fails(ent_peft_read_config(&c, "nowhere"), ENT_EIO, "nowhere/adapter_config.json: No such file");
}

static void patterns_set_modules(void **state)
{
    (void)state;
    ent_lora_config c, copy;
    assert_ok(read_rest(&c, "\"lora_alpha\":8,\"rank_pattern\":{\"layers.1.*\":2,\"q_proj\":16},"
                            "\"alpha_pattern\":{\"q_proj\":3}"));
    assert_ok(ent_lora_resolve(&c, 2));
    assert_int_equal(c.n_modules, 2 * ENT_N_PROJ);
    assert_int_equal(ent_lora_rank(&c, 0, ENT_Q_PROJ), 16);
    assert_int_equal(ent_lora_rank(&c, 1, ENT_Q_PROJ), 2); /* the first that takes it */
    assert_int_equal(c.modules[ENT_V_PROJ].r, 0);          /* not adapted */
    assert_true(ent_lora_scale(&c, 0, ENT_Q_PROJ) == 3.0 / 16 && ent_lora_scale(&c, 1, ENT_Q_PROJ) == 1.5);
    assert_ok(ent_lora_patterns_act(&c, 2, "lora"));
    assert_fails(ent_lora_patterns_act(&c, 1, "lora"), ENT_ECONFIG,
                 "lora.rank_pattern: \"layers.1.*\": expected to take");
    assert_ok(ent_lora_config_copy(&copy, &c));
    ent_lora_config_clear(&c);
    assert_int_equal(ent_lora_rank(&copy, 1, ENT_Q_PROJ), 2);
    assert_string_equal(copy.alphas.items[0].key, "q_proj");
    ent_lora_config_clear(&copy);
}

/* As PEFT's key.endswith(target_key), over the names of transformers' modules. */
static void saved_modules_are_those_whose_names_end_so(void **state)
{
    (void)state;
    ent_lora_config c, copy;
    ent_model_config model = {.n_layers = 2};
    assert_ok(read_rest(&c, "\"modules_to_save\":[\"norm\",\"l.embed_tokens\",\"1.self_attn.q_norm\"]"));
    assert_true(ent_lora_saves(&c, "model.norm.weight") && ent_lora_saves(&c, "model.norm"));
    assert_true(ent_lora_saves(&c, "model.layers.1.input_layernorm.weight"));
    assert_true(ent_lora_saves(&c, "model.layers.1.self_attn.k_norm.weight"));
    assert_true(ent_lora_saves(&c, "model.embed_tokens.weight"));
    assert_false(ent_lora_saves(&c, "lm_head.weight") || ent_lora_saves(&c, "model.layers.1.mlp.up_proj.weight"));
    assert_ok(ent_lora_saved_act(&c, &model, false, "a"));
    assert_fails(ent_lora_saved_act(&c, &model, true, "a"), ENT_ECONFIG, "a: \"1.self_attn.q_norm\": takes no module");
    model.qk_norm = true;
    assert_ok(ent_lora_saved_act(&c, &model, true, "a"));
    model.tie_word_embeddings = true;
    assert_fails(ent_lora_saved_act(&c, &model, true, "a"), ENT_ECONFIG,
                 "a: \"l.embed_tokens\": takes model.embed_tokens");
    assert_ok(ent_lora_config_copy(&copy, &c));
    ent_lora_config_clear(&c);
    assert_int_equal(copy.saved.count, 3);
    assert_string_equal(copy.saved.items[2], "1.self_attn.q_norm");
    ent_lora_config_clear(&copy);
    static const char *const bad[][2] = {{"up_proj", "takes model.layers.0.mlp.up_proj, a projection"},
                                         {"1.mlp", "takes model.layers.1.mlp, which"},
                                         {"model", "takes model, which"},
                                         {"layers.1", "takes model.layers.1, which"},
                                         {"0.norm", "takes no module"},
                                         {"base_model.model", "takes no module"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ent_lora_names names = {(char **)&bad[i][0], 1};
        c = (ent_lora_config){.saved = names};
        assert_fails(ent_lora_saved_act(&c, &model, true, "a"), ENT_ECONFIG, bad[i][1]);
    }
}

/* A saved lm_head begins as the numbers of the model's, however these are stored. */
static void saved_modules_begin_as_the_models(void **state)
{
    (void)state;
    const ent_model_config model = {.model_type = "llama",
                                    .vocab_size = 3,
                                    .hidden_size = 4,
                                    .intermediate_size = 4,
                                    .n_layers = 1,
                                    .n_heads = 1,
                                    .n_kv_heads = 1,
                                    .head_dim = 4};
    const ent_lora_config lora = {.r = 1, .alpha = 1, .targets = 1, .saved = {(char *[]){"head"}, 1}};
    const int8_t codes[3 * 4] = {1, -2, 3, -4, 5, 6, -7, 8, 127, 0, -127, 9};
    const float scales[3] = {0.5f, 2, 0.25f};
    ent_decoder *d;
    assert_ok(ent_decoder_new(&d, &model, &lora, true, 4));
    ent_params *p = ent_decoder_params(d);
    ent_tensor *base = &ent_params_find(p, "lm_head.weight")->tensor;
    base->dtype = ENT_DTYPE_I8;
    base->data = codes;
    base->row_scales = scales;
    ent_decoder_init_adapters(d, 1);
    const ent_real *found = ent_values(&ent_params_find(p, "base_model.model.lm_head.weight")->tensor);
    for (size_t i = 0; i < 12; i++)
        assert_true(found[i] == (float)codes[i] * scales[i / 4]);
    ent_decoder_free(d);
}

/* The tensors of PEFT's file, written by us into `folder`. */
static ent_status rewrite(const char *folder, const ent_lora_config *config)
{
    ent_safetensors *file;
    assert_ok(ent_safetensors_open(&file, ENT_TEST_DATA "/oracle/llama/adapter_final/adapter_model.safetensors"));
    const size_t n = ent_safetensors_count(file);
    ent_st_tensor *tensors = calloc(n, sizeof *tensors);
    assert_non_null(tensors);
    for (size_t i = 0; i < n; i++)
        tensors[i] = *ent_safetensors_at(file, n - 1 - i);
    const ent_status st = ent_peft_write(folder, config, "some/model", tensors, n);
    free(tensors);
    ent_safetensors_close(file);
    return st;
}

static void what_is_written_reads_back(void **state)
{
    (void)state;
    scratch("peft");
    uint8_t flags[4] = {0, 1, 1, 0};
    ent_lora_config config = {.r = 8,
                              .alpha = 16.5,
                              .dropout = 0.1,
                              .targets = 1u << ENT_V_PROJ | 1u << ENT_GATE_PROJ,
                              .use_rslora = true,
                              .use_dora = true,
                              .layers = flags,
                              .n_layers = 4};
    ent_lora_config back;
    assert_ok(rewrite("scratch/peft/deep/er/", &config)); /* new */
    assert_ok(ent_peft_read_config(&back, "scratch/peft/deep/er"));
    assert_int_equal(back.r, 8);
    assert_true(back.alpha == 16.5 && back.dropout == 0.1 && back.use_rslora && back.use_dora);
    assert_int_equal(back.targets, config.targets);
    assert_int_equal(back.n_layers, 3);
    assert_memory_equal(back.layers, "\0\1\1", 3);
    ent_lora_config_clear(&back);
    config.layers = NULL;
    config.use_rslora = config.use_dora = false;
    config.saved = (ent_lora_names){(char *[]){"norm", "lm_head"}, 2};
    assert_ok(rewrite("scratch/peft/deep/er", &config)); /* replaced */
    assert_ok(ent_peft_read_config(&back, "scratch/peft/deep/er"));
    assert_null(back.layers);
    assert_false(back.use_rslora || back.use_dora);
    assert_true(ent_lora_names_equal(&back.saved, &config.saved));
    ent_lora_config_clear(&back);
    assert_ok(rewrite("scratch/peft/two", &config));
    assert_files_equal("scratch/peft/deep/er/adapter_config.json", "scratch/peft/two/adapter_config.json");
    assert_files_equal(ENT_TEST_DATA "/oracle/llama/adapter_final/adapter_model.safetensors",
                       "scratch/peft/two/adapter_model.safetensors");
    size_t n;
    char *text = get_file(&n, "scratch/peft/two/adapter_config.json");
    assert_non_null(strstr(text, "\"base_model_name_or_path\":\t\"some/model\"") ||
                            strstr(text, "\"base_model_name_or_path\": \"some/model\"")
                        ? text
                        : NULL);
    free(text);
    /* nothing temporary is left */
    assert_int_equal(
        system("test \"$(cd scratch/peft && ls -A . two deep deep/er | sort | tr -d '\\n')\" = "
               "\"$(printf '%s\\n' .: two: deep: deep/er: two deep er adapter_model.safetensors "
               "adapter_config.json adapter_model.safetensors adapter_config.json | sort | tr -d '\\n')\""),
        0);
}

#define Q_PROJ "base_model.model.model.layers.3.self_attn.q_proj."

/* What tensors alone tell: a vector of magnitudes is DoRA's. */
static void vectors_tell_of_dora(void **state)
{
    (void)state;
    ent_st_tensor t[] = {
        {.name = Q_PROJ "lora_A.weight", .n_dims = 2, .shape = {4, 64}},
        {.name = Q_PROJ "lora_B.weight", .n_dims = 2, .shape = {64, 4}},
        {.name = Q_PROJ "lora_magnitude_vector", .n_dims = 1, .shape = {64}},
    };
    ent_lora_config c;
    assert_ok(ent_adapter_describe(&c, t, 2, "here"));
    assert_false(c.use_dora);
    ent_lora_config_clear(&c);
    assert_ok(ent_adapter_describe(&c, t, 3, "here"));
    assert_true(c.use_dora && c.r == 4 && c.targets == 1u << ENT_Q_PROJ && c.n_layers == 4);
    ent_lora_config_clear(&c);
    t[2].n_dims = 2;
    assert_fails(ent_adapter_describe(&c, t, 3, "here"), ENT_EFORMAT, "lora_magnitude_vector: expected a tensor of");
}

static void a_folder_that_cannot_be_made(void **state)
{
    (void)state;
    const char *folder = scratch("peft_fault");
    const ent_lora_config config = {.r = 8, .alpha = 16, .targets = 1};
    put_file(in_folder(folder, "file"), "", 0);
    assert_int_equal(rewrite(in_folder(folder, "file/adapter"), &config), ENT_EIO);
    assert_int_equal(rewrite(in_folder(folder, "file"), &config), ENT_EIO);
    assert_int_equal(system("test \"$(ls -A scratch/peft_fault)\" = file"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_peft_wrote),
        cmocka_unit_test(targets_and_layers),
        cmocka_unit_test(what_changes_the_mathematics_is_refused),
        cmocka_unit_test(patterns_set_modules),
        cmocka_unit_test(saved_modules_are_those_whose_names_end_so),
        cmocka_unit_test(saved_modules_begin_as_the_models),
        cmocka_unit_test(malformed_values_are_refused),
        cmocka_unit_test(what_is_written_reads_back),
        cmocka_unit_test(vectors_tell_of_dora),
        cmocka_unit_test(a_folder_that_cannot_be_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
