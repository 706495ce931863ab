#include "io/digest.h"

#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/base/mem.h"

_Static_assert(sizeof(struct sha256_ctx) <= sizeof(ent_sha256_sum) &&
                   _Alignof(struct sha256_ctx) <= _Alignof(ent_sha256_sum),
               "nettle's state has its place in ours");

void ent_sha256_begin(ent_sha256_sum *sum)
{
    sha256_init((struct sha256_ctx *)(void *)sum->state);
}

void ent_sha256_add(ent_sha256_sum *sum, const void *data, size_t n)
{
    if (n > 0)
        sha256_update((struct sha256_ctx *)(void *)sum->state, n, data);
}

void ent_sha256_end(char hex[ENT_SHA256_SIZE], ent_sha256_sum *sum)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t bytes[SHA256_DIGEST_SIZE];
    sha256_digest((struct sha256_ctx *)(void *)sum->state, sizeof bytes, bytes);
    for (size_t i = 0; i < sizeof bytes; i++) {
        hex[2 * i] = digits[bytes[i] >> 4];
        hex[2 * i + 1] = digits[bytes[i] & 15];
    }
    hex[2 * sizeof bytes] = 0;
}

void ent_sha256(char hex[ENT_SHA256_SIZE], const void *data, size_t n)
{
    ent_sha256_sum sum;
    ent_sha256_begin(&sum);
    ent_sha256_add(&sum, data, n);
    ent_sha256_end(hex, &sum);
}

void ent_sha256_bytes(uint8_t out[32], const void *data, size_t n)
{
    struct sha256_ctx state;
    sha256_init(&state);
    sha256_update(&state, n, data);
    sha256_digest(&state, SHA256_DIGEST_SIZE, out);
}

ent_status ent_sha256_file(char hex[ENT_SHA256_SIZE], const char *path)
{
    enum { PIECE = 1 << 20 };
    ent_status st;
    ent_sha256_sum sum;
    uint8_t *piece = NULL;
    ssize_t got;
    hex[0] = 0;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return ent_fail(ENT_EIO, "%s: %s", path, strerror(errno));
    ENT_GO(ent_calloc(&piece, PIECE, 1, "a digest"));
    ent_sha256_begin(&sum);
    do {
        got = read(fd, piece, PIECE);
        if (got < 0 && errno != EINTR)
            ENT_GO(ent_fail(ENT_EIO, "%s: %s", path, strerror(errno)));
        if (got > 0)
            ent_sha256_add(&sum, piece, (size_t)got);
    } while (got != 0);
    ent_sha256_end(hex, &sum);
done:
    free(piece);
    close(fd);
    return st;
}
