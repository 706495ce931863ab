/* Weights in nf4 as bitsandbytes stores them: see io/quantized_read.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/json.h"
#include "io/quantized_parts.h"
#include "src/base/mem.h"
#include "src/base/tiles.h"
#include "src/quant/nf4.h"

const char *const ent_quantized_nf4_parts[] = {".absmax", ".quant_map", ".nested_absmax", ".nested_quant_map",
                                               ".quant_state.bitsandbytes__nf4"};

static ent_status expect_json(const ent_json *state, const char *key, double expected, const ent_st_tensor *t)
{
    const double found = ent_json_number(ent_json_member(state, key));
    return found == expected ? ENT_OK
                             : ent_fail(ENT_EUNSUPPORTED, "%s: %s: %s: expected %g, found %g", t->file, t->name, key,
                                        expected, found);
}

/* The offset of the scales; the shape of the weight is the parameter's. */
static ent_status read_state(float *offset, const ent_st_tensor *t, const ent_tensor *param)
{
    ent_json *state = NULL;
    char *where = NULL;
    ent_status st;
    ENT_GO(ent_quantized_check_type(t, ENT_ST_U8));
    ENT_GO(ent_format(&where, "%s: %s", t->file, t->name));
    ENT_GO(ent_json_parse(&state, t->data, t->bytes, where));
    const char *type = ent_json_string(ent_json_member(state, "quant_type"));
    if (type == NULL || strcmp(type, "nf4") != 0)
        ENT_GO(ent_fail(ENT_EUNSUPPORTED, "%s: quant_type: expected nf4, found %.40s", where, type ? type : "none"));
    ENT_GO(expect_json(state, "blocksize", ENT_NF4_BLOCK, t));
    ENT_GO(expect_json(state, "nested_blocksize", ENT_NF4_GROUP, t));
    const ent_json *shape = ent_json_member(state, "shape"), *rows = ent_json_first(shape);
    const ent_json *columns = rows ? ent_json_next(rows) : NULL;
    if (ent_json_count(shape) != 2 || ent_json_number(rows) != (double)param->shape[0] ||
        ent_json_number(columns) != (double)param->shape[1])
        ENT_GO(ent_fail(ENT_EFORMAT, "%s: shape: expected [%zu,%zu]", where, param->shape[0], param->shape[1]));
    *offset = (float)ent_json_number(ent_json_member(state, "nested_offset"));
    if (!isfinite(*offset))
        ENT_GO(ent_fail(ENT_EFORMAT, "%s: nested_offset: expected a finite number", where));
done:
    free(where);
    ent_json_free(state);
    return st;
}

/* The part is this table. */
static ent_status check_map(const ent_st_tensor *t, const float *expected, size_t n)
{
    ENT_TRY(ent_quantized_check_type(t, ENT_ST_F32));
    ENT_TRY(ent_quantized_check_shape(t, 1, &n));
    return memcmp(t->data, expected, n * sizeof *expected) == 0
               ? ENT_OK
               : ent_fail(ENT_EUNSUPPORTED, "%s: %s: expected the %zu values of NF4, found others", t->file, t->name,
                          n);
}

/* *out = codes, scales, groups and offset of a weight in one piece of memory (src/quant/nf4.h), of one row; UNREAD:
 * they are checked alone. */
static ent_status gather_nf4(uint8_t **out, ent_nf4 *m, ent_quantized_job *j, const ent_st_tensor *w,
                             const ent_tensor *param)
{
    const ent_st_tensor *parts[ENT_QUANTIZED_NF4_PARTS];
    float map[256], offset;
    const float *groups;
    ENT_TRY(ent_nf4_layout(m, 1, ent_tensor_count(param)));
    ENT_TRY(ent_quantized_check_shape(w, 2, (size_t[]){m->row_codes, 1}));
    for (size_t k = 0; k < ENT_QUANTIZED_NF4_PARTS; k++)
        ENT_TRY(ent_quantized_need(&parts[k], j, w, ent_quantized_nf4_parts[k]));
    ENT_TRY(ent_quantized_check_type(parts[0], ENT_ST_U8));
    ENT_TRY(ent_quantized_check_shape(parts[0], 1, &m->row_blocks));
    ENT_TRY(check_map(parts[1], ent_nf4_values(), 16));
    ENT_TRY(ent_quantized_check_type(parts[2], ENT_ST_F32));
    ENT_TRY(ent_quantized_check_shape(parts[2], 1, &m->groups));
    ENT_TRY(ent_quantized_floats(&groups, j, parts[2]));
    ent_nf4_map(map);
    ENT_TRY(check_map(parts[3], map, 256));
    ENT_TRY(read_state(&offset, parts[4], param));
    if (j->way == ENT_QUANTIZED_UNREAD)
        return ENT_OK;
    ENT_TRY(ent_quantized_take(out, j, m->bytes, 1, w->name));
    memcpy(*out, w->data, m->row_codes);
    memcpy(*out + m->scales_at, parts[0]->data, m->row_blocks);
    memcpy(*out + m->groups_at, groups, m->groups * sizeof *groups);
    memcpy(*out + m->groups_at + m->groups * sizeof offset, &offset, sizeof offset);
    return ENT_OK;
}

typedef struct nf4_weight {
    const ent_nf4 *layout;
    const uint8_t *bytes;
    float *numbers;
} nf4_weight;

static void nf4_numbers(void *context, size_t begin, size_t end)
{
    const nf4_weight *w = context;
    ent_nf4_dequantize(w->numbers + begin, w->layout, w->bytes, 0, begin, end - begin);
}

/* Rows that are whole blocks are what the core has: the parts of the matrix are those of its numbers as one row. */
ent_status ent_quantized_read_nf4(ent_st_tensor *t, ent_quantized_job *j, const ent_st_tensor *w,
                                  const ent_param *param)
{
    const ent_tensor *shape = &param->tensor;
    ent_nf4 m;
    uint8_t *bytes = NULL;
    ENT_TRY(gather_nf4(&bytes, &m, j, w, shape));
    t->n_dims = 2;
    memcpy(t->shape, shape->shape, 2 * sizeof *t->shape);
    t->dtype = ENT_DTYPE_NF4;
    if (j->way == ENT_QUANTIZED_UNREAD)
        return ENT_OK;
    t->data = bytes;
    if (j->way == ENT_QUANTIZED_AS_STORED && shape->shape[1] % ENT_NF4_BLOCK == 0 && !param->trainable)
        return ENT_OK;
    nf4_weight q = {&m, bytes, NULL};
    const size_t n = ent_tensor_count(shape);
    ENT_TRY(ent_quantized_take(&q.numbers, j, n, sizeof *q.numbers, w->name));
    ent_tiles(n, 1 << 14, nf4_numbers, &q);
    t->dtype = ENT_DTYPE_F32;
    t->data = q.numbers;
    return ENT_OK;
}
