#include "src/merge/merge.h"

#include "src/base/real.h"

enum { BLOCK = 256 }; /* numbers that are summed at once */

static size_t block_of(size_t i, size_t n)
{
    return n - i < BLOCK ? n - i : BLOCK;
}

void ent_merge_sum(float *y, const float *x, size_t stride, const double *weights, size_t models, double divisor,
                   size_t n)
{
    for (size_t i = 0; i < n; i += BLOCK) {
        const size_t some = block_of(i, n);
        double sum[BLOCK] = {0};
        for (size_t m = 0; m < models; m++)
            for (size_t j = 0; j < some; j++)
                sum[j] += weights[m] * (double)x[m * stride + i + j];
        for (size_t j = 0; j < some; j++)
            y[i + j] = (float)(sum[j] / divisor);
    }
}

void ent_merge_delta(double *delta, const float *x, const float *base, size_t n)
{
    for (size_t i = 0; i < n; i++)
        delta[i] = (double)x[i] - (double)base[i];
}

void ent_merge_add(float *y, const float *base, const double *delta, const double *weights, size_t models,
                   double divisor, size_t n)
{
    for (size_t i = 0; i < n; i += BLOCK) {
        const size_t some = block_of(i, n);
        double sum[BLOCK] = {0};
        for (size_t m = 0; m < models; m++)
            for (size_t j = 0; j < some; j++)
                sum[j] += weights[m] * delta[m * n + i + j];
        for (size_t j = 0; j < some; j++)
            y[i + j] = (float)((double)base[i + j] + sum[j] / divisor);
    }
}

static void average(float *y, const ent_merge *merge, const float *x, size_t stride, size_t n)
{
    double total = 0;
    for (size_t m = 0; m < merge->models; m++)
        total += merge->weights[m];
    ent_merge_sum(y, x, stride, merge->weights, merge->models, total, n);
}

void ent_merge_piece(float *y, const ent_merge *merge, const ent_merge_tensor *tensor, const float *base,
                     const float *x, size_t stride, double *delta, uint64_t first, size_t n)
{
    const ent_merge_method method = merge->method;
    const bool drops = method == ENT_MERGE_DARE || method == ENT_MERGE_DARE_TIES;
    const double divisor = drops ? merge->density : 1;
    if (method == ENT_MERGE_AVERAGE) {
        average(y, merge, x, stride, n);
        return;
    }
    if (method == ENT_MERGE_SLERP) {
        ent_merge_sum(y, x, stride, tensor->factors, 2, 1, n);
        return;
    }
    for (size_t m = 0; m < merge->models; m++) {
        double *d = delta + m * n;
        ent_merge_delta(d, x + m * stride, base, n);
        if (method == ENT_MERGE_TIES)
            ent_merge_trim(d, tensor->thresholds[m], n);
        else if (drops)
            ent_merge_drop(d, merge->density, merge->seed, tensor->number, (uint32_t)m, first, n);
    }
    if (method == ENT_MERGE_TASK || method == ENT_MERGE_DARE)
        ent_merge_add(y, base, delta, merge->weights, merge->models, divisor, n);
    else
        ent_merge_elect(y, base, delta, merge->weights, merge->models, divisor, n);
}
