#include <assert.h>
#include <float.h>

#include "src/kernel/kernels.h"
#include "src/quant/nf4.h"
#include "src/quant/parts.h"

/* The quantiles of the normal distribution that are the values of NF4 (QLoRA, appendix E). */
#define V0 -1.0f
#define V1 -0.6961928009986877f
#define V2 -0.5250730514526367f
#define V3 -0.39491748809814453f
#define V4 -0.28444138169288635f
#define V5 -0.18477343022823334f
#define V6 -0.09105003625154495f
#define V7 0.0f
#define V8 0.07958029955625534f
#define V9 0.16093020141124725f
#define V10 0.24611230194568634f
#define V11 0.33791524171829224f
#define V12 0.44070982933044434f
#define V13 0.5626170039176941f
#define V14 0.7229568362236023f
#define V15 1.0f

static const float values[16] = {V0, V1, V2, V3, V4, V5, V6, V7, V8, V9, V10, V11, V12, V13, V14, V15};

/* The two values of every byte of codes, so that one load gives both. */
#define BYTES_FROM(high)                                                                                           \
    high, V0, high, V1, high, V2, high, V3, high, V4, high, V5, high, V6, high, V7, high, V8, high, V9, high, V10, \
        high, V11, high, V12, high, V13, high, V14, high, V15
static const float pairs[512] = {BYTES_FROM(V0),  BYTES_FROM(V1),  BYTES_FROM(V2),  BYTES_FROM(V3),
                                 BYTES_FROM(V4),  BYTES_FROM(V5),  BYTES_FROM(V6),  BYTES_FROM(V7),
                                 BYTES_FROM(V8),  BYTES_FROM(V9),  BYTES_FROM(V10), BYTES_FROM(V11),
                                 BYTES_FROM(V12), BYTES_FROM(V13), BYTES_FROM(V14), BYTES_FROM(V15)};

/* The upper half of the signed dynamic map, codes 127..255; code 127 - k is minus code 127 + k. To the last bit the
 * numbers that bitsandbytes has: boundaries 0.1 + k step and 1 - k step, each rounded once, and the means of neighbours
 * times a power of ten. */
/* clang-format off */
static const float dynamic_map[129] = {
    0, 5.5000004e-07f, 3.2500002e-06f, 7.75e-06f, 2.1249998e-05f, 4.375e-05f, 6.625e-05f, 8.875e-05f,
    0.00015625001f, 0.00026875004f, 0.00038125002f, 0.00049375003f, 0.0006062501f, 0.00071875006f, 0.00083125f,
    0.0009437501f,
    0.0012812499f, 0.00184375f, 0.00240625f, 0.00296875f, 0.0035312497f, 0.00409375f, 0.0046562497f, 0.0052187503f,
    0.00578125f, 0.00634375f, 0.00690625f, 0.00746875f, 0.00803125f, 0.00859375f, 0.009156249f, 0.00971875f,
    0.01140625f, 0.01421875f, 0.01703125f, 0.019843752f, 0.02265625f, 0.02546875f, 0.028281251f, 0.03109375f,
    0.03390625f, 0.036718752f, 0.03953125f, 0.042343747f, 0.04515625f, 0.04796875f, 0.05078125f, 0.05359375f,
    0.05640625f, 0.059218753f, 0.06203125f, 0.06484375f, 0.067656256f, 0.070468746f, 0.07328125f, 0.07609375f,
    0.07890625f, 0.08171876f, 0.08453125f, 0.08734375f, 0.09015625f, 0.092968754f, 0.09578126f, 0.09859375f,
    0.107031256f, 0.12109375f, 0.13515624f, 0.14921875f, 0.16328125f, 0.17734376f, 0.19140625f, 0.20546874f,
    0.21953125f, 0.23359375f, 0.24765624f, 0.26171875f, 0.27578127f, 0.28984374f, 0.30390626f, 0.31796873f,
    0.33203125f, 0.34609374f, 0.36015624f, 0.37421876f, 0.38828123f, 0.40234375f, 0.41640624f, 0.43046874f,
    0.44453126f, 0.45859373f, 0.47265625f, 0.4867187f, 0.50078124f, 0.5148437f, 0.5289062f, 0.54296875f, 0.5570313f,
    0.5710938f, 0.58515626f, 0.5992187f, 0.61328125f, 0.6273438f, 0.6414063f, 0.65546876f, 0.6695312f, 0.68359375f,
    0.6976563f, 0.7117188f, 0.72578126f, 0.7398437f, 0.75390625f, 0.7679688f, 0.78203124f, 0.79609376f, 0.8101562f,
    0.82421875f, 0.8382813f, 0.85234374f, 0.86640626f, 0.8804687f, 0.89453125f, 0.9085938f, 0.92265624f,
    0.93671876f, 0.9507812f, 0.96484375f, 0.9789063f, 0.99296874f,
    1
};
/* clang-format on */

enum { ZERO_CODE = 7, MAP_ZERO = 127, MAP_SIZE = 256 };

static float map_value(size_t code)
{
    const float value = dynamic_map[code >= MAP_ZERO ? code - MAP_ZERO : MAP_ZERO - code];
    return code >= MAP_ZERO ? value : -value;
}

const float *ent_nf4_values(void)
{
    return values;
}

void ent_nf4_map(float map[256])
{
    for (size_t i = 0; i < MAP_SIZE; i++)
        map[i] = map_value(i);
}

/* The code whose value is nearest to t: that many midpoints are below t. */
static uint8_t map_nearest(float t)
{
    size_t low = 0, high = MAP_SIZE - 1;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (t > (map_value(middle) + map_value(middle + 1)) * 0.5f)
            low = middle + 1;
        else
            high = middle;
    }
    return (uint8_t)low;
}

/* What a block or a group is multiplied by; 0 for one that is stored as zeros. */
static float inverse_of(float scale)
{
    return scale >= FLT_MIN ? 1 / scale : 0;
}

ent_status ent_nf4_layout(ent_nf4 *m, size_t rows, size_t cols)
{
    if (rows == 0 || cols == 0)
        return ent_fail(ENT_EINVAL, "NF4: a matrix of %zu x %zu, expected some numbers", rows, cols);
    const size_t row_codes = cols / 2 + cols % 2, row_blocks = (cols - 1) / ENT_NF4_BLOCK + 1;
    size_t codes;
    if (__builtin_mul_overflow(rows, row_codes, &codes) || codes > PTRDIFF_MAX / 4)
        return ent_fail(ENT_EINVAL, "NF4: a matrix of %zu x %zu is too large for this machine", rows, cols);
    const size_t blocks = rows * row_blocks, groups = (blocks - 1) / ENT_NF4_GROUP + 1;
    const size_t groups_at = (codes + blocks + 3) / 4 * 4, bytes = groups_at + (groups + 1) * sizeof(float);
    *m = (ent_nf4){rows, cols, row_codes, row_blocks, groups, codes, groups_at, bytes};
    return ENT_OK;
}

/* Codes of n <= 64 numbers and their scale. Like map_nearest, without a branch. */
static float put_block(uint8_t *codes, const float *x, size_t n)
{
    uint32_t code[ENT_NF4_BLOCK];
    float middle[15];
    for (size_t k = 0; k < 15; k++)
        middle[k] = (values[k] + values[k + 1]) * 0.5f;
    const float largest = ent_kernels_get()->largest(x, NULL, n), inverse = inverse_of(largest);
    for (size_t j = 0; j < n; j++) {
        const float t = x[j] * inverse;
        code[j] = 0;
        for (size_t k = 0; k < 15; k++)
            code[j] += t > middle[k];
    }
    if (n % 2)
        code[n] = ZERO_CODE;
    for (size_t j = 0; j < n; j += 2)
        codes[j / 2] = (uint8_t)(code[j] << 4 | code[j + 1]);
    return inverse != 0 ? largest : 0;
}

ent_status ent_nf4_put(uint8_t *codes, float *scales, const float *x, size_t n)
{
    if (!(ent_kernels_get()->largest(x, NULL, n) <= ENT_NF4_LARGEST))
        return ent_quant_refuse(x, n, "NF4", ENT_NF4_LARGEST);
    for (size_t i = 0; i < n; i += ENT_NF4_BLOCK)
        *scales++ = put_block(codes + i / 2, x + i, n - i < ENT_NF4_BLOCK ? n - i : ENT_NF4_BLOCK);
    return ENT_OK;
}

void ent_nf4_put_scales(uint8_t *rest, const ent_nf4 *m, const float *scales)
{
    const size_t n = m->rows * m->row_blocks;
    uint8_t *groups = rest + (m->groups_at - m->scales_at);
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)scales[i];
    const float offset = (float)(sum / (double)n);
    for (size_t g = 0; g < m->groups; g++) {
        const size_t first = g * ENT_NF4_GROUP, end = n - first < ENT_NF4_GROUP ? n : first + ENT_NF4_GROUP;
        float left[ENT_NF4_GROUP];
        for (size_t i = first; i < end; i++)
            left[i - first] = scales[i] - offset;
        const float largest = ent_kernels_get()->largest(left, NULL, end - first), inverse = inverse_of(largest);
        for (size_t i = first; i < end; i++)
            rest[i] = map_nearest(left[i - first] * inverse);
        const float group = inverse != 0 ? largest : 0;
        memcpy(groups + g * sizeof group, &group, sizeof group);
    }
    memset(rest + n, 0, m->groups_at - m->scales_at - n);
    memcpy(groups + m->groups * sizeof offset, &offset, sizeof offset);
}

/* The two numbers of a byte of codes, unscaled. */
static uint64_t pair_of(uint8_t code)
{
    uint64_t two;
    memcpy(&two, pairs + 2 * (size_t)code, sizeof two);
    return two;
}

/* y (4 n) from 2 n bytes of codes. Written so that compilers make it two loads of pairs into one vector, a product, a
 * store: a third of the time of one number after the other. */
static void get_fours(float *restrict y, const uint8_t *restrict codes, size_t n, float scale)
{
    for (size_t i = 0; i < n; i++) {
        const uint64_t twos[2] = {pair_of(codes[2 * i]), pair_of(codes[2 * i + 1])};
        float four[4];
        memcpy(four, twos, sizeof four);
        for (size_t k = 0; k < 4; k++)
            y[4 * i + k] = four[k] * scale;
    }
}

/* Columns first .. end of a row with these codes, of one block. */
static void get_block(float *y, const uint8_t *codes, size_t first, size_t end, float scale)
{
    size_t i = first;
    if (i % 2)
        y[0] = pairs[2 * codes[i++ / 2] + 1] * scale;
    get_fours(y + (i - first), codes + i / 2, (end - i) / 4, scale);
    for (i += (end - i) / 4 * 4; i < end; i++)
        y[i - first] = pairs[2 * codes[i / 2] + i % 2] * scale;
}

void ent_nf4_dequantize(float *y, const ent_nf4 *m, const uint8_t *bytes, size_t row, size_t first, size_t n)
{
    assert(row < m->rows && first <= m->cols && n <= m->cols - first);
    const uint8_t *codes = bytes + row * m->row_codes, *scales = bytes + m->scales_at;
    const float *groups = (const void *)(bytes + m->groups_at), offset = groups[m->groups];
    const size_t end = first + n;
    for (size_t i = first; i < end;) {
        const size_t block = i / ENT_NF4_BLOCK, k = row * m->row_blocks + block;
        const size_t block_end = (block + 1) * ENT_NF4_BLOCK, stop = block_end < end ? block_end : end;
        const float scale = map_value(scales[k]) * groups[k / ENT_NF4_GROUP] + offset;
        get_block(y, codes, i, stop, scale);
        y += stop - i;
        i = stop;
    }
}
