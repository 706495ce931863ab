#include <math.h>
#include <string.h>

#include "src/merge/merge.h"

enum { LOW_BITS = 16, N_COUNTS = 1 << LOW_BITS };

/* Magnitudes in the order of their bits: fp32 without the sign, read as an integer. */
static uint32_t magnitude(double delta)
{
    const float size = (float)fabs(delta);
    uint32_t bits;
    memcpy(&bits, &size, sizeof bits);
    return bits;
}

void ent_merge_select_begin(ent_merge_select *s, uint64_t length, double density)
{
    const double k = floor(density * (double)length + 0.5);
    memset(s, 0, sizeof *s);
    s->rank = k < 1 ? 1 : k > (double)length ? length : (uint64_t)k;
}

void ent_merge_select_count(ent_merge_select *s, const double *delta, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const uint32_t bits = magnitude(delta[i]);
        if (!s->second)
            s->counts[bits >> LOW_BITS]++;
        else if (bits >> LOW_BITS == s->high)
            s->counts[bits & (N_COUNTS - 1)]++;
    }
}

bool ent_merge_select_end(float *threshold, ent_merge_select *s)
{
    uint32_t at = N_COUNTS - 1;
    for (; at > 0 && s->counts[at] < s->rank; at--)
        s->rank -= s->counts[at];
    if (s->second) {
        const uint32_t bits = s->high << LOW_BITS | at;
        memcpy(threshold, &bits, sizeof bits);
        return true;
    }
    s->high = at;
    s->second = true;
    memset(s->counts, 0, sizeof s->counts);
    return false;
}

void ent_merge_trim(double *delta, float threshold, size_t n)
{
    for (size_t i = 0; i < n; i++)
        delta[i] *= (float)fabs(delta[i]) >= threshold;
}

void ent_merge_elect(float *y, const float *base, const double *delta, const double *weights, size_t models,
                     double divisor, size_t n)
{
    enum { BLOCK = 256 };
    for (size_t i = 0; i < n; i += BLOCK) {
        const size_t some = n - i < BLOCK ? n - i : BLOCK;
        double sign[BLOCK] = {0}, sum[BLOCK] = {0}, weight[BLOCK] = {0};
        for (size_t m = 0; m < models; m++)
            for (size_t j = 0; j < some; j++)
                sign[j] += weights[m] * delta[m * n + i + j];
        for (size_t j = 0; j < some; j++)
            sign[j] = (double)(sign[j] > 0) - (double)(sign[j] < 0);
        for (size_t m = 0; m < models; m++) {
            const double *d = delta + m * n + i, w = weights[m];
            for (size_t j = 0; j < some; j++) {
                const double agrees = d[j] * sign[j] > 0 ? w : 0;
                sum[j] += agrees * d[j];
                weight[j] += agrees;
            }
        }
        for (size_t j = 0; j < some; j++) {
            const double mean = sum[j] / (weight[j] > 0 ? weight[j] : 1);
            y[i + j] = (float)((double)base[i + j] + mean / divisor);
        }
    }
}
