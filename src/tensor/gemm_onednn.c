#include "src/tensor/gemm_onednn.h"

#include <assert.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"
#include "src/base/tiles.h"
#include "src/kernel/kernels.h"
#include "src/tensor/gemm_onednn_library.h"

/* A tile of C is HIGH x WIDE, or LOW x WIDE in the rows that are left, and narrower at the right edge. Rows are filled
 * up with zeros to a multiple of LOW: so there are few shapes, and all are known before the first product. A weight
 * that is stored otherwise is converted by panels, of NARROW columns and at most DEPTH terms, each by the thread that
 * has all its tiles: longer products are several, added up. */
enum { HIGH = 256, LOW = 128, WIDE = 256, NARROW = 128, DEPTH = 4096 };

/* Tests on CPUs without the instructions define ENT_ONEDNN_F32: the same calls, with numbers of fp32 in place of bf16.
 */
#ifdef ENT_ONEDNN_F32
typedef float stored;
enum { STORED_DTYPE = ENT_DTYPE_F32 };
static const dnnl_data_type_t STORED = dnnl_f32;
static void round_row(stored *to, const float *from, size_t n)
{
    memcpy(to, from, n * sizeof *to);
}
#else
typedef uint16_t stored;
enum { STORED_DTYPE = ENT_DTYPE_BF16 };
static const dnnl_data_type_t STORED = dnnl_bf16;
static void round_row(stored *to, const float *from, size_t n)
{
    ent_kernels_get()->to_bf16(to, from, n);
}
#endif

static const ent_onednn_api *api; /* where there is a name */

/* What one thread computes with. */
typedef struct lane {
    dnnl_stream_t stream;
    float *tile;      /* HIGH * WIDE */
    char *scratchpad; /* of the library */
    size_t scratchpad_size;
    stored *panel;                                  /* NARROW * DEPTH; NULL until there is a weight that is converted */
    size_t panel_product, panel_column, panel_term; /* what it is of: the number of the product, where it begins */
} lane;

/* One shape: C (rows, columns) = A (rows, k) B (k, columns), C without gaps. */
typedef struct shape {
    size_t rows, columns, k, a_stride, b_stride; /* strides from one row to the next as it is stored */
    bool transposed;                             /* B is stored (columns, k) */
} shape;

typedef struct arguments {
    dnnl_memory_t a, b, c, scratchpad;
} arguments;

typedef struct entry {
    shape shape;
    dnnl_primitive_t primitive;
    arguments *of_lane;
    size_t lanes, scratchpad_size;
} entry;

/* Kept until the program ends, as the library is. Made by one thread, before products that use them. */
static struct {
    dnnl_engine_t engine;
    lane *lanes;
    entry *entries;
    size_t n_lanes, lane_capacity, n_entries, capacity, n_products;
} own;

static bool cpu_has_bf16(void)
{
#if defined ENT_ONEDNN_F32
    return true;
#elif defined __x86_64__
    return __builtin_cpu_supports("avx512bf16");
#else
    return false;
#endif
}

/* The library may be told to use less than the CPU has (ONEDNN_MAX_CPU_ISA). */
static bool describe_instructions(char *out, size_t size)
{
    const unsigned isa = (unsigned)api->get_effective_cpu_isa();
    if (STORED == dnnl_bf16 && (isa & dnnl_cpu_isa_avx512_core_bf16) != dnnl_cpu_isa_avx512_core_bf16)
        return false;
    if (isa == dnnl_cpu_isa_avx512_core_bf16)
        snprintf(out, size, "avx512_core_bf16");
    else if (isa == dnnl_cpu_isa_avx512_core_amx)
        snprintf(out, size, "avx512_core_amx");
    else
        snprintf(out, size, "avx512_core_bf16+%x", isa & ~(unsigned)dnnl_cpu_isa_avx512_core_bf16);
    return true;
}

const char *ent_onednn_name(void)
{
    static char name[64];
    static bool asked;
    if (asked)
        return *name ? name : NULL;
    asked = true;
    char instructions[32];
    if (cpu_has_bf16() && (api = ent_onednn_load()) && describe_instructions(instructions, sizeof instructions) &&
        api->engine_create(&own.engine, dnnl_cpu, 0) == dnnl_success) {
        const dnnl_version_t *v = api->version();
        snprintf(name, sizeof name, "oneDNN %d.%d.%d %s", v->major, v->minor, v->patch, instructions);
    }
    return *name ? name : NULL;
}

/* ---- shapes ---- */

static ent_status failed(const shape *s, const char *what, dnnl_status_t status)
{
    return ent_fail(status == dnnl_out_of_memory ? ENT_ENOMEM : ENT_EUNSUPPORTED,
                    "oneDNN: %s for (%zu, %zu) = (%zu, %zu) (%zu, %zu) in bf16: status %d", what, s->rows, s->columns,
                    s->rows, s->k, s->k, s->columns, (int)status);
}

#if DNNL_VERSION_MAJOR >= 3
typedef const_dnnl_memory_desc_t description;
#else
typedef const dnnl_memory_desc_t *description;
#endif

/* The descriptions of A, B and C. */
typedef struct matrices {
    dnnl_memory_desc_t memory[3];
    description of[3];
} matrices;

static void forget_matrices(matrices *m)
{
#if DNNL_VERSION_MAJOR >= 3
    for (int i = 0; i < 3; i++)
        if (m->memory[i])
            api->memory_desc_destroy(m->memory[i]);
#endif
    *m = (matrices){0};
}

static dnnl_status_t describe(matrices *m, const shape *s)
{
    const dnnl_dim_t rows = (dnnl_dim_t)s->rows, columns = (dnnl_dim_t)s->columns, k = (dnnl_dim_t)s->k;
    const dnnl_dim_t stride = (dnnl_dim_t)s->b_stride;
    const dnnl_dims_t dims[3] = {{rows, k}, {k, columns}, {rows, columns}};
    const dnnl_dims_t strides[3] = {
        {(dnnl_dim_t)s->a_stride, 1}, {s->transposed ? 1 : stride, s->transposed ? stride : 1}, {columns, 1}};
    const dnnl_data_type_t types[3] = {STORED, STORED, dnnl_f32};
    dnnl_status_t status = dnnl_success;
    *m = (matrices){0};
    for (int i = 0; i < 3 && status == dnnl_success; i++) {
#if DNNL_VERSION_MAJOR >= 3
        status = api->memory_desc_create_with_strides(&m->memory[i], 2, dims[i], types[i], strides[i]);
        m->of[i] = m->memory[i];
#else
        status = api->memory_desc_init_by_strides(&m->memory[i], 2, dims[i], types[i], strides[i]);
        m->of[i] = &m->memory[i];
#endif
    }
    return status;
}

static dnnl_status_t make_description(dnnl_primitive_desc_t *out, const matrices *m)
{
    dnnl_primitive_attr_t attributes;
    dnnl_status_t status = api->primitive_attr_create(&attributes);
    if (status != dnnl_success)
        return status;
    status = api->primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user);
#if DNNL_VERSION_MAJOR >= 3
    if (status == dnnl_success)
        status = api->matmul_primitive_desc_create(out, own.engine, m->of[0], m->of[1], NULL, m->of[2], attributes);
#else
    dnnl_matmul_desc_t operation;
    if (status == dnnl_success)
        status = api->matmul_desc_init(&operation, m->of[0], m->of[1], NULL, m->of[2]);
    if (status == dnnl_success)
        status = api->primitive_desc_create(out, &operation, attributes, own.engine, NULL);
#endif
    api->primitive_attr_destroy(attributes);
    return status;
}

static ent_status take(void *out, size_t bytes)
{
    void *p = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
    memcpy(out, &p, sizeof p);
    return p ? ENT_OK : ent_fail(ENT_ENOMEM, "out of memory: %zu bytes for products in bf16", bytes);
}

/* Lanes up to `lanes`, each with room for the library's scratchpad. */
static ent_status need_lanes(size_t lanes, const entry *e)
{
    ENT_TRY(ent_grow(&own.lanes, &own.lane_capacity, lanes, sizeof *own.lanes, "oneDNN's threads"));
    for (; own.n_lanes < lanes; own.n_lanes++) {
        lane *l = &own.lanes[own.n_lanes];
        *l = (lane){0};
        const dnnl_status_t status = api->stream_create(&l->stream, own.engine, dnnl_stream_default_flags);
        if (status != dnnl_success)
            return failed(&e->shape, "no stream", status);
        ENT_TRY(take(&l->tile, HIGH * WIDE * sizeof *l->tile));
    }
    for (size_t i = 0; i < lanes; i++) {
        lane *l = &own.lanes[i];
        if (l->scratchpad_size >= e->scratchpad_size)
            continue;
        free(l->scratchpad);
        l->scratchpad_size = 0;
        ENT_TRY(take(&l->scratchpad, e->scratchpad_size));
        l->scratchpad_size = e->scratchpad_size;
    }
    return ENT_OK;
}

/* The memory objects of lanes that have none yet; they get their addresses at each call. */
static dnnl_status_t need_arguments(entry *e, size_t lanes, const matrices *m, description scratchpad)
{
    dnnl_status_t status = dnnl_success;
    for (; e->lanes < lanes && status == dnnl_success; e->lanes++) {
        arguments *x = &e->of_lane[e->lanes];
        dnnl_memory_t *const memory[] = {&x->a, &x->b, &x->c};
        for (int i = 0; i < 3 && status == dnnl_success; i++)
            status = api->memory_create(memory[i], m->of[i], own.engine, DNNL_MEMORY_NONE);
        if (status == dnnl_success)
            status = api->memory_create(&x->scratchpad, scratchpad, own.engine, DNNL_MEMORY_NONE);
    }
    return status;
}

static ent_status make(entry *e, size_t lanes)
{
    ent_status st = ENT_OK;
    matrices m;
    dnnl_primitive_desc_t description_of = NULL;
    dnnl_status_t status = describe(&m, &e->shape);
    if (status == dnnl_success)
        status = make_description(&description_of, &m);
    if (status == dnnl_success && e->primitive == NULL)
        status = api->primitive_create(&e->primitive, description_of);
    if (status == dnnl_success) {
        description scratchpad = api->primitive_desc_query_md(description_of, dnnl_query_scratchpad_md, 0);
        e->scratchpad_size = api->memory_desc_get_size(scratchpad);
        size_t capacity = e->lanes;
        st = ent_grow(&e->of_lane, &capacity, lanes, sizeof *e->of_lane, "oneDNN's arguments");
        if (st == ENT_OK)
            status = need_arguments(e, lanes, &m, scratchpad);
    }
    if (status != dnnl_success)
        st = failed(&e->shape, "no product", status);
    if (description_of)
        api->primitive_desc_destroy(description_of);
    forget_matrices(&m);
    return st == ENT_OK ? need_lanes(lanes, e) : st;
}

static entry *find(const shape *s)
{
    for (size_t i = 0; i < own.n_entries; i++) {
        const shape *x = &own.entries[i].shape;
        if (x->rows == s->rows && x->columns == s->columns && x->k == s->k && x->a_stride == s->a_stride &&
            x->b_stride == s->b_stride && x->transposed == s->transposed)
            return &own.entries[i];
    }
    return NULL;
}

static ent_status need(const shape *s)
{
    const size_t lanes = (size_t)ent_threads();
    entry *e = find(s);
    if (e == NULL) {
        ENT_TRY(ent_grow(&own.entries, &own.capacity, own.n_entries + 1, sizeof *own.entries, "shapes of products"));
        e = &own.entries[own.n_entries++];
        *e = (entry){.shape = *s};
    }
    if (e->lanes >= lanes)
        return ENT_OK;
    const int before = omp_get_max_threads();
    omp_set_num_threads(1); /* how it cuts the work depends on it */
    const ent_status st = make(e, lanes);
    omp_set_num_threads(before);
    return st;
}

/* A weight that is not stored as it is multiplied. */
static bool is_converted(const ent_tensor *w)
{
    return (int)w->dtype != (int)STORED_DTYPE;
}

/* A product of some terms with w, or with a panel of it. */
static shape shape_of(const ent_tensor *w, bool transposed, size_t rows, size_t columns, size_t terms)
{
    const size_t stride = !is_converted(w) ? w->shape[1] : transposed ? terms : (size_t)NARROW;
    return (shape){rows, columns, terms, w->shape[transposed ? 1 : 0], stride, transposed};
}

static size_t wide_of(const ent_tensor *w)
{
    return is_converted(w) ? NARROW : WIDE;
}

static size_t depth_of(const ent_tensor *w, size_t k)
{
    return is_converted(w) && k > DEPTH ? DEPTH : k;
}

ent_status ent_onednn_plan(size_t *scratch, const ent_tensor *w, size_t m)
{
    const size_t widest = w->shape[0] > w->shape[1] ? w->shape[0] : w->shape[1];
    *scratch = (m + LOW - 1) / LOW * LOW * widest * sizeof(stored);
    for (int transposed = 0; transposed < 2; transposed++) {
        const size_t n = w->shape[transposed ? 0 : 1], k = w->shape[transposed ? 1 : 0];
        const size_t heights[] = {LOW, m >= HIGH ? HIGH : LOW},
                     widths[] = {n < wide_of(w) ? n : wide_of(w), n % wide_of(w)};
        const size_t depths[] = {depth_of(w, k), k % depth_of(w, k)};
        for (int i = 0; i < 8; i++) {
            const shape s = shape_of(w, transposed, heights[i / 4], widths[i / 2 % 2], depths[i % 2]);
            if (s.columns > 0 && s.k > 0)
                ENT_TRY(need(&s));
        }
    }
    for (size_t i = 0; i < (size_t)ent_threads() && is_converted(w); i++)
        if (own.lanes[i].panel == NULL)
            ENT_TRY(take(&own.lanes[i].panel, (size_t)NARROW * DEPTH * sizeof(stored)));
    return ENT_OK;
}

/* ---- products ---- */

typedef struct product {
    ent_real *c;
    const ent_real *a;
    stored *rounded;
    const ent_tensor *w;
    size_t number, m, n, k, depth; /* number: counted from the first product; depth: terms at a time */
    bool transposed;
    ent_real beta;
} product;

static void round_rows(void *context, size_t begin, size_t end)
{
    const product *p = context;
    for (size_t i = begin; i < end; i++) {
        stored *to = p->rounded + i * p->k;
        if (i < p->m)
            round_row(to, p->a + i * p->k, p->k);
        else
            memset(to, 0, p->k * sizeof *to);
    }
}

static bool execute(const entry *e, const lane *l, const arguments *x, const stored *a, const stored *b)
{
    const dnnl_exec_arg_t given[] = {
        {DNNL_ARG_SRC, x->a}, {DNNL_ARG_WEIGHTS, x->b}, {DNNL_ARG_DST, x->c}, {DNNL_ARG_SCRATCHPAD, x->scratchpad}};
    const int before = omp_get_max_threads();
    omp_set_num_threads(1);
    const bool good = api->memory_set_data_handle(x->a, (void *)a) == dnnl_success &&
                      api->memory_set_data_handle(x->b, (void *)b) == dnnl_success &&
                      api->memory_set_data_handle(x->c, l->tile) == dnnl_success &&
                      api->memory_set_data_handle(x->scratchpad, l->scratchpad) == dnnl_success &&
                      api->primitive_execute(e->primitive, l->stream, 4, given) == dnnl_success &&
                      api->stream_wait(l->stream) == dnnl_success;
    omp_set_num_threads(before);
    return good;
}

/* B of this shape from column j and term l on, as it is multiplied: where it is stored, or converted. */
static const stored *panel(const product *p, const shape *s, lane *x, size_t j, size_t l)
{
    const size_t row = p->transposed ? j : l, column = p->transposed ? l : j;
    const size_t rows = p->transposed ? s->columns : s->k, columns = p->transposed ? s->k : s->columns;
    ent_real numbers[512];
    if (!is_converted(p->w))
        return (const stored *)p->w->data + row * s->b_stride + column;
    if (x->panel_product == p->number && x->panel_column == j && x->panel_term == l)
        return x->panel;
    for (size_t i = 0; i < rows; i++)
        for (size_t c = 0, n; c < columns; c += n) {
            n = columns - c < 512 ? columns - c : 512;
            ent_tensor_read(numbers, p->w, row + i, column + c, n);
            round_row(x->panel + i * s->b_stride + c, numbers, n);
        }
    x->panel_product = p->number;
    x->panel_column = j;
    x->panel_term = l;
    return x->panel;
}

static void add_tile(const product *p, size_t i, size_t height, size_t j, size_t width, const float *tile,
                     ent_real beta)
{
    for (size_t r = 0; r < height && i + r < p->m; r++) {
        ent_real *to = p->c + (i + r) * p->n + j;
        const float *from = tile + r * width;
        if (beta == 0)
            memcpy(to, from, width * sizeof *to);
        else
            for (size_t x = 0; x < width; x++)
                to[x] = beta * to[x] + from[x];
    }
}

static void one_tile(const product *p, size_t i, size_t height, size_t j, size_t width)
{
    lane *x = &own.lanes[ent_thread()];
    for (size_t l = 0; l < p->k; l += p->depth) {
        const shape s = shape_of(p->w, p->transposed, height, width, p->k - l < p->depth ? p->k - l : p->depth);
        const entry *e = find(&s);
        assert(e && (size_t)ent_thread() < e->lanes);
        /* No memory: the step will fail by a loss or a gradient that is no number. */
        if (!execute(e, x, &e->of_lane[ent_thread()], p->rounded + i * p->k + l, panel(p, &s, x, j, l)))
            for (size_t y = 0; y < height * width; y++)
                x->tile[y] = NAN;
        add_tile(p, i, height, j, width, x->tile, l == 0 ? p->beta : 1);
    }
}

/* Tiles are numbered down the rows first, so that neighbours share columns of b. */
static void some_tiles(void *context, size_t begin, size_t end)
{
    const product *p = context;
    const size_t high = p->m / HIGH, down = high + (p->m % HIGH + LOW - 1) / LOW, wide = wide_of(p->w);
    for (size_t t = begin; t < end; t++) {
        const size_t d = t % down, j = t / down * wide, width = p->n - j < wide ? p->n - j : wide;
        const bool whole = d < high;
        one_tile(p, whole ? d * HIGH : high * HIGH + (d - high) * LOW, whole ? HIGH : LOW, j, width);
    }
}

void ent_onednn_product(ent_real *c, size_t m, const ent_real *a, const ent_tensor *w, bool transposed, ent_real beta,
                        void *scratch)
{
    const size_t n = w->shape[transposed ? 0 : 1], k = w->shape[transposed ? 1 : 0];
    product p = {c, a, scratch, w, ++own.n_products, m, n, k, depth_of(w, k), transposed, beta};
    const size_t down = m / HIGH + (m % HIGH + LOW - 1) / LOW;
    ent_tiles((m + LOW - 1) / LOW * LOW, 16, round_rows, &p);
    ent_tiles(down * ((n + wide_of(w) - 1) / wide_of(w)), is_converted(w) ? down : 1, some_tiles, &p);
}
