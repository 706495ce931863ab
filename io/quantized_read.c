#include "io/quantized_read.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/model_weights.h"
#include "io/path.h"
#include "io/quantized_parts.h"
#include "src/base/mem.h"
#include "src/base/tiles.h"

static const char weight_end[] = ".weight";

static const char *const int8_parts_of[] = {"_scale", "_zero_point"};
static const char *const input_parts[] = {".input_scale", ".input_zero_point"}; /* of the module */

void ent_quantized_free(ent_quantized *q)
{
    if (q == NULL)
        return;
    for (size_t i = 0; i < q->count; i++)
        free(q->owned[i]);
    free(q->owned);
    free(q);
}

bool ent_quantized_is_in_place(const ent_quantized_scheme *s)
{
    return s->kind == ENT_QUANTIZED_INT8 && s->per != ENT_PTQ_GROUP && !s->asymmetric;
}

/* Memory that lasts as long as the parameters. `out`: a pointer to any. */
ent_status ent_quantized_take(void *out, ent_quantized_job *j, size_t count, size_t size, const char *what)
{
    ent_quantized *q = j->kept;
    void *memory;
    ENT_TRY(ent_grow(&q->owned, &q->capacity, q->count + 1, sizeof *q->owned, what));
    ENT_TRY(ent_calloc(&memory, count, size, what));
    q->owned[q->count++] = memory;
    memcpy(out, &memory, sizeof memory);
    return ENT_OK;
}

/* --- parts --- */

static bool is_input(const char *suffix)
{
    return strncmp(suffix, ".input_", strlen(".input_")) == 0;
}

/* NAME and suffix, of an input that of its module; NULL: the file has none of this name. */
static ent_status find_part(const ent_st_tensor **out, const ent_quantized_job *j, const ent_st_tensor *w,
                            const char *suffix)
{
    char *name;
    const size_t n = strlen(w->name),
                 module = is_input(suffix) && ent_path_ends_with(w->name, weight_end) ? n - strlen(weight_end) : n;
    ENT_TRY(ent_format(&name, "%.*s%s", (int)module, w->name, suffix));
    *out = ent_safetensors_find(j->files, name);
    free(name);
    return ENT_OK;
}

ent_status ent_quantized_need(const ent_st_tensor **out, const ent_quantized_job *j, const ent_st_tensor *w,
                              const char *suffix)
{
    ENT_TRY(find_part(out, j, w, suffix));
    return *out ? ENT_OK
                : ent_fail(ENT_EFORMAT, "%s: missing tensor: %s of %s, which is %s", w->file, suffix + 1, w->name,
                           ent_st_type_name(w->type));
}

ent_status ent_quantized_check_shape(const ent_st_tensor *t, size_t n_dims, const size_t *shape)
{
    ent_shape_text text[2];
    bool same = t->n_dims == n_dims;
    for (size_t d = 0; d < n_dims && same; d++)
        same = t->shape[d] == shape[d];
    return same ? ENT_OK
                : ent_fail(ENT_EFORMAT, "%s: %s: expected %s, file has %s", t->file, t->name,
                           ent_shape_format(&text[0], n_dims, shape), ent_shape_format(&text[1], t->n_dims, t->shape));
}

ent_status ent_quantized_check_type(const ent_st_tensor *t, ent_st_type type)
{
    return t->type == type ? ENT_OK
                           : ent_fail(ENT_EFORMAT, "%s: %s: expected %s, found %s", t->file, t->name,
                                      ent_st_type_name(type), ent_st_type_name(t->type));
}

/* *out = the floats of t, in the file if they can be used there. */
ent_status ent_quantized_floats(const float **out, ent_quantized_job *j, const ent_st_tensor *t)
{
    ent_dtype dtype;
    float *copy;
    if (!ent_st_type_dtype(&dtype, t->type) || dtype == ENT_DTYPE_F64)
        return ent_fail(ENT_EFORMAT, "%s: %s: expected F32, BF16 or F16, found %s", t->file, t->name,
                        ent_st_type_name(t->type));
    const size_t n = t->bytes / ent_st_type_size(t->type);
    if (dtype == ENT_DTYPE_F32 && (uintptr_t)t->data % sizeof(float) == 0) {
        *out = t->data;
    } else {
        double *values;
        ENT_TRY(ent_quantized_take(&copy, j, n, sizeof *copy, t->name));
        ENT_TRY(ent_calloc(&values, n, sizeof *values, t->name));
        ent_st_values(values, t->data, t->type, n);
        for (size_t i = 0; i < n; i++)
            copy[i] = (float)values[i];
        free(values);
        *out = copy;
    }
    for (size_t i = 0; i < n; i++)
        if (!isfinite((*out)[i]))
            return ent_fail(ENT_EFORMAT, "%s: %s: number %zu is %g, expected a finite one", t->file, t->name, i,
                            (double)(*out)[i]);
    return ENT_OK;
}

/* --- int8 --- */

typedef struct int8_weight {
    const ent_quantized_scheme *scheme;
    const int8_t *q, *zeros; /* zeros NULL: symmetric */
    const float *scales;
    size_t columns, row_scales; /* row_scales 0: one for all */
    float *numbers;
} int8_weight;

static void int8_rows(void *context, size_t begin, size_t end)
{
    const int8_weight *w = context;
    const size_t group = w->scheme->per == ENT_PTQ_GROUP ? w->scheme->group_size : w->columns;
    for (size_t i = begin; i < end; i++)
        for (size_t j = 0; j < w->columns; j += group) {
            const size_t k = i * w->row_scales + j / group, at = i * w->columns + j;
            ent_ptq_numbers(w->numbers + at, w->q + at, group, w->scales[k], w->zeros ? w->zeros[k] : 0);
        }
}

/* Scales and zero points of a weight, which have the shape that the scheme asks for. */
static ent_status int8_parts(int8_weight *out, ent_quantized_job *j, const ent_st_tensor *w)
{
    const ent_quantized_scheme *s = j->scheme;
    const ent_st_tensor *scale, *zero;
    const size_t rows = w->shape[0];
    if (s->per == ENT_PTQ_GROUP && w->shape[1] % s->group_size)
        return ent_fail(ENT_EUNSUPPORTED, "%s: %s: %zu columns are no multiple of group_size %zu", w->file, w->name,
                        w->shape[1], s->group_size);
    const size_t groups = s->per == ENT_PTQ_GROUP ? w->shape[1] / s->group_size : 1;
    const size_t n_dims = s->per == ENT_PTQ_TENSOR ? 1 : 2, shape[2] = {s->per == ENT_PTQ_TENSOR ? 1 : rows, groups};
    *out = (int8_weight){
        .scheme = s, .q = w->data, .columns = w->shape[1], .row_scales = s->per == ENT_PTQ_TENSOR ? 0 : groups};
    ENT_TRY(ent_quantized_need(&scale, j, w, "_scale"));
    ENT_TRY(ent_quantized_check_shape(scale, n_dims, shape));
    ENT_TRY(ent_quantized_floats(&out->scales, j, scale));
    const size_t n = shape[0] * (n_dims == 2 ? groups : 1);
    for (size_t i = 0; i < n; i++)
        if (out->scales[i] < 0)
            return ent_fail(ENT_EFORMAT, "%s: %s: number %zu is %g, expected at least 0", scale->file, scale->name, i,
                            (double)out->scales[i]);
    ENT_TRY(s->asymmetric ? ent_quantized_need(&zero, j, w, "_zero_point") : find_part(&zero, j, w, "_zero_point"));
    if (zero == NULL)
        return ENT_OK;
    ENT_TRY(ent_quantized_check_type(zero, ENT_ST_I8));
    ENT_TRY(ent_quantized_check_shape(zero, n_dims, shape));
    out->zeros = s->asymmetric ? zero->data : NULL;
    for (size_t i = 0; i < n && !s->asymmetric; i++)
        if (((const int8_t *)zero->data)[i])
            return ent_fail(ENT_EFORMAT, "%s: %s: number %zu is %d, expected 0 of a symmetric weight", zero->file,
                            zero->name, i, ((const int8_t *)zero->data)[i]);
    return ENT_OK;
}

/* What x of the product with w is rounded to. */
static ent_status read_input(const ent_input_rounding **out, ent_quantized_job *j, const ent_st_tensor *w)
{
    const ent_st_tensor *scale, *zero = NULL;
    const size_t one = 1;
    const float *value;
    ent_input_rounding *r;
    ENT_TRY(ent_quantized_need(&scale, j, w, input_parts[0]));
    ENT_TRY(ent_quantized_check_shape(scale, 1, &one));
    ENT_TRY(ent_quantized_floats(&value, j, scale));
    if (*value < FLT_MIN) /* 1 / it must be a number */
        return ent_fail(ENT_EFORMAT, "%s: %s: expected at least %g, found %g", scale->file, scale->name,
                        (double)FLT_MIN, (double)*value);
    if (j->scheme->asymmetric_inputs) {
        ENT_TRY(ent_quantized_need(&zero, j, w, input_parts[1]));
        ENT_TRY(ent_quantized_check_type(zero, ENT_ST_I8));
        ENT_TRY(ent_quantized_check_shape(zero, 1, &one));
    }
    ENT_TRY(ent_quantized_take(&r, j, 1, sizeof *r, w->name));
    *r = (ent_input_rounding){*value, 1 / *value, zero ? *(const int8_t *)zero->data : 0, zero ? -128 : -127};
    *out = r;
    return ENT_OK;
}

/* `t`: what is bound for w. In place where the core has such weights; else as numbers. */
static ent_status read_int8(ent_st_tensor *t, ent_quantized_job *j, const ent_st_tensor *w, const ent_param *param)
{
    int8_weight q;
    ent_quantized_extra *s = &j->scaled[j->n_scaled++];
    *s = (ent_quantized_extra){.name = w->name};
    if (j->scheme->inputs)
        ENT_TRY(read_input(&s->input, j, w));
    ENT_TRY(int8_parts(&q, j, w));
    if (j->way == ENT_QUANTIZED_UNREAD) {
        t->dtype = ENT_DTYPE_I8;
        return ENT_OK;
    }
    if (j->way == ENT_QUANTIZED_AS_STORED && ent_quantized_is_in_place(j->scheme) && !param->trainable) {
        if (j->scheme->per == ENT_PTQ_TENSOR) {
            float *same;
            ENT_TRY(ent_quantized_take(&same, j, w->shape[0], sizeof *same, w->name));
            for (size_t i = 0; i < w->shape[0]; i++)
                same[i] = q.scales[0];
            q.scales = same;
        }
        t->dtype = ENT_DTYPE_I8;
        s->scales = q.scales;
        return ENT_OK;
    }
    ENT_TRY(ent_quantized_take(&q.numbers, j, w->bytes, sizeof *q.numbers, w->name));
    ent_tiles(w->shape[0], 16, int8_rows, &q);
    t->dtype = ENT_DTYPE_F32;
    t->data = q.numbers;
    return ENT_OK;
}

/* --- all --- */

/* A number of the core's types, aligned. */
static ent_status read_plain(ent_st_tensor *t, ent_quantized_job *j, const ent_st_tensor *w)
{
    void *copy;
    if (!ent_st_type_dtype(&t->dtype, w->type))
        return ent_fail(ENT_EUNSUPPORTED, "%s: %s: expected dtype F32, BF16, F16 or F64, found %s", w->file, w->name,
                        ent_st_type_name(w->type));
    if ((uintptr_t)w->data % ent_dtype_size(t->dtype) == 0)
        return ENT_OK;
    ENT_TRY(ent_quantized_take(&copy, j, w->bytes, 1, w->name));
    memcpy(copy, w->data, w->bytes);
    t->data = copy;
    return ENT_OK;
}

/* Whether t is the part `suffix` of a quantised weight, which is there. */
static bool is_part_of(const ent_quantized_job *j, const ent_st_tensor *t, const char *suffix)
{
    char name[512];
    const size_t n = strlen(t->name), m = strlen(suffix);
    if (n <= m || n >= sizeof name - sizeof weight_end || !ent_path_ends_with(t->name, suffix))
        return false;
    memcpy(name, t->name, n - m);
    strcpy(name + (n - m), is_input(suffix) ? weight_end : "");
    const ent_st_tensor *w = ent_safetensors_find(j->files, name);
    return w && w->type == (j->scheme->kind == ENT_QUANTIZED_INT8 ? ENT_ST_I8 : ENT_ST_U8);
}

static bool is_part(const ent_quantized_job *j, const ent_st_tensor *t)
{
    bool part = false;
    for (size_t k = 0; k < ENT_QUANTIZED_NF4_PARTS && j->scheme->kind == ENT_QUANTIZED_NF4; k++)
        part = part || is_part_of(j, t, ent_quantized_nf4_parts[k]);
    for (size_t k = 0; k < 2 && j->scheme->kind == ENT_QUANTIZED_INT8; k++)
        part = part || is_part_of(j, t, int8_parts_of[k]) || (j->scheme->inputs && is_part_of(j, t, input_parts[k]));
    return part;
}

static ent_status read_one(ent_quantized_job *j, const ent_st_tensor *w, bool tied)
{
    const bool int8 = j->scheme->kind == ENT_QUANTIZED_INT8;
    const ent_param *param = ent_params_find(j->params, w->name);
    if (param == NULL && (is_part(j, w) || (tied && strcmp(w->name, "lm_head.weight") == 0)))
        return ENT_OK;
    ent_st_tensor *t = &j->tensors[j->n_tensors++];
    *t = *w;
    if (param == NULL || param->tensor.n_dims != 2 || w->type != (int8 ? ENT_ST_I8 : ENT_ST_U8))
        return param ? read_plain(t, j, w) : ENT_OK; /* ent_bind_tensors refuses unknown ones */
    if (int8)
        ENT_TRY(ent_quantized_check_shape(w, 2, param->tensor.shape));
    return int8 ? read_int8(t, j, w, param) : ent_quantized_read_nf4(t, j, w, param);
}

ent_status ent_quantized_bind(ent_quantized **out, ent_params *params, const ent_safetensors *files,
                              const ent_quantized_scheme *scheme, ent_quantized_way way, bool tied, const char *folder)
{
    const size_t n = ent_safetensors_count(files);
    ent_quantized_job j = {.params = params, .files = files, .scheme = scheme, .way = way};
    ent_status st;
    *out = NULL;
    ENT_GO(ent_calloc(&j.kept, 1, sizeof *j.kept, "quantised weights"));
    ENT_GO(ent_calloc(&j.tensors, n, sizeof *j.tensors, "tensors"));
    ENT_GO(ent_calloc(&j.scaled, n, sizeof *j.scaled, "tensors"));
    for (size_t i = 0; i < n; i++)
        ENT_GO(read_one(&j, ent_safetensors_at(files, i), tied));
    ENT_GO(ent_bind_tensors(params, j.tensors, j.n_tensors, false, folder));
    for (size_t i = 0; i < j.n_scaled; i++) {
        ent_tensor *t = &ent_params_find(params, j.scaled[i].name)->tensor;
        t->row_scales = j.scaled[i].scales;
        t->input = j.scaled[i].input;
    }
    *out = j.kept;
    j.kept = NULL;
done:
    free(j.tensors);
    free(j.scaled);
    ent_quantized_free(j.kept);
    return st;
}

ent_status ent_quantized_check_codes(const ent_params *params, const char *folder)
{
    for (size_t i = 0; i < params->count; i++) {
        const ent_tensor *t = &params->items[i]->tensor;
        if (t->dtype == ENT_DTYPE_I8 && memchr(t->data, 0x80, ent_tensor_count(t)))
            return ent_fail(ENT_EUNSUPPORTED, "%s: %s: has codes of -128: products in int8 have -127 to 127", folder,
                            t->name);
    }
    return ENT_OK;
}
