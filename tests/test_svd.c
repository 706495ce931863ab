/* The largest singular values and vectors of a matrix, against numpy's. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "io/safetensors.h"
#include "src/base/tiles.h"
#include "src/nn/svd.h"

enum { R = 6, MOST = 200 };

typedef struct found {
    ent_real u[R * MOST], v[R * MOST];
    double sigma[R];
} found;

/* |W^T u - sigma v| and |W v - sigma u|, and how far both sides are from orthonormal. */
static void check_vectors(const found *f, const ent_tensor *w, size_t r)
{
    const size_t out = w->shape[0], in = w->shape[1];
    static double m[MOST * MOST];
    ent_real row[MOST];
    for (size_t i = 0; i < out; i++) {
        ent_tensor_read(row, w, i, 0, in);
        for (size_t j = 0; j < in; j++)
            m[i * in + j] = (double)row[j];
    }
    for (size_t k = 0; k < r; k++) {
        const ent_real *u = f->u + k * out, *v = f->v + k * in;
        double back = 0, forth = 0;
        for (size_t j = 0; j < in; j++) {
            double x = -f->sigma[k] * (double)v[j];
            for (size_t i = 0; i < out; i++)
                x += m[i * in + j] * (double)u[i];
            back += x * x;
        }
        for (size_t i = 0; i < out; i++) {
            double x = -f->sigma[k] * (double)u[i];
            for (size_t j = 0; j < in; j++)
                x += m[i * in + j] * (double)v[j];
            forth += x * x;
        }
        assert_true(sqrt(back) < 2.5e-6 * f->sigma[0] && sqrt(forth) < 2.5e-6 * f->sigma[0]);
        for (size_t other = 0; other <= k; other++) {
            double vv = k == other ? -1 : 0, uu = vv;
            for (size_t j = 0; j < in; j++)
                vv += (double)v[j] * (double)f->v[other * in + j];
            for (size_t i = 0; i < out; i++)
                uu += (double)u[i] * (double)f->u[other * out + i];
            assert_true(fabs(vv) < 3e-6 && fabs(uu) < 3e-6);
        }
    }
}

static found find(const ent_tensor *w, size_t r)
{
    static found f;
    if (ent_svd_top(f.u, f.sigma, f.v, r, w, 7) != ENT_OK)
        fail_msg("%s", ent_message());
    return f;
}

/* numpy 1.24.2, linalg.svd of tests/data/oracle/llama/model, in double. */
static void values_are_numpys(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        double sigma[R];
    } known[] = {
        {"model.layers.0.self_attn.q_proj.weight",
         {2.3877342982941472, 2.2596554785085439, 2.2355189713972434, 2.1283304061530242, 2.0194364061591168,
          1.9796747239371546}},
        {"model.layers.1.self_attn.k_proj.weight",
         {1.9093735681829496, 1.8312872512934992, 1.7656872637663292, 1.7336383425884634, 1.6522570306690514,
          1.5643112009488367}},
        {"model.layers.2.mlp.down_proj.weight",
         {3.1917169036587976, 3.086941945019487, 2.9338524386431275, 2.8854195396996967, 2.8044895207803955,
          2.7499100441735509}},
        {"model.layers.0.mlp.up_proj.weight",
         {3.149469077628785, 3.0739267388581348, 2.9588954068386766, 2.9018759187241225, 2.8518810932663414,
          2.7022585490851254}},
    };
    ent_safetensors *file;
    assert_int_equal(ent_safetensors_open(&file, ENT_TEST_DATA "/oracle/llama/model/model.safetensors"), ENT_OK);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const ent_st_tensor *t = ent_safetensors_find(file, known[i].name);
        ent_tensor w = ent_tensor_view(t->data, 2, t->shape);
        w.name = t->name;
        w.dtype = t->dtype;
        const found f = find(&w, R);
        for (size_t k = 0; k < R; k++)
            if (!(fabs(f.sigma[k] / known[i].sigma[k] - 1) < 1e-6))
                fail_msg("%s: value %zu: %.17g, numpy has %.17g", t->name, k, f.sigma[k], known[i].sigma[k]);
        check_vectors(&f, &w, R);
        ent_set_threads(3);
        const found again = find(&w, R);
        ent_set_threads(1);
        assert_memory_equal(&f, &again, sizeof f); /* any number of threads */
    }
    ent_safetensors_close(file);
}

/* Equal values, fewer than asked for, none: what is there is found. */
static void matrices_of_few_values(void **state)
{
    (void)state;
    static ent_real x[20 * 30];
    ent_tensor w = ent_tensor_view(x, 2, (size_t[]){20, 30});
    w.name = "w";
    found f = find(&w, 3);
    assert_true(f.sigma[0] == 0 && f.sigma[2] == 0 && f.u[0] == 0);
    for (size_t i = 0; i < 20; i++)
        x[i * 30 + i] = i < 8 ? 2 : 1;
    f = find(&w, 5);
    check_vectors(&f, &w, 5);
    assert_true(fabs(f.sigma[0] - 2) < 1e-6 && fabs(f.sigma[4] - 2) < 1e-6);
    for (size_t i = 0; i < 20; i++)
        for (size_t j = 0; j < 30; j++)
            x[i * 30 + j] = (ent_real)(i + 1) * (ent_real)(j % 3) + (i == 3 ? (ent_real)j : 0);
    f = find(&w, 4);
    check_vectors(&f, &w, 2);
    assert_true(f.sigma[1] > 1 && f.sigma[2] < 1e-5 * f.sigma[0] && f.u[2 * 20] == 0);
    assert_int_equal(ent_svd_top(f.u, f.sigma, f.v, 1, &w, 1), ENT_OK);
}

static void what_has_no_values_is_refused(void **state)
{
    (void)state;
    static ent_real x[20 * 30], u[21 * 20], v[21 * 30];
    double sigma[21];
    ent_tensor w = ent_tensor_view(x, 2, (size_t[]){20, 30});
    w.name = "w";
    assert_int_equal(ent_svd_top(u, sigma, v, 21, &w, 0), ENT_EINVAL);
    assert_string_equal(ent_message(), "w: expected a rank from 1 to 20, found 21");
    x[77] = (ent_real)NAN;
    assert_int_equal(ent_svd_top(u, sigma, v, 3, &w, 0), ENT_ENUMERIC);
    assert_string_equal(ent_message(), "w: its numbers aren't finite");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_numpys),
        cmocka_unit_test(matrices_of_few_values),
        cmocka_unit_test(what_has_no_values_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
