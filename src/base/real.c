#include "src/base/real.h"

size_t ent_dtype_size(ent_dtype dtype)
{
    switch (dtype) {
    case ENT_DTYPE_F64:
        return 8;
    case ENT_DTYPE_F32:
        return 4;
    case ENT_DTYPE_I8:
        return 1;
    case ENT_DTYPE_NF4:
        return 0;
    default:
        return 2;
    }
}

const char *ent_dtype_name(ent_dtype dtype)
{
    static const char *const names[] = {"F32", "BF16", "F16", "F64", "I8", "NF4"};
    return names[dtype];
}

float ent_f16_to_f32(uint16_t h)
{
    const uint32_t sign = (uint32_t)(h & 0x8000u) << 16;
    const uint32_t magnitude = h & 0x7fffu;
    uint32_t u;
    float f;
    if (magnitude >= 0x7c00u) { /* infinity, NaN */
        u = sign | 0x7f800000u | (magnitude & 0x3ffu) << 13;
    } else if (magnitude >= 0x400u) { /* normal */
        u = sign | ((magnitude << 13) + 0x38000000u);
    } else { /* zero, subnormal: magnitude * 2^-24 */
        f = (float)magnitude * 0x1p-24f;
        memcpy(&u, &f, sizeof u);
        u |= sign;
    }
    memcpy(&f, &u, sizeof f);
    return f;
}
