#include "io/atomic_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "src/base/mem.h"

static ent_status io_error(const char *path)
{
    return ent_fail(ENT_EIO, "%s: %s", path, strerror(errno));
}

ent_status ent_write_all(int fd, const char *path, const void *data, size_t n)
{
    for (const char *at = data; n > 0;) {
        const ssize_t wrote = write(fd, at, n);
        if (wrote < 0 && errno != EINTR)
            return io_error(path);
        at += wrote > 0 ? wrote : 0;
        n -= wrote > 0 ? (size_t)wrote : 0;
    }
    return ENT_OK;
}

static void forget(ent_atomic_file *a)
{
    free(a->path);
    free(a->temporary);
    *a = (ent_atomic_file){0};
}

ent_status ent_atomic_begin(ent_atomic_file *a, const char *path)
{
    *a = (ent_atomic_file){0};
    ent_status st = ent_strdup(&a->path, path);
    if (st == ENT_OK)
        st = ent_path_temporary(&a->temporary, path);
    if (st != ENT_OK)
        forget(a);
    return st;
}

void ent_atomic_discard(ent_atomic_file *a)
{
    if (a->temporary)
        unlink(a->temporary);
    forget(a);
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

/* From here on there is no temporary file. */
static ent_status rename_and_sync(ent_atomic_file *a)
{
    char *folder = NULL;
    if (rename(a->temporary, a->path) != 0)
        return io_error(a->path);
    free(a->temporary);
    a->temporary = NULL;
    ENT_TRY(ent_path_folder(&folder, a->path));
    const ent_status st = ent_sync_folder(folder);
    free(folder);
    return st;
}

ent_status ent_atomic_commit(ent_atomic_file *a, ent_atomic_verify *verify, void *context)
{
    ent_status st;
    ENT_GO(sync_file(a->temporary, a->path));
    if (verify)
        ENT_GO(verify(a->temporary, context));
    ENT_GO(rename_and_sync(a));
done:
    ent_atomic_discard(a);
    return st;
}

/* Moves behind `n` bytes of *count parts that begin in the middle of the first one, at *offset. */
static void advance(const ent_atomic_part **parts, size_t *count, size_t *offset, size_t n)
{
    *offset += n;
    while (*count > 0 && *offset >= (*parts)->n) {
        *offset -= (*parts)->n;
        ++*parts;
        --*count;
    }
}

static ent_status write_all(int fd, const char *path, const ent_atomic_part *parts, size_t count)
{
    enum { AT_ONCE = 64 };
    size_t offset = 0;
    advance(&parts, &count, &offset, 0);
    while (count > 0) {
        struct iovec pieces[AT_ONCE];
        const size_t n = count < AT_ONCE ? count : AT_ONCE;
        size_t room = SSIZE_MAX;
        for (size_t i = 0; i < n; i++) {
            const size_t skip = i == 0 ? offset : 0, left = parts[i].n - skip;
            pieces[i].iov_base = (char *)parts[i].data + skip;
            pieces[i].iov_len = left < room ? left : room;
            room -= pieces[i].iov_len;
        }
        const ssize_t wrote = n == 1 ? write(fd, pieces[0].iov_base, pieces[0].iov_len) : writev(fd, pieces, (int)n);
        if (wrote < 0 && errno != EINTR)
            return io_error(path);
        advance(&parts, &count, &offset, wrote > 0 ? (size_t)wrote : 0);
    }
    return ENT_OK;
}

/* Whether n bytes are the next ones of the parts, and moves behind them. */
static bool is_next(const ent_atomic_part **parts, size_t *count, size_t *offset, const char *data, size_t n)
{
    while (n > 0 && *count > 0) {
        const size_t left = (*parts)->n - *offset, same = left < n ? left : n;
        if (memcmp((const char *)(*parts)->data + *offset, data, same) != 0)
            return false;
        advance(parts, count, offset, same);
        data += same;
        n -= same;
    }
    return n == 0;
}

/* The file is the parts, and ends there. */
static ent_status compare(int fd, const char *path, const ent_atomic_part *parts, size_t count)
{
    enum { PIECE = 1 << 22 };
    size_t offset = 0, total = 0, at = 0;
    char *piece = NULL;
    ent_status st;
    for (size_t i = 0; i < count; i++)
        total += parts[i].n;
    const size_t most = total < PIECE ? total + 1 : PIECE; /* one byte more tells where the file ends */
    ENT_GO(ent_calloc(&piece, most, 1, "reading back"));
    advance(&parts, &count, &offset, 0);
    for (bool ended = false; !ended;) {
        const size_t asked = total - at < most ? total - at + 1 : most;
        const ssize_t got = pread(fd, piece, asked, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            ENT_GO(io_error(path));
        at += (size_t)got;
        ended = at == total && (size_t)got < asked;
        if ((got == 0 && !ended) || !is_next(&parts, &count, &offset, piece, (size_t)got))
            ENT_GO(ent_fail(ENT_EIO, "%s: what was read back is not what was written", path));
    }
done:
    free(piece);
    return st;
}

ent_status ent_atomic_write_parts(const char *path, const ent_atomic_part *parts, size_t count)
{
    ent_status st;
    ent_atomic_file a;
    ENT_TRY(ent_atomic_begin(&a, path));
    int fd = open(a.temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) {
        st = io_error(path);
        forget(&a); /* if it is there, it is another's */
        return st;
    }
    ENT_GO(write_all(fd, path, parts, count));
    if (fsync(fd) != 0)
        ENT_GO(io_error(path));
    ENT_GO(compare(fd, path, parts, count));
    const int closed = close(fd); /* some file systems tell only here that the disk is full */
    fd = -1;
    if (closed != 0)
        ENT_GO(io_error(path));
    ENT_GO(rename_and_sync(&a));
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

static ent_status write_new_folder(const char *folder, ent_folder_writer *write, const void *context)
{
    ent_status st;
    char *parent = NULL, *temporary = NULL;
    ENT_GO(ent_path_folder(&parent, folder));
    ENT_GO(ent_make_dirs(parent));
    ENT_GO(ent_path_temporary(&temporary, folder));
    if (mkdir(temporary, 0777) != 0)
        ENT_GO(io_error(folder));
    st = write(temporary, context);
    if (st == ENT_OK && rename(temporary, folder) != 0)
        st = io_error(folder);
    if (st != ENT_OK) {
        ent_remove_tree(temporary);
        goto done;
    }
    ENT_GO(ent_sync_folder(parent));
done:
    free(parent);
    free(temporary);
    return st;
}

ent_status ent_atomic_folder(const char *folder, ent_folder_writer *write, const void *context)
{
    char *place;
    ENT_TRY(ent_strdup(&place, folder)); /* without slashes at its end, behind which there is no name */
    for (size_t n = strlen(place); n > 1 && place[n - 1] == '/'; n--)
        place[n - 1] = '\0';
    const ent_status st = ent_path_is_folder(place) ? write(place, context) : write_new_folder(place, write, context);
    free(place);
    return st;
}
