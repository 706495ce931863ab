/* GGUF files made by hand, from the specification. */
#ifndef ENT_TESTS_GGUF_BYTES_H
#define ENT_TESTS_GGUF_BYTES_H

#include "file_helpers.h"

#include "io/gguf.h"

typedef struct bytes {
    unsigned char data[4096];
    size_t n;
} bytes;

static inline void raw(bytes *b, const void *data, size_t n)
{
    assert_true(b->n + n <= sizeof b->data);
    memcpy(b->data + b->n, data, n);
    b->n += n;
}

static inline void u32(bytes *b, uint32_t x)
{
    raw(b, &x, 4);
}

static inline void u64(bytes *b, uint64_t x)
{
    raw(b, &x, 8);
}

static inline void text(bytes *b, const char *s)
{
    u64(b, strlen(s));
    raw(b, s, strlen(s));
}

static inline void pad(bytes *b, size_t alignment)
{
    while (b->n % alignment)
        raw(b, "", 1);
}

static inline void head(bytes *b, uint64_t tensors, uint64_t pairs)
{
    raw(b, "GGUF", 4);
    u32(b, 3);
    u64(b, tensors);
    u64(b, pairs);
}

static inline void tensor(bytes *b, const char *name, uint64_t columns, uint64_t rows, uint32_t type, uint64_t offset)
{
    text(b, name);
    u32(b, rows ? 2 : 1);
    u64(b, columns);
    if (rows)
        u64(b, rows);
    u32(b, type);
    u64(b, offset);
}

static const float small_numbers[] = {1, -2.5f, 3e-5f, 4, 5, 6.25f};

/* Pairs of five kinds, a matrix of F32 and a vector of F16. */
static inline void small(bytes *b)
{
    b->n = 0;
    head(b, 2, 5);
    text(b, "general.architecture"), u32(b, 8), text(b, "llama");
    text(b, "a.size"), u32(b, 4), u32(b, 4096);
    text(b, "a.eps"), u32(b, 6), raw(b, &(float){1e-5f}, 4);
    text(b, "a.yes"), u32(b, 7), raw(b, "\1", 1);
    text(b, "a.list"), u32(b, 9), u32(b, 8), u64(b, 2), text(b, "x"), text(b, "");
    tensor(b, "m", 3, 2, 0, 0);
    tensor(b, "v", 2, 0, 1, 32);
    pad(b, 32);
    raw(b, small_numbers, sizeof small_numbers);
    pad(b, 32);
    raw(b, (uint16_t[]){0x3c00, 0xc000}, 4);
    pad(b, 32);
}

static inline ent_status open_bytes(ent_gguf **out, const bytes *b)
{
    put_file("scratch/gguf/x.gguf", b->data, b->n);
    return ent_gguf_open(out, "scratch/gguf/x.gguf");
}

#endif
