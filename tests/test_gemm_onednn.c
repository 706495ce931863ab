/* Products by oneDNN, with numbers of fp32 in place of bf16 (the library has no bf16 without the CPU's instructions for
 * it): the shapes, strides, tiles, edges and threads are the same. What the CPU can do itself is in test_gemm. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/philox.h"
#include "src/base/tiles.h"
#include "src/tensor/gemm_onednn.h"
#include "tests/matrix_helpers.h"

/* A sum of k + 1 numbers is off by at most k 2^-24 of the sum of their sizes, each product by half of that of one. */
static void check_values(const float *c, const float *start, const float *a, const ent_tensor *w, size_t m,
                         bool transposed, float beta)
{
    const size_t n = w->shape[transposed ? 0 : 1], k = w->shape[transposed ? 1 : 0], columns = w->shape[1];
    const float *b = w->data;
    for (size_t i = 0; i < m; i += 1 + m / 7) {
        for (size_t j = 0; j < n; j++) {
            const double added = (double)beta * (double)start[i * n + j];
            double sum = added, sizes = fabs(added);
            for (size_t l = 0; l < k; l++) {
                const double x = (double)a[i * k + l] * (double)(transposed ? b[j * columns + l] : b[l * columns + j]);
                sum += x;
                sizes += fabs(x);
            }
            if (fabs((double)c[i * n + j] - sum) > (double)(k + 1) * 0x1p-24 * sizes)
                fail_msg("%zux%zux%zu %d at %zu,%zu: %.9g, expected %.9g", m, n, k, transposed, i, j,
                         (double)c[i * n + j], sum);
        }
    }
}

/* Products with w, which holds the numbers of `plain`. */
static void check_as(size_t m, const ent_tensor *w, const ent_tensor *plain, bool transposed, float beta)
{
    enum { BEHIND = 64 };
    const size_t n = w->shape[transposed ? 0 : 1], k = w->shape[transposed ? 1 : 0];
    float *a = random_matrix(m * k, 2), *start = random_matrix(m * n + BEHIND, 3);
    float *first = malloc((m * n + BEHIND) * sizeof *first), *c = malloc((m * n + BEHIND) * sizeof *c);
    for (int threads = 1; threads <= 3; threads++) {
        size_t bytes;
        ent_set_threads(threads);
        if (ent_onednn_plan(&bytes, w, m) != ENT_OK)
            fail_msg("%s", ent_message());
        void *scratch = aligned_alloc(64, (bytes + 63) / 64 * 64);
        memcpy(c, start, (m * n + BEHIND) * sizeof *c);
        ent_onednn_product(c, m, a, w, transposed, beta, scratch);
        if (threads == 1)
            memcpy(first, c, (m * n + BEHIND) * sizeof *c);
        assert_memory_equal(c, first, m * n * sizeof *c);
        assert_memory_equal(c + m * n, start + m * n, BEHIND * sizeof *c); /* rows that fill up stay inside */
        free(scratch);
    }
    check_values(first, start, a, plain, m, transposed, beta);
    free(a), free(start), free(first), free(c);
}

static void check(size_t m, const ent_tensor *w, bool transposed, float beta)
{
    check_as(m, w, w, transposed, beta);
}

/* A weight that is stored otherwise: as bf16 here, in place of I8 and NF4. */
static void check_converted(size_t m, const ent_tensor *plain)
{
    const size_t count = plain->shape[0] * plain->shape[1];
    uint16_t *half = malloc(count * sizeof *half);
    float *numbers = malloc(count * sizeof *numbers);
    for (size_t i = 0; i < count; i++)
        numbers[i] = ent_bf16_to_f32(half[i] = ent_f32_to_bf16(((const float *)plain->data)[i]));
    ent_tensor w = *plain, same = *plain;
    w.dtype = ENT_DTYPE_BF16;
    w.data = half;
    same.data = numbers;
    check_as(m, &w, &same, true, 0);
    check_as(m, &w, &same, false, 1);
    free(half), free(numbers);
}

static void products_are_right_for_any_number_of_threads(void **state)
{
    (void)state;
    static const size_t sizes[][3] = {{1, 1, 1},     {3, 5, 7},       {48, 300, 64},  {130, 257, 513}, {520, 20, 33},
                                      {64, 256, 64}, {300, 200, 100}, {256, 30, 512}, {20, 9, 4200},   {5, 4200, 9}};
    if (ent_onednn_name() == NULL) {
        fprintf(stderr, "SKIPPED: libdnnl is not there: the calls of oneDNN were not tested\n");
        skip();
    }
    print_message("%s, in fp32\n", ent_onednn_name());
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        float *values = random_matrix(sizes[i][1] * sizes[i][2], 4);
        const ent_tensor w = {.n_dims = 2, .shape = {sizes[i][1], sizes[i][2]}, .data = values};
        check(sizes[i][0], &w, true, 0);
        check(sizes[i][0], &w, false, 1);
        check_converted(sizes[i][0], &w);
        free(values);
    }
    ent_set_threads(1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(products_are_right_for_any_number_of_threads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
