/* The kernels over rows, of one level. */
#include "src/base/fixed.h"
#include "src/kernel/kernels.h"
#include "src/kernel/lanes.h"
#include "src/kernel/level_name.h"

/* A maximum is the same in any order. */
static ent_real max_row(const ent_real *x, size_t n)
{
    ent_real max = x[0];
#pragma omp simd reduction(max : max)
    for (size_t i = 0; i < n; i++)
        max = x[i] > max ? x[i] : max;
    return max;
}

static double dot_row(const ent_real *a, const ent_real *b, size_t n)
{
    double lane[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t l = 0; l < LANES; l++)
            lane[l] += (double)a[i + l] * (double)b[i + l];
    for (size_t l = 0; i + l < n; l++)
        lane[l] += (double)a[i + l] * (double)b[i + l];
    return sum_of_lanes(lane);
}

static double sum_squares_row(const ent_real *x, size_t n)
{
    return dot_row(x, x, n);
}

static double dot3_row(const ent_real *a, const ent_real *b, const ent_real *c, size_t n)
{
    double lane[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t l = 0; l < LANES; l++)
            lane[l] += (double)a[i + l] * (double)b[i + l] * (double)c[i + l];
    for (size_t l = 0; i + l < n; l++)
        lane[l] += (double)a[i + l] * (double)b[i + l] * (double)c[i + l];
    return sum_of_lanes(lane);
}

static inline void add_to_lanes(double lane[LANES], const ent_real *x, size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t l = 0; l < LANES; l++)
            lane[l] += (double)x[i + l];
    for (size_t l = 0; i + l < n; l++)
        lane[l] += (double)x[i + l];
}

/* The exponentials of a stretch stay in the first cache until they are added. */
static double exp_row(ent_real *y, const ent_real *x, ent_real shift, size_t n)
{
    enum { STRETCH = 1024 };
    double lane[LANES] = {0};
    for (size_t begin = 0; begin < n; begin += STRETCH) {
        const size_t end = n - begin < STRETCH ? n : begin + STRETCH;
#pragma omp simd
        for (size_t i = begin; i < end; i++)
            y[i] = exp_real(x[i] - shift);
        add_to_lanes(lane, y + begin, end - begin);
    }
    return sum_of_lanes(lane);
}

static void add_exp(ent_real *y, const ent_real *x, ent_real shift, ent_real factor, size_t n)
{
#pragma omp simd
    for (size_t i = 0; i < n; i++)
        y[i] += factor * exp_real(x[i] - shift);
}

static void scale_row(ent_real *y, const ent_real *x, ent_real factor, size_t n)
{
#pragma omp simd
    for (size_t i = 0; i < n; i++)
        y[i] = factor * x[i];
}

static void add_scaled(ent_real *y, const ent_real *x, ent_real factor, size_t n)
{
#pragma omp simd
    for (size_t i = 0; i < n; i++)
        y[i] += factor * x[i];
}

static void add_rows(ent_real *y, const ent_real *a, const ent_real *b, size_t n)
{
#pragma omp simd
    for (size_t i = 0; i < n; i++)
        y[i] = a[i] + b[i];
}

static void softmax_gradient(ent_real *dx, const ent_real *dy, const ent_real *y, ent_real dot, size_t n)
{
#pragma omp simd
    for (size_t i = 0; i < n; i++)
        dx[i] += y[i] * (dy[i] - dot);
}

static void score_gradient(ent_real *dp, const ent_real *p, ent_real dot, ent_real factor, size_t n)
{
#pragma omp simd
    for (size_t i = 0; i < n; i++)
        dp[i] = p[i] * (dp[i] - dot) * factor;
}

static void silu_mul(ent_real *y, const ent_real *gate, const ent_real *up, size_t n)
{
    if (up) {
#pragma omp simd
        for (size_t i = 0; i < n; i++)
            y[i] = gate[i] / (1 + exp_real(-gate[i])) * up[i];
        return;
    }
#pragma omp simd
    for (size_t i = 0; i < n; i++)
        y[i] = gate[i] / (1 + exp_real(-gate[i]));
}

static void gate_gradient(ent_real *dgate, const ent_real *dy, const ent_real *gate, const ent_real *up, size_t n)
{
    if (up) {
#pragma omp simd
        for (size_t i = 0; i < n; i++) {
            const ent_real s = sigmoid(gate[i]);
            dgate[i] += dy[i] * up[i] * s * (1 + gate[i] * (1 - s));
        }
        return;
    }
#pragma omp simd
    for (size_t i = 0; i < n; i++) {
        const ent_real s = sigmoid(gate[i]);
        dgate[i] += dy[i] * s * (1 + gate[i] * (1 - s));
    }
}

static void silu_mul_gradient(ent_real *dgate, ent_real *dup, const ent_real *dy, const ent_real *gate,
                              const ent_real *up, size_t n)
{
    if (dup == NULL) {
        if (dgate)
            gate_gradient(dgate, dy, gate, up, n);
        return;
    }
    if (dgate == NULL) {
#pragma omp simd
        for (size_t i = 0; i < n; i++)
            dup[i] += dy[i] * gate[i] * sigmoid(gate[i]);
        return;
    }
#pragma omp simd
    for (size_t i = 0; i < n; i++) {
        const ent_real s = sigmoid(gate[i]);
        dgate[i] += dy[i] * up[i] * s * (1 + gate[i] * (1 - s));
        dup[i] += dy[i] * gate[i] * s;
    }
}

static void norm_row(ent_real *y, const ent_real *x, const ent_real *w, ent_real inverse, size_t n)
{
#pragma omp simd
    for (size_t i = 0; i < n; i++)
        y[i] = w[i] * (x[i] * inverse);
}

static void norm_gradient(ent_real *dx, const ent_real *dy, const ent_real *x, const ent_real *w, ent_real inverse,
                          ent_real shift, size_t n)
{
#pragma omp simd
    for (size_t i = 0; i < n; i++)
        dx[i] += inverse * (dy[i] * w[i] - x[i] * shift);
}

static void norm_weight_gradient(ent_real *dw, const ent_real *dy, const ent_real *x, ent_real inverse, size_t n)
{
#pragma omp simd
    for (size_t i = 0; i < n; i++)
        dw[i] += dy[i] * x[i] * inverse;
}

static void rotate(ent_real *y, const ent_real *x, const float *c, const float *s, ent_real direction, size_t half)
{
#pragma omp simd
    for (size_t j = 0; j < half; j++) {
        const ent_real a = x[j], b = x[half + j], cosine = (ent_real)c[j], sine = direction * (ent_real)s[j];
        y[j] = a * cosine - b * sine;
        y[half + j] = b * cosine + a * sine;
    }
}

static void rotate_add(ent_real *y, const ent_real *x, const float *c, const float *s, ent_real direction, size_t half)
{
#pragma omp simd
    for (size_t j = 0; j < half; j++) {
        const ent_real a = x[j], b = x[half + j], cosine = (ent_real)c[j], sine = direction * (ent_real)s[j];
        y[j] += a * cosine - b * sine;
        y[half + j] += b * cosine + a * sine;
    }
}

static inline ent_real root_of(ent_real x)
{
#ifdef ENT_F64
    return sqrt(x);
#else
    return sqrtf(x);
#endif
}

static void adam(ent_real *x, ent_real *m, ent_real *v, const ent_real *g, const ent_adam_step *step, size_t n)
{
    const ent_adam_step s = *step;
#pragma omp simd
    for (size_t i = 0; i < n; i++) {
        const ent_real d = s.scale * g[i] + s.l2 * x[i];
        m[i] = s.beta1 * m[i] + s.rest1 * d;
        v[i] = s.beta2 * v[i] + s.rest2 * d * d;
        x[i] = s.keep * x[i] - s.rate * m[i] / (root_of(v[i]) / s.root + s.eps);
    }
}

static void sgd(ent_real *x, ent_real *m, const ent_real *g, const ent_sgd_step *step, size_t n)
{
    const ent_sgd_step s = *step;
    if (s.momentum == 0) {
#pragma omp simd
        for (size_t i = 0; i < n; i++)
            x[i] -= s.rate * (s.scale * g[i] + s.l2 * x[i]);
        return;
    }
    const ent_real momentum = s.first ? 0 : s.momentum;
#pragma omp simd
    for (size_t i = 0; i < n; i++) {
        m[i] = momentum * m[i] + (s.scale * g[i] + s.l2 * x[i]);
        x[i] -= s.rate * m[i];
    }
}

/* g 2^40 is below 2^62, more than the addition of ROUND_F64 can round: so in two parts, the upper one without rounding.
 */
static bool add_fixed(int64_t *sums, const ent_real *g, double limit, size_t n)
{
    uint64_t *to = (uint64_t *)sums, bad = 0;
#pragma omp simd reduction(| : bad)
    for (size_t i = 0; i < n; i++) {
        const double x = (double)g[i] * (1 / ENT_GRAD_BIT);
        const double t = x * 0x1p-24 + ROUND_F64, low = (x - (t - ROUND_F64) * 0x1p24) + ROUND_F64;
        to[i] +=
            ((bits_of_double(t) - bits_of_double(ROUND_F64)) << 24) + (bits_of_double(low) - bits_of_double(ROUND_F64));
        bad |= fabs((double)g[i]) < limit ? 0 : 1;
    }
    return bad == 0;
}

static void fixed_mean(ent_real *y, const int64_t *sums, double factor, size_t n)
{
#pragma omp simd
    for (size_t i = 0; i < n; i++)
        y[i] = (ent_real)(ent_from_fixed(sums[i], ENT_GRAD_BIT) * factor);
}

static void from_bf16(ent_real *y, const uint16_t *x, size_t n)
{
#pragma omp simd
    for (size_t i = 0; i < n; i++)
        y[i] = (ent_real)float_of((uint32_t)x[i] << 16);
}

static void from_f16(ent_real *y, const uint16_t *x, size_t n)
{
#pragma omp simd
    for (size_t i = 0; i < n; i++) {
        const uint32_t magnitude = x[i] & 0x7fffu, sign = (uint32_t)(x[i] & 0x8000u) << 16;
        const uint32_t normal = (magnitude << 13) + (magnitude < 0x7c00u ? 0x38000000u : 0x70000000u);
        const uint32_t small = bits_of((float)(int32_t)magnitude * 0x1p-24f); /* zero, subnormal */
        y[i] = (ent_real)float_of((magnitude < 0x400u ? small : normal) | sign);
    }
}

static void to_bf16(uint16_t *y, const ent_real *x, size_t n)
{
#pragma omp simd
    for (size_t i = 0; i < n; i++) {
        const float f = (float)x[i];
        const uint32_t u = bits_of(f), rounded = (u + 0x7fffu + (u >> 16 & 1u)) >> 16;
        y[i] = (uint16_t)(f == f ? rounded : (u >> 16 | 0x40u));
    }
}

static void round_bf16(ent_real *y, const ent_real *x, size_t n)
{
#pragma omp simd
    for (size_t i = 0; i < n; i++) {
        const float f = (float)x[i];
        const uint32_t u = bits_of(f), rounded = (u + 0x7fffu + (u >> 16 & 1u)) & 0xffff0000u;
        y[i] = (ent_real)float_of(f == f ? rounded : ((u | 0x400000u) & 0xffff0000u));
    }
}

static void from_int8(ent_real *y, const int8_t *x, float scale, size_t n)
{
#pragma omp simd
    for (size_t i = 0; i < n; i++)
        y[i] = (ent_real)((float)x[i] * scale);
}

/* As bits, sizes compare as they do as numbers, and what is not finite is larger than all that is. */
static float largest_of(const ent_real *x, const float *factors, size_t n)
{
    uint32_t largest = 0;
    if (factors) {
#pragma omp simd reduction(max : largest)
        for (size_t i = 0; i < n; i++) {
            const uint32_t size = bits_of((float)x[i] * factors[i]) & 0x7fffffffu;
            largest = size > largest ? size : largest;
        }
    } else {
#pragma omp simd reduction(max : largest)
        for (size_t i = 0; i < n; i++) {
            const uint32_t size = bits_of((float)x[i]) & 0x7fffffffu;
            largest = size > largest ? size : largest;
        }
    }
    return float_of(largest);
}

static void to_int8(int8_t *q, const ent_real *x, const float *factors, float inverse, size_t n)
{
    if (factors) {
#pragma omp simd
        for (size_t i = 0; i < n; i++)
            q[i] = (int8_t)(uint8_t)bits_of((float)x[i] * factors[i] * inverse + ROUND_F32);
    } else {
#pragma omp simd
        for (size_t i = 0; i < n; i++)
            q[i] = (int8_t)(uint8_t)bits_of((float)x[i] * inverse + ROUND_F32);
    }
}

extern const ent_product_kernels ENT_LEVEL_NAMED(ent_products_);
extern const ent_kernels ENT_LEVEL_NAMED(ent_kernels_);
const ent_kernels ENT_LEVEL_NAMED(ent_kernels_) = {
    .name = ENT_LEVEL_TEXT,
    .products = &ENT_LEVEL_NAMED(ent_products_),
    .max = max_row,
    .sum_squares = sum_squares_row,
    .dot = dot_row,
    .dot3 = dot3_row,
    .exp = exp_row,
    .add_exp = add_exp,
    .scale = scale_row,
    .add_scaled = add_scaled,
    .add = add_rows,
    .softmax_gradient = softmax_gradient,
    .score_gradient = score_gradient,
    .silu_mul = silu_mul,
    .silu_mul_gradient = silu_mul_gradient,
    .norm = norm_row,
    .norm_gradient = norm_gradient,
    .norm_weight_gradient = norm_weight_gradient,
    .rotate = rotate,
    .rotate_add = rotate_add,
    .adam = adam,
    .sgd = sgd,
    .add_fixed = add_fixed,
    .fixed_mean = fixed_mean,
    .from_bf16 = from_bf16,
    .from_f16 = from_f16,
    .to_bf16 = to_bf16,
    .round_bf16 = round_bf16,
    .from_int8 = from_int8,
    .largest = largest_of,
    .to_int8 = to_int8,
};
