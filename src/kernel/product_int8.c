/* Products of int8 of one level. What an instruction multiplies and adds up at once is a word: with VNNI four terms,
 * the left ones as unsigned bytes, 128 larger than they are, which a sum over the right ones sets right; else two terms
 * of 16 bits. */
#include <math.h>
#include <string.h>

#include "src/kernel/level_name.h"
#include "src/kernel/product.h"
#include "src/kernel/words.h"

#if defined __AVX512F__
typedef __m512i vec;
typedef __m512 vec_real;
enum { LANES = 16, MR = 8, NV = 2 };
#define ALL(x) _mm512_set1_epi32((int)(x))
#define LOAD(p) _mm512_loadu_si512(p)
#define REAL(v) _mm512_cvtepi32_ps(v)
#define ALL_REAL(x) _mm512_set1_ps(x)
#define LOAD_REAL(p) _mm512_loadu_ps(p)
#define STORE_REAL(p, v) _mm512_storeu_ps(p, v)
#define MUL(a, b) _mm512_mul_ps(a, b)
#define FMA(a, b, c) _mm512_fmadd_ps(a, b, c)
#ifdef __AVX512VNNI__
#define DOT(sum, a, b) _mm512_dpbusd_epi32(sum, a, b)
#else
#define DOT(sum, a, b) _mm512_add_epi32(sum, _mm512_madd_epi16(a, b))
#endif
#elif defined __FMA__
typedef __m256i vec;
typedef __m256 vec_real;
enum { LANES = 8, MR = 6, NV = 2 };
#define ALL(x) _mm256_set1_epi32((int)(x))
#define LOAD(p) _mm256_loadu_si256((const __m256i *)(p))
#define REAL(v) _mm256_cvtepi32_ps(v)
#define ALL_REAL(x) _mm256_set1_ps(x)
#define LOAD_REAL(p) _mm256_loadu_ps(p)
#define STORE_REAL(p, v) _mm256_storeu_ps(p, v)
#define MUL(a, b) _mm256_mul_ps(a, b)
#define FMA(a, b, c) _mm256_fmadd_ps(a, b, c)
#define DOT(sum, a, b) _mm256_add_epi32(sum, _mm256_madd_epi16(a, b))
#else
typedef int32_t vec;
typedef float vec_real;
enum { LANES = 1, MR = 4, NV = 8 };
#define ALL(x) ((int32_t)(x))
#define LOAD(p) ((int32_t) * (p))
#define REAL(v) ((float)(v))
#define ALL_REAL(x) (x)
#define LOAD_REAL(p) (*(p))
#define STORE_REAL(p, v) (*(p) = (v))
#define MUL(a, b) ((a) * (b))
#define FMA(a, b, c) fmaf(a, b, c)
/* Without a sign, for lines that are not there may be any words, and their sums, which nobody reads, any size. */
#define HALVES(a, b) ((uint32_t)((int16_t)(a) * (int16_t)(b)))
#define DOT(sum, a, b) ((int32_t)((uint32_t)(sum) + HALVES(a, b) + HALVES((a) >> 16, (b) >> 16)))
#endif

#ifdef __AVX512VNNI__
enum { TERMS = 4 };
#else
enum { TERMS = 2 };
#endif
enum { NR = NV * LANES, WORDS = ENT_PRODUCT_DEPTH_INT8 / TERMS };

/* Words of a line of k terms, filled up with zeros. */
static void line_words(word *to, const int8_t *x, size_t k, bool left)
{
#ifdef __AVX512VNNI__
    memset(to + (k - 1) / TERMS, 0, sizeof *to);
    memcpy(to, x, k);
    for (size_t i = 0; i < (k + TERMS - 1) / TERMS && left; i++)
        to[i] ^= 0x80808080u;
#else
    (void)left;
    int16_t wide[ENT_PRODUCT_DEPTH_INT8];
    for (size_t l = 0; l < k; l++)
        wide[l] = x[l];
    wide[k - 1 + k % 2] = k % 2 ? 0 : x[k - 1];
    memcpy(to, wide, (k + 1) / 2 * sizeof *to);
#endif
}

/* A row of words from TERMS neighbouring rows, of which the last may be less than all. */
static void row_words(uint32_t *to, const int8_t *x, size_t stride, size_t terms, size_t n)
{
    static const int8_t zeros[64];
    const int8_t *row[TERMS];
    for (size_t t = 0; t < TERMS; t++)
        row[t] = t < terms ? x + t * stride : zeros;
    for (size_t j = 0; j < n; j++) {
#ifdef __AVX512VNNI__
        to[j] = (uint32_t)(uint8_t)row[0][j] | (uint32_t)(uint8_t)row[1][j] << 8 | (uint32_t)(uint8_t)row[2][j] << 16 |
                (uint32_t)(uint8_t)row[3][j] << 24;
#else
        to[j] = ((uint32_t)row[0][j] & 0xffffu) | (uint32_t)row[1][j] << 16;
#endif
    }
}

/* What the left terms are too large by, of each column: behind the words. */
static void add_corrections(uint32_t *b, size_t words)
{
#ifdef __AVX512VNNI__
    for (size_t v = 0; v < NV; v++) {
        vec sum = ALL(0);
        for (size_t l = 0; l < words; l++)
            sum = DOT(sum, ALL(0x80808080u), LOAD(b + l * NR + v * LANES));
        _mm512_storeu_si512(b + words * NR + v * LANES, _mm512_sub_epi32(ALL(0), sum));
    }
#else
    (void)b, (void)words;
#endif
}

extern void ENT_LEVEL_NAMED(ent_pack_int8_)(uint32_t *, const int8_t *, size_t, bool, size_t, size_t, size_t, bool);
void ENT_LEVEL_NAMED(ent_pack_int8_)(uint32_t *to, const int8_t *x, size_t stride, bool across, size_t n, size_t k,
                                     size_t width, bool left)
{
    const size_t words = (k + TERMS - 1) / TERMS;
    if (across) {
        for (size_t l = 0; l < words; l++)
            row_words(to + l * width, x + l * TERMS * stride, stride, k - l * TERMS < TERMS ? k - l * TERMS : TERMS, n);
    } else {
        for (size_t j = 0; j < n; j += 8) {
            word lines[8][WORDS];
            const size_t n_lines = n - j < 8 ? n - j : 8;
            for (size_t i = 0; i < n_lines; i++)
                line_words(lines[i], x + (j + i) * stride, k, left);
            pack_along(to + j, lines[0], WORDS, n_lines, words, width, 0);
        }
    }
    if (!left)
        add_corrections(to, words);
}

static inline void whole_tile(float *c, size_t ldc, size_t words, const uint32_t *a, const uint32_t *b,
                              const float *row_scales, const float *column_scales, float beta)
{
    vec sum[MR][NV];
    for (size_t i = 0; i < MR; i++) {
        __builtin_prefetch(c + i * ldc, 1);
        for (size_t v = 0; v < NV; v++)
#ifdef __AVX512VNNI__
            sum[i][v] = LOAD(b + words * NR + v * LANES);
#else
            sum[i][v] = ALL(0);
#endif
    }
#pragma GCC unroll 4
    for (size_t l = 0; l < words; l++) {
        vec bl[NV];
        for (size_t v = 0; v < NV; v++)
            bl[v] = LOAD(b + l * NR + v * LANES);
        for (size_t i = 0; i < MR; i++) {
            const vec ail = ALL(a[l * MR + i]);
            for (size_t v = 0; v < NV; v++)
                sum[i][v] = DOT(sum[i][v], ail, bl[v]);
        }
    }
    for (size_t i = 0; i < MR; i++) {
        for (size_t v = 0; v < NV; v++) {
            float *to = c + i * ldc + v * LANES;
            const vec_real scale = MUL(ALL_REAL(row_scales[i]), LOAD_REAL(column_scales + v * LANES));
            if (beta == 0)
                STORE_REAL(to, MUL(scale, REAL(sum[i][v])));
            else
                STORE_REAL(to, FMA(scale, REAL(sum[i][v]), MUL(ALL_REAL(beta), LOAD_REAL(to))));
        }
    }
}

extern void ENT_LEVEL_NAMED(ent_tile_int8_)(float *, size_t, size_t, size_t, size_t, const uint32_t *, const uint32_t *,
                                            const float *, const float *, float);
void ENT_LEVEL_NAMED(ent_tile_int8_)(float *c, size_t ldc, size_t m, size_t n, size_t k, const uint32_t *a,
                                     const uint32_t *b, const float *row_scales, const float *column_scales, float beta)
{
    const size_t words = (k + TERMS - 1) / TERMS;
    if (m == MR && n == NR) {
        whole_tile(c, ldc, words, a, b, row_scales, column_scales, beta);
        return;
    }
    float copy[MR * NR] = {0}, rows[MR] = {0}, columns[NR] = {0};
    memcpy(rows, row_scales, m * sizeof *rows);
    memcpy(columns, column_scales, n * sizeof *columns);
    for (size_t i = 0; i < m && beta != 0; i++)
        memcpy(copy + i * NR, c + i * ldc, n * sizeof *c);
    whole_tile(copy, NR, words, a, b, rows, columns, beta);
    for (size_t i = 0; i < m; i++)
        memcpy(c + i * ldc, copy + i * NR, n * sizeof *c);
}
