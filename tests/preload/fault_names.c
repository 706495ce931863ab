/* Calls that make, change and remove names: see tests/preload/fault.c. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fault.h"
#include "loss.h"

static int open_one(int dirfd, const char *name, int flags, mode_t mode)
{
    char path[PATH_MAX];
    fault_path(path, dirfd, name);
    const int changes = (flags & O_CREAT) || ((flags & O_TRUNC) && (flags & O_ACCMODE) != O_RDONLY);
    if (changes && !fault_allows("open", path, 0, FAULT_ROOM))
        return -1;
    if (changes && fault_keeps_books(path))
        loss_create(path);
    const int fd = (int)syscall(SYS_openat, dirfd, name, flags, mode);
    if (changes)
        fault_done(path);
    return fd;
}

#define MODE_OF(flags)                     \
    mode_t mode = 0;                       \
    if ((flags) & (O_CREAT | O_TMPFILE)) { \
        va_list rest;                      \
        va_start(rest, flags);             \
        mode = va_arg(rest, mode_t);       \
        va_end(rest);                      \
    }

int open(const char *path, int flags, ...)
{
    MODE_OF(flags)
    return open_one(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    MODE_OF(flags)
    return open_one(AT_FDCWD, path, flags, mode);
}

int openat(int dirfd, const char *path, int flags, ...)
{
    MODE_OF(flags)
    return open_one(dirfd, path, flags, mode);
}

int openat64(int dirfd, const char *path, int flags, ...)
{
    MODE_OF(flags)
    return open_one(dirfd, path, flags, mode);
}

static int rename_one(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
    char old[PATH_MAX], new[PATH_MAX];
    fault_path(old, from_fd, from);
    fault_path(new, to_fd, to);
    if (!fault_allows("rename", new, 0, FAULT_ROOM))
        return -1;
    if (fault_keeps_books(new) && access(old, F_OK) == 0)
        loss_rename(old, new);
    const int result = (int)syscall(SYS_renameat2, from_fd, from, to_fd, to, flags);
    fault_done(new);
    return result;
}

int rename(const char *from, const char *to)
{
    return rename_one(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
    return rename_one(from_fd, from, to_fd, to, 0);
}

int renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
    return rename_one(from_fd, from, to_fd, to, flags);
}

static int remove_one(const char *what, int dirfd, const char *name, int flags)
{
    char path[PATH_MAX];
    fault_path(path, dirfd, name);
    if (!fault_allows(what, path, 0, FAULT_NO_ROOM))
        return -1;
    if (fault_keeps_books(path) && access(path, F_OK) == 0)
        loss_remove(path);
    const int result = (int)syscall(SYS_unlinkat, dirfd, name, flags);
    fault_done(path);
    return result;
}

int unlink(const char *path)
{
    return remove_one("unlink", AT_FDCWD, path, 0);
}

int unlinkat(int dirfd, const char *path, int flags)
{
    return remove_one(flags & AT_REMOVEDIR ? "rmdir" : "unlink", dirfd, path, flags);
}

int rmdir(const char *path)
{
    return remove_one("rmdir", AT_FDCWD, path, AT_REMOVEDIR);
}

int remove(const char *path)
{
    struct stat info;
    const int is_folder = lstat(path, &info) == 0 && S_ISDIR(info.st_mode);
    return remove_one(is_folder ? "rmdir" : "unlink", AT_FDCWD, path, is_folder ? AT_REMOVEDIR : 0);
}

static int make_folder(int dirfd, const char *name, mode_t mode)
{
    char path[PATH_MAX];
    fault_path(path, dirfd, name);
    if (!fault_allows("mkdir", path, 0, FAULT_ROOM))
        return -1;
    if (fault_keeps_books(path))
        loss_make_folder(path);
    const int result = (int)syscall(SYS_mkdirat, dirfd, name, mode);
    fault_done(path);
    return result;
}

int mkdir(const char *path, mode_t mode)
{
    return make_folder(AT_FDCWD, path, mode);
}

int mkdirat(int dirfd, const char *path, mode_t mode)
{
    return make_folder(dirfd, path, mode);
}

static int link_one(int from_fd, const char *from, int to_fd, const char *to, int flags)
{
    char path[PATH_MAX];
    fault_path(path, to_fd, to);
    if (!fault_allows("link", path, 0, FAULT_ROOM))
        return -1;
    if (fault_keeps_books(path))
        loss_create(path);
    const int result = (int)syscall(SYS_linkat, from_fd, from, to_fd, to, flags);
    fault_done(path);
    return result;
}

int link(const char *from, const char *to)
{
    return link_one(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int linkat(int from_fd, const char *from, int to_fd, const char *to, int flags)
{
    return link_one(from_fd, from, to_fd, to, flags);
}

/* Of a stream only this is seen, not what is written to it. */
FILE *fopen(const char *name, const char *mode)
{
    static FILE *(*real)(const char *, const char *);
    char path[PATH_MAX];
    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "fopen");
    fault_path(path, AT_FDCWD, name);
    const int writes = strpbrk(mode, "wa") != NULL;
    if (writes && !fault_allows("fopen", path, 0, FAULT_ROOM))
        return NULL;
    if (writes && fault_keeps_books(path))
        loss_create(path);
    FILE *file = real(name, mode);
    if (writes)
        fault_done(path);
    return file;
}

FILE *fopen64(const char *name, const char *mode)
{
    return fopen(name, mode);
}
