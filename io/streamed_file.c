#include "io/streamed_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

ent_status ent_streamed_begin(ent_streamed_file *f, const char *path)
{
    *f = (ent_streamed_file){.path = path, .fd = -1};
    ENT_TRY(ent_atomic_begin(&f->file, path));
    f->fd = open(f->file.temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (f->fd < 0) {
        const ent_status st = ent_fail(ENT_EIO, "%s: %s", path, strerror(errno));
        ent_atomic_discard(&f->file);
        return st;
    }
    ent_sha256_begin(&f->sum);
    return ENT_OK;
}

ent_status ent_streamed_put(ent_streamed_file *f, const void *data, size_t n)
{
    if (n == 0)
        return ENT_OK;
    ent_sha256_add(&f->sum, data, n);
    f->bytes += n;
    return ent_write_all(f->fd, f->path, data, n);
}

/* Some file systems tell only here that the disk is full. */
static ent_status end(ent_streamed_file *f)
{
    const int closed = close(f->fd);
    f->fd = -1;
    ent_sha256_end(f->digest, &f->sum);
    return closed == 0 ? ENT_OK : ent_fail(ENT_EIO, "%s: %s", f->path, strerror(errno));
}

typedef struct check {
    const ent_streamed_file *written;
    ent_atomic_verify *verify;
    void *context;
} check;

static ent_status read_back(const char *temporary, void *context)
{
    const check *c = context;
    char digest[ENT_SHA256_SIZE];
    ENT_TRY(ent_sha256_file(digest, temporary));
    if (strcmp(digest, c->written->digest) != 0)
        return ent_fail(ENT_EIO, "%s: what was read back is not what was written", c->written->path);
    return c->verify ? c->verify(temporary, c->context) : ENT_OK;
}

ent_status ent_streamed_commit(ent_streamed_file *f, ent_atomic_verify *verify, void *context)
{
    const ent_status st = end(f);
    if (st == ENT_OK)
        return ent_atomic_commit(&f->file, read_back, &(check){f, verify, context});
    ent_atomic_discard(&f->file);
    return st;
}

void ent_streamed_discard(ent_streamed_file *f)
{
    if (f->fd >= 0)
        close(f->fd);
    f->fd = -1;
    ent_atomic_discard(&f->file);
}
