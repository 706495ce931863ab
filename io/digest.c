#include "io/digest.h"

#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/base/mem.h"

static void finish(char *hex, struct sha256_ctx *context)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t bytes[SHA256_DIGEST_SIZE];
    sha256_digest(context, sizeof bytes, bytes);
    for (size_t i = 0; i < sizeof bytes; i++) {
        hex[2 * i] = digits[bytes[i] >> 4];
        hex[2 * i + 1] = digits[bytes[i] & 15];
    }
    hex[2 * sizeof bytes] = 0;
}

void ent_sha256(char hex[ENT_SHA256_SIZE], const void *data, size_t n)
{
    struct sha256_ctx context;
    sha256_init(&context);
    if (n > 0)
        sha256_update(&context, n, data);
    finish(hex, &context);
}

ent_status ent_sha256_file(char hex[ENT_SHA256_SIZE], const char *path)
{
    enum { PIECE = 1 << 20 };
    ent_status st;
    struct sha256_ctx context;
    uint8_t *piece = NULL;
    ssize_t got;
    hex[0] = 0;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return ent_fail(ENT_EIO, "%s: %s", path, strerror(errno));
    ENT_GO(ent_calloc(&piece, PIECE, 1, "a digest"));
    sha256_init(&context);
    do {
        got = read(fd, piece, PIECE);
        if (got < 0 && errno != EINTR)
            ENT_GO(ent_fail(ENT_EIO, "%s: %s", path, strerror(errno)));
        if (got > 0)
            sha256_update(&context, (size_t)got, piece);
    } while (got != 0);
    finish(hex, &context);
done:
    free(piece);
    close(fd);
    return st;
}
