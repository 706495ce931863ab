#include "io/lock_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "io/atomic_file.h"
#include "src/base/mem.h"

struct ent_lock_file {
    int fd;
    char *path;
};

typedef struct holder {
    int pid;
    char host[65], since[32];
} holder;

static void describe_self(holder *h)
{
    const time_t now = time(NULL);
    struct tm parts;
    *h = (holder){.pid = (int)getpid()};
    gethostname(h->host, sizeof h->host - 1);
    strftime(h->since, sizeof h->since, "%Y-%m-%d %H:%M:%S UTC", gmtime_r(&now, &parts));
}

/* false: the file names nobody. */
static bool read_holder(holder *h, int fd)
{
    char text[200] = "";
    *h = (holder){0};
    return pread(fd, text, sizeof text - 1, 0) > 0 &&
           sscanf(text, "process %d on %64s since %31[0-9A-Z:. -]", &h->pid, h->host, h->since) == 3;
}

static ent_status held(const char *path, const holder *h)
{
    if (h->pid == 0) /* it has the lock, and has not written yet who it is */
        return ent_fail(ENT_EIO, "%s: another process works here", path);
    return ent_fail(ENT_EIO, "%s: process %d on %s works here since %s", path, h->pid, h->host, h->since);
}

/* Where the system has no lock for the file. */
static ent_status take_by_text(int fd, const char *path)
{
    holder other, self;
    describe_self(&self);
    if (!read_holder(&other, fd))
        return ENT_OK;
    if (strcmp(other.host, self.host) != 0)
        return ent_fail(ENT_EIO, "%s: process %d on %s works here since %s; if it is dead, remove the file", path,
                        other.pid, other.host, other.since);
    return other.pid != self.pid && getpgid(other.pid) >= 0 ? held(path, &other) : ENT_OK;
}

static ent_status lock(int fd, const char *path)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    holder h;
    if (fcntl(fd, F_OFD_SETLK, &whole) == 0)
        return ENT_OK;
    if (errno != EAGAIN && errno != EACCES)
        return take_by_text(fd, path);
    read_holder(&h, fd);
    return held(path, &h);
}

static ent_status write_holder(int fd, const char *path)
{
    char text[200];
    holder h;
    describe_self(&h);
    const int n = snprintf(text, sizeof text, "process %d on %s since %s\n", h.pid, h.host, h.since);
    if (ftruncate(fd, 0) != 0)
        return ent_fail(ENT_EIO, "%s: %s", path, strerror(errno));
    return ent_write_all(fd, path, text, (size_t)n);
}

/* Whether the path still leads to the open file: its holder may have removed it just before we locked it. */
static bool is_there(int fd, const char *path)
{
    struct stat open_file, named;
    return fstat(fd, &open_file) == 0 && stat(path, &named) == 0 && open_file.st_ino == named.st_ino &&
           open_file.st_dev == named.st_dev;
}

ent_status ent_lock_file_take(ent_lock_file **out, const char *path)
{
    ent_status st;
    ent_lock_file *l = *out = NULL;
    ENT_TRY(ent_calloc(&l, 1, sizeof *l, "a lock"));
    l->fd = -1;
    ENT_GO(ent_strdup(&l->path, path));
    do {
        if (l->fd >= 0)
            close(l->fd);
        l->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (l->fd < 0)
            ENT_GO(ent_fail(ENT_EIO, "%s: %s", path, strerror(errno)));
        ENT_GO(lock(l->fd, path));
    } while (!is_there(l->fd, path));
    st = write_holder(l->fd, path);
    if (st != ENT_OK)
        unlink(path);
    else
        *out = l;
done:
    if (st != ENT_OK) {
        if (l->fd >= 0)
            close(l->fd);
        free(l->path);
        free(l);
    }
    return st;
}

void ent_lock_file_release(ent_lock_file *l)
{
    if (l == NULL)
        return;
    unlink(l->path);
    close(l->fd);
    free(l->path);
    free(l);
}
