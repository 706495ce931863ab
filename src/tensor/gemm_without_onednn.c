/* In place of gemm_onednn.c where its headers are missing, and in double. */
#include <assert.h>

#include "src/tensor/gemm_onednn.h"

const char *ent_onednn_name(void)
{
    return NULL;
}

ent_status ent_onednn_plan(size_t *scratch, const ent_tensor *w, size_t m)
{
    (void)w, (void)m;
    *scratch = 0;
    return ent_fail(ENT_EUNSUPPORTED, "this build has no oneDNN");
}

void ent_onednn_product(ent_real *c, size_t m, const ent_real *a, const ent_tensor *w, bool transposed, ent_real beta,
                        void *scratch)
{
    (void)c, (void)m, (void)a, (void)w, (void)transposed, (void)beta, (void)scratch;
    assert(!"a build without oneDNN");
}
