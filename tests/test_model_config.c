/* config.json of real models and of none: what is read, what is let pass, what is refused. */
#include "file_helpers.h"

#include "io/model_config.h"

/* A small valid config of an architecture, and what is added to it or overrides its members (the later text wins: the
 * members of `more` replace those of the same key). */
static const char *const base_keys[][2] = {
    {"vocab_size", "512"},      {"hidden_size", "64"},        {"intermediate_size", "176"},
    {"num_hidden_layers", "3"}, {"num_attention_heads", "4"}, {"num_key_value_heads", "2"},
};

static ent_status load(ent_model_config *out, const char *type, const char *more)
{
    char text[4000], key[64];
    int n = snprintf(text, sizeof text, "{\"model_type\": \"%s\"", type);
    for (size_t i = 0; i < sizeof base_keys / sizeof *base_keys; i++) {
        snprintf(key, sizeof key, "\"%s\"", base_keys[i][0]);
        if (strstr(more, key) == NULL)
            n += snprintf(text + n, sizeof text - (size_t)n, ", %s: %s", key, base_keys[i][1]);
    }
    n += snprintf(text + n, sizeof text - (size_t)n, "%s%s}", *more ? ", " : "", more);
    assert_ok(ent_make_dirs("scratch/model"));
    put_file("scratch/model/config.json", text, (size_t)n);
    return ent_model_config_load(out, "scratch/model");
}

static void refused(const char *type, const char *more, ent_status code, const char *part)
{
    ent_model_config c = {.hidden_size = 7};
    assert_fails(load(&c, type, more), code, part);
    assert_non_null(strstr(ent_message(), "scratch/model/config.json: "));
    assert_int_equal(c.hidden_size, 7);
}

static void reads_what_transformers_wrote(void **state)
{
    (void)state;
    ent_model_config c;
    assert_ok(ent_model_config_load(&c, ENT_TEST_DATA "/oracle/llama/model"));
    assert_string_equal(c.model_type, "llama");
    assert_int_equal(c.vocab_size, 512);
    assert_int_equal(c.hidden_size, 64);
    assert_int_equal(c.intermediate_size, 176);
    assert_int_equal(c.n_layers, 3);
    assert_int_equal(c.n_heads, 4);
    assert_int_equal(c.n_kv_heads, 2);
    assert_int_equal(c.head_dim, 16);
    assert_int_equal(c.max_position_embeddings, 256);
    assert_true(c.rms_norm_eps == 1e-5 && c.rope_theta == 10000);
    assert_false(c.tie_word_embeddings || c.qkv_bias || c.o_bias || c.mlp_bias || c.qk_norm);
    assert_int_equal(c.sliding_window, 0);
    assert_int_equal(c.rope_scaling, ENT_ROPE_DEFAULT);
    assert_ok(ent_model_config_load(&c, ENT_TEST_DATA "/oracle/qwen2/model"));
    assert_string_equal(c.model_type, "qwen2");
    assert_int_equal(c.head_dim, 16);
    assert_true(c.rope_theta == 1000000);
    assert_true(c.tie_word_embeddings && c.qkv_bias && !c.o_bias && !c.qk_norm);
    assert_ok(ent_model_config_load(&c, ENT_TEST_DATA "/oracle/qwen3/model"));
    assert_string_equal(c.model_type, "qwen3");
    assert_int_equal(c.head_dim, 24);
    assert_true(c.tie_word_embeddings && !c.qkv_bias && !c.o_bias && c.qk_norm);
}

/* The classes of transformers: LlamaConfig, MistralConfig, Qwen2Config, Qwen3Config. */
static void defaults_are_those_of_the_architecture(void **state)
{
    (void)state;
    ent_model_config c;
    assert_ok(load(&c, "llama", ""));
    assert_true(c.rms_norm_eps == 1e-6 && c.rope_theta == 10000 && c.head_dim == 16 && !c.tie_word_embeddings);
    assert_int_equal(c.max_position_embeddings, 0);
    assert_ok(load(&c, "llama", "\"num_key_value_heads\": null"));
    assert_int_equal(c.n_kv_heads, 4);
    refused("mistral", "\"num_key_value_heads\": null", ENT_EFORMAT, "num_key_value_heads: expected an integer");
    refused("qwen2", "\"num_key_value_heads\": null", ENT_EFORMAT, "num_key_value_heads: expected an integer");
    assert_ok(load(&c, "mistral", ""));
    assert_int_equal(c.sliding_window, 4096);
    assert_ok(load(&c, "mistral", "\"sliding_window\": null"));
    assert_int_equal(c.sliding_window, 0);
    assert_ok(load(&c, "mistral", "\"sliding_window\": 8"));
    assert_int_equal(c.sliding_window, 8);
    assert_int_equal(c.first_window_layer, 0);
    assert_ok(load(&c, "qwen3", ""));
    assert_int_equal(c.head_dim, 128);
    assert_ok(load(&c, "llama", "\"attention_bias\": true, \"mlp_bias\": true"));
    assert_true(c.qkv_bias && c.o_bias && c.mlp_bias);
}

static void windows_begin_at_a_layer(void **state)
{
    (void)state;
    ent_model_config c;
    assert_ok(load(&c, "qwen2", "\"use_sliding_window\": false, \"sliding_window\": 8, \"max_window_layers\": 1"));
    assert_int_equal(c.sliding_window, 0);
    assert_ok(load(&c, "qwen2",
                   "\"use_sliding_window\": true, \"sliding_window\": 8, \"max_window_layers\": 1, "
                   "\"layer_types\": [\"full_attention\", \"sliding_attention\", \"sliding_attention\"]"));
    assert_int_equal(c.sliding_window, 8);
    assert_int_equal(c.first_window_layer, 1);
    assert_ok(load(&c, "qwen3", "\"use_sliding_window\": true, \"sliding_window\": 8, \"max_window_layers\": 3"));
    assert_int_equal(c.sliding_window, 0);
    assert_ok(load(&c, "qwen2", "\"use_sliding_window\": true, \"num_hidden_layers\": 29"));
    assert_int_equal(c.sliding_window, 4096);
    assert_int_equal(c.first_window_layer, 28);
    assert_ok(load(&c, "qwen3", "\"layer_types\": [\"full_attention\", \"full_attention\", \"full_attention\"]"));
    refused("qwen3", "\"layer_types\": [\"full_attention\", \"sliding_attention\", \"full_attention\"]",
            ENT_EUNSUPPORTED, "layer_types: [");
    refused("qwen3", "\"layer_types\": [\"full_attention\"]", ENT_EFORMAT, "expected a list of 3, found 1");
    refused("qwen2", "\"use_sliding_window\": true, \"max_window_layers\": -1", ENT_EFORMAT, "max_window_layers: ");
    refused("llama", "\"sliding_window\": 8", ENT_EUNSUPPORTED, "sliding_window: 8 is not supported");
}

static void rope_is_told_in_three_ways(void **state)
{
    (void)state;
    ent_model_config c;
    assert_ok(load(&c, "llama",
                   "\"rope_theta\": 500000.0, \"rope_scaling\": {\"factor\": 8.0, \"high_freq_factor\": 4, "
                   "\"low_freq_factor\": 1.0, \"original_max_position_embeddings\": 8192, "
                   "\"rope_type\": \"llama3\"}"));
    assert_int_equal(c.rope_scaling, ENT_ROPE_LLAMA3);
    assert_true(c.rope_theta == 500000 && c.rope_factor == 8 && c.rope_low_freq_factor == 1 &&
                c.rope_high_freq_factor == 4 && c.rope_original_max_positions == 8192);
    assert_ok(load(&c, "llama", "\"rope_scaling\": {\"type\": \"linear\", \"factor\": 2}"));
    assert_int_equal(c.rope_scaling, ENT_ROPE_LINEAR);
    assert_true(c.rope_factor == 2 && c.rope_theta == 10000);
    assert_ok(load(&c, "qwen3", "\"rope_parameters\": {\"rope_theta\": 1000000, \"rope_type\": \"default\"}"));
    assert_int_equal(c.rope_scaling, ENT_ROPE_DEFAULT);
    assert_true(c.rope_theta == 1000000);
    refused("llama", "\"rope_scaling\": {\"type\": \"yarn\", \"factor\": 2}", ENT_EUNSUPPORTED, "found \"yarn\"");
    refused("llama", "\"rope_scaling\": {\"type\": \"linear\"}", ENT_EFORMAT,
            "rope_scaling: factor: expected a number");
    refused("llama", "\"rope_scaling\": {\"type\": \"linear\", \"factor\": 0.5}", ENT_EFORMAT,
            "factor: expected at least");
    refused("llama", "\"rope_scaling\": {\"type\": \"linear\", \"factor\": 2, \"attention_factor\": 1.2}",
            ENT_EUNSUPPORTED, "rope_scaling: attention_factor: 1.2 is not supported");
    refused("llama", "\"rope_scaling\": {\"type\": \"linear\", \"rope_type\": \"llama3\"}", ENT_EFORMAT,
            "rope_type is");
    refused("llama", "\"rope_scaling\": 2", ENT_EFORMAT, "rope_scaling: expected an object");
    refused("llama", "\"rope_theta\": 5, \"rope_parameters\": {\"rope_theta\": 6}", ENT_EFORMAT, "outside it 5");
    refused("llama", "\"rope_theta\": 0", ENT_EFORMAT, "rope_theta: expected more than 0");
    refused("llama", "\"rope_parameters\": {\"full_attention\": {\"rope_theta\": 6}}", ENT_EUNSUPPORTED,
            "rope_parameters: full_attention");
}

static void other_mathematics_is_refused(void **state)
{
    (void)state;
    static const char *const keys[][2] = {
        {"\"hidden_act\": \"gelu\"", "hidden_act: \"gelu\""},
        {"\"attention_dropout\": 0.1", "attention_dropout: 0.1"},
        {"\"partial_rotary_factor\": 0.5", "partial_rotary_factor: 0.5"},
        {"\"pretraining_tp\": 2", "pretraining_tp: 2"},
        {"\"quantization_config\": {\"bits\": 4}", "quantization_config: {\"bits\":4}"},
        {"\"num_experts\": 8", "num_experts: 8"},
        {"\"no_rope_layers\": [1, 0]", "no_rope_layers: [1,0]"},
        {"\"rope_interleaved\": true", "rope_interleaved: true"},
        {"\"is_encoder_decoder\": true", "is_encoder_decoder: true"},
        {"\"auto_map\": {\"AutoModel\": \"x.Y\"}", "auto_map: "},
    };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        refused("llama", keys[i][0], ENT_EUNSUPPORTED, keys[i][1]);
    refused("mistral", "\"attention_bias\": true", ENT_EUNSUPPORTED, "attention_bias: true is not supported");
    refused("qwen2", "\"mlp_bias\": true", ENT_EUNSUPPORTED, "mlp_bias: true is not supported");
    refused("mamba", "", ENT_EUNSUPPORTED, "model_type: expected llama, mistral, qwen2 or qwen3, found \"mamba\"");
    refused("smollm3", "", ENT_EUNSUPPORTED, "found \"smollm3\"");
}

static void what_changes_nothing_passes(void **state)
{
    (void)state;
    ent_model_config c;
    assert_ok(load(&c, "llama",
                   "\"pretraining_tp\": 1, \"quantization_config\": null, \"is_llama_config\": true, "
                   "\"rope_interleaved\": false, \"transformers.js_config\": {\"dtype\": \"q4\"}, "
                   "\"unsloth_fixed\": true, \"bos_token_id\": 1, \"eos_token_id\": [1, 2], "
                   "\"torch_dtype\": \"bfloat16\", \"_name_or_path\": \"x/y\", \"future_list\": [], "
                   "\"resid_pdrop\": 0.0, \"hidden_act\": \"silu\", \"id2label\": {\"0\": \"a\"}"));
}

static void hostile_numbers_are_refused(void **state)
{
    (void)state;
    static const char *const keys[] = {"vocab_size",        "hidden_size",         "intermediate_size",
                                       "num_hidden_layers", "num_attention_heads", "num_key_value_heads"};
    static const char *const values[] = {"0", "-4", "1e15", "1e300", "2.5", "\"64\"", "[64]", "null", "true"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        for (size_t k = 0; k < sizeof values / sizeof *values; k++) {
            char more[100];
            if (i == 5 && k == 7) /* null: as many as heads */
                continue;
            snprintf(more, sizeof more, "\"%s\": %s", keys[i], values[k]);
            refused("llama", more, ENT_EFORMAT, keys[i]);
        }
    }
    refused("llama", "\"num_attention_heads\": 5, \"num_key_value_heads\": 5", ENT_EFORMAT,
            "a divisor of hidden_size 64");
    refused("llama", "\"num_key_value_heads\": 3", ENT_EFORMAT, "a divisor of num_attention_heads 4, found 3");
    refused("llama", "\"head_dim\": 15", ENT_EFORMAT, "head_dim: expected an even number");
    refused("llama", "\"head_dim\": 65536, \"num_attention_heads\": 65536", ENT_EFORMAT, "num_attention_heads: ");
    refused("llama", "\"rms_norm_eps\": 0", ENT_EFORMAT, "rms_norm_eps: ");
    refused("llama", "\"rms_norm_eps\": \"small\"", ENT_EFORMAT, "rms_norm_eps: expected a number, found \"small\"");
    refused("llama", "\"head_dim\": 16, \"head_dim\": 32", ENT_EFORMAT, "\"head_dim\" stands twice");
    ent_model_config c;
    assert_fails(ent_model_config_load(&c, "scratch/nowhere"), ENT_EIO, "scratch/nowhere/config.json: No such file");
    put_file("scratch/model/config.json", "[1]", 3);
    assert_fails(ent_model_config_load(&c, "scratch/model"), ENT_EFORMAT, "config.json: expected an object");
    put_file("scratch/model/config.json", "{}", 2);
    assert_fails(ent_model_config_load(&c, "scratch/model"), ENT_EFORMAT, "model_type: expected a string");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_transformers_wrote), cmocka_unit_test(defaults_are_those_of_the_architecture),
        cmocka_unit_test(windows_begin_at_a_layer),      cmocka_unit_test(rope_is_told_in_three_ways),
        cmocka_unit_test(other_mathematics_is_refused),  cmocka_unit_test(what_changes_nothing_passes),
        cmocka_unit_test(hostile_numbers_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
