/* SHA-256 (FIPS 180-4) of memory and of files, as 64 lower-case hexadecimal characters: what sha256sum prints. */
#ifndef ENT_IO_DIGEST_H
#define ENT_IO_DIGEST_H

#include <stddef.h>

#include "src/base/status.h"

enum { ENT_SHA256_SIZE = 65 }; /* characters and the terminating zero */

/* hex = the digest of n bytes. */
void ent_sha256(char hex[ENT_SHA256_SIZE], const void *data, size_t n);

/* hex = the digest of what is read from a file; "" after a failure. ENT_EIO. */
ent_status ent_sha256_file(char hex[ENT_SHA256_SIZE], const char *path);

#endif
