#include <float.h>
#include <stdbool.h>

#include "src/kernel/kernels.h"
#include "src/kernel/lanes.h"
#include "src/quant/blocks.h"
#include "src/quant/parts.h"

enum { BLOCK = 32, HALF = BLOCK / 2 };

uint16_t ent_f32_to_f16(float f)
{
    const uint32_t u = bits_of(f), sign = u >> 16 & 0x8000u, size = u & 0x7fffffffu;
    /* Adding 1/2, whose last bit is 2^-24, rounds to the multiple of 2^-24 that a subnormal f16 is. */
    const uint32_t small = bits_of(float_of(size) + 0.5f) - bits_of(0.5f);
    const uint32_t normal = (size - 0x38000000u + 0xfffu + (size >> 13 & 1u)) >> 13;
    const uint32_t large = size > 0x7f800000u ? 0x7e00u : 0x7c00u;
    return (uint16_t)(sign | (size < 0x38800000u ? small : size < 0x47800000u ? normal : large));
}

/* False if the number isn't finite as f16. */
static bool put_f16(uint8_t *dst, float f)
{
    const uint16_t h = ent_f32_to_f16(f);
    dst[0] = (uint8_t)(h & 0xffu);
    dst[1] = (uint8_t)(h >> 8);
    return (h & 0x7c00u) != 0x7c00u;
}

static float get_f16(const uint8_t *src)
{
    return ent_f16_to_f32((uint16_t)(src[0] | src[1] << 8));
}

/* The number of largest size, the first of equals. */
static float extreme(const float *x)
{
    float extreme = 0;
    for (size_t j = 0; j < BLOCK; j++)
        if (fabsf(x[j]) > fabsf(extreme))
            extreme = x[j];
    return extreme;
}

/* q = the integer part of (x - low) / d + zero, at most `most`. */
static void codes_of(uint32_t q[BLOCK], const float *x, float low, float d, float zero, uint32_t most)
{
    const float inverse = d != 0 ? 1 / d : 0;
    for (size_t j = 0; j < BLOCK; j++) {
        const uint32_t code = isinf(inverse) ? 0 : (uint32_t)(int32_t)((x[j] - low) * inverse + zero);
        q[j] = code < most ? code : most;
    }
}

static void pack_low_halves(uint8_t *dst, const uint32_t q[BLOCK])
{
    for (size_t j = 0; j < HALF; j++)
        dst[j] = (uint8_t)((q[j] & 15u) | (q[j + HALF] & 15u) << 4);
}

static size_t quantize_q4_0(uint8_t *dst, const float *x, size_t blocks)
{
    for (size_t b = 0; b < blocks; b++, dst += 18, x += BLOCK) {
        uint32_t q[BLOCK];
        const float d = extreme(x) / -8;
        if (!put_f16(dst, d))
            return b;
        codes_of(q, x, 0, d, 8.5f, 15);
        pack_low_halves(dst + 2, q);
    }
    return blocks;
}

static void dequantize_q4_0(float *y, const uint8_t *src, size_t blocks)
{
    for (size_t b = 0; b < blocks; b++, src += 18, y += BLOCK) {
        const float d = get_f16(src);
        const uint8_t *q = src + 2;
        for (size_t j = 0; j < HALF; j++) {
            y[j] = d * (float)((q[j] & 15) - 8);
            y[j + HALF] = d * (float)((q[j] >> 4) - 8);
        }
    }
}

static size_t quantize_q4_1(uint8_t *dst, const float *x, size_t blocks)
{
    for (size_t b = 0; b < blocks; b++, dst += 20, x += BLOCK) {
        uint32_t q[BLOCK];
        float low = x[0], high = x[0];
        for (size_t j = 1; j < BLOCK; j++) {
            low = x[j] < low ? x[j] : low;
            high = x[j] > high ? x[j] : high;
        }
        const float d = (high - low) / 15;
        if (!put_f16(dst, d) || !put_f16(dst + 2, low))
            return b;
        codes_of(q, x, low, d, 0.5f, 15);
        pack_low_halves(dst + 4, q);
    }
    return blocks;
}

static void dequantize_q4_1(float *y, const uint8_t *src, size_t blocks)
{
    for (size_t b = 0; b < blocks; b++, src += 20, y += BLOCK) {
        const float d = get_f16(src), m = get_f16(src + 2);
        const uint8_t *q = src + 4;
        for (size_t j = 0; j < HALF; j++) {
            y[j] = d * (float)(q[j] & 15) + m;
            y[j + HALF] = d * (float)(q[j] >> 4) + m;
        }
    }
}

static size_t quantize_q5_0(uint8_t *dst, const float *x, size_t blocks)
{
    for (size_t b = 0; b < blocks; b++, dst += 22, x += BLOCK) {
        uint32_t q[BLOCK], high = 0;
        const float d = extreme(x) / -16;
        if (!put_f16(dst, d))
            return b;
        codes_of(q, x, 0, d, 16.5f, 31);
        for (size_t j = 0; j < BLOCK; j++)
            high |= (q[j] >> 4) << j;
        for (size_t k = 0; k < 4; k++)
            dst[2 + k] = (uint8_t)(high >> 8 * k & 0xffu);
        pack_low_halves(dst + 6, q);
    }
    return blocks;
}

static void dequantize_q5_0(float *y, const uint8_t *src, size_t blocks)
{
    for (size_t b = 0; b < blocks; b++, src += 22, y += BLOCK) {
        const float d = get_f16(src);
        const uint32_t high = src[2] | (uint32_t)src[3] << 8 | (uint32_t)src[4] << 16 | (uint32_t)src[5] << 24;
        const uint8_t *q = src + 6;
        for (size_t j = 0; j < HALF; j++) {
            const uint32_t first = (high >> j & 1u) << 4, second = (high >> (j + HALF) & 1u) << 4;
            y[j] = d * (float)((int32_t)((q[j] & 15u) | first) - 16);
            y[j + HALF] = d * (float)((int32_t)((uint32_t)q[j] >> 4 | second) - 16);
        }
    }
}

/* To the nearest, ties away from zero, as roundf: |x| < 2^23. */
static int8_t rounded(float x)
{
    const int32_t whole = (int32_t)x;
    const float rest = x - (float)whole;
    return (int8_t)(whole + (rest >= 0.5f) - (rest <= -0.5f));
}

static size_t quantize_q8_0(uint8_t *dst, const float *x, size_t blocks)
{
    for (size_t b = 0; b < blocks; b++, dst += 34, x += BLOCK) {
        const float d = ent_kernels_get()->largest(x, NULL, BLOCK) / 127, inverse = d != 0 ? 1 / d : 0;
        if (!put_f16(dst, d))
            return b;
        for (size_t j = 0; j < BLOCK; j++)
            dst[2 + j] = isinf(inverse) ? 0 : (uint8_t)rounded(x[j] * inverse);
    }
    return blocks;
}

static void dequantize_q8_0(float *y, const uint8_t *src, size_t blocks)
{
    for (size_t b = 0; b < blocks; b++, src += 34, y += BLOCK) {
        const float d = get_f16(src);
        for (size_t j = 0; j < BLOCK; j++)
            y[j] = d * (float)(int8_t)src[2 + j];
    }
}

static size_t quantize_f16(uint8_t *dst, const float *x, size_t n)
{
    size_t i = 0;
    while (i < n && put_f16(dst + 2 * i, x[i]))
        i++;
    return i;
}

static void dequantize_f16(float *y, const uint8_t *src, size_t n)
{
    ent_kernels_get()->from_f16(y, (const void *)src, n);
}

static size_t quantize_bf16(uint8_t *dst, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const uint16_t h = ent_f32_to_bf16(x[i]);
        if ((h & 0x7f80u) == 0x7f80u)
            return i;
        dst[2 * i] = (uint8_t)(h & 0xffu);
        dst[2 * i + 1] = (uint8_t)(h >> 8);
    }
    return n;
}

static void dequantize_bf16(float *y, const uint8_t *src, size_t n)
{
    ent_kernels_get()->from_bf16(y, (const void *)src, n);
}

static const ent_block_format formats[] = {
    {"F16", 1, 1, 2, quantize_f16, dequantize_f16},         {"Q4_0", 2, BLOCK, 18, quantize_q4_0, dequantize_q4_0},
    {"Q4_1", 3, BLOCK, 20, quantize_q4_1, dequantize_q4_1}, {"Q5_0", 6, BLOCK, 22, quantize_q5_0, dequantize_q5_0},
    {"Q8_0", 8, BLOCK, 34, quantize_q8_0, dequantize_q8_0}, {"BF16", 30, 1, 2, quantize_bf16, dequantize_bf16},
};
enum { N_FORMATS = sizeof formats / sizeof *formats };

const ent_block_format *ent_block_format_by_name(const char *name)
{
    for (size_t i = 0; i < N_FORMATS; i++)
        if (strcmp(formats[i].name, name) == 0)
            return &formats[i];
    return NULL;
}

const ent_block_format *ent_block_format_by_type(uint32_t ggml_type)
{
    for (size_t i = 0; i < N_FORMATS; i++)
        if (formats[i].ggml_type == ggml_type)
            return &formats[i];
    return NULL;
}

ent_status ent_block_row_bytes(size_t *bytes, const ent_block_format *format, size_t n)
{
    if (n % format->numbers != 0)
        return ent_fail(ENT_EINVAL, "%s: a row of %zu numbers, expected a multiple of %zu", format->name, n,
                        format->numbers);
    if (__builtin_mul_overflow(n / format->numbers, format->bytes, bytes))
        return ent_fail(ENT_EINVAL, "%s: a row of %zu numbers is too large for this machine", format->name, n);
    return ENT_OK;
}

ent_status ent_block_quantize(uint8_t *dst, const ent_block_format *format, const float *x, size_t n)
{
    size_t bytes;
    ENT_TRY(ent_block_row_bytes(&bytes, format, n));
    if (!(ent_kernels_get()->largest(x, NULL, n) <= FLT_MAX))
        return ent_quant_refuse(x, n, format->name, FLT_MAX);
    const size_t blocks = n / format->numbers, done = format->quantize(dst, x, blocks);
    if (done == blocks)
        return ENT_OK;
    size_t worst = done * format->numbers;
    for (size_t i = worst; i < (done + 1) * format->numbers; i++)
        worst = fabsf(x[i]) > fabsf(x[worst]) ? i : worst;
    return ent_fail(ENT_ENUMERIC, "element %zu is %g, too large for %s", worst, (double)x[worst], format->name);
}

ent_status ent_block_dequantize(float *y, const ent_block_format *format, const uint8_t *src, size_t n)
{
    size_t bytes;
    ENT_TRY(ent_block_row_bytes(&bytes, format, n));
    format->dequantize(y, src, n / format->numbers);
    return ENT_OK;
}
