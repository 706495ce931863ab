#include "src/merge/merge.h"

void ent_merge_fold(float *y, const float *w, const float *b, const float *a, size_t stride, size_t r, double scale,
                    double gain, size_t n)
{
    enum { BLOCK = 512 };
    for (size_t i = 0; i < n; i += BLOCK) {
        const size_t some = n - i < BLOCK ? n - i : BLOCK;
        double sum[BLOCK] = {0}; /* products of two fp32 are exact in double */
        for (size_t k = 0; k < r; k++) {
            const float *row = a + k * stride + i;
            const double factor = (double)b[k];
            for (size_t j = 0; j < some; j++)
                sum[j] += factor * (double)row[j];
        }
        for (size_t j = 0; j < some; j++)
            y[i + j] = (float)(gain * ((double)w[i + j] + scale * sum[j]));
    }
}
