#include "io/weights_convert.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "src/base/tiles.h"
#include "src/kernel/kernels.h"
#include "src/quant/int8_choice.h"
#include "src/quant/nf4.h"

enum { ALIGN = 64, AT_ONCE = 1024 }; /* a multiple of ENT_NF4_BLOCK */

static size_t aligned(size_t bytes)
{
    return (bytes + ALIGN - 1) / ALIGN * ALIGN;
}

static ent_nf4 nf4_of(const ent_tensor *t)
{
    ent_nf4 m;
    const ent_status st = ent_nf4_layout(&m, ent_tensor_rows(t), ent_tensor_columns(t));
    assert(st == ENT_OK); /* as fp32 or bf16 it is larger, and there */
    (void)st;
    return m;
}

ent_conversion ent_conversion_of(const ent_tensor *from, ent_dtype to)
{
    ent_conversion c = {.from = from, .to = to, .rows = ent_tensor_rows(from)};
    if (to == ENT_DTYPE_NF4) {
        const ent_nf4 m = nf4_of(from);
        c.row_bytes = m.row_codes;
        c.row_scales = m.row_blocks;
        c.tail_at = m.scales_at;
        c.tail_bytes = m.bytes - m.scales_at;
    } else {
        c.row_bytes = ent_tensor_columns(from) * ent_dtype_size(to);
        c.row_scales = to == ENT_DTYPE_I8;
        c.tail_at = aligned(c.rows * c.row_bytes);
        c.tail_bytes = c.rows * c.row_scales * sizeof(float);
    }
    c.bytes = aligned(c.tail_at + c.tail_bytes);
    return c;
}

typedef struct work {
    const ent_conversion *c;
    size_t first;
    char *to;
    float *scales;
    atomic_size_t bad; /* the lowest row with a number that can't be converted, or where the rows end */
} work;

/* Row i of the piece; false if it has a number that can't be converted. */
static bool convert_row(const work *w, size_t i)
{
    const ent_conversion *c = w->c;
    const size_t row = w->first + i, columns = ent_tensor_columns(c->from);
    char *to = w->to + i * c->row_bytes;
    float *scales = w->scales + i * c->row_scales;
    if (c->to == ENT_DTYPE_I8) {
        ent_int8_rows((int8_t *)to, scales, c->from, c->from->column_factors, row, row + 1);
        return isfinite(*scales);
    }
    for (size_t j = 0; j < columns; j += AT_ONCE) {
        const size_t n = columns - j < AT_ONCE ? columns - j : AT_ONCE;
        ent_real values[AT_ONCE];
        ent_tensor_read(values, c->from, row, j, n);
        if (c->to == ENT_DTYPE_BF16)
            ent_kernels_get()->to_bf16((uint16_t *)(void *)to + j, values, n);
        else if (ent_nf4_put((uint8_t *)to + j / 2, scales + j / ENT_NF4_BLOCK, values, n) != ENT_OK)
            return false;
    }
    return true;
}

static void convert_rows(void *context, size_t begin, size_t end)
{
    work *w = context;
    for (size_t i = begin; i < end; i++) {
        if (convert_row(w, i))
            continue;
        size_t lowest = atomic_load(&w->bad);
        while (i < lowest && !atomic_compare_exchange_weak(&w->bad, &lowest, i))
            continue;
    }
}

static ent_status refuse(const ent_conversion *c, size_t row)
{
    const float limit = c->to == ENT_DTYPE_NF4 ? ENT_NF4_LARGEST : FLT_MAX;
    const size_t columns = ent_tensor_columns(c->from);
    float x = 0;
    size_t j = 0;
    for (; j < columns; j++) {
        ent_tensor_read(&x, c->from, row, j, 1);
        if (!(fabsf(x) <= limit))
            break;
    }
    return ent_fail(ENT_ENUMERIC, "%s: row %zu, column %zu is %g, expected a finite number of size at most %g for %s",
                    c->from->name, row, j, (double)x, (double)limit, ent_dtype_name(c->to));
}

ent_status ent_conversion_rows(void *to, float *scales, const ent_conversion *c, size_t first, size_t n)
{
    work w = {.c = c, .first = first, .to = to, .scales = scales};
    atomic_init(&w.bad, n);
    ent_tiles(n, 4, convert_rows, &w);
    const size_t bad = atomic_load(&w.bad);
    return bad < n ? refuse(c, first + bad) : ENT_OK;
}

void ent_conversion_tail(void *to, const ent_conversion *c, const float *scales)
{
    if (c->to == ENT_DTYPE_NF4) {
        const ent_nf4 m = nf4_of(c->from);
        ent_nf4_put_scales(to, &m, scales);
    } else if (c->tail_bytes) {
        memcpy(to, scales, c->tail_bytes);
    }
}
