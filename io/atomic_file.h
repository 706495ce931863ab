/* Files that are there as a whole or not at all, whatever instant the process or the machine dies at.
 *
 * One protocol: write under a temporary name in the same folder, fsync, read back and compare, rename, fsync the
 * folder. If a step before the rename fails, the temporary file is removed and what stood under the name is as it was.
 */
#ifndef ENT_IO_ATOMIC_FILE_H
#define ENT_IO_ATOMIC_FILE_H

#include <stddef.h>

#include "io/path.h" /* ent_make_dirs, ent_sync_folder */
#include "src/base/status.h"

/* Writes n bytes where the descriptor stands, in as many calls as it takes. ENT_EIO naming `path`. */
ent_status ent_write_all(int fd, const char *path, const void *data, size_t n);

/* A piece of a file. */
typedef struct ent_atomic_part {
    const void *data;
    size_t n;
} ent_atomic_part;

/* Writes n bytes, or `count` parts one after the other, as the file `path`. ENT_EIO "PATH: No space left on device". */
ent_status ent_atomic_write(const char *path, const void *data, size_t n);
ent_status ent_atomic_write_parts(const char *path, const ent_atomic_part *parts, size_t count);

/* The same for a file that something else writes by name (HDF5): begin, write a->temporary and close it, commit or
 * discard. */
typedef struct ent_atomic_file {
    char *path, *temporary; /* owned */
} ent_atomic_file;

/* Tells whether what stands at `temporary` is what was to be written; its failure is that of the commit. */
typedef ent_status ent_atomic_verify(const char *temporary, void *context);

/* Chooses the temporary name (ent_path_temporary). ENT_ENOMEM. */
ent_status ent_atomic_begin(ent_atomic_file *a, const char *path);

/* fsync, `verify` (may be NULL), rename, fsync of the folder. Frees what `a` owns, also if it fails. */
ent_status ent_atomic_commit(ent_atomic_file *a, ent_atomic_verify *verify, void *context);

/* Writes the files of a folder, each by the protocol. */
typedef ent_status ent_folder_writer(const char *folder, const void *context);

/* A folder that is not there yet is made under a temporary name and renamed when `write` is done with it; one that is
 * there gets its files one after the other. `folder` may end in slashes; those above it are made. */
ent_status ent_atomic_folder(const char *folder, ent_folder_writer *write, const void *context);

/* Removes the temporary file, if there is one, and frees. After a commit, or on {0}, it does nothing. */
void ent_atomic_discard(ent_atomic_file *a);

#endif
