/* Products with weights, by the weight's compute type and what the CPU has for it. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "src/base/profile.h"
#include "src/base/tiles.h"
#include "src/kernel/kernels.h"
#include "src/tensor/gemm.h"
#include "src/tensor/gemm_int8.h"
#include "src/tensor/gemm_onednn.h"
#include "src/tensor/observer.h"

typedef struct rounding {
    const ent_real *from;
    ent_real *to;
} rounding;

static void round_some(void *context, size_t begin, size_t end)
{
    const rounding *r = context;
    ent_kernels_get()->round_bf16(r->to + begin, r->from + begin, end - begin);
}

/* Stored as whole numbers or codes, with the scales that make numbers of them. */
static bool is_quantized(const ent_tensor *w)
{
    return w->dtype == ENT_DTYPE_NF4 || (w->dtype == ENT_DTYPE_I8 && w->row_scales);
}

#ifndef ENT_F64
typedef struct quantization {
    const float *from;
    const ent_rounded_rows *to;
    size_t columns;
} quantization;

static void quantize_rows(void *context, size_t begin, size_t end)
{
    const quantization *q = context;
    for (size_t i = begin; i < end; i++)
        ent_round_row(q->to, i, q->from + i * q->columns, q->columns);
}

typedef struct input_work {
    const ent_input_rounding *how;
    const float *from;
    float *to;
} input_work;

static void round_input(void *context, size_t begin, size_t end)
{
    const input_work *w = context;
    const ent_input_rounding r = *w->how;
    for (size_t i = begin; i < end; i++) {
        const float q = rintf(w->from[i] * r.inverse) + r.zero;
        w->to[i] = ((q < r.low ? r.low : q > 127 ? 127 : q) - r.zero) * r.scale;
    }
}

static size_t scales_bytes(size_t m)
{
    return (m * sizeof(float) + 63) / 64 * 64;
}

static bool same_factors(const float *a, const float *b, size_t n)
{
    return a == b || (a && b && memcmp(a, b, n * sizeof *a) == 0);
}

/* W stands between two scalings: the one on A's side goes into A before it is rounded, the other into C. */
static void product_int8(float *c, size_t m, const float *a, const ent_rounded_rows *rounded, const ent_tensor *w,
                         bool transposed, float beta, void *scratch)
{
    const size_t n = w->shape[transposed ? 0 : 1], k = w->shape[transposed ? 1 : 0];
    const float *scales = w->rounding ? w->rounding->scales : w->row_scales;
    const ent_rounded_rows own = {transposed ? w->column_factors : scales, scratch,
                                  (int8_t *)scratch + scales_bytes(m)};
    if (rounded == NULL || !same_factors(rounded->factors, own.factors, k)) {
        rounded = &own;
        ent_tiles(m, 16, quantize_rows, &(quantization){a, &own, k});
    }
    ent_gemm_int8(c, m, n, k, rounded->q, rounded->scales, w, transposed, transposed ? scales : w->column_factors,
                  beta);
}
#endif

static ent_status stored_otherwise(const ent_tensor *w, const char *in)
{
    return ent_fail(ENT_EINVAL, "%s: products in %s need a weight that is stored so, found %s",
                    w->name ? w->name : "a weight", in, ent_dtype_name(w->dtype));
}

ent_status ent_gemm_weight_plan(size_t *scratch, const ent_tensor *w, size_t m)
{
    const size_t widest = w->shape[0] > w->shape[1] ? w->shape[0] : w->shape[1];
    *scratch = 0;
    switch (w->compute) {
    case ENT_COMPUTE_INT8:
        if (w->dtype != ENT_DTYPE_I8 && w->rounding == NULL)
            return stored_otherwise(w, "int8");
#ifdef ENT_F64
        return ent_fail(ENT_EINVAL, "int8 in double is not supported");
#else
        *scratch = scales_bytes(m) + m * widest;
        return ENT_OK;
#endif
    case ENT_COMPUTE_BF16:
        if (w->dtype != ENT_DTYPE_BF16 && !is_quantized(w))
            return stored_otherwise(w, "bf16");
        if (ent_onednn_name())
            return ent_onednn_plan(scratch, w, m);
        *scratch = m * widest * sizeof(ent_real);
        return ENT_OK;
    default:
        *scratch = w->input ? m * w->shape[1] * sizeof(ent_real) : 0;
        return w->dtype == ENT_DTYPE_I8 && !is_quantized(w) ? stored_otherwise(w, "fp32") : ENT_OK;
    }
}

static void product(ent_real *c, size_t m, const ent_real *a, const ent_rounded_rows *rounded, const ent_tensor *w,
                    bool transposed, ent_real beta, void *scratch)
{
    (void)rounded; /* in double */
    const size_t n = w->shape[transposed ? 0 : 1], k = w->shape[transposed ? 1 : 0];
    ent_matrix b = ent_matrix_stored(w, transposed);
#ifndef ENT_F64
    if (w->input && transposed) {
        assert(w->compute == ENT_COMPUTE_FP32);
        ent_tiles(m * k, 16384, round_input, &(input_work){w->input, a, scratch});
        a = scratch;
    }
    if (w->compute == ENT_COMPUTE_INT8) {
        assert(w->dtype == ENT_DTYPE_I8 || w->rounding);
        product_int8(c, m, a, rounded, w, transposed, beta, scratch);
        return;
    }
#endif
    if (w->compute == ENT_COMPUTE_BF16) {
        assert(w->dtype == ENT_DTYPE_BF16 || is_quantized(w));
        if (ent_onednn_name()) {
            ent_profile_count(ENT_FLOPS_BF16, m, n, k);
            ent_onednn_product(c, m, a, w, transposed, beta, scratch);
            return;
        }
        /* bf16 values in fp32: their products are exact there, as they are in the instructions. */
        ent_tiles(m * k, 16384, round_some, &(rounding){a, scratch});
        a = scratch;
        b.to_bf16 = is_quantized(w);
    }
    ent_gemm_as(w->compute == ENT_COMPUTE_BF16 ? ENT_FLOPS_BF16 : ENT_FLOPS_FP32, c, n, m, n, k, 1,
                ent_matrix_of(a, k, false), b, beta);
}

static void observed(ent_real *c, size_t m, const ent_real *a, const ent_rounded_rows *rounded, const ent_tensor *w,
                     bool transposed, ent_real beta, void *scratch)
{
    const ent_phase outer = ent_profile_enter(ENT_PHASE_PRODUCTS);
    if (w->observer)
        ent_observe(w->observer, a, m, transposed);
    product(c, m, a, rounded, w, transposed, beta, scratch);
    ent_profile_enter(outer);
}

void ent_gemm_weight(ent_real *c, size_t m, const ent_real *a, const ent_tensor *w, bool transposed, ent_real beta,
                     void *scratch)
{
    observed(c, m, a, NULL, w, transposed, beta, scratch);
}

void ent_gemm_weight_of(ent_real *y, const ent_tensor *x, const ent_tensor *w, void *scratch)
{
    observed(y, x->shape[0], ent_values(x), x->rounded, w, true, 0, scratch);
}

const char *ent_gemm_kernel_for(ent_compute compute)
{
    static char name[192];
    const char *int8 = compute == ENT_COMPUTE_INT8 ? "int8, " : "", *library = ent_onednn_name();
    if (compute == ENT_COMPUTE_FP32)
        return ent_gemm_kernel();
    snprintf(name, sizeof name, library ? "%sbf16 by %s, %s" : "%sbf16 values%s, %s", int8, library ? library : "",
             ent_gemm_kernel());
    return name;
}
