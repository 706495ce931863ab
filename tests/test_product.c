/* The inner part of products, of every level that this CPU has, bit for bit against what src/kernel/product.h promises:
 * packing, tiles of every size, single rows, all depths, nothing written beside C. It needs src/kernel and src/base
 * alone, and with ENT_ALONE no CMocka either, so that it can be linked statically and carried to another CPU:
 *
 *   cc -static -fopenmp -DENT_ALONE -I. tests/test_product.c build/libentrenar_static.a -lm
 */
#ifndef ENT_ALONE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#else
#define fail_msg(...) (printf(__VA_ARGS__), printf("\n"), exit(1))
#endif
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/philox.h"
#include "src/kernel/kernels.h"

static const char *const levels[] = {"plain", "avx2", "avx512", "avx512vnni"};
enum { N_LEVELS = sizeof levels / sizeof *levels };

enum { DEPTH = ENT_PRODUCT_DEPTH, DEPTH_INT8 = ENT_PRODUCT_DEPTH_INT8, MOST = 48, LINE = MOST + 5 };

/* C with a margin all around, as it is before, after, and should be. */
static float before[(MOST + 2) * LINE], after[(MOST + 2) * LINE], want[(MOST + 2) * LINE];
enum { CORNER = LINE + 2 };

static const struct {
    float alpha, beta;
} factors[] = {{1, 0}, {-0.375f, 1}, {1.1f, -0.7f}, {0.3f, 0}};

static uint32_t word_at(uint32_t unit, size_t i)
{
    const ent_rng rng = {.seed = 11, .unit = unit};
    return ent_random_u32(&rng, i);
}

/* Of both signs and many sizes, some subnormal, some 0. */
static float number_at(uint32_t unit, size_t i)
{
    const uint32_t u = word_at(unit, i);
    if (u % 61 == 0)
        return 0;
    return ldexpf((float)(int32_t)u * 0x1p-31f, u % 67 == 0 ? -140 : (int)(u % 13) - 6);
}

static int8_t int8_at(uint32_t unit, size_t i)
{
    return (int8_t)((int)(word_at(unit, i) % 255) - 127);
}

/* n numbers in memory that ends with them. */
static float *numbers(uint32_t unit, size_t n)
{
    float *x = malloc(n * sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = number_at(unit, i);
    return x;
}

/* No number: what stands where anything may stand. */
static void spoil(void *x, size_t n)
{
    memset(x, 0xff, n * sizeof(float));
}

static void begin_c(bool is_read, size_t m, size_t n)
{
    for (size_t i = 0; i < sizeof before / sizeof *before; i++)
        before[i] = number_at(3, i);
    memcpy(want, before, sizeof want);
    memcpy(after, before, sizeof after);
    for (size_t i = 0; i < m && !is_read; i++)
        spoil(after + CORNER + i * LINE, n);
}

static void compare_c(const char *what, const char *level, size_t m, size_t n, size_t k, float beta)
{
    for (size_t i = 0; i < sizeof want / sizeof *want; i++)
        if (memcmp(&after[i], &want[i], sizeof *want) != 0)
            fail_msg("%s %s %zux%zux%zu beta %g: at line %zd, column %zd: %a, expected %a", level, what, m, n, k,
                     (double)beta, (ptrdiff_t)(i / LINE) - 1, (ptrdiff_t)(i % LINE) - 2, (double)after[i],
                     (double)want[i]);
}

/* What an element of C gets of one stretch of terms. */
static float element(float c, size_t k, const float *a, const float *b, size_t b_stride, float alpha, float beta)
{
    float sum = 0;
    for (size_t l = 0; l < k; l++)
        sum = fmaf(a[l], b[l * b_stride], sum);
    return beta == 0 ? alpha * sum : fmaf(alpha, sum, beta * c);
}

/* One tile; the packed operands are laid out here, and hold no numbers beside their own. */
static void check_tile(const ent_kernels *level, size_t m, size_t n, size_t k, float alpha, float beta)
{
    static float a[MOST * DEPTH], b[MOST * DEPTH], packed_a[MOST * DEPTH], packed_b[MOST * DEPTH];
    const ent_product_kernels *p = level->products;
    begin_c(beta != 0, m, n);
    spoil(packed_a, p->rows * k);
    spoil(packed_b, p->columns * k);
    for (size_t i = 0; i < m; i++)
        for (size_t l = 0; l < k; l++)
            packed_a[l * p->rows + i] = a[i * k + l] = number_at(1, i * DEPTH + l);
    for (size_t l = 0; l < k; l++)
        for (size_t j = 0; j < n; j++)
            packed_b[l * p->columns + j] = b[l * n + j] = number_at(2, l * MOST + j);
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++)
            want[CORNER + i * LINE + j] = element(before[CORNER + i * LINE + j], k, a + i * k, b + j, n, alpha, beta);
    p->tile(after + CORNER, LINE, m, n, k, packed_a, packed_b, alpha, beta);
    compare_c("tile", level->name, m, n, k, beta);
}

static void tiles_of(const ent_kernels *level)
{
    static const size_t depths[] = {1, 2, 7, 33};
    const size_t rows = level->products->rows, columns = level->products->columns;
    if (rows > MOST || columns > MOST || 528 % rows || 128 % columns)
        fail_msg("%s: tiles of %zux%zu", level->name, rows, columns);
    size_t turn = 0;
    for (size_t m = 1; m <= rows; m++)
        for (size_t n = 1; n <= columns; n++)
            for (size_t d = 0; d < 4; d++, turn++)
                check_tile(level, m, n, depths[d], factors[turn / 4 % 4].alpha, factors[turn / 4 % 4].beta);
    for (size_t k = 1; k <= DEPTH; k++) {
        check_tile(level, rows, columns, k, factors[k % 4].alpha, factors[k % 4].beta);
        check_tile(level, 1 + k % rows, 1 + k % columns, k, factors[k / 2 % 4].alpha, factors[k / 2 % 4].beta);
    }
}

/* n lines of k numbers in slivers of `width`: where each should be, and nothing behind the slack. */
static void check_packing(const ent_kernels *level, size_t width, bool across, size_t n, size_t k)
{
    enum { SLACK = ENT_PRODUCT_SLACK, GUARD = 40 };
    const size_t stride = (across ? n : k) + 3, lines = across ? k : n;
    const size_t size = (n + width - 1) / width * width * k + SLACK;
    float *x = numbers(4, lines * stride - 3), *to = malloc((size + GUARD) * sizeof *to);
    spoil(to, size + GUARD);
    level->products->pack(to, x, stride, across, n, k, width);
    for (size_t j = 0; j < n; j++) {
        for (size_t l = 0; l < k; l++) {
            const float *from = across ? x + l * stride + j : x + j * stride + l;
            const float *found = to + j / width * width * k + l * width + j % width;
            if (memcmp(from, found, sizeof *from) != 0)
                fail_msg("%s pack%s %zu lines of %zu by %zu: %zu, %zu is %a, expected %a", level->name,
                         across ? " across" : "", n, k, width, j, l, (double)*found, (double)*from);
        }
    }
    for (size_t i = size; i < size + GUARD; i++)
        if (!isnan(to[i]))
            fail_msg("%s pack%s %zu lines of %zu by %zu: writes %zu numbers behind them", level->name,
                     across ? " across" : "", n, k, width, i - (size - SLACK));
    free(x), free(to);
}

static void packing_of(const ent_kernels *level)
{
    const size_t widths[] = {level->products->rows, level->products->columns};
    for (size_t w = 0; w < 2; w++)
        for (int across = 0; across < 2; across++) {
            for (size_t n = 1; n <= 2 * widths[w] + 1; n++)
                for (size_t k = 1; k <= 17; k += 1 + k / 10)
                    check_packing(level, widths[w], across, n, k);
            for (size_t k = 1; k <= DEPTH; k += 1 + k / 6)
                check_packing(level, widths[w], across, widths[w] + 1, k);
            check_packing(level, widths[w], across, 2 * widths[w] - 1, DEPTH);
        }
}

/* More terms than are packed at a time: beta is for the first stretch. */
static void stretches_of(const ent_kernels *level)
{
    enum { TERMS = 2 * DEPTH + 41 };
    static float packed_a[MOST * DEPTH + ENT_PRODUCT_SLACK], packed_b[MOST * DEPTH + ENT_PRODUCT_SLACK];
    const ent_product_kernels *p = level->products;
    const size_t m = p->rows, n = p->columns - 1;
    float *a = numbers(5, m * TERMS), *b = numbers(6, TERMS * n);
    begin_c(true, m, n);
    for (size_t l = 0; l < TERMS; l += DEPTH) {
        const size_t k = TERMS - l < DEPTH ? TERMS - l : DEPTH;
        const float beta = l == 0 ? 0.7f : 1;
        p->pack(packed_a, a + l, TERMS, false, m, k, p->rows);
        p->pack(packed_b, b + l * n, n, true, n, k, p->columns);
        p->tile(after + CORNER, LINE, m, n, k, packed_a, packed_b, 1.1f, beta);
        for (size_t i = 0; i < m; i++)
            for (size_t j = 0; j < n; j++) {
                float *c = want + CORNER + i * LINE + j;
                *c = element(*c, k, a + i * TERMS + l, b + l * n + j, n, 1.1f, beta);
            }
    }
    compare_c("stretches", level->name, m, n, TERMS, 0.7f);
    free(a), free(b);
}

/* One row, from B as it is stored, which ends with its last number. */
static void check_row(const ent_kernels *level, bool across, size_t n, size_t k, float alpha, float beta)
{
    const size_t stride = (across ? n : k) + 3, lines = across ? k : n;
    float *a = numbers(1, k), *b = numbers(2, k ? lines * stride - 3 : 0);
    begin_c(beta != 0, 1, n);
    for (size_t j = 0; j < n; j++)
        want[CORNER + j] =
            element(before[CORNER + j], k, a, across ? b + j : b + j * stride, across ? stride : 1, alpha, beta);
    level->products->row(after + CORNER, n, k, a, b, stride, across, alpha, beta);
    compare_c(across ? "row across" : "row", level->name, 1, n, k, beta);
    free(a), free(b);
}

static void rows_of(const ent_kernels *level)
{
    for (int across = 0; across < 2; across++)
        for (size_t n = 1; n <= level->products->columns; n++) {
            for (size_t k = 0; k <= 19; k++)
                for (size_t f = 0; f < 4; f++)
                    check_row(level, across, n, k, factors[f].alpha, factors[f].beta);
            check_row(level, across, n, DEPTH - n % 3, factors[n % 4].alpha, factors[n % 4].beta);
        }
}

/* Operands of int8: any, or all as large as can be, of one sign, or of two. */
typedef enum { ANY, LARGEST, OPPOSITE } content;

static int8_t *operand(content what, uint32_t unit, size_t n)
{
    int8_t *x = malloc(n);
    for (size_t i = 0; i < n; i++)
        x[i] = what == ANY ? int8_at(unit, i) : what == OPPOSITE && unit == 8 ? -127 : 127;
    return x;
}

/* Both operands packed, into memory of which no word is to be touched behind what the header names. */
static void pack_both(const ent_product_kernels *p, uint32_t *a, uint32_t *b, const int8_t *x, size_t x_stride,
                      size_t m, const int8_t *y, size_t y_stride, bool across, size_t n, size_t k, const char *name)
{
    enum { GUARD = 40 };
    const size_t sizes[] = {p->rows * ((k + 1) / 2 + 1), p->columns * ((k + 1) / 2 + 1)};
    uint32_t *const to[] = {a, b};
    for (size_t o = 0; o < 2; o++)
        for (size_t i = 0; i < sizes[o] + GUARD; i++)
            to[o][i] = 0x80018001u + (uint32_t)i;
    p->pack_int8(a, x, x_stride, false, m, k, p->rows, true);
    p->pack_int8(b, y, y_stride, across, n, k, p->columns, false);
    for (size_t o = 0; o < 2; o++)
        for (size_t i = sizes[o]; i < sizes[o] + GUARD; i++)
            if (to[o][i] != 0x80018001u + (uint32_t)i)
                fail_msg("%s pack_int8 of %s, %zu terms, writes %zu words behind", name, o ? "B" : "A", k,
                         i - sizes[o] + 1);
}

static float want_int8(float c, size_t k, const int8_t *x, const int8_t *y, size_t y_stride, float scale, float beta)
{
    int64_t sum = 0;
    for (size_t l = 0; l < k; l++)
        sum += (int64_t)x[l] * y[l * y_stride];
    return beta == 0 ? scale * (float)sum : fmaf(scale, (float)sum, beta * c);
}

static void check_int8(const ent_kernels *level, content what, bool across, size_t m, size_t n, size_t k, float beta)
{
    static uint32_t a[MOST * (DEPTH_INT8 / 2 + 2)], b[MOST * (DEPTH_INT8 / 2 + 2)];
    const ent_product_kernels *p = level->products;
    const size_t x_stride = k + 3, y_stride = across ? n + 3 : k + 1, lines = across ? k : n;
    int8_t *x = operand(what, 7, (m - 1) * x_stride + k);
    int8_t *y = operand(what, 8, (lines - 1) * y_stride + (across ? n : k));
    float *row_scales = numbers(9, m), *column_scales = numbers(10, n);
    begin_c(beta != 0, m, n);
    pack_both(p, a, b, x, x_stride, m, y, y_stride, across, n, k, level->name);
    p->tile_int8(after + CORNER, LINE, m, n, k, a, b, row_scales, column_scales, beta);
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++)
            want[CORNER + i * LINE + j] =
                want_int8(before[CORNER + i * LINE + j], k, x + i * x_stride, across ? y + j : y + j * y_stride,
                          across ? y_stride : 1, row_scales[i] * column_scales[j], beta);
    compare_c(across ? "int8 across" : "int8", level->name, m, n, k, beta);
    free(x), free(y), free(row_scales), free(column_scales);
}

static void int8_of(const ent_kernels *level)
{
    static const size_t depths[] = {1, 4, 15, 34};
    const size_t rows = level->products->rows, columns = level->products->columns;
    size_t turn = 0;
    for (size_t m = 1; m <= rows; m++)
        for (size_t n = 1; n <= columns; n++)
            for (size_t d = 0; d < 4; d++, turn++)
                check_int8(level, ANY, turn / 4 % 2, m, n, depths[d], factors[turn / 8 % 4].beta);
    for (size_t k = 1; k <= DEPTH_INT8; k += 1 + k / 40)
        for (int across = 0; across < 2; across++) {
            check_int8(level, ANY, across, rows, columns, k, factors[k % 4].beta);
            check_int8(level, ANY, across, 1 + k % rows, 1 + k % columns, k, factors[k / 2 % 4].beta);
        }
    for (size_t k = DEPTH_INT8 - 4; k <= DEPTH_INT8; k++)
        for (int across = 0; across < 2; across++)
            for (content what = ANY; what <= OPPOSITE; what++) {
                check_int8(level, what, across, rows, columns, k, 1);
                check_int8(level, what, across, rows - 1, columns - 1, k, 0);
            }
}

/* A scale that is no number makes its row so, and leaves the others. */
static void lost_rows_of(const ent_kernels *level)
{
    enum { K = 19 };
    static uint32_t a[MOST * K], b[MOST * K];
    const ent_product_kernels *p = level->products;
    float row_scales[MOST], column_scales[MOST], c[MOST * MOST] = {0};
    int8_t *x = operand(ANY, 7, p->rows * K), *y = operand(ANY, 8, p->columns * K);
    for (size_t i = 0; i < MOST; i++)
        row_scales[i] = i == 1 ? NAN : 1, column_scales[i] = 1;
    memset(x + K, 0, K);
    for (size_t m = 2; m <= p->rows; m++) {
        pack_both(p, a, b, x, K, m, y, K, false, p->columns, K, level->name);
        p->tile_int8(c, MOST, m, p->columns, K, a, b, row_scales, column_scales, 0);
        for (size_t i = 0; i < m; i++)
            for (size_t j = 0; j < p->columns; j++)
                if (!isnan(c[i * MOST + j]) != (i != 1))
                    fail_msg("%s: a scale of row 1 that is no number: (%zu, %zu) is %g", level->name, i, j,
                             (double)c[i * MOST + j]);
    }
    free(x), free(y);
}

static void at_all_levels(void (*check)(const ent_kernels *level))
{
    for (size_t l = 0; l < N_LEVELS; l++)
        if (ent_kernels_find(levels[l]))
            check(ent_kernels_find(levels[l]));
}

static void tiles(void **state)
{
    (void)state;
    for (size_t l = 0; l < N_LEVELS; l++)
        if (ent_kernels_find(levels[l]) == NULL)
            fprintf(stderr, "SKIPPED: products of %s: this CPU has no such instructions\n", levels[l]);
    at_all_levels(tiles_of);
}

static void packing(void **state)
{
    (void)state;
    at_all_levels(packing_of);
}

static void stretches(void **state)
{
    (void)state;
    at_all_levels(stretches_of);
}

static void rows(void **state)
{
    (void)state;
    at_all_levels(rows_of);
}

static void int8(void **state)
{
    (void)state;
    at_all_levels(int8_of);
}

static void lost_rows(void **state)
{
    (void)state;
    at_all_levels(lost_rows_of);
}

int main(void)
{
#ifdef ENT_ALONE
    static void (*const tests[])(void **) = {tiles, packing, stretches, rows, int8, lost_rows};
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++)
        tests[i](NULL);
    printf("products: as promised, up to %s\n", ent_simd_name());
    return 0;
#else
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiles), cmocka_unit_test(packing), cmocka_unit_test(stretches),
        cmocka_unit_test(rows),  cmocka_unit_test(int8),    cmocka_unit_test(lost_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
#endif
}
