/* Errors of a tensor that was written and read back: see launch/quantize.h. */
#include <math.h>
#include <stdlib.h>

#include "launch/quantize.h"
#include "src/base/mem.h"
#include "src/base/tiles.h"

enum { AT_ONCE = 1024 };

typedef struct sums {
    double error, size; /* of a row: squares */
} sums;

typedef struct comparison {
    const ent_tensor *before, *after;
    sums *rows;
} comparison;

static void compare_rows(void *context, size_t begin, size_t end)
{
    const comparison *c = context;
    const size_t columns = ent_tensor_columns(c->before);
    for (size_t i = begin; i < end; i++) {
        sums s = {0};
        for (size_t j = 0; j < columns; j += AT_ONCE) {
            const size_t n = columns - j < AT_ONCE ? columns - j : AT_ONCE;
            float x[AT_ONCE], y[AT_ONCE];
            ent_tensor_read(x, c->before, i, j, n);
            ent_tensor_read(y, c->after, i, j, n);
            for (size_t k = 0; k < n; k++) {
                const double d = (double)y[k] - (double)x[k];
                s.error += d * d;
                s.size += (double)x[k] * (double)x[k];
            }
        }
        c->rows[i] = s;
    }
}

static double relative(const sums *s)
{
    return s->error == 0 ? 0 : sqrt(s->error / s->size);
}

ent_status ent_quantize_compare(ent_quantize_row *row, const ent_tensor *before, const ent_tensor *after)
{
    const size_t n = ent_tensor_rows(before);
    comparison c = {before, after, NULL};
    sums all = {0};
    ENT_TRY(ent_calloc(&c.rows, n, sizeof *c.rows, before->name));
    ent_tiles(n, 16, compare_rows, &c);
    row->worst = 0;
    row->worst_error = 0;
    for (size_t i = 0; i < n; i++) {
        const double error = relative(&c.rows[i]);
        all.error += c.rows[i].error;
        all.size += c.rows[i].size;
        if (error > row->worst_error) {
            row->worst_error = error;
            row->worst = i;
        }
    }
    row->error = relative(&all);
    free(c.rows);
    return ENT_OK;
}
