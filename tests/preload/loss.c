#include "loss.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MOST = 512 };
enum kind { CREATED, FOLDER, RENAMED, REMOVED };

typedef struct change {
    enum kind kind;
    char path[PATH_MAX], from[PATH_MAX]; /* from: of a rename */
    char kept[PATH_MAX]; /* what stood under the name before, linked into the spare folder; "": nothing */
} change;

typedef struct file {
    char path[PATH_MAX];
    off_t synced; /* bytes that are on the disk */
} file;

static change changes[MOST];
static file files[MOST];
static int n_changes, n_files, n_spare;
static char spare[PATH_MAX / 2];

static void give_up(const char *why)
{
    fprintf(stderr, "loss: %s\n", why);
    abort();
}

static void copy(char to[PATH_MAX], const char *from)
{
    if (snprintf(to, PATH_MAX, "%s", from) >= PATH_MAX)
        give_up("a path is too long");
}

static void spare_name(char out[PATH_MAX])
{
    if (snprintf(out, PATH_MAX, "%s/%d-%d", spare, (int)getpid(), n_spare++) >= PATH_MAX)
        give_up("a path is too long");
}

/* Calls of the system itself: the library's are ours (tests/preload/fault.c). */
static int sys_rename(const char *from, const char *to)
{
    return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

static int sys_link(const char *from, const char *to)
{
    return (int)syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0);
}

static int sys_unlink(const char *path)
{
    return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}

static int sys_mkdir(const char *path)
{
    return (int)syscall(SYS_mkdirat, AT_FDCWD, path, 0777);
}

static change *add(enum kind kind, const char *path)
{
    if (n_changes == MOST)
        give_up("too many changes");
    change *c = &changes[n_changes++];
    c->kind = kind;
    copy(c->path, path);
    c->kept[0] = c->from[0] = '\0';
    return c;
}

static void keep(change *c)
{
    spare_name(c->kept);
    if (sys_link(c->path, c->kept) != 0)
        c->kept[0] = '\0'; /* nothing was there */
}

/* Whether `path` is in `folder` itself. */
static int is_in(const char *path, const char *folder)
{
    const size_t n = strlen(folder);
    return strncmp(path, folder, n) == 0 && path[n] == '/' && strchr(path + n + 1, '/') == NULL;
}

/* What was called `from`, or is in it, is called `to`. */
static void moves(char path[PATH_MAX], const char *from, const char *to)
{
    const size_t n = strlen(from);
    char rest[PATH_MAX];
    if (strncmp(path, from, n) != 0 || (path[n] != '\0' && path[n] != '/'))
        return;
    copy(rest, path + n);
    if (snprintf(path, PATH_MAX, "%s%s", to, rest) >= PATH_MAX)
        give_up("a path is too long");
}

static void forget_file(const char *path)
{
    for (int i = 0; i < n_files; i++)
        if (strcmp(files[i].path, path) == 0)
            files[i--] = files[--n_files];
}

void loss_begin(const char *folder)
{
    if (snprintf(spare, sizeof spare, "%s", folder) >= (int)sizeof spare)
        give_up("a path is too long");
    sys_mkdir(spare);
}

void loss_write(const char *path)
{
    struct stat info;
    for (int i = 0; i < n_files; i++)
        if (strcmp(files[i].path, path) == 0)
            return;
    if (n_files == MOST)
        give_up("too many files");
    copy(files[n_files].path, path);
    files[n_files++].synced = stat(path, &info) == 0 ? info.st_size : 0;
}

void loss_sync(const char *path)
{
    int kept = 0;
    forget_file(path);
    for (int i = 0; i < n_changes; i++)
        if (!is_in(changes[i].path, path))
            changes[kept++] = changes[i];
    n_changes = kept;
}

void loss_create(const char *path)
{
    if (access(path, F_OK) != 0)
        add(CREATED, path);
}

void loss_make_folder(const char *path)
{
    if (access(path, F_OK) != 0)
        add(FOLDER, path);
}

void loss_rename(const char *from, const char *to)
{
    for (int i = 0; i < n_files; i++)
        moves(files[i].path, from, to);
    for (int i = 0; i < n_changes; i++)
        if (!(changes[i].kind != RENAMED && strcmp(changes[i].path, from) == 0)) /* made under the old name */
            moves(changes[i].path, from, to);
    change *c = add(RENAMED, to);
    copy(c->from, from);
    keep(c);
}

void loss_remove(const char *path)
{
    forget_file(path);
    keep(add(REMOVED, path));
}

static void undo(change *c)
{
    char aside[PATH_MAX];
    switch (c->kind) {
    case CREATED:
        sys_unlink(c->path);
        break;
    case FOLDER:
        spare_name(aside);
        sys_rename(c->path, aside);
        break;
    case RENAMED:
        sys_rename(c->path, c->from);
        break;
    case REMOVED:
        if (c->kept[0] == '\0')
            sys_mkdir(c->path);
        break;
    }
    if (c->kept[0])
        sys_link(c->kept, c->path);
}

void loss_happens(void)
{
    for (int i = 0; i < n_files; i++)
        syscall(SYS_truncate, files[i].path, files[i].synced);
    while (n_changes > 0)
        undo(&changes[--n_changes]);
}
