#include "src/nn/sample.h"

#include "src/base/elementary.h"

static size_t largest(const ent_real *logits, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (logits[i] > logits[best])
            best = i;
    return best;
}

int32_t ent_sample(const ent_real *logits, size_t n, double temperature, const ent_rng *rng, uint64_t index)
{
    const size_t best = largest(logits, n);
    if (temperature <= 0)
        return (int32_t)best;
    const double top = (double)logits[best];
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += ent_exp(((double)logits[i] - top) / temperature);
    double left = (double)ent_random_uniform(rng, index) * sum;
    for (size_t i = 0; i < n; i++) {
        left -= ent_exp(((double)logits[i] - top) / temperature);
        if (left < 0)
            return (int32_t)i;
    }
    return (int32_t)best;
}
