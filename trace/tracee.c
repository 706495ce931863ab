#include "trace/tracee.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/* Also where process_vm_readv is forbidden, which is common in containers: whoever traces a thread may read this. */
static size_t read_file(char *to, pid_t tid, uint64_t address, size_t n)
{
    char path[64];
    size_t done = 0;
    snprintf(path, sizeof path, "/proc/%ld/mem", (long)tid);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    while (done < n) {
        const ssize_t got = pread(fd, to + done, n - done, (off_t)(address + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        done += (size_t)got;
    }
    close(fd);
    return done;
}

size_t ent_tracee_read(void *to, pid_t tid, uint64_t address, size_t n)
{
    size_t done = 0;
    while (done < n) {
        const struct iovec local = {(char *)to + done, n - done};
        const struct iovec remote = {(void *)(uintptr_t)(address + done), n - done};
        const ssize_t got = process_vm_readv(tid, &local, 1, &remote, 1, 0);
        if (got < 0 && (errno == EPERM || errno == ENOSYS))
            return done + read_file((char *)to + done, tid, address + done, n - done);
        if (got <= 0)
            break;
        done += (size_t)got;
    }
    return done;
}

ssize_t ent_tracee_string(char *to, bool *cut, size_t capacity, pid_t tid, uint64_t address)
{
    enum { PAGE = 4096 }; /* or a part of one: what lies behind a page may not be there */
    size_t n = 0;
    *cut = false;
    while (n < capacity) {
        const size_t to_page_end = PAGE - (size_t)((address + n) % PAGE);
        const size_t wanted = to_page_end < capacity - n ? to_page_end : capacity - n;
        const size_t got = ent_tracee_read(to + n, tid, address + n, wanted);
        const char *end = memchr(to + n, 0, got);
        if (end)
            return end - to;
        if (got < wanted)
            return -1;
        n += got;
    }
    *cut = true;
    return (ssize_t)n;
}
