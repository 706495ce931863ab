#include "io/scratch_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "io/path.h"
#include "src/base/mem.h"

struct ent_scratch {
    char *data;
    size_t size, taken;
};

size_t ent_scratch_room(size_t n)
{
    return (n + 63) & ~(size_t)63;
}

/* All of the file is on the disk before it is mapped: a write to a mapping that finds the disk full ends the process.
 */
static ent_status map(ent_scratch *s, const char *path)
{
    ent_status st = ENT_OK;
    const int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return ent_fail(ENT_EIO, "%s: %s", path, strerror(errno));
    unlink(path);
    const int error = posix_fallocate(fd, 0, (off_t)s->size);
    void *data = error ? MAP_FAILED : mmap(NULL, s->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (data == MAP_FAILED)
        st = ent_fail(ENT_EIO, "%s: %zu bytes on disk: %s", path, s->size, strerror(error ? error : errno));
    else
        s->data = data;
    close(fd);
    return st;
}

ent_status ent_scratch_new(ent_scratch **out, const char *folder, size_t bytes)
{
    ent_scratch *s;
    char *place = NULL, *path = NULL;
    ent_status st;
    *out = NULL;
    ENT_TRY(ent_calloc(&s, 1, sizeof *s, "scratch"));
    s->size = bytes;
    ENT_GO(ent_format(&place, "%s/scratch", folder));
    ENT_GO(ent_path_temporary(&path, place));
    if (bytes)
        ENT_GO(map(s, path));
    *out = s;
    s = NULL;
done:
    ent_scratch_free(s);
    free(place);
    free(path);
    return st;
}

void ent_scratch_free(ent_scratch *s)
{
    if (s == NULL)
        return;
    if (s->data)
        munmap(s->data, s->size);
    free(s);
}

void *ent_scratch_take(ent_scratch *s, size_t n)
{
    char *at = s->data + s->taken;
    s->taken += ent_scratch_room(n);
    assert(s->taken <= s->size);
    return at;
}
