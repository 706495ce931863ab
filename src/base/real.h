/* The core's number: float, or double in the build that checks gradients (ENT_F64). Storage types of weights. */
#ifndef ENT_BASE_REAL_H
#define ENT_BASE_REAL_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef ENT_F64
typedef double ent_real;
#define ENT_REAL_DTYPE ENT_DTYPE_F64
#else
typedef float ent_real;
#define ENT_REAL_DTYPE ENT_DTYPE_F32
#endif

/* How numbers are stored; the names are those of safetensors. I8 and NF4: with scales, see ent_tensor. */
typedef enum { ENT_DTYPE_F32, ENT_DTYPE_BF16, ENT_DTYPE_F16, ENT_DTYPE_F64, ENT_DTYPE_I8, ENT_DTYPE_NF4 } ent_dtype;

size_t ent_dtype_size(ent_dtype dtype);      /* bytes of one element; 0 of NF4, which has two in a byte */
const char *ent_dtype_name(ent_dtype dtype); /* "F32", "BF16", "F16", "F64", "I8", "NF4" */

static inline float ent_bf16_to_f32(uint16_t h)
{
    const uint32_t u = (uint32_t)h << 16;
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

/* To the nearest, ties to even; what is too large becomes infinite, a NaN stays one. */
static inline uint16_t ent_f32_to_bf16(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    const uint32_t rounded = (u + 0x7fffu + (u >> 16 & 1u)) >> 16;
    return (uint16_t)((u & 0x7fffffffu) > 0x7f800000u ? u >> 16 | 0x40u : rounded);
}

float ent_f16_to_f32(uint16_t h);

/* dst[i] = (ent_real) src[i] for i < n; src holds elements of `dtype`, neither I8 nor NF4, at any alignment of its
 * element. */
void ent_convert(ent_real *dst, const void *src, ent_dtype dtype, size_t n);

#endif
