/* Products in bf16 by oneDNN, on CPUs that have instructions for them. The library is loaded when it is first asked
 * for: a program that computes in fp32 doesn't start with it, and one that finds none has the values in fp32.
 */
#ifndef ENT_TENSOR_GEMM_ONEDNN_H
#define ENT_TENSOR_GEMM_ONEDNN_H

#include "src/tensor/gemm.h"

/* "oneDNN 2.6.3 avx512_core_bf16"; NULL where the library or the instructions are missing. */
const char *ent_onednn_name(void);

/* As ent_gemm_weight_plan and ent_gemm_weight, for a weight stored as bf16, or as I8 or NF4, where there is a name: of
 * those each thread converts a panel at a time, and products of more than 4096 terms are several, added up in fp32. For
 * ent_threads() threads; one product at a time. */
ent_status ent_onednn_plan(size_t *scratch, const ent_tensor *w, size_t m);
void ent_onednn_product(ent_real *c, size_t m, const ent_real *a, const ent_tensor *w, bool transposed, ent_real beta,
                        void *scratch);

#endif
