#include "io/safetensors_types.h"

#include <assert.h>
#include <math.h>
#include <string.h>

static const struct {
    const char *name;
    size_t size;
    bool has_values, fits_float;
} types[ENT_ST_TYPES] = {
    [ENT_ST_F32] = {"F32", 4, true, true},         [ENT_ST_BF16] = {"BF16", 2, true, true},
    [ENT_ST_F16] = {"F16", 2, true, true},         [ENT_ST_F64] = {"F64", 8, true, false},
    [ENT_ST_BOOL] = {"BOOL", 1, true, true},       [ENT_ST_I8] = {"I8", 1, true, true},
    [ENT_ST_U8] = {"U8", 1, true, true},           [ENT_ST_F8_E4M3] = {"F8_E4M3", 1, true, true},
    [ENT_ST_F8_E5M2] = {"F8_E5M2", 1, true, true}, [ENT_ST_F8_E8M0] = {"F8_E8M0", 1, false, false},
    [ENT_ST_I16] = {"I16", 2, true, true},         [ENT_ST_U16] = {"U16", 2, true, true},
    [ENT_ST_I32] = {"I32", 4, true, false},        [ENT_ST_U32] = {"U32", 4, true, false},
    [ENT_ST_I64] = {"I64", 8, true, false},        [ENT_ST_U64] = {"U64", 8, true, false},
    [ENT_ST_C64] = {"C64", 8, false, false},
};

const char *ent_st_type_name(ent_st_type type)
{
    return types[type].name;
}

size_t ent_st_type_size(ent_st_type type)
{
    return types[type].size;
}

bool ent_st_type_has_values(ent_st_type type)
{
    return types[type].has_values;
}

bool ent_st_type_fits_float(ent_st_type type)
{
    return types[type].fits_float;
}

bool ent_st_type_find(ent_st_type *out, const char *name)
{
    for (int i = 0; i < ENT_ST_TYPES; i++) {
        if (strcmp(types[i].name, name) != 0)
            continue;
        *out = (ent_st_type)i;
        return true;
    }
    return false;
}

bool ent_st_type_dtype(ent_dtype *out, ent_st_type type)
{
    static const ent_dtype dtypes[] = {[ENT_ST_F32] = ENT_DTYPE_F32,
                                       [ENT_ST_BF16] = ENT_DTYPE_BF16,
                                       [ENT_ST_F16] = ENT_DTYPE_F16,
                                       [ENT_ST_F64] = ENT_DTYPE_F64};
    if (type > ENT_ST_F64)
        return false;
    *out = dtypes[type];
    return true;
}

static double e4m3(uint8_t b)
{
    const int exponent = b >> 3 & 15, mantissa = b & 7;
    const double x = (b & 0x7f) == 0x7f ? (double)NAN
                     : exponent == 0    ? ldexp(mantissa, -9)
                                        : ldexp(8 + mantissa, exponent - 10);
    return b & 0x80 ? -x : x;
}

static double value(const unsigned char *at, ent_st_type type)
{
    union {
        int16_t i16;
        uint16_t u16;
        int32_t i32;
        uint32_t u32;
        int64_t i64;
        uint64_t u64;
        float f32;
        double f64;
    } x;
    memcpy(&x, at, types[type].size);
    switch (type) {
    case ENT_ST_F32:
        return (double)x.f32;
    case ENT_ST_BF16:
        return (double)ent_bf16_to_f32(x.u16);
    case ENT_ST_F16:
        return (double)ent_f16_to_f32(x.u16);
    case ENT_ST_F64:
        return x.f64;
    case ENT_ST_I8:
        return (double)(int8_t)*at;
    case ENT_ST_BOOL:
    case ENT_ST_U8:
        return (double)*at;
    case ENT_ST_F8_E4M3:
        return e4m3(*at);
    case ENT_ST_F8_E5M2:
        return (double)ent_f16_to_f32((uint16_t)(*at << 8));
    case ENT_ST_I16:
        return (double)x.i16;
    case ENT_ST_U16:
        return (double)x.u16;
    case ENT_ST_I32:
        return (double)x.i32;
    case ENT_ST_U32:
        return (double)x.u32;
    case ENT_ST_I64:
        return (double)x.i64;
    case ENT_ST_U64:
        return (double)x.u64;
    default:
        assert(0);
        return (double)NAN;
    }
}

/* The type is known in each of the loops, so that the choice is made once and the common ones are vectorised. */
void ent_st_values(double *out, const void *src, ent_st_type type, size_t n)
{
    const unsigned char *at = src;
    switch (type) {
    case ENT_ST_F32:
        for (size_t i = 0; i < n; i++)
            out[i] = value(at + 4 * i, ENT_ST_F32);
        break;
    case ENT_ST_BF16:
        for (size_t i = 0; i < n; i++)
            out[i] = value(at + 2 * i, ENT_ST_BF16);
        break;
    case ENT_ST_F16:
        for (size_t i = 0; i < n; i++)
            out[i] = value(at + 2 * i, ENT_ST_F16);
        break;
    default:
        for (size_t i = 0; i < n; i++)
            out[i] = value(at + i * types[type].size, type);
    }
}
