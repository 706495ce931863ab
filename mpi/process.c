#include "mpi/process.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* State and begin of a process from /proc/PID/stat, behind the name, which may hold anything. */
static bool look_up(char *state, uint64_t *begun, int64_t pid)
{
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%lld/stat", (long long)pid);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    const ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0)
        return false;
    text[n] = '\0';
    const char *at = strrchr(text, ')');
    unsigned long long value = 0;
    if (!at || sscanf(at + 1, " %c", state) != 1)
        return false;
    for (int field = 2; at && field < 22; field++)
        at = strchr(at + 1, ' ');
    if (!at || sscanf(at, " %llu", &value) != 1)
        return false;
    *begun = value;
    return true;
}

void process_self(process *out)
{
    struct stat space;
    char state;
    *out = (process){.pid = (int64_t)getpid()};
    if (look_up(&state, &out->begun, out->pid) && stat("/proc/self/ns/pid", &space) == 0)
        out->space = (uint64_t)space.st_ino;
}

bool process_is_gone(const process *p, const process *self)
{
    char state;
    uint64_t begun;
    if (p->space == 0 || p->space != self->space)
        return false;
    return !look_up(&state, &begun, p->pid) || begun != p->begun || state == 'Z' || state == 'X';
}
