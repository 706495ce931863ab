/* Products of one level. The tile is MR rows by NV vectors: as many sums as the registers hold, beside the vectors of B
 * and one element of A in every lane. */
#include <math.h>
#include <string.h>

#include "src/kernel/level_name.h"
#include "src/kernel/product.h"
#include "src/kernel/words.h"

#if defined __AVX512F__ && !defined ENT_F64
typedef __m512 vec;
enum { LANES = 16, MR = 8, NV = 2 };
#define ALL(x) _mm512_set1_ps(x)
#define LOAD(p) _mm512_loadu_ps(p)
#define STORE(p, v) _mm512_storeu_ps(p, v)
#define MUL(a, b) _mm512_mul_ps(a, b)
#define FMA(a, b, c) _mm512_fmadd_ps(a, b, c)
#elif defined __FMA__ && !defined ENT_F64
typedef __m256 vec;
enum { LANES = 8, MR = 6, NV = 2 };
#define ALL(x) _mm256_set1_ps(x)
#define LOAD(p) _mm256_loadu_ps(p)
#define STORE(p, v) _mm256_storeu_ps(p, v)
#define MUL(a, b) _mm256_mul_ps(a, b)
#define FMA(a, b, c) _mm256_fmadd_ps(a, b, c)
#else
typedef ent_real vec;
enum { LANES = 1, MR = 4, NV = 8 };
#define ALL(x) (x)
#define LOAD(p) (*(p))
#define STORE(p, v) (*(p) = (v))
#define MUL(a, b) ((a) * (b))
#ifdef ENT_F64
#define FMA(a, b, c) ((a) * (b) + (c)) /* double is for tests, which would wait for a true one */
#else
#define FMA(a, b, c) fmaf(a, b, c)
#endif
#endif

enum { NR = NV * LANES, FEW = MR == 4 ? 2 : 4 };

_Static_assert((int)NR <= (int)ENT_PRODUCT_COLUMNS, "what is converted for a row has room for the tile");

/* A row of n numbers across slivers of `width`, each `size` behind the one before. */
static inline void pack_row(ent_real *to, const ent_real *x, size_t n, size_t width, size_t size)
{
    size_t j = 0;
    for (; j + width <= n; j += width, to += size)
        memcpy(to, x + j, width * sizeof *to);
    if (j < n)
        memcpy(to, x + j, (n - j) * sizeof *to);
}

static void pack(ent_real *to, const ent_real *x, size_t stride, bool across, size_t n, size_t k, size_t width)
{
    if (!across)
        for (size_t j = 0; j < n; j += width)
            pack_along((word *)to + j * k, (const word *)x + j * stride, stride, n - j < width ? n - j : width, k,
                       width,
                       n - j < width       ? 0
                       : n - j < 2 * width ? n - j - width
                                           : width);
    else if (width == NR)
        for (size_t l = 0; l < k; l++)
            pack_row(to + l * NR, x + l * stride, n, NR, NR * k);
    else
        for (size_t l = 0; l < k; l++)
            pack_row(to + l * MR, x + l * stride, n, MR, MR * k);
}

/* What becomes of a row of sums in C. */
static inline void add_to(ent_real *c, const vec sum[NV], ent_real alpha, ent_real beta)
{
    for (size_t v = 0; v < NV; v++) {
        ent_real *to = c + v * LANES;
        if (beta == 0)
            STORE(to, MUL(ALL(alpha), sum[v]));
        else
            STORE(to, FMA(ALL(alpha), sum[v], MUL(ALL(beta), LOAD(to))));
    }
}

/* A tile of `rows` rows, MR or FEW, all its columns being there. */
static inline __attribute__((always_inline)) void whole_tile(ent_real *c, size_t ldc, size_t rows, size_t k,
                                                             const ent_real *a, const ent_real *b, ent_real alpha,
                                                             ent_real beta)
{
    vec sum[MR][NV];
    for (size_t i = 0; i < rows; i++) {
        __builtin_prefetch(c + i * ldc, 1);
        for (size_t v = 0; v < NV; v++)
            sum[i][v] = ALL(0);
    }
#pragma GCC unroll 4
    for (size_t l = 0; l < k; l++) {
        vec bl[NV];
        for (size_t v = 0; v < NV; v++)
            bl[v] = LOAD(b + l * NR + v * LANES);
        for (size_t i = 0; i < rows; i++) {
            const vec ail = ALL(a[l * MR + i]);
            for (size_t v = 0; v < NV; v++)
                sum[i][v] = FMA(ail, bl[v], sum[i][v]);
        }
    }
    for (size_t i = 0; i < rows; i++)
        add_to(c + i * ldc, sum[i], alpha, beta);
}

/* At the edges of C the tile is computed from a copy of what C has of it: whole, or a few of its rows. */
static void tile(ent_real *c, size_t ldc, size_t m, size_t n, size_t k, const ent_real *a, const ent_real *b,
                 ent_real alpha, ent_real beta)
{
    if (m == MR && n == NR) {
        whole_tile(c, ldc, MR, k, a, b, alpha, beta);
        return;
    }
    ent_real copy[MR * NR] = {0};
    for (size_t i = 0; i < m && beta != 0; i++)
        memcpy(copy + i * NR, c + i * ldc, n * sizeof *c);
    if (m <= FEW)
        whole_tile(copy, NR, FEW, k, a, b, alpha, beta);
    else
        whole_tile(copy, NR, MR, k, a, b, alpha, beta);
    for (size_t i = 0; i < m; i++)
        memcpy(c + i * ldc, copy + i * NR, n * sizeof *c);
}

/* Up to eight terms of n columns, as a tile has them: to[l * NR + j] = x(j, l). */
static inline void turn_terms(ent_real *to, const ent_real *x, size_t stride, bool across, size_t n, size_t k)
{
    if (across)
        for (size_t l = 0; l < k; l++)
            memcpy(to + l * NR, x + l * stride, n * sizeof *to);
    else if (k == 8)
        for (size_t j = 0; j < n; j += 8)
            turn((word *)to + j, NR, (const word *)x + j * stride, stride, n - j < 8 ? n - j : 8);
    else
        for (size_t l = 0; l < k; l++)
            for (size_t j = 0; j < n; j++)
                to[l * NR + j] = x[j * stride + l];
}

static inline __attribute__((always_inline)) void add_terms(vec sum[NV], const ent_real *a, const ent_real *b,
                                                            size_t stride, size_t k)
{
    for (size_t l = 0; l < k; l++)
        for (size_t v = 0; v < NV; v++)
            sum[v] = FMA(ALL(a[l]), LOAD(b + l * stride + v * LANES), sum[v]);
}

static void row(ent_real *c, size_t n, size_t k, const ent_real *a, const ent_real *b, size_t stride, bool across,
                ent_real alpha, ent_real beta)
{
    ent_real terms[8 * NR] = {0}, copy[NR] = {0};
    vec sum[NV];
    size_t l = 0;
    for (size_t v = 0; v < NV; v++)
        sum[v] = ALL(0);
    if (n == NR && across) {
        add_terms(sum, a, b, stride, k);
        l = k;
    }
    for (; n == NR && l + 8 <= k; l += 8) {
        turn_terms(terms, b + l, stride, false, NR, 8);
        add_terms(sum, a + l, terms, NR, 8);
    }
    for (; l < k; l += 8) {
        const size_t some = k - l < 8 ? k - l : 8;
        turn_terms(terms, b + (across ? l * stride : l), stride, across, n, some);
        add_terms(sum, a + l, terms, NR, some);
    }
    if (n == NR) {
        add_to(c, sum, alpha, beta);
        return;
    }
    memcpy(copy, c, (beta != 0 ? n : 0) * sizeof *c);
    add_to(copy, sum, alpha, beta);
    memcpy(c, copy, n * sizeof *c);
}

extern void ENT_LEVEL_NAMED(ent_pack_int8_)(uint32_t *, const int8_t *, size_t, bool, size_t, size_t, size_t, bool);
extern void ENT_LEVEL_NAMED(ent_tile_int8_)(float *, size_t, size_t, size_t, size_t, const uint32_t *, const uint32_t *,
                                            const float *, const float *, float);
extern const ent_product_kernels ENT_LEVEL_NAMED(ent_products_);
const ent_product_kernels ENT_LEVEL_NAMED(ent_products_) = {
    .rows = MR,
    .columns = NR,
    .pack = pack,
    .tile = tile,
    .row = row,
#ifndef ENT_F64
    .pack_int8 = ENT_LEVEL_NAMED(ent_pack_int8_),
    .tile_int8 = ENT_LEVEL_NAMED(ent_tile_int8_),
#endif
};
