/* Mutations of HDF5 files that the library doesn't turn away at once: pieces of it change in place, and the checksums
 * of its metadata are made to hold again. */
#include <string.h>

#include "tests/fuzz/fuzz.h"

enum { SUPERBLOCK = 48, WINDOW = 48 };

static uint32_t rotate(uint32_t x, int n)
{
    return x << n | x >> (32 - n);
}

/* Bob Jenkins's lookup3, a byte at a time, as HDF5 has it. */
static uint32_t lookup3(const uint8_t *p, size_t n)
{
    uint32_t s[3], word[3];
    s[0] = s[1] = s[2] = 0xdeadbeef + (uint32_t)n;
    while (n > 0) {
        const size_t part = n < 12 ? n : 12;
        memset(word, 0, sizeof word);
        for (size_t i = 0; i < part; i++)
            word[i / 4] |= (uint32_t)p[i] << 8 * (i % 4);
        for (int i = 0; i < 3; i++)
            s[i] += word[i];
        static const int middle[] = {4, 6, 8, 16, 19, 4}, last[] = {14, 11, 25, 16, 4, 14, 24};
        if (n > 12) {
            for (int i = 0; i < 6; i++) {
                uint32_t *a = &s[i % 3], *b = &s[(i + 1) % 3], *c = &s[(i + 2) % 3];
                *a = (*a - *c) ^ rotate(*c, middle[i]);
                *c += *b;
            }
        } else {
            for (int i = 0; i < 7; i++) {
                uint32_t *c = &s[(i + 2) % 3], *b = &s[(i + 1) % 3];
                *c = (*c ^ *b) - rotate(*b, last[i]);
            }
        }
        p += part;
        n -= part;
    }
    return s[2];
}

static uint64_t get(const uint8_t *p, size_t n)
{
    uint64_t x = 0;
    while (n-- > 0)
        x = x << 8 | p[n];
    return x;
}

/* Puts the checksum of the `length` bytes at `at` behind them, if all that is in the file. */
static void seal(uint8_t *file, size_t n, size_t at, uint64_t length)
{
    if (at > n || length > n - at || n - at - length < 4)
        return;
    const uint32_t sum = lookup3(file + at, (size_t)length);
    for (size_t i = 0; i < 4; i++)
        file[at + length + i] = (uint8_t)(sum >> 8 * i);
}

/* The blocks of an object header that continuation messages lead to: an address and a length anywhere in the file. */
static void seal_continuation(uint8_t *file, size_t n, size_t at)
{
    for (size_t i = SUPERBLOCK; i + 16 <= n; i++) {
        const uint64_t length = get(file + i + 8, 8);
        if (get(file + i, 8) == at && length >= 8 && length <= n - at)
            seal(file, n, at, length - 4);
    }
}

static void seal_header(uint8_t *file, size_t n, size_t at)
{
    const uint8_t flags = file[at + 5];
    const size_t prefix = 6 + (flags & 0x20 ? 16u : 0) + (flags & 0x10 ? 4u : 0), width = (size_t)1 << (flags & 3);
    if (n - at >= prefix + width)
        seal(file, n, at, prefix + width + get(file + at + prefix, width));
}

/* A fixed array's header, and its block of entries. */
static void seal_array(uint8_t *file, size_t n, size_t at)
{
    enum { FIXED = 14 };
    if (n - at < 28)
        return;
    const uint64_t entries = get(file + at + 8, 8), block = get(file + at + 16, 8);
    seal(file, n, at, 24);
    if (entries <= n && block < n)
        seal(file, n, (size_t)block, FIXED + entries * file[at + 6]);
}

static void seal_all(uint8_t *file, size_t n)
{
    if (n < SUPERBLOCK)
        return;
    for (size_t at = SUPERBLOCK; at + 8 <= n; at++) {
        if (memcmp(file + at, "OCHK", 4) == 0)
            seal_continuation(file, n, at);
        else if (memcmp(file + at, "OHDR", 4) == 0)
            seal_header(file, n, at);
        else if (memcmp(file + at, "FAHD", 4) == 0)
            seal_array(file, n, at);
    }
    seal(file, n, 0, SUPERBLOCK - 4);
}

/* One in 16 inputs has any change. The others have up to four, each within a few bytes, behind a random place of the
 * metadata: numbers follow each other there, for which the library's own mutations are as good as any. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t n, size_t max, unsigned seed)
{
    uint64_t random = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
    if (n < SUPERBLOCK || random >> 60 == 0) {
        n = LLVMFuzzerMutate(data, n, max);
    } else {
        for (unsigned left = 1 + (random >> 40 & 3); left > 0; left--) {
            size_t at = 0;
            for (int tries = 0; tries < 32; tries++) { /* not among the zeros that wait for more members */
                random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
                at = (size_t)(random >> 20) % n;
                if (get(data + at, n - at < 8 ? n - at : 8) != 0)
                    break;
            }
            const size_t room = n - at < WINDOW ? n - at : WINDOW, length = 1 + (size_t)(random >> 50) % room;
            uint8_t part[WINDOW];
            memcpy(part, data + at, length);
            const size_t now = LLVMFuzzerMutate(part, length, length);
            memcpy(data + at, part, now);
        }
    }
    seal_all(data, n);
    return n;
}
