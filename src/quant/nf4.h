/* NF4 with double quantisation, of QLoRA (Dettmers et al., arXiv 2305.14314, section 3 and appendix E), as bitsandbytes
 * computes it: numbers in blocks of 64, which are a scale, max|x|, times one of 16 values, the nearest to x / scale;
 * the scales of the matrix less their mean (the offset) in groups of 256, which are a group scale (fp32) times one of
 * 256 values, the nearest. Those 256 are bitsandbytes' signed dynamic map (create_dynamic_map in its functional.py,
 * arXiv 2110.02861): for i = 0..6 and j < 2^i the number (0.1 + 0.9 (j + 1/2) / 2^i) 10^(i - 6) with either sign, 0 and
 * 1. About 4.13 bits a number.
 *
 * A quantised matrix (rows, cols) is one piece of memory, to be kept in a file as it is:
 *
 *   codes    (cols + 1) / 2 bytes a row; the even columns in the high halves; a half left over has the code of 0
 *   scales   ceil(cols / 64) bytes a row, then zeros up to a multiple of 4
 *   groups   one float for 256 scales, which are counted through all rows
 *   offset   one float
 *
 * Floats are the machine's, so the memory begins at a multiple of 4. Where cols is a multiple of 64 the parts are those
 * of bitsandbytes (weight, absmax, nested_absmax, nested_offset); otherwise its blocks run on from row to row, and here
 * each row begins one, so that rows stand alone. Codes were compared byte for byte with those of its PyTorch code.
 * Scale bytes can differ in a few of ten thousand, because the offset is summed in double here. A block with max|x| <
 * 2^-126 becomes zeros with scale 0; numbers that aren't finite, or above 2^126 in size, are errors.
 *
 * Everything here is the same bits on every CPU, and for any number of threads.
 */
#ifndef ENT_QUANT_NF4_H
#define ENT_QUANT_NF4_H

#include <stddef.h>
#include <stdint.h>

#include "src/base/status.h"

enum { ENT_NF4_BLOCK = 64, ENT_NF4_GROUP = 256 };
#define ENT_NF4_LARGEST 0x1p126f

/* Where the parts of a matrix stand. */
typedef struct ent_nf4 {
    size_t rows, cols;
    size_t row_codes;  /* bytes of a row's codes */
    size_t row_blocks; /* blocks of a row */
    size_t groups;     /* groups of the matrix */
    size_t scales_at;  /* bytes before the scales, */
    size_t groups_at;  /* before the groups, and all */
    size_t bytes;
} ent_nf4;

/* ENT_EINVAL for a matrix without numbers, or too large for a size. */
ent_status ent_nf4_layout(ent_nf4 *m, size_t rows, size_t cols);

/* The 16 values of codes, and the 256 of scales' bytes, both rising: what bitsandbytes' files hold as quant_map and
 * nested_quant_map. */
const float *ent_nf4_values(void);
void ent_nf4_map(float map[256]);

/* Codes of a stretch x (n) of a row, (n + 1) / 2 bytes, and the scales of its blocks. Its first column is a multiple of
 * 64; so is n, unless the row ends there. Stretches may come in any order and from several threads. ENT_ENUMERIC,
 * naming the element, for a number that isn't finite or is above ENT_NF4_LARGEST in size; then nothing is written. */
ent_status ent_nf4_put(uint8_t *codes, float *scales, const float *x, size_t n);

/* rest: the bytes from m->scales_at on, at any address, from the scales of all blocks (rows, row_blocks). */
void ent_nf4_put_scales(uint8_t *rest, const ent_nf4 *m, const float *scales);

/* y (n) = columns first .. first + n of a row; first + n <= cols. Each is value[code] scale, with scale = map[byte]
 * group + offset, every operation rounded. For panels inside products: 0.3 ns a number (2.4 GHz EPYC, SSE2 code). */
void ent_nf4_dequantize(float *y, const ent_nf4 *m, const uint8_t *bytes, size_t row, size_t first, size_t n);

#endif
