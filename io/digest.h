/* SHA-256 (FIPS 180-4) of memory and of files, as 64 lower-case hexadecimal characters: what sha256sum prints. */
#ifndef ENT_IO_DIGEST_H
#define ENT_IO_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#include "src/base/status.h"

enum { ENT_SHA256_SIZE = 65 }; /* characters and the terminating zero */

/* hex = the digest of n bytes. */
void ent_sha256(char hex[ENT_SHA256_SIZE], const void *data, size_t n);

/* The same as 32 bytes. */
void ent_sha256_bytes(uint8_t out[32], const void *data, size_t n);

/* The same in pieces: begin, add as often as there is more, end. Nothing to free. */
typedef struct ent_sha256_sum {
    _Alignas(8) unsigned char state[128]; /* known to io/digest.c only */
} ent_sha256_sum;

void ent_sha256_begin(ent_sha256_sum *sum);
void ent_sha256_add(ent_sha256_sum *sum, const void *data, size_t n);
void ent_sha256_end(char hex[ENT_SHA256_SIZE], ent_sha256_sum *sum);

/* hex = the digest of what is read from a file; "" after a failure. ENT_EIO. */
ent_status ent_sha256_file(char hex[ENT_SHA256_SIZE], const char *path);

#endif
