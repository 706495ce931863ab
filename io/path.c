#include "io/path.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "src/base/mem.h"

const char *ent_path_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

ent_status ent_path_folder(char **out, const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL)
        return ent_strdup(out, ".");
    return ent_strndup(out, path, slash == path ? 1 : (size_t)(slash - path));
}

ent_status ent_path_temporary(char **out, const char *path)
{
    const char *name = ent_path_name(path);
    char time[17] = {0};
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
    for (int i = 16; i-- > 0; ns >>= 4)
        time[i] = (char)((i % 2 ? 'a' : 'A') + (int)(ns & 15));
    return ent_format(out, "%.*s.%s.tmp-%s", (int)(name - path), path, name, time);
}

/* A name that ent_path_temporary makes. */
static bool is_temporary(const char *name)
{
    const char *mark = strstr(name, ".tmp-");
    if (name[0] != '.' || mark == NULL || strlen(mark) != strlen(".tmp-") + 16)
        return false;
    mark += strlen(".tmp-");
    for (int i = 0; i < 16; i++)
        if (mark[i] < (i % 2 ? 'a' : 'A') || mark[i] > (i % 2 ? 'p' : 'P'))
            return false;
    return true;
}

/* Those of the n bytes of `name`; of all names, if it is NULL. */
static void sweep(const char *folder, const char *name, size_t n)
{
    DIR *dir = opendir(folder);
    if (dir == NULL)
        return;
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        const char *found = entry->d_name;
        char *path;
        if (!is_temporary(found) ||
            (name && (strncmp(found + 1, name, n) != 0 || strlen(found) != 1 + n + strlen(".tmp-") + 16)))
            continue;
        if (ent_format(&path, "%s/%s", folder, found) != ENT_OK)
            continue;
        ent_remove_tree(path);
        free(path);
    }
    closedir(dir);
}

void ent_sweep_temporaries(const char *folder)
{
    sweep(folder, NULL, 0);
}

void ent_sweep_temporaries_of(const char *path)
{
    size_t n = strlen(path), begin;
    char *folder;
    while (n > 1 && path[n - 1] == '/')
        n--;
    for (begin = n; begin > 0 && path[begin - 1] != '/'; begin--)
        ;
    if (ent_strndup(&folder, begin ? path : ".", begin ? begin : 1) != ENT_OK)
        return;
    sweep(folder, path + begin, n - begin);
    free(folder);
}

bool ent_path_ends_with(const char *path, const char *end)
{
    const size_t n = strlen(path), m = strlen(end);
    return n >= m && strcmp(path + n - m, end) == 0;
}

bool ent_path_is_folder(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

bool ent_path_is_file(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && !S_ISDIR(status.st_mode);
}

ent_status ent_path_check_place(const char *path)
{
    struct stat status;
    char *folder;
    if (lstat(path, &status) == 0 && !S_ISREG(status.st_mode))
        return ent_fail(ENT_EIO, "%s: expected a place for a file, found %s", path,
                        S_ISDIR(status.st_mode)   ? "a folder"
                        : S_ISLNK(status.st_mode) ? "a symbolic link"
                                                  : "a device, pipe or socket");
    ENT_TRY(ent_path_folder(&folder, path));
    const ent_status st =
        access(folder, W_OK | X_OK) == 0 ? ENT_OK : ent_fail(ENT_EIO, "%s: %s", path, strerror(errno));
    free(folder);
    return st;
}

ent_status ent_make_dir(const char *path)
{
    if (mkdir(path, 0777) != 0) {
        const int error = errno;
        return ent_path_is_folder(path) ? ENT_OK : ent_fail(ENT_EIO, "%s: %s", path, strerror(error));
    }
    char *parent;
    ENT_TRY(ent_path_folder(&parent, path));
    const ent_status st = ent_sync_folder(parent);
    free(parent);
    return st;
}

ent_status ent_make_dirs(const char *path)
{
    char *copy;
    ent_status st = ENT_OK;
    if (ent_path_is_folder(path))
        return ENT_OK;
    ENT_TRY(ent_strdup(&copy, path));
    for (char *p = copy + 1; *copy && *p && st == ENT_OK; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        st = ent_make_dir(copy);
        *p = '/';
    }
    if (st == ENT_OK)
        st = ent_make_dir(copy);
    free(copy);
    return st;
}

ent_status ent_sync_folder(const char *path)
{
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return ent_fail(ENT_EIO, "%s: %s", path, strerror(errno));
    /* EINVAL: a file system that doesn't sync folders */
    const int error = fsync(fd) != 0 && errno != EINVAL ? errno : 0;
    close(fd);
    return error ? ent_fail(ENT_EIO, "%s: %s", path, strerror(error)) : ENT_OK;
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *at)
{
    (void)info;
    (void)type;
    (void)at;
    return remove(path);
}

bool ent_remove_tree(const char *path)
{
    return nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0 || errno == ENOENT;
}
