#include "io/map_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

ent_status ent_map_file(void **data, size_t *size, const char *path, const char *kind)
{
    struct stat status;
    ent_status st = ENT_OK;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return ent_fail(ENT_EIO, "%s: %s", path, strerror(errno));
    if (fstat(fd, &status) != 0) {
        st = ent_fail(ENT_EIO, "%s: %s", path, strerror(errno));
    } else if (!S_ISREG(status.st_mode)) {
        st = ent_fail(ENT_EIO, "%s: expected a file, found something else", path);
    } else if (status.st_size == 0) {
        st = ent_fail(ENT_EFORMAT, "%s: expected a %s file, found 0 bytes", path, kind);
    } else {
        void *mapped = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, fd, 0);
        if (mapped == MAP_FAILED) {
            st = ent_fail(ENT_EIO, "%s: %s", path, strerror(errno));
        } else {
            *data = mapped;
            *size = (size_t)status.st_size;
        }
    }
    close(fd);
    return st;
}
