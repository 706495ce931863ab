/* A file that is there as a whole or not at all (io/atomic_file.h), written a piece at a time. What is put is hashed on
 * its way, and compared with what is read back before the file gets its name.
 */
#ifndef ENT_IO_STREAMED_FILE_H
#define ENT_IO_STREAMED_FILE_H

#include "io/atomic_file.h"
#include "io/digest.h"

typedef struct ent_streamed_file {
    ent_atomic_file file;
    const char *path; /* borrowed: its name in messages */
    int fd;
    uint64_t bytes; /* that were put */
    ent_sha256_sum sum;
    char digest[ENT_SHA256_SIZE]; /* of them, once committed */
} ent_streamed_file;

/* Begin; then either commit or discard, also after a failure of a put. ENT_EIO, ENT_ENOMEM. */
ent_status ent_streamed_begin(ent_streamed_file *f, const char *path);
ent_status ent_streamed_put(ent_streamed_file *f, const void *data, size_t n);

/* fsync, comparison, `verify` (may be NULL), rename, fsync of the folder. Frees what is owned, also if it fails: then
 * nothing is left. */
ent_status ent_streamed_commit(ent_streamed_file *f, ent_atomic_verify *verify, void *context);
void ent_streamed_discard(ent_streamed_file *f);

#endif
