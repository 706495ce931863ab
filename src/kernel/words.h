/* Packing of words: numbers of the core, or as many int8 as an instruction adds up at once. Their bits move, unseen. */
#ifndef ENT_KERNEL_WORDS_H
#define ENT_KERNEL_WORDS_H

#include <stddef.h>
#include <stdint.h>
#if defined __AVX2__
#include <immintrin.h>
#endif

#ifdef ENT_F64
typedef uint64_t __attribute__((may_alias)) word;
#else
typedef uint32_t __attribute__((may_alias)) word;
#endif

/* to[l * width + j] = x[j * stride + l] for l < 8, j < n <= 8. What the last line is followed by is any number. */
static inline __attribute__((always_inline)) void turn(word *to, size_t width, const word *x, size_t stride, size_t n)
{
#if defined __AVX2__ && !defined ENT_F64
    __m256 r[8], s[8];
    for (size_t j = 0; j < 8; j++)
        r[j] = _mm256_loadu_ps((const float *)x + (j < n ? j : n - 1) * stride);
    for (size_t j = 0; j < 8; j += 4) { /* four lines by pairs of columns, in both halves */
        const __m256 a = _mm256_unpacklo_ps(r[j], r[j + 1]), b = _mm256_unpackhi_ps(r[j], r[j + 1]);
        const __m256 c = _mm256_unpacklo_ps(r[j + 2], r[j + 3]), d = _mm256_unpackhi_ps(r[j + 2], r[j + 3]);
        s[j] = _mm256_shuffle_ps(a, c, 0x44);
        s[j + 1] = _mm256_shuffle_ps(a, c, 0xee);
        s[j + 2] = _mm256_shuffle_ps(b, d, 0x44);
        s[j + 3] = _mm256_shuffle_ps(b, d, 0xee);
    }
    for (size_t l = 0; l < 4; l++)
        _mm256_storeu_ps((float *)to + l * width, _mm256_permute2f128_ps(s[l], s[l + 4], 0x20));
    for (size_t l = 0; l < 4; l++)
        _mm256_storeu_ps((float *)to + (4 + l) * width, _mm256_permute2f128_ps(s[l], s[l + 4], 0x31));
#else
    for (size_t l = 0; l < 8; l++)
        for (size_t j = 0; j < n; j++)
            to[l * width + j] = x[j * stride + l];
#endif
}

/* The same for any k and n <= width. Of `next` lines behind them, which are packed next, what stands at the same place
 * comes nearer. */
static inline void pack_along(word *to, const word *x, size_t stride, size_t n, size_t k, size_t width, size_t next)
{
    const size_t eights = k / 8 * 8;
    for (size_t j = 0; j < n; j += 8) {
        const size_t lines = n - j < 8 ? n - j : 8;
        for (size_t l = 0; l < eights; l += 8) {
            if (l % (64 / sizeof *x) == 0)
                for (size_t i = j; i < j + 8 && i < next; i++)
                    __builtin_prefetch(x + (n + i) * stride + l);
            word *at = to + l * width + j;
            const word *from = x + j * stride + l;
            if (lines == 8)
                turn(at, width, from, stride, 8);
            else if (lines == 6)
                turn(at, width, from, stride, 6);
            else
                turn(at, width, from, stride, lines);
        }
    }
    for (size_t l = eights; l < k; l++)
        for (size_t j = 0; j < n; j++)
            to[l * width + j] = x[j * stride + l];
}

#endif
