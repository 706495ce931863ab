#include "src/nn/rope_table.h"

#include "src/base/elementary.h"

static const double two_pi = 6.283185307179586;

/* Llama 3.1: wavelengths over original / low are divided, under original / high kept. */
static double scale_llama3(double frequency, const ent_model_config *c)
{
    const double original = (double)c->rope_original_max_positions, wavelength = two_pi / frequency;
    if (wavelength > original / c->rope_low_freq_factor)
        return frequency / c->rope_factor;
    if (wavelength < original / c->rope_high_freq_factor)
        return frequency;
    const double smooth =
        (original / wavelength - c->rope_low_freq_factor) / (c->rope_high_freq_factor - c->rope_low_freq_factor);
    return (1 - smooth) * frequency / c->rope_factor + smooth * frequency;
}

double ent_rope_frequency(const ent_model_config *c, ent_rope_scaling scaling, size_t j)
{
    const double frequency = (double)(float)(1.0 / ent_pow(c->rope_theta, 2.0 * (double)j / (double)c->head_dim));
    if (scaling == ENT_ROPE_LINEAR)
        return frequency / c->rope_factor;
    return scaling == ENT_ROPE_LLAMA3 ? scale_llama3(frequency, c) : frequency;
}

void ent_rope_table(float *cosines, float *sines, const ent_model_config *c, size_t max_positions)
{
    const size_t half = c->head_dim / 2;
    for (size_t j = 0; j < half; j++) {
        const double frequency = ent_rope_frequency(c, c->rope_scaling, j);
        for (size_t p = 0; p < max_positions; p++) {
            const double angle = (double)((float)p * (float)frequency);
            cosines[p * half + j] = (float)ent_cos(angle);
            sines[p * half + j] = (float)ent_sin(angle);
        }
    }
}
