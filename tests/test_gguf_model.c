/* Models in GGUF files: names, the order of rows and RoPE factors against formulas of their own; settings written and
 * read; numbers of every type read back under Hugging Face's names; what is refused. */
#include "gguf_bytes.h"

#include <math.h>

#include "io/gguf_model.h"
#include "io/model_weights.h"
#include "io/peft.h"
#include "src/base/philox.h"
#include "src/nn/rope_table.h"

static const ent_model_config plain = {.model_type = "llama",
                                       .vocab_size = 40,
                                       .hidden_size = 64,
                                       .intermediate_size = 96,
                                       .n_layers = 2,
                                       .n_heads = 4,
                                       .n_kv_heads = 2,
                                       .head_dim = 16,
                                       .max_position_embeddings = 512,
                                       .rms_norm_eps = 1e-5,
                                       .rope_theta = 10000};

static void names_have_their_counterparts(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"model.embed_tokens.weight", "token_embd.weight"},
        {"model.norm.weight", "output_norm.weight"},
        {"lm_head.weight", "output.weight"},
        {"model.layers.0.input_layernorm.weight", "blk.0.attn_norm.weight"},
        {"model.layers.10.self_attn.q_proj.bias", "blk.10.attn_q.bias"},
        {"model.layers.3.self_attn.k_proj.weight", "blk.3.attn_k.weight"},
        {"model.layers.3.self_attn.v_proj.weight", "blk.3.attn_v.weight"},
        {"model.layers.3.self_attn.o_proj.weight", "blk.3.attn_output.weight"},
        {"model.layers.3.self_attn.q_norm.weight", "blk.3.attn_q_norm.weight"},
        {"model.layers.3.self_attn.k_norm.weight", "blk.3.attn_k_norm.weight"},
        {"model.layers.3.post_attention_layernorm.weight", "blk.3.ffn_norm.weight"},
        {"model.layers.123456.mlp.gate_proj.weight", "blk.123456.ffn_gate.weight"},
        {"model.layers.3.mlp.up_proj.weight", "blk.3.ffn_up.weight"},
        {"model.layers.3.mlp.down_proj.weight", "blk.3.ffn_down.weight"},
        {"base_model.model.model.layers.3.mlp.down_proj.lora_A.weight", "blk.3.ffn_down.weight.lora_a"},
        {"base_model.model.model.layers.3.self_attn.q_proj.lora_B.weight", "blk.3.attn_q.weight.lora_b"},
    };
    static const char *const strangers[] = {"",
                                            "model",
                                            "model.layers.0.mlp.weight",
                                            "model.layers.00.mlp.up_proj.weight",
                                            "model.layers..mlp.up_proj.weight",
                                            "model.layers.1234567.mlp.up_proj.weight",
                                            "model.layers.0.mlp.up_proj.weight.x",
                                            "model.layers.0.mlp.up_proj.lora_A.weight",
                                            "base_model.model.model.layers.0.mlp.up_proj.weight",
                                            "blk.0.attn_q",
                                            "blk.0.token_embd.weight",
                                            "attn_q.weight",
                                            "blk.x.attn_q.weight",
                                            "blk.0.attn_q.weight.lora_c",
                                            "blk.-1.attn_q.weight",
                                            "rope_freqs.weight"};
    ent_gguf_name name;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        assert_string_equal(ent_gguf_name_from_hf(&name, pairs[i][0]), pairs[i][1]);
        assert_string_equal(ent_gguf_name_to_hf(&name, pairs[i][1]), pairs[i][0]);
    }
    for (size_t i = 0; i < sizeof strangers / sizeof *strangers; i++) {
        assert_null(ent_gguf_name_from_hf(&name, strangers[i]));
        assert_null(ent_gguf_name_to_hf(&name, strangers[i]));
    }
}

/* transformers rotates number j of a head with j + half, llama.cpp number 2 j with 2 j + 1. */
static void rotated_pairs_stay_together(void **state)
{
    (void)state;
    for (size_t head = 0; head < 3; head++)
        for (size_t j = 0; j < 8; j++) {
            assert_int_equal(ent_gguf_row(16, head * 16 + 2 * j), head * 16 + j);
            assert_int_equal(ent_gguf_row(16, head * 16 + 2 * j + 1), head * 16 + j + 8);
        }
    static const char q[] = "model.layers.0.self_attn.q_proj.weight", k[] = "model.layers.0.self_attn.k_proj.bias";
    ent_model_config c = plain;
    assert_int_equal(ent_gguf_reordered_heads(&c, q), 4);
    assert_int_equal(ent_gguf_reordered_heads(&c, k), 2);
    assert_int_equal(ent_gguf_reordered_heads(&c, "model.layers.0.self_attn.v_proj.weight"), 0);
    assert_int_equal(ent_gguf_reordered_heads(&c, "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight"), 4);
    assert_int_equal(ent_gguf_reordered_heads(&c, "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"), 0);
    strcpy(c.model_type, "mistral");
    assert_int_equal(ent_gguf_reordered_heads(&c, q), 4);
    strcpy(c.model_type, "qwen2");
    assert_int_equal(ent_gguf_reordered_heads(&c, q), 0);
}

static ent_model_config llama3(void)
{
    ent_model_config c = plain;
    c.head_dim = 128;
    c.rope_theta = 500000;
    c.rope_scaling = ENT_ROPE_LLAMA3;
    c.rope_factor = 8;
    c.rope_low_freq_factor = 1;
    c.rope_high_freq_factor = 4;
    c.rope_original_max_positions = 8192;
    return c;
}

/* Frequencies divided by the factors are those that the decoder rotates with: the angle of position 1. */
static void rope_factors_divide_frequencies(void **state)
{
    (void)state;
    const ent_model_config c = llama3();
    float cosines[2 * 64], sines[2 * 64];
    ent_rope_table(cosines, sines, &c, 2);
    size_t ones = 0, eights = 0;
    for (size_t j = 0; j < 64; j++) {
        const double frequency = pow(500000, -2.0 * (double)j / 128) / (double)ent_gguf_rope_factor(&c, j);
        assert_true(fabs(sin(frequency) - (double)sines[64 + j]) < 1e-6 * sin(frequency));
        ones += ent_gguf_rope_factor(&c, j) == 1;
        eights += fabsf(ent_gguf_rope_factor(&c, j) - 8) < 1e-5f;
    }
    /* wavelengths 2 pi 500000^(j/64) below 8192/4: j < 28.2; above 8192: j > 34.98 */
    assert_true(ones == 29 && eights == 29);
}

/* --- settings --- */

static float wrong_factor = 1;

static ent_status put_factors(ent_streamed_file *to, void *context, size_t i)
{
    const ent_model_config *c = context;
    static const float zeros[40 * 64] = {0};
    float factors[64];
    if (i == 0)
        return ent_streamed_put(to, zeros, c->vocab_size * c->hidden_size * sizeof(float));
    if (i == 1)
        return ent_streamed_put(to, zeros, sizeof(float));
    for (size_t j = 0; j < c->head_dim / 2; j++)
        factors[j] = ent_gguf_rope_factor(c, j) * (j == 40 ? wrong_factor : 1);
    return ent_streamed_put(to, factors, c->head_dim / 2 * sizeof(float));
}

/* Writes the settings of a model, and reads them. */
static ent_status through_a_file(ent_model_config *out, ent_model_config c, ent_text *notes)
{
    ent_gguf_writer *w;
    ent_gguf_written written;
    ent_gguf *f = NULL;
    assert_ok(ent_gguf_writer_new(&w));
    ent_status st = ent_gguf_put_model(w, notes, &c, "folder", "name", NULL);
    if (st == ENT_OK) {
        assert_ok(ent_gguf_add_tensor(w, "token_embd.weight", NULL, 2, (size_t[]){c.vocab_size, c.hidden_size}));
        assert_ok(ent_gguf_add_tensor(w, "blk.0.attn_q.bias", NULL, 1, (size_t[]){1}));
        if (c.rope_scaling == ENT_ROPE_LLAMA3)
            assert_ok(ent_gguf_add_tensor(w, ENT_GGUF_ROPE_FREQS, NULL, 1, (size_t[]){c.head_dim / 2}));
        assert_ok(ent_gguf_write(&written, "scratch/gguf/s.gguf", w, put_factors, &c, NULL, NULL));
        assert_ok(ent_gguf_open(&f, "scratch/gguf/s.gguf"));
        st = ent_gguf_read_model(out, f);
    }
    ent_gguf_writer_free(w);
    ent_gguf_close(f);
    return st;
}

static void settings_come_back(void **state)
{
    (void)state;
    static const char *const types[] = {"llama", "mistral", "qwen2", "qwen3", "llama", "qwen2"};
    scratch("gguf");
    for (size_t i = 0; i < 6; i++) {
        ent_model_config c = i == 4 ? llama3() : plain, r;
        ent_text notes = {0};
        strcpy(c.model_type, types[i]);
        c.qk_norm = i == 3;
        if (i == 5) {
            c.rope_scaling = ENT_ROPE_LINEAR;
            c.rope_factor = 4;
            c.sliding_window = 96; /* shorter than what it is made for */
        }
        assert_ok(through_a_file(&r, c, &notes));
        assert_string_equal(r.model_type, i == 1 ? "llama" : types[i]);
        assert_true(r.vocab_size == c.vocab_size && r.hidden_size == 64 && r.intermediate_size == 96);
        assert_true(r.n_layers == 2 && r.n_heads == 4 && r.n_kv_heads == 2 && r.head_dim == c.head_dim);
        assert_int_equal(r.max_position_embeddings, i == 5 ? 96 : 512);
        assert_true((notes.n > 0) == (i == 5));
        assert_true(fabs(r.rms_norm_eps / 1e-5 - 1) < 1e-6 && r.rope_theta == c.rope_theta);
        assert_true(r.rope_scaling == c.rope_scaling && r.rope_factor == c.rope_factor);
        assert_true(r.rope_low_freq_factor == c.rope_low_freq_factor);
        assert_true(r.rope_high_freq_factor == c.rope_high_freq_factor);
        assert_true(r.rope_original_max_positions == c.rope_original_max_positions);
        assert_true(r.tie_word_embeddings && r.qkv_bias && !r.o_bias && !r.mlp_bias && r.qk_norm == (i == 3));
        assert_int_equal(r.sliding_window, 0);
        free(notes.data);
    }
}

static void what_llama_cpp_lacks_is_refused(void **state)
{
    (void)state;
    ent_model_config c = plain, r;
    ent_text notes = {0};
    scratch("gguf");
    strcpy(c.model_type, "qwen3");
    c.qk_norm = c.qkv_bias = true;
    assert_fails(through_a_file(&r, c, &notes), ENT_EUNSUPPORTED,
                 "folder/config.json: attention_bias: llama.cpp has no");
    c.qkv_bias = false;
    c.o_bias = true;
    assert_fails(through_a_file(&r, c, &notes), ENT_EUNSUPPORTED, "attention_bias");
    c = llama3();
    strcpy(c.model_type, "qwen2");
    assert_fails(through_a_file(&r, c, &notes), ENT_EUNSUPPORTED, "rope_scaling: llama.cpp has no scaling llama3");
    c = plain;
    c.max_position_embeddings = 0;
    assert_fails(through_a_file(&r, c, &notes), ENT_EUNSUPPORTED, "llama.context_length: expected a number from 1");
    c.max_position_embeddings = (size_t)1 << 32;
    assert_fails(through_a_file(&r, c, &notes), ENT_EUNSUPPORTED, "the model has 4294967296");
    free(notes.data);
}

/* The smallest settings, but for one: `key` with a value of another type or size, or (type 99) without it. */
static ent_status settings_with(const char *key, uint32_t type, const void *value)
{
    static const struct {
        const char *key;
        uint32_t type, number;
        const char *text;
    } pairs[] = {
        {"general.architecture", 8, 0, "llama"},
        {"general.type", 8, 0, "model"},
        {"llama.block_count", 4, 1, NULL},
        {"llama.context_length", 4, 8, NULL},
        {"llama.embedding_length", 4, 4, NULL},
        {"llama.feed_forward_length", 4, 4, NULL},
        {"llama.attention.head_count", 4, 2, NULL},
        {"llama.attention.head_count_kv", 4, 1, NULL},
        {"llama.attention.key_length", 4, 2, NULL},
        {"llama.attention.value_length", 4, 2, NULL},
        {"llama.rope.dimension_count", 4, 2, NULL},
        {"llama.rope.freq_base", 6, 0x461c4000, NULL},
        {"llama.rope.scaling.type", 8, 0, "linear"},
        {"llama.rope.scaling.factor", 6, 0x3f800000, NULL},
        {"llama.attention.layer_norm_rms_epsilon", 6, 0x3727c5ac, NULL},
    };
    enum { N = sizeof pairs / sizeof *pairs };
    bytes b = {.n = 0};
    ent_gguf *f;
    ent_model_config c;
    bool found = false;
    head(&b, 1, N - (type == 99));
    for (size_t i = 0; i < N; i++) {
        const bool other = strcmp(pairs[i].key, key) == 0;
        found |= other;
        if (other && type == 99)
            continue;
        text(&b, pairs[i].key);
        u32(&b, other ? type : pairs[i].type);
        if ((other ? type : pairs[i].type) == 8)
            text(&b, other ? value : pairs[i].text);
        else
            raw(&b, other ? value : &pairs[i].number, 4);
    }
    assert_true(found);
    tensor(&b, "token_embd.weight", 4, 3, 0, 0);
    pad(&b, 32);
    memset(b.data + b.n, 0, 48);
    b.n += 48;
    assert_ok(open_bytes(&f, &b));
    const ent_status st = ent_gguf_read_model(&c, f);
    ent_gguf_close(f);
    return st;
}

static void settings_that_lie_are_refused(void **state)
{
    (void)state;
    static const uint32_t zero = 0, three = 3, four = 4, many = 1u << 30, infinity = 0x7f800000, large = 0x7f000000;
    static const struct {
        const char *key;
        uint32_t type;
        const void *value;
        ent_status code;
        const char *message;
    } lies[] = {
        {"general.architecture", 8, "gemma", ENT_EUNSUPPORTED, "general.architecture: only llama, qwen2 and qwen3"},
        {"general.type", 8, "adapter", ENT_EFORMAT, "general.type: expected model"},
        {"llama.block_count", 4, &zero, ENT_EFORMAT, "llama.block_count: expected a number from 1 to 1, found 0"},
        {"llama.block_count", 99, NULL, ENT_EFORMAT, "llama.block_count: expected a whole number of type U32, found"},
        {"llama.embedding_length", 4, &many, ENT_EFORMAT, "llama.embedding_length: expected a number from 1 to"},
        {"llama.feed_forward_length", 6, &zero, ENT_EFORMAT, "llama.feed_forward_length: expected a whole number"},
        {"llama.attention.head_count", 4, &many, ENT_EFORMAT, "llama.attention.head_count: expected a number from 1"},
        {"llama.attention.head_count_kv", 4, &zero, ENT_EFORMAT, "head_count_kv: expected a number from 1 to 65536"},
        {"llama.attention.head_count_kv", 4, &three, ENT_EFORMAT, "head_count_kv: expected a divisor of 2, found 3"},
        {"llama.attention.key_length", 4, &three, ENT_EFORMAT, "key_length: expected an even number, found 3"},
        {"llama.attention.key_length", 4, &zero, ENT_EFORMAT, "key_length: expected a number from 1 to 65536"},
        {"llama.attention.value_length", 4, &four, ENT_EUNSUPPORTED, "expected attention.key_length, 2, found 4"},
        {"llama.rope.dimension_count", 4, &four, ENT_EUNSUPPORTED, "expected attention.key_length, 2, found 4"},
        {"general.type", 99, NULL, ENT_EFORMAT, "general.type: expected a text, found nothing"},
        {"llama.rope.freq_base", 6, &infinity, ENT_EFORMAT, "freq_base: expected a number above 0"},
        {"llama.rope.scaling.type", 8, "yarn", ENT_EUNSUPPORTED, "scaling.type: only linear"},
        {"llama.attention.layer_norm_rms_epsilon", 6, &large, ENT_EFORMAT,
         "epsilon: expected a number above 0, at most 1, found"},
    };
    scratch("gguf");
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++)
        assert_fails(settings_with(lies[i].key, lies[i].type, lies[i].value), lies[i].code, lies[i].message);
    assert_ok(settings_with("llama.rope.scaling.type", 8, "linear"));
    assert_ok(settings_with("llama.rope.scaling.type", 99, NULL));
    ent_model_config r;
    ent_text notes = {0};
    wrong_factor = 1.01f;
    assert_fails(through_a_file(&r, llama3(), &notes), ENT_EFORMAT, "rope_freqs.weight: number 40: expected 8");
    wrong_factor = 1;
}

/* --- numbers --- */

enum { ROWS = 64, COLUMNS = 64 };

static float number(size_t row, size_t column)
{
    const ent_rng rng = {.seed = 11};
    return ent_random_normal(&rng, row * COLUMNS + column);
}

static ent_status put_rows(ent_streamed_file *to, void *context, size_t i)
{
    const ent_block_format *format = context;
    uint8_t row_bytes[COLUMNS * 4];
    size_t n = sizeof row_bytes;
    for (size_t row = 0; row < ROWS; row++) {
        float x[COLUMNS];
        for (size_t k = 0; k < COLUMNS; k++)
            x[k] = number(i == 0 ? ent_gguf_row(16, row) : row, k);
        if (format) {
            ENT_TRY(ent_block_quantize(row_bytes, format, x, COLUMNS));
            ENT_TRY(ent_block_row_bytes(&n, format, COLUMNS));
        } else {
            memcpy(row_bytes, x, sizeof x);
        }
        ENT_TRY(ent_streamed_put(to, row_bytes, n));
    }
    return ENT_OK;
}

static void numbers_come_back_under_their_names(void **state)
{
    (void)state;
    static const char *const formats[] = {"F32", "F16", "BF16", "Q8_0", "Q5_0", "Q4_1", "Q4_0"};
    static const float errors[] = {0, 4e-4f, 4e-3f, 8e-3f, 7e-2f, 0.15f, 0.2f}; /* of numbers up to 4 */
    scratch("gguf");
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        const ent_block_format *format = ent_block_format_by_name(formats[i]);
        ent_gguf_writer *w;
        ent_gguf_written written;
        ent_gguf *f;
        ent_gguf_weights weights;
        assert_ok(ent_gguf_writer_new(&w));
        assert_ok(ent_gguf_add_tensor(w, "blk.1.attn_q.weight", format, 2, (size_t[]){ROWS, COLUMNS}));
        assert_ok(ent_gguf_add_tensor(w, "blk.1.ffn_up.weight", format, 2, (size_t[]){ROWS, COLUMNS}));
        assert_ok(ent_gguf_write(&written, "scratch/gguf/n.gguf", w, put_rows, (void *)(uintptr_t)format, NULL, NULL));
        ent_gguf_writer_free(w);
        assert_ok(ent_gguf_open(&f, "scratch/gguf/n.gguf"));
        assert_ok(ent_gguf_weights_new(&weights, f, &plain, "scratch/gguf"));
        assert_int_equal(weights.count, 2);
        assert_string_equal(weights.tensors[0].name, "model.layers.1.self_attn.q_proj.weight");
        assert_string_equal(weights.tensors[1].name, "model.layers.1.mlp.up_proj.weight");
        for (size_t t = 0; t < 2; t++) {
            float x[ROWS * COLUMNS], worst = 0;
            ent_convert(x, weights.tensors[t].data, weights.tensors[t].dtype, ROWS * COLUMNS);
            for (size_t k = 0; k < ROWS * COLUMNS; k++)
                worst = fmaxf(worst, fabsf(x[k] - number(k / COLUMNS, k % COLUMNS)));
            if (!(worst <= errors[i] * 4) || (errors[i] > 0 && worst < errors[i] / 8))
                fail_msg("%s: tensor %zu: wrong by %g", formats[i], t, (double)worst);
        }
        ent_gguf_weights_free(&weights);
        ent_gguf_close(f);
    }
    assert_int_equal(system("test \"$(ls -A scratch/gguf)\" = n.gguf"), 0); /* the scratch has no name */
}

/* A file of one tensor without numbers of note. */
static ent_status weights_of(const char *name, uint64_t columns, uint64_t rows, uint32_t type, size_t data)
{
    bytes b = {.n = 0};
    ent_gguf *f;
    ent_gguf_weights weights;
    head(&b, 1, 0);
    tensor(&b, name, columns, rows, type, 0);
    pad(&b, 32);
    memset(b.data + b.n, 0, data);
    b.n += data;
    assert_ok(open_bytes(&f, &b));
    const ent_status st = ent_gguf_weights_new(&weights, f, &plain, "scratch/gguf");
    ent_gguf_weights_free(&weights);
    ent_gguf_close(f);
    return st;
}

static void strange_tensors_are_refused(void **state)
{
    (void)state;
    scratch("gguf");
    assert_fails(weights_of("blk.0.attn_qkv.weight", 4, 2, 0, 32), ENT_EFORMAT,
                 "unexpected tensor blk.0.attn_qkv.weight");
    assert_fails(weights_of("blk.0.attn_q.weight", 4, 2, 0, 32), ENT_EFORMAT,
                 "attn_q.weight: expected 64 rows, found 2");
    assert_fails(weights_of("blk.0.attn_q.bias", 64, 0, 8, 68), ENT_EUNSUPPORTED, "a bias in blocks");
    assert_ok(weights_of("blk.0.attn_q.bias", 64, 0, 0, 256));
    assert_ok(weights_of("blk.0.attn_k.bias", 32, 0, 1, 64));
}

static void adapters_are_described(void **state)
{
    (void)state;
    const ent_st_tensor good[] = {
        {.name = "base_model.model.model.layers.3.self_attn.q_proj.lora_A.weight", .n_dims = 2, .shape = {4, 64}},
        {.name = "base_model.model.model.layers.3.self_attn.q_proj.lora_B.weight", .n_dims = 2, .shape = {64, 4}},
        {.name = "base_model.model.model.layers.1.mlp.up_proj.lora_A.weight", .n_dims = 2, .shape = {4, 64}},
    };
    const ent_st_tensor bad = {.name = "base_model.model.model.layers.3.self_attn.q_proj.lora_A.bias", .n_dims = 2};
    const ent_st_tensor far = {.name = "base_model.model.model.layers.99999.mlp.up_proj.lora_A.weight", .n_dims = 2};
    ent_lora_config c;
    assert_ok(ent_adapter_describe(&c, good, 3, "here"));
    assert_true(c.r == 4 && c.targets == (1u << ENT_Q_PROJ | 1u << ENT_UP_PROJ) && c.n_layers == 4);
    assert_true(!c.layers[0] && c.layers[1] && !c.layers[2] && c.layers[3]);
    ent_lora_config_clear(&c);
    assert_fails(ent_adapter_describe(&c, &bad, 1, "here"), ENT_EFORMAT, "here: base_model.model.model.layers.3");
    assert_fails(ent_adapter_describe(&c, &far, 1, "here"), ENT_EFORMAT, "layers.99999");
    assert_fails(ent_adapter_describe(&c, &bad, 0, "here"), ENT_EFORMAT, "here: expected an adapter's tensors");
    assert_null(c.layers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_have_their_counterparts),
        cmocka_unit_test(rotated_pairs_stay_together),
        cmocka_unit_test(rope_factors_divide_frequencies),
        cmocka_unit_test(settings_come_back),
        cmocka_unit_test(what_llama_cpp_lacks_is_refused),
        cmocka_unit_test(settings_that_lie_are_refused),
        cmocka_unit_test(numbers_come_back_under_their_names),
        cmocka_unit_test(strange_tensors_are_refused),
        cmocka_unit_test(adapters_are_described),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
