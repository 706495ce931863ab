#include "io/quantized_write.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "io/path.h"
#include "io/safetensors_header.h"
#include "src/base/mem.h"
#include "src/base/tiles.h"
#include "src/quant/nf4.h"

enum { MAX_PARTS = 6 /* of NF4; int8 has at most five */, NF4_TILE = 1 << 14 };

/* What of a tensor of the model a tensor of the file is. */
typedef enum {
    NUMBERS, /* as they come: also codes of int8 */
    SCALES,
    ZEROS,
    INPUT_SCALE,
    INPUT_ZERO,
    NF4_CODES,
    NF4_ABSMAX,
    NF4_MAP,
    NF4_GROUPS,
    NF4_GROUP_MAP,
    NF4_STATE
} part_kind;

typedef struct part {
    part_kind kind;
    size_t tensor; /* of the model */
} part;

/* NF4: everything of a weight but its codes. */
typedef struct nf4_weight {
    ent_nf4 layout; /* of one row */
    uint8_t *rest;  /* from layout.scales_at on */
    char *state;
} nf4_weight;

typedef struct job {
    const char *folder;
    const ent_quantized_write_options *options;
    const ent_st_tensor *tensors;
    const ent_quantized_scales *scales;
    size_t count;
    ent_model_source *source;
    void *context;
    ent_st_tensor *files; /* to be written */
    part *parts;
    size_t n_parts;
    nf4_weight *nf4; /* of each tensor */
    float *numbers;  /* NF4: a piece, its codes, and the scales of its blocks */
    uint8_t *codes;
    float *block_scales;
} job;

/* --- the list --- */

/* One more tensor of the file, NAME of tensor i and `suffix`; of an input that of its module. */
static ent_status add(job *j, size_t i, part_kind kind, const char *suffix, ent_st_tensor t)
{
    char *name;
    const size_t n = strlen(j->tensors[i].name);
    const bool input = (kind == INPUT_SCALE || kind == INPUT_ZERO) && ent_path_ends_with(j->tensors[i].name, ".weight");
    ENT_TRY(ent_format(&name, "%.*s%s", (int)(input ? n - strlen(".weight") : n), j->tensors[i].name, suffix));
    t.name = name;
    j->files[j->n_parts] = t;
    j->parts[j->n_parts++] = (part){kind, i};
    return ENT_OK;
}

static ent_status add_int8(job *j, size_t i)
{
    const ent_quantized_scheme *s = &j->options->scheme;
    const ent_st_tensor *t = &j->tensors[i];
    ent_st_tensor scale = {.dtype = ENT_DTYPE_F32, .n_dims = 2, .shape = {t->shape[0], 1}};
    if (s->per == ENT_PTQ_TENSOR)
        scale.n_dims = scale.shape[0] = 1;
    if (s->per == ENT_PTQ_GROUP)
        scale.shape[1] = t->shape[1] / s->group_size;
    ENT_TRY(add(j, i, NUMBERS, "", *t));
    ENT_TRY(add(j, i, SCALES, "_scale", scale));
    scale.dtype = ENT_DTYPE_I8;
    if (s->asymmetric)
        ENT_TRY(add(j, i, ZEROS, "_zero_point", scale));
    if (!s->inputs)
        return ENT_OK;
    ent_st_tensor input = {.dtype = ENT_DTYPE_F32, .n_dims = 1, .shape = {1}};
    ENT_TRY(add(j, i, INPUT_SCALE, ".input_scale", input));
    input.dtype = ENT_DTYPE_I8;
    return s->asymmetric_inputs ? add(j, i, INPUT_ZERO, ".input_zero_point", input) : ENT_OK;
}

static ent_status add_nf4(job *j, size_t i)
{
    const nf4_weight *w = &j->nf4[i];
    const ent_nf4 *m = &w->layout;
    const ent_st_tensor f32 = {.dtype = ENT_DTYPE_F32, .n_dims = 1}, u8 = {.dtype = ENT_DTYPE_I8, .type = ENT_ST_U8};
    ent_st_tensor t = u8;
    t.n_dims = 2, t.shape[0] = m->row_codes, t.shape[1] = 1;
    ENT_TRY(add(j, i, NF4_CODES, "", t));
    t = u8, t.n_dims = 1, t.shape[0] = m->row_blocks;
    ENT_TRY(add(j, i, NF4_ABSMAX, ".absmax", t));
    t = f32, t.shape[0] = 16;
    ENT_TRY(add(j, i, NF4_MAP, ".quant_map", t));
    t.shape[0] = m->groups;
    ENT_TRY(add(j, i, NF4_GROUPS, ".nested_absmax", t));
    t.shape[0] = 256;
    ENT_TRY(add(j, i, NF4_GROUP_MAP, ".nested_quant_map", t));
    t = u8, t.n_dims = 1, t.shape[0] = strlen(w->state);
    return add(j, i, NF4_STATE, ".quant_state.bitsandbytes__nf4", t);
}

/* --- NF4 --- */

typedef struct nf4_piece {
    job *j;
    bool fails;
} nf4_piece;

static void put_tile(void *context, size_t begin, size_t end)
{
    nf4_piece *p = context;
    job *j = p->j;
    if (ent_nf4_put(j->codes + begin / 2, j->block_scales + begin / ENT_NF4_BLOCK, j->numbers + begin, end - begin) !=
        ENT_OK)
        __atomic_store_n(&p->fails, true, __ATOMIC_RELAXED);
}

/* Codes and block scales of numbers first .. first + n of tensor i, at most a piece. */
static ent_status round_nf4(job *j, size_t i, size_t first, size_t n)
{
    nf4_piece p = {.j = j};
    ENT_TRY(j->source(j->numbers, j->context, i, first, n));
    ent_tiles(n, NF4_TILE, put_tile, &p);
    if (!p.fails)
        return ENT_OK;
    for (size_t k = 0; k < n; k++)
        if (!(j->numbers[k] <= ENT_NF4_LARGEST && j->numbers[k] >= -ENT_NF4_LARGEST))
            return ent_fail(ENT_ENUMERIC, "%s: %s: number %zu is %g: expected one of size at most %g for nf4",
                            j->folder, j->tensors[i].name, first + k, (double)j->numbers[k], (double)ENT_NF4_LARGEST);
    return ent_fail(ENT_ENUMERIC, "%s: %s: can't be rounded to nf4", j->folder, j->tensors[i].name);
}

static ent_status make_state(nf4_weight *w, const ent_st_tensor *t, float offset)
{
    ent_json *root = ent_json_new_object();
    ent_json_add_string(root, "quant_type", "nf4");
    ent_json_add_int(root, "blocksize", ENT_NF4_BLOCK);
    ent_json_add_string(root, "dtype",
                        t->type == ENT_ST_BF16  ? "bfloat16"
                        : t->type == ENT_ST_F16 ? "float16"
                                                : "float32");
    ent_json *shape = ent_json_add_array(root, "shape");
    for (size_t d = 0; d < t->n_dims; d++)
        ent_json_add_int(shape, NULL, (int64_t)t->shape[d]);
    ent_json_add_int(root, "nested_blocksize", ENT_NF4_GROUP);
    ent_json_add_string(root, "nested_dtype", "float32");
    ent_json_add_double(root, "nested_offset", (double)offset);
    const ent_status st = ent_json_print(&w->state, root, false);
    ent_json_free(root);
    return st;
}

/* The scales of all blocks, before anything is written. */
static ent_status measure_nf4(job *j, size_t i)
{
    nf4_weight *w = &j->nf4[i];
    const ent_st_tensor *t = &j->tensors[i];
    const size_t n = t->shape[0] * t->shape[1];
    float *scales = NULL, offset;
    ent_status st;
    ENT_GO(ent_nf4_layout(&w->layout, 1, n));
    ENT_GO(ent_calloc(&scales, w->layout.row_blocks, sizeof *scales, t->name));
    ENT_GO(ent_calloc(&w->rest, w->layout.bytes - w->layout.scales_at, 1, t->name));
    for (size_t first = 0; first < n; first += ENT_MODEL_PIECE) {
        const size_t some = n - first < ENT_MODEL_PIECE ? n - first : ENT_MODEL_PIECE;
        ENT_GO(round_nf4(j, i, first, some));
        memcpy(scales + first / ENT_NF4_BLOCK, j->block_scales,
               (some + ENT_NF4_BLOCK - 1) / ENT_NF4_BLOCK * sizeof *scales);
    }
    ent_nf4_put_scales(w->rest, &w->layout, scales);
    memcpy(&offset, w->rest + (w->layout.bytes - w->layout.scales_at) - sizeof offset, sizeof offset);
    ENT_GO(make_state(w, t, offset));
done:
    free(scales);
    return st;
}

static ent_status read_codes(float *out, job *j, size_t i, size_t first, size_t n)
{
    const size_t all = j->tensors[i].shape[0] * j->tensors[i].shape[1], half = ENT_MODEL_PIECE / 2;
    for (size_t k = 0; k < n; k += half) {
        const size_t bytes = n - k < half ? n - k : half, at = 2 * (first + k);
        ENT_TRY(round_nf4(j, i, at, all - at < 2 * bytes ? all - at : 2 * bytes));
        for (size_t b = 0; b < bytes; b++)
            out[k + b] = j->codes[b];
    }
    return ENT_OK;
}

/* --- the numbers of the file's tensors --- */

static void from_bytes(float *out, const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = bytes[i];
}

static void from_codes(float *out, const int8_t *codes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = codes[i];
}

/* Codes of a symmetric scheme are what products in int8 take. */
static ent_status read_numbers(float *out, job *j, size_t i, size_t first, size_t n)
{
    const ent_st_tensor *t = &j->tensors[i];
    ENT_TRY(j->source(out, j->context, i, first, n));
    for (size_t k = 0; k < n && t->dtype == ENT_DTYPE_I8 && !j->options->scheme.asymmetric; k++)
        if (out[k] == INT8_MIN)
            return ent_fail(ENT_ENUMERIC, "%s: %s: number %zu is %d: expected from -127 to 127", j->folder, t->name,
                            first + k, INT8_MIN);
    return ENT_OK;
}

static ent_status read_part(float *out, void *context, size_t k, size_t first, size_t n)
{
    job *j = context;
    const size_t i = j->parts[k].tensor;
    const nf4_weight *w = &j->nf4[i];
    const uint8_t *groups = w->rest + (w->layout.groups_at - w->layout.scales_at);
    float map[256];
    switch (j->parts[k].kind) {
    case NUMBERS:
        return read_numbers(out, j, i, first, n);
    case SCALES:
        memcpy(out, j->scales[i].scales + first, n * sizeof *out);
        break;
    case ZEROS:
        from_codes(out, j->scales[i].zeros + first, n);
        break;
    case INPUT_SCALE:
        *out = j->scales[i].input_scale;
        break;
    case INPUT_ZERO:
        *out = j->scales[i].input_zero;
        break;
    case NF4_CODES:
        return read_codes(out, j, i, first, n);
    case NF4_ABSMAX:
        from_bytes(out, w->rest + first, n);
        break;
    case NF4_MAP:
        memcpy(out, ent_nf4_values() + first, n * sizeof *out);
        break;
    case NF4_GROUPS:
        memcpy(out, groups + first * sizeof *out, n * sizeof *out);
        break;
    case NF4_GROUP_MAP:
        ent_nf4_map(map);
        memcpy(out, map + first, n * sizeof *out);
        break;
    case NF4_STATE:
        from_bytes(out, (const uint8_t *)w->state + first, n);
        break;
    }
    return ENT_OK;
}

/* Numbers that stand in memory. */
static ent_status from_memory(float *out, void *context, size_t i, size_t first, size_t n)
{
    const job *j = context;
    const ent_st_tensor *t = &j->tensors[i];
    assert(t->dtype != ENT_DTYPE_NF4);
    if (t->dtype == ENT_DTYPE_I8)
        from_codes(out, (const int8_t *)t->data + first, n);
    else
        ent_convert(out, (const char *)t->data + first * ent_dtype_size(t->dtype), t->dtype, n);
    return ENT_OK;
}

static void configure(ent_json *config, const void *context)
{
    const ent_quantized_write_options *o = context;
    ent_quantized_scheme_put(config, &o->scheme, o->observer);
}

static ent_status list_parts(job *j)
{
    ENT_TRY(ent_calloc(&j->files, MAX_PARTS * j->count, sizeof *j->files, "tensors"));
    ENT_TRY(ent_calloc(&j->parts, MAX_PARTS * j->count, sizeof *j->parts, "tensors"));
    ENT_TRY(ent_calloc(&j->nf4, j->count, sizeof *j->nf4, "tensors"));
    ENT_TRY(ent_calloc(&j->numbers, ENT_MODEL_PIECE, sizeof *j->numbers, "a piece of a tensor"));
    ENT_TRY(ent_calloc(&j->codes, ENT_MODEL_PIECE / 2, 1, "a piece of a tensor"));
    ENT_TRY(ent_calloc(&j->block_scales, ENT_MODEL_PIECE / ENT_NF4_BLOCK, sizeof(float), "a piece of a tensor"));
    for (size_t i = 0; i < j->count; i++) {
        const ent_dtype dtype = j->tensors[i].dtype;
        if (dtype == ENT_DTYPE_NF4)
            ENT_TRY(measure_nf4(j, i));
        ENT_TRY(dtype == ENT_DTYPE_NF4  ? add_nf4(j, i)
                : dtype == ENT_DTYPE_I8 ? add_int8(j, i)
                                        : add(j, i, NUMBERS, "", j->tensors[i]));
    }
    return ENT_OK;
}

ent_status ent_quantized_write(const char *folder, const ent_st_tensor *tensors, const ent_quantized_scales *scales,
                               size_t count, const ent_quantized_write_options *options, ent_model_source *source,
                               void *context)
{
    job j = {.folder = folder,
             .options = options,
             .tensors = tensors,
             .scales = scales,
             .count = count,
             .source = source ? source : from_memory,
             .context = source ? context : &j};
    ent_model_write_options how = options->model;
    ent_status st;
    how.configure = configure;
    how.configure_context = options;
    ENT_GO(ent_model_write_check(folder, how.overwrite));
    ENT_GO(list_parts(&j));
    ENT_GO(ent_model_write(folder, j.files, j.n_parts, &how, read_part, &j));
done:
    for (size_t k = 0; k < j.n_parts; k++)
        free((char *)j.files[k].name);
    for (size_t i = 0; i < count && j.nf4; i++)
        free(j.nf4[i].rest), free(j.nf4[i].state);
    free(j.files);
    free(j.parts);
    free(j.nf4);
    free(j.numbers);
    free(j.codes);
    free(j.block_scales);
    return st;
}
