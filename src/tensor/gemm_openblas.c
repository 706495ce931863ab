#include "src/tensor/gemm.h"

#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>

#include "src/base/profile.h"
#include "src/base/tiles.h"

/* A tile of C is at most TILE_M x TILE_N. A panel of converted weights is PANEL_K x TILE_N: it stays in the L2 cache.
 */
enum { TILE_M = 512, TILE_N = 256, PANEL_K = 512, MAX_THREADS = 1024 };

static ent_real *panels[MAX_THREADS];

ent_status ent_gemm_prepare(int threads)
{
    if (threads > MAX_THREADS)
        return ent_fail(ENT_EINVAL, "%d threads, at most %d are supported", threads, MAX_THREADS);
    for (int i = 0; i < threads; i++) {
        if (panels[i] == NULL)
            panels[i] = aligned_alloc(64, sizeof(ent_real) * TILE_N * PANEL_K);
        if (panels[i] == NULL)
            return ent_fail(ENT_ENOMEM, "out of memory: %zu bytes for a panel of weights",
                            sizeof(ent_real) * TILE_N * PANEL_K);
    }
    return ENT_OK;
}

const char *ent_gemm_kernel(void)
{
    static char kernel[128];
    if (kernel[0] == '\0') {
        char version[32] = "";
        sscanf(openblas_get_config(), "OpenBLAS %31s", version);
        snprintf(kernel, sizeof kernel, "OpenBLAS %s %s", version, openblas_get_corename());
    }
    return kernel;
}

/* OpenBLAS is to use the calling thread alone: its own threading would make bits depend on their number. */
static void use_calling_thread(void)
{
    static bool done;
    if (!__atomic_load_n(&done, __ATOMIC_ACQUIRE)) {
        openblas_set_num_threads(1);
        __atomic_store_n(&done, true, __ATOMIC_RELEASE);
    }
}

/* Element (i, j) of a matrix of the core's numbers. */
static const ent_real *at(ent_matrix m, size_t i, size_t j)
{
    return (const ent_real *)m.data + (m.transposed ? j * m.stride + i : i * m.stride + j);
}

static void multiply(ent_real *c, size_t ldc, size_t m, size_t n, size_t k, ent_real alpha, ent_matrix a, ent_matrix b,
                     ent_real beta)
{
    if (m == 0 || n == 0)
        return;
    use_calling_thread();
    const CBLAS_TRANSPOSE ta = a.transposed ? CblasTrans : CblasNoTrans;
    const CBLAS_TRANSPOSE tb = b.transposed ? CblasTrans : CblasNoTrans;
    const blasint lda = (blasint)a.stride, ldb = (blasint)b.stride;
#ifdef ENT_F64
    cblas_dgemm(CblasRowMajor, ta, tb, (blasint)m, (blasint)n, (blasint)k, alpha, a.data, lda, b.data, ldb, beta, c,
                (blasint)ldc);
#else
    cblas_sgemm(CblasRowMajor, ta, tb, (blasint)m, (blasint)n, (blasint)k, alpha, a.data, lda, b.data, ldb, beta, c,
                (blasint)ldc);
#endif
}

void ent_gemm_serial(ent_real *c, size_t ldc, size_t m, size_t n, size_t k, ent_real alpha, ent_matrix a, ent_matrix b,
                     ent_real beta)
{
    ent_profile_count(ENT_FLOPS_FP32, m, n, k);
    multiply(c, ldc, m, n, k, alpha, a, b, beta);
}

/* Converts rows [i, i + rows) by columns [j, j + columns) of the stored b, as it is stored, into `panel`. */
static ent_matrix convert_panel(ent_real *panel, ent_matrix b, size_t i, size_t rows, size_t j, size_t columns)
{
    const size_t size = ent_dtype_size(b.dtype);
    if (b.transposed) {
        for (size_t r = 0; r < columns; r++)
            ent_convert(panel + r * rows, (const char *)b.data + ((j + r) * b.stride + i) * size, b.dtype, rows);
        return ent_matrix_of(panel, rows, true);
    }
    for (size_t r = 0; r < rows; r++)
        ent_convert(panel + r * columns, (const char *)b.data + ((i + r) * b.stride + j) * size, b.dtype, columns);
    return ent_matrix_of(panel, columns, false);
}

typedef struct product {
    ent_real *c;
    size_t ldc, m, n, k;
    ent_real alpha, beta;
    ent_matrix a, b;
} product;

static void one_tile(const product *p, size_t i, size_t rows, size_t j, size_t columns)
{
    ent_real *c = p->c + i * p->ldc + j;
    const ent_matrix a = ent_matrix_of(at(p->a, i, 0), p->a.stride, p->a.transposed);
    if (p->b.dtype == ENT_REAL_DTYPE) {
        const ent_matrix b = ent_matrix_of(at(p->b, 0, j), p->b.stride, p->b.transposed);
        multiply(c, p->ldc, rows, columns, p->k, p->alpha, a, b, p->beta);
        return;
    }
    ent_real *panel = panels[ent_thread()];
    for (size_t k = 0; k < p->k; k += PANEL_K) {
        const size_t depth = p->k - k < PANEL_K ? p->k - k : PANEL_K;
        const ent_matrix b = convert_panel(panel, p->b, k, depth, j, columns);
        const ent_matrix a_k = ent_matrix_of(at(a, 0, k), a.stride, a.transposed);
        multiply(c, p->ldc, rows, columns, depth, p->alpha, a_k, b, k == 0 ? p->beta : 1);
    }
}

/* Tiles are numbered down the rows first, so that neighbours share columns of b. */
static void some_tiles(void *context, size_t begin, size_t end)
{
    const product *p = context;
    const size_t down = (p->m + TILE_M - 1) / TILE_M;
    for (size_t t = begin; t < end; t++) {
        const size_t i = t % down * TILE_M, j = t / down * TILE_N;
        one_tile(p, i, p->m - i < TILE_M ? p->m - i : TILE_M, j, p->n - j < TILE_N ? p->n - j : TILE_N);
    }
}

void ent_gemm_as(ent_flop_kind kind, ent_real *c, size_t ldc, size_t m, size_t n, size_t k, ent_real alpha,
                 ent_matrix a, ent_matrix b, ent_real beta)
{
    product p = {c, ldc, m, n, k, alpha, beta, a, b};
    if (m == 0 || n == 0)
        return;
    const size_t tiles = ((m + TILE_M - 1) / TILE_M) * ((n + TILE_N - 1) / TILE_N);
    const ent_phase outer = ent_profile_enter(ENT_PHASE_PRODUCTS);
    ent_profile_count(kind, m, n, k);
    ent_tiles(tiles, 1, some_tiles, &p);
    ent_profile_enter(outer);
}

void ent_gemm(ent_real *c, size_t ldc, size_t m, size_t n, size_t k, ent_real alpha, ent_matrix a, ent_matrix b,
              ent_real beta)
{
    ent_gemm_as(ENT_FLOPS_FP32, c, ldc, m, n, k, alpha, a, b, beta);
}
