#include "src/base/real.h"
#include "src/kernel/kernels.h"

/* The one of F32 and F64 that isn't the core's number. */
#ifdef ENT_F64
static const ent_dtype other_dtype = ENT_DTYPE_F32;
typedef float other_real;
#else
static const ent_dtype other_dtype = ENT_DTYPE_F64;
typedef double other_real;
#endif

void ent_convert(ent_real *dst, const void *src, ent_dtype dtype, size_t n)
{
    const other_real *other = src;
    if (dtype == ENT_DTYPE_BF16)
        ent_kernels_get()->from_bf16(dst, src, n);
    else if (dtype == ENT_DTYPE_F16)
        ent_kernels_get()->from_f16(dst, src, n);
    else if (dtype == other_dtype)
        for (size_t i = 0; i < n; i++)
            dst[i] = (ent_real)other[i];
    else
        memcpy(dst, src, n * sizeof *dst);
}
