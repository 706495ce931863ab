/* Products with weights, by the weight's compute type and what the CPU has for it. */
#include <assert.h>
#include <stdio.h>

#include "src/base/profile.h"
#include "src/base/tiles.h"
#include "src/kernel/kernels.h"
#include "src/tensor/gemm.h"
#include "src/tensor/gemm_onednn.h"

typedef struct rounding {
    const ent_real *from;
    ent_real *to;
} rounding;

static void round_some(void *context, size_t begin, size_t end)
{
    enum { AT_ONCE = 1024 };
    const rounding *r = context;
    const ent_kernels *kernels = ent_kernels_get();
    for (size_t i = begin; i < end; i += AT_ONCE) {
        const size_t n = end - i < AT_ONCE ? end - i : AT_ONCE;
        uint16_t rounded[AT_ONCE];
        kernels->to_bf16(rounded, r->from + i, n);
        kernels->from_bf16(r->to + i, rounded, n);
    }
}

ent_status ent_gemm_weight_plan(size_t *scratch, const ent_tensor *w, size_t m)
{
    const size_t widest = w->shape[0] > w->shape[1] ? w->shape[0] : w->shape[1];
    *scratch = 0;
    if (w->compute == ENT_COMPUTE_FP32)
        return ENT_OK;
    if (w->dtype != ENT_DTYPE_BF16)
        return ent_fail(ENT_EINVAL, "%s: products in bf16 need a weight that is stored so, found %s",
                        w->name ? w->name : "a weight", ent_dtype_name(w->dtype));
    if (ent_onednn_name())
        return ent_onednn_plan(scratch, w, m);
    *scratch = m * widest * sizeof(ent_real);
    return ENT_OK;
}

static void product(ent_real *c, size_t m, const ent_real *a, const ent_tensor *w, bool transposed, ent_real beta,
                    void *scratch)
{
    const size_t n = w->shape[transposed ? 0 : 1], k = w->shape[transposed ? 1 : 0];
    const ent_matrix b = {w->data, w->dtype, w->shape[1], transposed};
    if (w->compute == ENT_COMPUTE_BF16) {
        assert(w->dtype == ENT_DTYPE_BF16);
        if (ent_onednn_name()) {
            ent_profile_count(ENT_FLOPS_BF16, m, n, k);
            ent_onednn_product(c, m, a, w, transposed, beta, scratch);
            return;
        }
        /* bf16 values in fp32: their products are exact there, as they are in the instructions. */
        ent_tiles(m * k, 16384, round_some, &(rounding){a, scratch});
        a = scratch;
    }
    ent_gemm_as(w->compute == ENT_COMPUTE_BF16 ? ENT_FLOPS_BF16 : ENT_FLOPS_FP32, c, n, m, n, k, 1,
                ent_matrix_of(a, k, false), b, beta);
}

void ent_gemm_weight(ent_real *c, size_t m, const ent_real *a, const ent_tensor *w, bool transposed, ent_real beta,
                     void *scratch)
{
    const ent_phase outer = ent_profile_enter(ENT_PHASE_PRODUCTS);
    product(c, m, a, w, transposed, beta, scratch);
    ent_profile_enter(outer);
}

const char *ent_gemm_kernel_for(ent_compute compute)
{
    static char name[192];
    if (compute == ENT_COMPUTE_FP32)
        return ent_gemm_kernel();
    if (ent_onednn_name())
        snprintf(name, sizeof name, "bf16 by %s, %s", ent_onednn_name(), ent_gemm_kernel());
    else
        snprintf(name, sizeof name, "bf16 values by %s", ent_gemm_kernel());
    return name;
}
