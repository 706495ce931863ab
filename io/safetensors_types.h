/* The types of numbers that safetensors files hold, and their numbers as doubles: for those who look into files. What
 * this program computes with are the few of ent_dtype. */
#ifndef ENT_IO_SAFETENSORS_TYPES_H
#define ENT_IO_SAFETENSORS_TYPES_H

#include <stdbool.h>
#include <stddef.h>

#include "src/base/real.h"

/* F8_E4M3 has no infinity, and NaN where mantissa and exponent are all ones; F8_E5M2 is the upper half of F16
 * (Micikevicius et al. 2022, arXiv:2209.05433). Types of 4 and 6 bits are not among them. */
typedef enum ent_st_type {
    ENT_ST_F32,
    ENT_ST_BF16,
    ENT_ST_F16,
    ENT_ST_F64,
    ENT_ST_BOOL,
    ENT_ST_I8,
    ENT_ST_U8,
    ENT_ST_F8_E4M3,
    ENT_ST_F8_E5M2,
    ENT_ST_F8_E8M0,
    ENT_ST_I16,
    ENT_ST_U16,
    ENT_ST_I32,
    ENT_ST_U32,
    ENT_ST_I64,
    ENT_ST_U64,
    ENT_ST_C64,
    ENT_ST_TYPES
} ent_st_type;

const char *ent_st_type_name(ent_st_type type);            /* as the file has it */
size_t ent_st_type_size(ent_st_type type);                 /* bytes of an element */
bool ent_st_type_find(ent_st_type *out, const char *name); /* false: not one of them */
bool ent_st_type_dtype(ent_dtype *out, ent_st_type type);  /* the same as ent_dtype; false: not one of those */
bool ent_st_type_has_values(ent_st_type type);             /* false: C64 and F8_E8M0, which stay bytes */
bool ent_st_type_fits_float(ent_st_type type);             /* every value is a float */

/* out[i] = the value of element i of n, at any alignment. Of a type that has values; integers above 2^53 are rounded.
 */
void ent_st_values(double *out, const void *src, ent_st_type type, size_t n);

#endif
