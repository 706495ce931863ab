#include "io/atomic_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/base/mem.h"

static ent_status io_error(const char *path)
{
    return ent_fail(ENT_EIO, "%s: %s", path, strerror(errno));
}

ent_status ent_atomic_begin(ent_atomic_file *a, const char *path)
{
    ent_status st;
    *a = (ent_atomic_file){0};
    const char *name = ent_path_name(path);
    ENT_GO(ent_strdup(&a->path, path));
    ENT_GO(ent_format(&a->temporary, "%.*s.%s.tmp-%ld", (int)(name - path), path, name, (long)getpid()));
    if (unlink(a->temporary) != 0 && errno != ENOENT)
        ENT_GO(io_error(a->path));
done:
    if (st != ENT_OK) {
        free(a->path);
        free(a->temporary);
        *a = (ent_atomic_file){0};
    }
    return st;
}

void ent_atomic_discard(ent_atomic_file *a)
{
    if (a->temporary)
        unlink(a->temporary);
    free(a->path);
    free(a->temporary);
    *a = (ent_atomic_file){0};
}

static ent_status sync_file(const char *temporary, const char *path)
{
    const int fd = open(temporary, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return io_error(path);
    const ent_status st = fsync(fd) != 0 ? io_error(path) : ENT_OK;
    close(fd);
    return st;
}

ent_status ent_atomic_commit(ent_atomic_file *a, ent_atomic_verify *verify, void *context)
{
    ent_status st;
    char *folder = NULL;
    ENT_GO(sync_file(a->temporary, a->path));
    if (verify)
        ENT_GO(verify(a->temporary, context));
    if (rename(a->temporary, a->path) != 0)
        ENT_GO(io_error(a->path));
    free(a->temporary);
    a->temporary = NULL;
    ENT_GO(ent_path_folder(&folder, a->path));
    ENT_GO(ent_sync_folder(folder));
done:
    free(folder);
    ent_atomic_discard(a);
    return st;
}

static ent_status write_all(int fd, const char *path, const ent_atomic_part *part)
{
    for (size_t i = 0; i < part->n;) {
        const size_t left = part->n - i;
        const ssize_t wrote = write(fd, (const char *)part->data + i, left < SSIZE_MAX ? left : SSIZE_MAX);
        if (wrote < 0 && errno != EINTR)
            return io_error(path);
        i += wrote > 0 ? (size_t)wrote : 0;
    }
    return ENT_OK;
}

typedef struct parts {
    const char *path;
    const ent_atomic_part *parts;
    size_t count;
} parts;

static ent_status compare_part(int fd, const char *path, const ent_atomic_part *part, char *piece, size_t piece_n)
{
    for (size_t i = 0; i < part->n;) {
        const size_t left = part->n - i;
        const ssize_t got = read(fd, piece, left < piece_n ? left : piece_n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return io_error(path);
        if (got == 0 || memcmp(piece, (const char *)part->data + i, (size_t)got) != 0)
            return ent_fail(ENT_EIO, "%s: what was read back is not what was written", path);
        i += (size_t)got;
    }
    return ENT_OK;
}

/* The file is the parts, and ends there. */
static ent_status compare(const char *temporary, void *context)
{
    enum { PIECE = 1 << 18 };
    const parts *expected = context;
    ent_status st;
    char *piece = NULL;
    const int fd = open(temporary, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return io_error(expected->path);
    ENT_GO(ent_calloc(&piece, PIECE, 1, "reading back"));
    for (size_t i = 0; i < expected->count; i++)
        ENT_GO(compare_part(fd, expected->path, &expected->parts[i], piece, PIECE));
    if (read(fd, piece, 1) != 0)
        ENT_GO(ent_fail(ENT_EIO, "%s: what was read back is not what was written", expected->path));
done:
    free(piece);
    close(fd);
    return st;
}

ent_status ent_atomic_write_parts(const char *path, const ent_atomic_part *items, size_t count)
{
    ent_status st;
    ent_atomic_file a;
    parts expected = {path, items, count};
    ENT_TRY(ent_atomic_begin(&a, path));
    int fd = open(a.temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0)
        ENT_GO(io_error(path));
    for (size_t i = 0; i < count; i++)
        ENT_GO(write_all(fd, path, &items[i]));
    const int closed = close(fd); /* some file systems tell only here that the disk is full */
    fd = -1;
    if (closed != 0)
        ENT_GO(io_error(path));
    ENT_GO(ent_atomic_commit(&a, compare, &expected));
done:
    if (fd >= 0)
        close(fd);
    ent_atomic_discard(&a);
    return st;
}

ent_status ent_atomic_write(const char *path, const void *data, size_t n)
{
    return ent_atomic_write_parts(path, &(ent_atomic_part){data, n}, 1);
}
