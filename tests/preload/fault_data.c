/* Calls that change what a file holds, and that put it on the disk: see tests/preload/fault.c. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fault.h"
#include "loss.h"

static ssize_t write_one(const char *name, int fd, const void *data, size_t n, off_t offset)
{
    char path[PATH_MAX];
    fault_fd(path, fd);
    if (!fault_allows(name, path, n, FAULT_ROOM))
        return -1;
    if (fault_keeps_books(path))
        loss_write(path);
    const size_t part = fault_share(path, n);
    const ssize_t wrote =
        (ssize_t)(offset < 0 ? syscall(SYS_write, fd, data, part) : syscall(SYS_pwrite64, fd, data, part, offset));
    fault_done(path);
    return wrote;
}

ssize_t write(int fd, const void *data, size_t n)
{
    return write_one("write", fd, data, n, -1);
}

ssize_t pwrite(int fd, const void *data, size_t n, off_t offset)
{
    return write_one("pwrite", fd, data, n, offset);
}

ssize_t pwrite64(int fd, const void *data, size_t n, off_t offset)
{
    return write_one("pwrite", fd, data, n, offset);
}

/* The pieces one after the other: what a reader of the file can see in between is what a kill in between leaves. */
static ssize_t write_pieces(const char *name, int fd, const struct iovec *pieces, int count, off_t offset)
{
    char path[PATH_MAX];
    size_t all = 0;
    ssize_t wrote = 0;
    fault_fd(path, fd);
    for (int i = 0; i < count; i++)
        all += pieces[i].iov_len;
    if (!fault_allows(name, path, all, FAULT_ROOM))
        return -1;
    if (fault_keeps_books(path))
        loss_write(path);
    size_t left = fault_share(path, all);
    for (int i = 0; i < count && left > 0; i++) {
        const size_t n = pieces[i].iov_len < left ? pieces[i].iov_len : left;
        const ssize_t one = (ssize_t)(offset < 0 ? syscall(SYS_write, fd, pieces[i].iov_base, n)
                                                 : syscall(SYS_pwrite64, fd, pieces[i].iov_base, n, offset + wrote));
        if (one < 0)
            return wrote ? wrote : -1;
        wrote += one;
        left -= (size_t)one;
        if ((size_t)one < n)
            break;
    }
    fault_done(path);
    return wrote;
}

ssize_t writev(int fd, const struct iovec *pieces, int count)
{
    return write_pieces("writev", fd, pieces, count, -1);
}

ssize_t pwritev(int fd, const struct iovec *pieces, int count, off_t offset)
{
    return write_pieces("pwritev", fd, pieces, count, offset);
}

ssize_t pwritev64(int fd, const struct iovec *pieces, int count, off_t offset)
{
    return write_pieces("pwritev", fd, pieces, count, offset);
}

static int sync_one(const char *name, long number, int fd)
{
    char path[PATH_MAX];
    fault_fd(path, fd);
    if (!fault_allows(name, path, 0, FAULT_ROOM))
        return -1;
    const int result = (int)syscall(number, fd);
    if (result == 0 && fault_keeps_books(path))
        loss_sync(path);
    fault_done(path);
    return result;
}

int fsync(int fd)
{
    return sync_one("fsync", SYS_fsync, fd);
}

int fdatasync(int fd)
{
    return sync_one("fdatasync", SYS_fdatasync, fd);
}

/* Some file systems tell only here that a write failed. The descriptor is closed all the same. */
int close(int fd)
{
    char path[PATH_MAX];
    const int flags = (int)syscall(SYS_fcntl, fd, F_GETFL);
    const int writes = flags >= 0 && (flags & O_ACCMODE) != O_RDONLY && fault_fd(path, fd);
    if (writes && !fault_allows("close", path, 0, FAULT_ROOM)) {
        const int why = errno;
        syscall(SYS_close, fd);
        errno = why;
        return -1;
    }
    const int result = (int)syscall(SYS_close, fd);
    if (writes)
        fault_done(path);
    return result;
}

static int cut(const char *path, long number, long what, off_t size)
{
    if (!fault_allows("truncate", path, 0, FAULT_NO_ROOM))
        return -1;
    if (fault_keeps_books(path))
        loss_write(path);
    const int result = (int)syscall(number, what, size);
    fault_done(path);
    return result;
}

int ftruncate(int fd, off_t size)
{
    char path[PATH_MAX];
    fault_fd(path, fd);
    return cut(path, SYS_ftruncate, fd, size);
}

int ftruncate64(int fd, off_t size)
{
    return ftruncate(fd, size);
}

int truncate(const char *name, off_t size)
{
    char path[PATH_MAX];
    fault_path(path, AT_FDCWD, name);
    return cut(path, SYS_truncate, (long)name, size);
}

int truncate64(const char *name, off_t size)
{
    return truncate(name, size);
}

int fallocate(int fd, int mode, off_t offset, off_t size)
{
    char path[PATH_MAX];
    fault_fd(path, fd);
    if (!fault_allows("fallocate", path, 0, FAULT_ROOM))
        return -1;
    if (fault_keeps_books(path))
        loss_write(path);
    const int result = (int)syscall(SYS_fallocate, fd, mode, offset, size);
    fault_done(path);
    return result;
}

int posix_fallocate(int fd, off_t offset, off_t size)
{
    return fallocate(fd, 0, offset, size) == 0 ? 0 : errno;
}
