#include "launch/bench_roof.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "launch/report.h"
#include "src/base/tiles.h"
#include "src/tensor/gemm.h"

enum { ROWS = 512 }; /* of one measured product at most: more are computed in stretches of about as many */
enum { SQUARE = 1024, MOST_RUNS = 64, MOST_PRODUCTS = 65 }; /* a model has about four shapes */

/* Two matrices of random-looking numbers beside the weight: in memory that goes back to the system at once. */
typedef struct operands {
    size_t rows, in, out;
    size_t bytes;
    ent_real *x, *y; /* (rows, in), (rows, out) */
    void *scratch;
} operands;

static ent_status take(operands *o, size_t rows, size_t in, size_t out, size_t scratch)
{
    const size_t numbers = (rows * (in + out) + 15) / 16 * 16;
    *o = (operands){.rows = rows, .in = in, .out = out, .bytes = numbers * sizeof(ent_real) + scratch};
    void *memory = mmap(NULL, o->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return ent_fail(ENT_ENOMEM, "out of memory: %zu bytes for measuring products", o->bytes);
    o->x = memory;
    o->y = o->x + rows * in;
    o->scratch = o->x + numbers;
    for (size_t i = 0; i < rows * (in + out); i++)
        o->x[i] = (ent_real)((double)(i * 2654435761u % 1024) / 512 - 1);
    return ENT_OK;
}

static void give_back(operands *o)
{
    munmap(o->x, o->bytes);
}

static void square(void *context, size_t begin, size_t end)
{
    const operands *o = context;
    for (size_t i = begin; i < end; i++) {
        ent_real *c = o->y + i * SQUARE * SQUARE;
        ent_gemm_serial(c, SQUARE, SQUARE, SQUARE, SQUARE, 1, ent_matrix_of(o->x, SQUARE, false),
                        ent_matrix_of(o->x + SQUARE * SQUARE, SQUARE, true), 0);
    }
}

/* One product: operations it took. */
static double run_once(const operands *o, const ent_roof_product *p)
{
    if (p->direction == ENT_ROOF_SQUARES) {
        ent_tiles((size_t)ent_threads(), 1, square, (void *)o);
        return 2.0 * SQUARE * SQUARE * SQUARE * ent_threads();
    }
    if (p->direction == ENT_ROOF_FORWARD)
        ent_gemm_weight(o->y, o->rows, o->x, p->weight, true, 0, o->scratch);
    else
        ent_gemm_weight(o->x, o->rows, o->y, p->weight, false, 0, o->scratch);
    return 2.0 * (double)o->rows * (double)o->in * (double)o->out;
}

static int compare_rates(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Of at least `least` runs behind a first one, which is enough if it took longer than `seconds` and one is asked for.
 */
static double median_rate(const operands *o, const ent_roof_product *p, double seconds, size_t least)
{
    double rates[MOST_RUNS];
    size_t runs = 0;
    double begin = ent_now();
    const double first = run_once(o, p), until = ent_now() + seconds;
    if (least == 1 && ent_now() - begin > seconds)
        return first / (ent_now() - begin);
    for (begin = ent_now(); runs < MOST_RUNS && (runs < least || begin < until);) {
        const double operations = run_once(o, p), end = ent_now();
        rates[runs++] = operations / (end - begin);
        begin = end;
    }
    qsort(rates, runs, sizeof *rates, compare_rates);
    return rates[runs / 2];
}

static bool is_new_shape(const ent_params *params, size_t i)
{
    const ent_tensor *t = &params->items[i]->tensor;
    for (size_t j = 0; j < i; j++)
        if (!params->items[j]->trainable && ent_tensor_same_shape(t, &params->items[j]->tensor) &&
            t->compute == params->items[j]->tensor.compute)
            return false;
    return t->n_dims == 2 && !params->items[i]->trainable;
}

static ent_flop_kind kind_of(const ent_tensor *w)
{
    static const ent_flop_kind kinds[] = {ENT_FLOPS_FP32, ENT_FLOPS_BF16, ENT_FLOPS_INT8};
    return kinds[w->compute];
}

/* *rate = the median of some runs. */
static ent_status try(double *rate, const ent_roof_product *p, double seconds, size_t least)
{
    enum { LONG = 32768, FEW = 256 }; /* so many rows of logits at a time there are in training */
    const ent_tensor *w = p->weight;
    const size_t rows = w == NULL ? SQUARE : w->shape[0] > LONG && p->rows > FEW ? FEW : p->rows;
    operands o;
    size_t scratch = 0;
    if (w)
        ENT_TRY(ent_gemm_weight_plan(&scratch, w, rows));
    ENT_TRY(take(&o, rows, w ? w->shape[1] : 2 * SQUARE, w ? w->shape[0] : (size_t)ent_threads() * SQUARE, scratch));
    *rate = median_rate(&o, p, seconds, least);
    give_back(&o);
    return ENT_OK;
}

/* Three looks at each, in turn, so that a slow moment of the machine is not taken for a slow product. */
static ent_status choose(ent_roof *roof, const ent_roof_product *products, size_t n, double seconds)
{
    double rates[MOST_PRODUCTS][3], best[ENT_N_FLOPS] = {0};
    for (size_t look = 0; look < 3; look++)
        for (size_t i = 0; i < n; i++)
            ENT_TRY(try(&rates[i][look], &products[i], seconds, 1));
    for (size_t i = 0; i < n; i++) {
        const ent_flop_kind kind = products[i].weight ? kind_of(products[i].weight) : ENT_FLOPS_FP32;
        qsort(rates[i], 3, sizeof **rates, compare_rates);
        if (rates[i][1] > best[kind]) {
            best[kind] = rates[i][1];
            roof->of[kind] = products[i];
        }
    }
    return ENT_OK;
}

ent_status ent_roof_choose(ent_roof *out, const ent_params *params, size_t rows, double seconds)
{
    ent_roof_product products[MOST_PRODUCTS] = {{.direction = ENT_ROOF_SQUARES, .rows = SQUARE}};
    size_t n = 1;
    *out = (ent_roof){0};
    if (rows > ROWS)
        rows = ROWS;
    for (size_t i = 0; i < params->count && n + 2 <= MOST_PRODUCTS; i++)
        if (is_new_shape(params, i)) {
            const ent_tensor *w = &params->items[i]->tensor;
            products[n++] = (ent_roof_product){w, ENT_ROOF_FORWARD, rows};
            products[n++] = (ent_roof_product){w, ENT_ROOF_BACKWARD, rows};
        }
    return choose(out, products, n, seconds);
}

ent_status ent_roof_measure(double out[ENT_N_FLOPS], const ent_roof *roof, double seconds)
{
    for (int i = 0; i < ENT_N_FLOPS; i++) {
        out[i] = 0;
        if (roof->of[i].rows)
            ENT_TRY(try(&out[i], &roof->of[i], seconds, 3));
    }
    return ENT_OK;
}

static void warm_thread(void *context, size_t begin, size_t end)
{
    const operands *o = context;
    for (size_t i = begin; i < end; i++)
        ent_gemm_serial(o->y + i * 512 * 256, 256, 512, 256, o->in, 1, ent_matrix_of(o->x, o->in, false),
                        ent_matrix_of(o->x, o->in, true), 0);
}

ent_status ent_roof_warm(void)
{
    operands o;
    ENT_TRY(take(&o, 512, 4096, (size_t)ent_threads() * 256, 0));
    ent_tiles((size_t)ent_threads(), 1, warm_thread, &o);
    const ent_matrix b = {.data = o.x, .dtype = ENT_DTYPE_BF16, .stride = 4096, .transposed = true};
    ent_gemm(o.y, 256 * (size_t)ent_threads(), 512, 256 * (size_t)ent_threads(), 512, 1,
             ent_matrix_of(o.x, 4096, false), b, 0);
    give_back(&o);
    return ENT_OK;
}
