#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH = 400 };

void fuzz_check(bool good, const char *what, const char *file, int line)
{
    if (good)
        return;
    fprintf(stderr, "%s:%d: does not hold: %s (last message: %s)\n", file, line, what, ent_message());
    abort();
}

const char *fuzz_folder(void)
{
    static char folder[PATH / 2];
    if (*folder)
        return folder;
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/entrenar-fuzz-XXXXXX", base && *base ? base : "/tmp");
    FUZZ_CHECK(mkdtemp(folder) != NULL);
    return folder;
}

const char *fuzz_file(const char *name, const void *data, size_t n)
{
    static char paths[8][PATH];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, PATH, "%s/%s", fuzz_folder(), name);
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FUZZ_CHECK(fd >= 0);
    FUZZ_CHECK(write(fd, data, n) == (ssize_t)n);
    close(fd);
    return path;
}

const char *fuzz_source(const char *path)
{
    static char paths[8][PATH];
    static unsigned next;
    char *full = paths[next++ % 8];
    snprintf(full, PATH, "%s/%s", ENT_SOURCE, path);
    return full;
}

bool fuzz_ok(ent_status st)
{
    if (st == ENT_OK)
        return true;
    const char *message = ent_message();
    FUZZ_CHECK(st > ENT_OK && st <= ENT_ESTOPPED);
    FUZZ_CHECK(*message != 0);
    for (const char *c = message; *c; c++)
        FUZZ_CHECK((unsigned char)*c >= ' ');
    return false;
}

static volatile unsigned char seen;

void fuzz_look(const void *data, size_t n)
{
    unsigned char all = 0;
    for (size_t i = 0; i < n; i++)
        all ^= ((const unsigned char *)data)[i];
    seen = seen ^ all;
}
