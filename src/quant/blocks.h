/* The simple block formats of GGUF files: rows of numbers in blocks of 32 that share a scale d (f16), and 16-bit
 * floats.
 *
 *   name  ggml_type  bytes of a block        numbers
 *   F16   1          2: f16                  the nearest f16
 *   Q4_0  2          18: d, 16 of codes      d (q - 8), q = 0..15; the number of largest size has q = 0
 *   Q4_1  3          20: d, m, 16 of codes   d q + m, q = 0..15; m is the smallest number, f16
 *   Q5_0  6          22: d, 4 of high bits,  d (q - 16), q = 0..31; the number of largest size has q = 0
 *                    16 of low bits
 *   Q8_0  8          34: d, 32 of int8       d q, q = -127..127
 *   BF16  30         2: bf16                 the nearest bf16
 *
 * Bytes of codes hold number j in the low half and number j + 16 in the high half, j < 16; bit j of the 32 high bits, a
 * little-endian word, is number j's. Scales are little-endian. Roundings are those of ggml's reference for these
 * formats (ggml-quants.c: quantize_row_*_ref, dequantize_row_*), so that both give the same bytes and the same numbers;
 * tested against llama.cpp's library. Two differences: what isn't finite, or wouldn't be once stored, is an error here;
 * a block so small that 1/d isn't finite has codes of 0, as ggml's have on x86 (and d = 0).
 */
#ifndef ENT_QUANT_BLOCKS_H
#define ENT_QUANT_BLOCKS_H

#include <stddef.h>
#include <stdint.h>

#include "src/base/status.h"

typedef struct ent_block_format {
    const char *name;   /* "Q4_0", as GGUF's tools have it */
    uint32_t ggml_type; /* its number in GGUF files */
    size_t numbers;     /* of a block */
    size_t bytes;       /* of a block */

    /* The work of ent_block_quantize and ent_block_dequantize, which see to the arguments. `quantize` returns how many
     * blocks it wrote: all, or those before one that the format can't hold. */
    size_t (*quantize)(uint8_t *dst, const float *x, size_t blocks);
    void (*dequantize)(float *y, const uint8_t *src, size_t blocks);
} ent_block_format;

/* NULL if this isn't one of the six. */
const ent_block_format *ent_block_format_by_name(const char *name);
const ent_block_format *ent_block_format_by_type(uint32_t ggml_type);

/* *bytes = size of a row of n numbers. n that is no multiple of the block, or too large for a size, is ENT_EINVAL. */
ent_status ent_block_row_bytes(size_t *bytes, const ent_block_format *format, size_t n);

/* dst (ent_block_row_bytes(n)) from x (n). ENT_EINVAL as above; ENT_ENUMERIC, naming the element, for one that isn't
 * finite, or is too large: of F16 from 65520 on, of the blocks where d or m would not be a finite f16 (65520 times 8,
 * 16 or 127). Then the bytes of dst are of no use. dst needs no alignment. */
ent_status ent_block_quantize(uint8_t *dst, const ent_block_format *format, const float *x, size_t n);

/* y (n) from src; F16 and BF16 want it at an even address. ENT_EINVAL as above. Scales of a file that aren't finite
 * give numbers that aren't. */
ent_status ent_block_dequantize(float *y, const ent_block_format *format, const uint8_t *src, size_t n);

/* The nearest f16, ties to even; from 65520 on infinite; a NaN becomes 0x7e00 with its sign. */
uint16_t ent_f32_to_f16(float f);

#endif
