/* Model folders with quantised weights: written and read back, in place or as numbers; damaged ones and other forms are
 * refused by name. */
#include "file_helpers.h"

#include <math.h>

#include "io/quantized_read.h"
#include "io/quantized_write.h"
#include "src/base/philox.h"
#include "src/quant/nf4.h"

enum { ROWS = 5, COLUMNS = 128, ODD = 9, N = ROWS * COLUMNS };

#define W "layers.0.q_proj.weight"
#define V "layers.0.o_proj.weight" /* (3, 9) */

/* A model of two matrices and a norm. */
typedef struct model {
    float w[N], v[3 * ODD], norm[7];
    int8_t wq[N], vq[3 * ODD], zeros[ROWS * 4 + 3];
    float scales[ROWS * 4 + 3];
} model;

static model m;
static const char *from, *out;

static void begin(const char *test)
{
    const ent_rng rng = {.seed = 5};
    begin_in_scratch(test, &from, &out);
    put_file(in_folder(from, "config.json"), "{\"eps\": 1}", 10);
    for (size_t i = 0; i < N; i++) {
        m.w[i] = ent_random_normal(&rng, i);
        m.wq[i] = (int8_t)(ent_random_u32(&rng, i) % 255 - 127);
    }
    for (size_t i = 0; i < 3 * ODD; i++) {
        m.v[i] = ent_random_normal(&rng, N + i);
        m.vq[i] = (int8_t)(ent_random_u32(&rng, N + i) % 255 - 127);
    }
    for (size_t i = 0; i < ROWS * 4 + 3; i++) {
        m.scales[i] = 0.01f * (float)(i + 1);
        m.zeros[i] = (int8_t)(7 * i - 60);
    }
}

/* The tensors of the model; matrices as `dtype`. */
static void list(ent_st_tensor t[3], ent_dtype dtype)
{
    const bool int8 = dtype == ENT_DTYPE_I8;
    t[0] = (ent_st_tensor){.name = W, .dtype = dtype, .n_dims = 2, .shape = {ROWS, COLUMNS}};
    t[1] = (ent_st_tensor){.name = V, .dtype = dtype, .n_dims = 2, .shape = {3, ODD}};
    t[2] = (ent_st_tensor){.name = "norm.weight", .dtype = ENT_DTYPE_F32, .n_dims = 1, .shape = {7}, .data = m.norm};
    t[0].data = int8 ? (const void *)m.wq : m.w;
    t[1].data = int8 ? (const void *)m.vq : m.v;
}

static ent_status read_floats(float *to, void *context, size_t i, size_t first, size_t n)
{
    const float *const all[] = {m.w, m.v, m.norm};
    (void)context;
    memcpy(to, all[i] + first, n * sizeof *to);
    return ENT_OK;
}

static ent_status write_int8(const ent_quantized_scheme *scheme)
{
    ent_st_tensor t[3];
    const size_t first = scheme->per == ENT_PTQ_TENSOR ? 1 : scheme->per == ENT_PTQ_CHANNEL ? ROWS : ROWS * 4;
    const ent_quantized_scales scales[3] = {{m.scales, m.zeros, 0.25f, -3},
                                            {m.scales + first, m.zeros + first, 0.5f, 7}};
    const ent_quantized_write_options options = {.scheme = *scheme, .observer = "minmax", .model = {.from = from}};
    list(t, ENT_DTYPE_I8);
    if (scheme->per == ENT_PTQ_GROUP)
        t[1].dtype = ENT_DTYPE_F32, t[1].data = m.v; /* its rows have no groups of 32 */
    return ent_quantized_write(out, t, scales, 3, &options, NULL, NULL);
}

/* What was read. */
typedef struct opened {
    ent_params params;
    ent_safetensors *files;
    ent_quantized *kept;
    const ent_tensor *w, *v;
} opened;

static ent_status open_folder(opened *o, ent_quantized_way way)
{
    ent_quantized_scheme scheme;
    ent_tensor *w, *v, *norm;
    *o = (opened){0};
    assert_ok(ent_params_declare(&w, &o->params, W, 2, (size_t[]){ROWS, COLUMNS}, false));
    assert_ok(ent_params_declare(&v, &o->params, V, 2, (size_t[]){3, ODD}, false));
    assert_ok(ent_params_declare(&norm, &o->params, "norm.weight", 1, (size_t[]){7}, false));
    assert_ok(ent_params_seal(&o->params));
    o->w = w, o->v = v;
    ENT_TRY(ent_quantized_scheme_load(&scheme, out));
    ENT_TRY(ent_safetensors_open_any(&o->files, out, true));
    return ent_quantized_bind(&o->kept, &o->params, o->files, &scheme, way, false, out);
}

static void close_folder(opened *o)
{
    ent_quantized_free(o->kept);
    ent_safetensors_close(o->files);
    ent_params_clear(&o->params);
}

static float number_of(const ent_tensor *t, size_t row, size_t column)
{
    float x;
    ent_tensor_read(&x, t, row, column, 1);
    return x;
}

static void test_channels_in_place(void **state)
{
    opened o;
    (void)state;
    begin("quantized_channels");
    assert_ok(write_int8(&(ent_quantized_scheme){.kind = ENT_QUANTIZED_INT8, .per = ENT_PTQ_CHANNEL}));
    assert_ok(open_folder(&o, ENT_QUANTIZED_AS_STORED));
    assert_int_equal(o.w->dtype, ENT_DTYPE_I8);
    assert_ptr_equal(o.w->data, ent_safetensors_find(o.files, W)->data);
    assert_ptr_equal(o.w->row_scales, ent_safetensors_find(o.files, W "_scale")->data);
    assert_memory_equal(o.w->data, m.wq, N);
    assert_memory_equal(o.v->data, m.vq, 3 * ODD);
    assert_memory_equal(o.w->row_scales, m.scales, ROWS * sizeof(float));
    assert_memory_equal(o.v->row_scales, m.scales + ROWS, 3 * sizeof(float));
    assert_null(ent_safetensors_find(o.files, W "_zero_point"));
    assert_ok(ent_quantized_check_codes(&o.params, out));
    close_folder(&o);
    assert_fails(write_int8(&(ent_quantized_scheme){.kind = ENT_QUANTIZED_INT8}), ENT_ECONFIG, "is there already");
}

/* Every strategy, as numbers: (q - zero) scale. */
static void test_numbers(void **state)
{
    static const ent_quantized_scheme schemes[] = {
        {.kind = ENT_QUANTIZED_INT8, .per = ENT_PTQ_TENSOR},
        {.kind = ENT_QUANTIZED_INT8, .per = ENT_PTQ_TENSOR, .asymmetric = true},
        {.kind = ENT_QUANTIZED_INT8, .per = ENT_PTQ_CHANNEL, .asymmetric = true},
        {.kind = ENT_QUANTIZED_INT8, .per = ENT_PTQ_GROUP, .group_size = 32},
        {.kind = ENT_QUANTIZED_INT8, .per = ENT_PTQ_GROUP, .group_size = 32, .asymmetric = true}};
    (void)state;
    for (size_t s = 0; s < sizeof schemes / sizeof *schemes; s++) {
        for (int way = ENT_QUANTIZED_AS_STORED; way <= ENT_QUANTIZED_AS_NUMBERS; way++) {
            const ent_quantized_scheme *q = &schemes[s];
            ent_quantized_scheme back;
            opened o;
            begin("quantized_numbers");
            assert_ok(write_int8(q));
            assert_ok(ent_quantized_scheme_load(&back, out));
            assert_int_equal(back.per, q->per);
            assert_int_equal(back.group_size, q->group_size);
            assert_int_equal(back.asymmetric, q->asymmetric);
            assert_ok(open_folder(&o, (ent_quantized_way)way));
            const bool in_place = way == ENT_QUANTIZED_AS_STORED && ent_quantized_is_in_place(q);
            assert_int_equal(o.w->dtype, in_place ? ENT_DTYPE_I8 : ENT_DTYPE_F32);
            for (size_t i = 0; i < ROWS; i++)
                for (size_t j = 0; j < COLUMNS; j++) {
                    const size_t k = q->per == ENT_PTQ_TENSOR ? 0 : q->per == ENT_PTQ_CHANNEL ? i : i * 4 + j / 32;
                    const int code = m.wq[i * COLUMNS + j] - (q->asymmetric ? m.zeros[k] : 0);
                    assert_true(number_of(o.w, i, j) == (float)code * m.scales[k]);
                }
            if (q->per == ENT_PTQ_GROUP) /* a matrix that isn't quantised */
                assert_true(number_of(o.v, 2, 3) == m.v[2 * ODD + 3]);
            close_folder(&o);
        }
        opened o;
        assert_ok(open_folder(&o, ENT_QUANTIZED_UNREAD));
        assert_ptr_equal(o.w->data, ent_safetensors_find(o.files, W)->data);
        close_folder(&o);
    }
}

/* Static activations: what the input of each product is rounded to. */
static void test_inputs(void **state)
{
    (void)state;
    for (int asymmetric = 0; asymmetric < 2; asymmetric++) {
        const ent_quantized_scheme s = {
            .kind = ENT_QUANTIZED_INT8, .per = ENT_PTQ_CHANNEL, .inputs = true, .asymmetric_inputs = asymmetric};
        ent_quantized_scheme back;
        opened o;
        begin("quantized_inputs");
        assert_ok(write_int8(&s));
        assert_ok(ent_quantized_scheme_load(&back, out));
        assert_true(back.inputs && back.asymmetric_inputs == asymmetric && !back.asymmetric);
        assert_ok(open_folder(&o, ENT_QUANTIZED_AS_STORED));
        assert_true(o.w->input && o.w->input->scale == 0.25f && o.w->input->inverse == 4);
        assert_true(o.w->input->zero == (asymmetric ? -3 : 0) && o.w->input->low == (asymmetric ? -128 : -127));
        assert_true(o.v->input->scale == 0.5f && o.v->input->zero == (asymmetric ? 7 : 0));
        const ent_st_tensor *scale = ent_safetensors_find(o.files, "layers.0.q_proj.input_scale");
        assert_true(scale && scale->n_dims == 1 && scale->shape[0] == 1);
        assert_int_equal(ent_safetensors_find(o.files, "layers.0.q_proj.input_zero_point") != NULL, asymmetric);
        close_folder(&o);
    }
}

/* bitsandbytes' blocks run on from row to row: those of rows of 128 are the core's, of 9 they aren't. */
static void test_nf4(void **state)
{
    ent_st_tensor t[3];
    ent_nf4 layout;
    float scales[N / ENT_NF4_BLOCK], expected[N];
    const ent_quantized_write_options options = {.scheme.kind = ENT_QUANTIZED_NF4, .model = {.from = from}};
    (void)state;
    begin("quantized_nf4");
    list(t, ENT_DTYPE_NF4);
    ent_quantized_write_options o = options;
    o.model.from = from;
    assert_ok(ent_quantized_write(out, t, NULL, 3, &o, read_floats, NULL));
    for (int k = 0; k < 2; k++) {
        const float *x = k == 0 ? m.w : m.v;
        const size_t n = k == 0 ? N : 3 * ODD, columns = k == 0 ? COLUMNS : ODD;
        opened read;
        uint8_t bytes[N];
        assert_ok(ent_nf4_layout(&layout, 1, n));
        assert_ok(ent_nf4_put(bytes, scales, x, n));
        ent_nf4_put_scales(bytes + layout.scales_at, &layout, scales);
        ent_nf4_dequantize(expected, &layout, bytes, 0, 0, n);
        for (int way = ENT_QUANTIZED_AS_STORED; way <= ENT_QUANTIZED_AS_NUMBERS; way++) {
            assert_ok(open_folder(&read, (ent_quantized_way)way));
            const ent_tensor *w = k == 0 ? read.w : read.v;
            assert_int_equal(w->dtype, way == ENT_QUANTIZED_AS_STORED && k == 0 ? ENT_DTYPE_NF4 : ENT_DTYPE_F32);
            for (size_t i = 0; i < n; i++)
                assert_true(number_of(w, i / columns, i % columns) == expected[i]);
            assert_int_equal(ent_safetensors_find(read.files, k == 0 ? W : V)->type, ENT_ST_U8);
            close_folder(&read);
        }
        assert_ok(open_folder(&read, ENT_QUANTIZED_UNREAD));
        assert_ptr_equal((k == 0 ? read.w : read.v)->data, ent_safetensors_find(read.files, k == 0 ? W : V)->data);
        close_folder(&read);
    }
    m.w[77] = NAN;
    out = in_folder(from, "more");
    assert_fails(ent_quantized_write(out, t, NULL, 3, &o, read_floats, NULL), ENT_ENUMERIC, W ": number 77 is nan");
    assert_false(ent_path_is_folder(out));
}

static float large_number(size_t i)
{
    return (float)(i * 2654435761u % 1000003u) * 1e-6f - 0.5f;
}

static ent_status read_large(float *to, void *context, size_t i, size_t first, size_t n)
{
    (void)context;
    (void)i;
    assert_in_range(n, 1, ENT_MODEL_PIECE);
    for (size_t k = 0; k < n; k++)
        to[k] = large_number(first + k);
    return ENT_OK;
}

/* A matrix of several pieces. */
static void test_large_nf4(void **state)
{
    enum { TALL = 2 * ENT_MODEL_PIECE / COLUMNS + 3, ALL = TALL * COLUMNS };
    const ent_st_tensor t = {.name = W, .dtype = ENT_DTYPE_NF4, .n_dims = 2, .shape = {TALL, COLUMNS}};
    ent_safetensors *files;
    float *x = malloc(ALL * sizeof *x), *scales = malloc(ALL / ENT_NF4_BLOCK * sizeof *scales);
    uint8_t *codes = malloc(ALL / 2);
    (void)state;
    begin("quantized_large");
    const ent_quantized_write_options options = {.scheme.kind = ENT_QUANTIZED_NF4, .model.from = from};
    assert_ok(ent_quantized_write(out, &t, NULL, 1, &options, read_large, NULL));
    for (size_t i = 0; i < ALL; i++)
        x[i] = large_number(i);
    assert_ok(ent_nf4_put(codes, scales, x, ALL));
    assert_ok(ent_safetensors_open_any(&files, out, true));
    assert_memory_equal(ent_safetensors_find(files, W)->data, codes, ALL / 2);
    assert_int_equal(ent_safetensors_find(files, W ".absmax")->bytes, ALL / ENT_NF4_BLOCK);
    ent_safetensors_close(files);
    free(x);
    free(scales);
    free(codes);
}

/* A folder of these tensors, as others may have made it. */
static void make(const ent_st_tensor *t, size_t count, const char *weights)
{
    char config[700];
    const int n = snprintf(config, sizeof config,
                           "{\"quantization_config\": {\"quant_method\": \"compressed-tensors\", \"format\": "
                           "\"int-quantized\", \"config_groups\": {\"group_0\": {\"targets\": [\"Linear\"], "
                           "\"weights\": {%s}}}}}",
                           weights);
    assert_ok(ent_make_dirs(out));
    put_file(in_folder(out, "config.json"), config, (size_t)n);
    assert_ok(ent_safetensors_write(in_folder(out, "model.safetensors"), t, count));
}

#define CHANNEL "\"num_bits\": 8, \"type\": \"int\", \"symmetric\": true, \"strategy\": \"channel\""

static void test_damage(void **state)
{
    static const int8_t zeros[ROWS] = {0, 0, 3};
    float scales[ROWS] = {1, 2, 3, 4, 5};
    const uint16_t halves[3] = {0x3c00, 0x4000, 0x3800};
    ent_st_tensor t[6];
    opened o;
    (void)state;
    begin("quantized_damage");
    list(t, ENT_DTYPE_I8);
    t[3] = (ent_st_tensor){.name = W "_scale", .n_dims = 2, .shape = {ROWS, 1}, .data = scales};
    t[4] = (ent_st_tensor){.name = V "_scale", .dtype = ENT_DTYPE_F16, .n_dims = 2, .shape = {3, 1}, .data = halves};
    t[5] =
        (ent_st_tensor){.name = W "_zero_point", .dtype = ENT_DTYPE_I8, .n_dims = 2, .shape = {ROWS, 1}, .data = zeros};
    make(t, 5, CHANNEL);
    assert_ok(open_folder(&o, ENT_QUANTIZED_AS_STORED)); /* scales in F16, too */
    assert_true(number_of(o.v, 1, 2) == 2.0f * m.vq[ODD + 2] && number_of(o.v, 2, 0) == 0.5f * m.vq[2 * ODD]);
    close_folder(&o);

    make(t, 4, CHANNEL);
    assert_fails(open_folder(&o, ENT_QUANTIZED_AS_STORED), ENT_EFORMAT,
                 "model.safetensors: missing tensor: scale of " V ", which is I8");
    close_folder(&o);
    make(t, 6, CHANNEL);
    assert_fails(open_folder(&o, ENT_QUANTIZED_AS_STORED), ENT_EFORMAT,
                 W "_zero_point: number 2 is 3, expected 0 of a symmetric weight");
    close_folder(&o);
    t[3].n_dims = 1;
    make(t, 5, CHANNEL);
    assert_fails(open_folder(&o, ENT_QUANTIZED_AS_STORED), ENT_EFORMAT, W "_scale: expected [5,1], file has [5]");
    close_folder(&o);
    t[3].n_dims = 2;
    scales[4] = INFINITY;
    make(t, 5, CHANNEL);
    assert_fails(open_folder(&o, ENT_QUANTIZED_AS_STORED), ENT_EFORMAT, W "_scale: number 4 is inf");
    close_folder(&o);
    scales[4] = -1;
    make(t, 5, CHANNEL);
    assert_fails(open_folder(&o, ENT_QUANTIZED_AS_STORED), ENT_EFORMAT,
                 W "_scale: number 4 is -1, expected at least 0");
    close_folder(&o);
    scales[4] = 5;
    m.wq[300] = -128;
    make(t, 5, CHANNEL);
    assert_ok(open_folder(&o, ENT_QUANTIZED_AS_STORED));
    assert_fails(ent_quantized_check_codes(&o.params, out), ENT_EUNSUPPORTED, W ": has codes of -128");
    close_folder(&o);
    t[3].dtype = ENT_DTYPE_I8;
    make(t, 5, CHANNEL);
    assert_fails(open_folder(&o, ENT_QUANTIZED_AS_STORED), ENT_EFORMAT,
                 W "_scale: expected F32, BF16 or F16, found I8");
    close_folder(&o);
    t[3].dtype = ENT_DTYPE_F32;
    t[0].shape[0] = COLUMNS, t[0].shape[1] = ROWS;
    make(t, 5, CHANNEL);
    assert_fails(open_folder(&o, ENT_QUANTIZED_AS_STORED), ENT_EFORMAT, W ": expected [5,128], file has [128,5]");
    close_folder(&o);
    t[0].dtype = ENT_DTYPE_F32, t[0].shape[0] = ROWS, t[0].shape[1] = COLUMNS, t[0].data = m.w;
    make(t, 5, CHANNEL);
    assert_fails(open_folder(&o, ENT_QUANTIZED_AS_STORED), ENT_EFORMAT, "unexpected tensor " W "_scale");
    close_folder(&o);
}

#define INPUTS \
    "}, \"input_activations\": {\"num_bits\": 8, \"type\": \"int\", \"symmetric\": true, \"strategy\": \"tensor\""

static void test_damaged_inputs(void **state)
{
    float scales[ROWS] = {1, 2, 3, 4, 5}, tiny = 1e-45f; /* which has no inverse */
    ent_st_tensor t[7];
    opened o;
    (void)state;
    begin("quantized_damaged_inputs");
    list(t, ENT_DTYPE_I8);
    t[3] = (ent_st_tensor){.name = W "_scale", .n_dims = 2, .shape = {ROWS, 1}, .data = scales};
    t[4] = (ent_st_tensor){.name = V "_scale", .n_dims = 2, .shape = {3, 1}, .data = scales};
    t[5] = (ent_st_tensor){.name = "layers.0.q_proj.input_scale", .n_dims = 1, .shape = {1}, .data = &tiny};
    t[6] = (ent_st_tensor){.name = "layers.0.o_proj.input_scale", .n_dims = 1, .shape = {1}, .data = &tiny};
    make(t, 5, CHANNEL INPUTS);
    assert_fails(open_folder(&o, ENT_QUANTIZED_AS_STORED), ENT_EFORMAT, "missing tensor: input_scale of ");
    close_folder(&o);
    make(t, 5, CHANNEL INPUTS ", \"group_size\": 4");
    assert_fails(open_folder(&o, ENT_QUANTIZED_AS_STORED), ENT_EFORMAT, "input_activations.group_size: expected none");
    close_folder(&o);
    make(t, 7, CHANNEL INPUTS);
    assert_fails(open_folder(&o, ENT_QUANTIZED_AS_STORED), ENT_EFORMAT, "input_scale: expected at least 1.17549e-38");
    close_folder(&o);
}

/* Forms that nobody here reads are errors, by name. */
static void test_other_forms(void **state)
{
    static const struct {
        const char *config, *message;
    } others[] = {
        {"\"quant_method\": \"gptq\"", "quantization_config.quant_method: \"gptq\" is not supported"},
        {"\"bits\": 4", "quantization_config: "},
        {"\"quant_method\": \"compressed-tensors\", \"format\": \"pack-quantized\"",
         "quantization_config.format: \"pack-quantized\" is not supported"},
        {"\"quant_method\": \"compressed-tensors\", \"format\": \"int-quantized\", \"config_groups\": {\"group_0\": "
         "{\"targets\": [\"Linear\"], \"input_activations\": {\"num_bits\": 8}, \"weights\": {" CHANNEL "}}}",
         "quantization_config.config_groups.group_0.input_activations.type: expected \"int\""},
        {"\"quant_method\": \"compressed-tensors\", \"format\": \"int-quantized\", \"config_groups\": {\"group_0\": "
         "{\"targets\": [\"Linear\"], \"weights\": {\"num_bits\": 4}}}",
         "weights.num_bits: 4 is not supported"},
        {"\"quant_method\": \"compressed-tensors\", \"format\": \"int-quantized\", \"config_groups\": {\"group_0\": "
         "{\"targets\": [\"Linear\"], \"input_activations\": {\"num_bits\": 8, \"type\": \"int\", \"symmetric\": true, "
         "\"strategy\": \"token\", \"dynamic\": true}, \"weights\": {" CHANNEL "}}}",
         "input_activations.dynamic: true is not supported"},
        {"\"quant_method\": \"compressed-tensors\", \"format\": \"int-quantized\", \"config_groups\": {\"group_0\": "
         "{\"targets\": [\"Linear\"], \"weights\": {" CHANNEL ", \"actorder\": \"group\"}}}",
         "weights.actorder: \"group\" is not supported"},
        {"\"quant_method\": \"bitsandbytes\", \"load_in_4bit\": true, \"bnb_4bit_quant_type\": \"fp4\"",
         "quantization_config.bnb_4bit_quant_type: \"fp4\" is not supported"},
        {"\"quant_method\": \"bitsandbytes\", \"load_in_4bit\": true, \"bnb_4bit_quant_type\": \"nf4\", "
         "\"bnb_4bit_use_double_quant\": false",
         "quantization_config.bnb_4bit_use_double_quant: expected true"},
    };
    ent_quantized_scheme scheme;
    char text[900];
    (void)state;
    begin("quantized_forms");
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        const int n = snprintf(text, sizeof text, "{\"quantization_config\": {%s}}", others[i].config);
        put_file(in_folder(from, "config.json"), text, (size_t)n);
        const ent_status st = ent_quantized_scheme_load(&scheme, from);
        assert_true(st == ENT_EUNSUPPORTED || st == ENT_EFORMAT);
        if (strstr(ent_message(), others[i].message) == NULL)
            fail_msg("expected \"%s\" in: %s", others[i].message, ent_message());
    }
    put_file(in_folder(from, "config.json"), "{\"quantization_config\": null}", 29);
    assert_ok(ent_quantized_scheme_load(&scheme, from));
    assert_int_equal(scheme.kind, ENT_QUANTIZED_NOT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_channels_in_place),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_nf4),
        cmocka_unit_test(test_inputs),
        cmocka_unit_test(test_large_nf4),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_damaged_inputs),
        cmocka_unit_test(test_other_forms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
