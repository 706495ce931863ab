/* Causal products against the whole ones, bit by bit; what nobody sees is left out, and not counted. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/philox.h"
#include "src/base/profile.h"
#include "src/tensor/gemm.h"

enum { MOST = 700 };
static float a[MOST * 80], b[MOST * 80], whole[MOST * MOST], part[MOST * MOST];

static void fill(float *x, size_t n, uint32_t unit)
{
    const ent_rng rng = {.seed = 5, .stream = ENT_STREAM_INIT, .unit = unit};
    for (size_t i = 0; i < n; i++)
        x[i] = 2 * ent_random_uniform(&rng, i) - 1;
}

static void compare(size_t m, size_t n, size_t seen_of_row, bool rows)
{
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n && (!rows || j <= i + seen_of_row); j++)
            if (memcmp(&whole[i * n + j], &part[i * n + j], sizeof *part) != 0)
                fail_msg("element %zu,%zu of %zux%zu: %a, expected %a", i, j, m, n, (double)part[i * n + j],
                         (double)whole[i * n + j]);
}

/* `rows` that see `keys`, the first of them diagonal + 1, by vectors of d numbers. */
static void check(size_t rows, size_t diagonal, size_t d)
{
    const size_t keys = rows + diagonal;
    static float p[100 * MOST];
    fill(a, rows * d, 0), fill(b, keys * d, 1), fill(p, rows * keys, 2);
    const ent_matrix q = ent_matrix_of(a, d, false), k = ent_matrix_of(b, d, true), v = ent_matrix_of(b, d, false);
    memset(part, 0xff, sizeof part);
    ent_gemm_serial(whole, keys, rows, keys, d, 0.5f, q, k, 0);
    ent_gemm_causal(ENT_SEEN_OF_C, diagonal, part, keys, rows, keys, d, 0.5f, q, k, 0);
    compare(rows, keys, diagonal, true);
    if (rows > 64)
        assert_true(isnan(part[keys - 1])); /* what is far from seen isn't computed */

    for (size_t i = 0; i < rows; i++)
        for (size_t j = i + diagonal + 1; j < keys; j++)
            p[i * keys + j] = 0;
    fill(whole, rows * d, 3), fill(part, rows * d, 3);
    ent_gemm_serial(whole, d, rows, d, keys, 1, ent_matrix_of(p, keys, false), v, 1);
    ent_gemm_causal(ENT_SEEN_OF_A, diagonal, part, d, rows, d, keys, 1, ent_matrix_of(p, keys, false), v, 1);
    compare(rows, d, 0, false);

    fill(whole, keys * d, 4), fill(part, keys * d, 4);
    ent_gemm_serial(whole, d, keys, d, rows, 1, ent_matrix_of(p, keys, true), q, 1);
    ent_gemm_causal(ENT_SEEING_OF_A, diagonal, part, d, keys, d, rows, 1, ent_matrix_of(p, keys, true), q, 1);
    compare(keys, d, 0, false);
}

static void seen_parts_have_the_bits_of_whole_products(void **state)
{
    (void)state;
    static const size_t shapes[][3] = {{1, 0, 3}, {7, 0, 16}, {96, 0, 64}, {96, 300, 64}, {96, 3, 80}, {31, 600, 8}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        check(shapes[i][0], shapes[i][1], shapes[i][2]);
}

static void only_what_is_seen_counts(void **state)
{
    (void)state;
    static const ent_causal_part parts[] = {ENT_SEEN_OF_C, ENT_SEEN_OF_A, ENT_SEEING_OF_A};
    static const size_t sizes[][3] = {{5, 9, 8}, {5, 8, 9}, {9, 8, 5}}; /* m, n, k: 5 rows, 9 keys, 8 numbers */
    static float p[128];
    for (int i = 0; i < 3; i++) {
        ent_profile_start();
        const size_t m = sizes[i][0], n = sizes[i][1], k = sizes[i][2];
        ent_gemm_causal(parts[i], 4, part, n, m, n, k, 1, ent_matrix_of(p, k, false), ent_matrix_of(p, n, false), 0);
        ent_profile profile;
        ent_profile_stop(&profile);
        assert_true(profile.flops[ENT_FLOPS_FP32] == 2 * 8 * (5 + 6 + 7 + 8 + 9));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seen_parts_have_the_bits_of_whole_products),
        cmocka_unit_test(only_what_is_seen_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
