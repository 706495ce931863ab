/* Preloaded into a program: finds every call that changes something under one folder, and lets the k-th one go wrong.
 *
 *   ENT_FAULT_DIR=FOLDER  a real path, as /proc/self/fd tells it
 *   ENT_FAULT_LOG=FILE    gets one line a call: its number, name, the path below FOLDER, the bytes of a write
 *   ENT_FAULT_AT=K        the first is 1
 *   ENT_FAULT_HOW=        kill        SIGKILL before the call
 *                         kill-after  SIGKILL after it
 *                         kill-half   SIGKILL after half the bytes of a write (other calls: before)
 *                         power       SIGKILL before the call, and what was not synced is lost (loss.h)
 *                         vanish      before the call the folder is moved to FOLDER.gone
 *                         ENOSPC EIO  the call fails, with ENOSPC only those that need room
 *                         ENOSPC-on EIO-on  so do all later ones
 *                         short       every write of more than a byte writes half, from the K-th call on
 *
 * For one thread that writes. fault_data.c and fault_names.c stand in place of the C library's functions, whose own
 * calls (of stdio, of nftw) are not seen. They ask the kernel with syscall(2).
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fault.h"
#include "loss.h"

enum how { NOTHING, KILL, KILL_AFTER, KILL_HALF, POWER, VANISH, FAIL, FAIL_ON, SHORT };

static enum how how;
static int error;
static long at, calls;
static int log_fd = -1;
static char folder[PATH_MAX / 2];

__attribute__((constructor)) static void begin(void)
{
    static const struct {
        const char *name;
        enum how how;
        int error;
    } names[] = {{"kill", KILL, 0},
                 {"kill-after", KILL_AFTER, 0},
                 {"kill-half", KILL_HALF, 0},
                 {"power", POWER, 0},
                 {"vanish", VANISH, 0},
                 {"short", SHORT, 0},
                 {"ENOSPC", FAIL, ENOSPC},
                 {"EIO", FAIL, EIO},
                 {"ENOSPC-on", FAIL_ON, ENOSPC},
                 {"EIO-on", FAIL_ON, EIO}};
    const char *dir = getenv("ENT_FAULT_DIR"), *k = getenv("ENT_FAULT_AT"), *name = getenv("ENT_FAULT_HOW");
    const char *log = getenv("ENT_FAULT_LOG");
    char beside[PATH_MAX];
    if (dir == NULL || snprintf(folder, sizeof folder, "%s", dir) >= (int)sizeof folder)
        return;
    at = k ? atol(k) : 0;
    for (size_t i = 0; name && i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i].name, name) == 0) {
            how = names[i].how;
            error = names[i].error;
        }
    if (name && how == NOTHING) {
        fprintf(stderr, "fault: no such ENT_FAULT_HOW: %s\n", name);
        abort();
    }
    if (how == POWER && snprintf(beside, sizeof beside, "%s.spare", folder) < (int)sizeof beside)
        loss_begin(beside);
    if (log)
        log_fd = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
}

/* --- which path --- */

int fault_below(const char *path)
{
    const size_t n = strlen(folder);
    return n > 0 && strncmp(path, folder, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

int fault_fd(char out[PATH_MAX], int fd)
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    const ssize_t n = readlink(link, out, PATH_MAX - 1);
    out[n > 0 ? n : 0] = '\0';
    char *removed = strstr(out, " (deleted)"); /* the kernel's note on a name that is gone */
    if (removed)
        *removed = '\0';
    return n > 0;
}

void fault_path(char out[PATH_MAX], int dirfd, const char *path)
{
    char base[PATH_MAX] = "";
    if (path[0] != '/' && !(dirfd == AT_FDCWD ? getcwd(base, sizeof base) != NULL : fault_fd(base, dirfd)))
        base[0] = '\0';
    if (snprintf(out, PATH_MAX, "%s%s%s", base, base[0] ? "/" : "", path) >= PATH_MAX)
        out[0] = '\0';
}

/* --- the fault --- */

static void die(void)
{
    syscall(SYS_kill, getpid(), SIGKILL);
}

static void note(const char *name, const char *path, size_t bytes)
{
    char line[PATH_MAX + 100];
    const char *rest = path + strlen(folder);
    const int n = snprintf(line, sizeof line, "%ld %s %s %zu\n", calls, name, *rest ? rest + 1 : ".", bytes);
    if (log_fd >= 0 && n > 0 && syscall(SYS_write, log_fd, line, n) != n)
        abort();
}

int fault_allows(const char *name, const char *path, size_t bytes, enum fault_need need)
{
    if (!fault_below(path))
        return 1;
    calls++;
    note(name, path, bytes);
    const int now = calls == at, since = at && calls >= at;
    if (now && (how == KILL || how == POWER || (how == KILL_HALF && bytes < 2))) {
        if (how == POWER)
            loss_happens();
        die();
    }
    if (now && how == VANISH) {
        char gone[PATH_MAX];
        if (snprintf(gone, sizeof gone, "%s.gone", folder) < (int)sizeof gone)
            syscall(SYS_renameat2, AT_FDCWD, folder, AT_FDCWD, gone, 0);
    }
    if (((now && how == FAIL) || (since && how == FAIL_ON)) && !(need == FAULT_NO_ROOM && error == ENOSPC)) {
        errno = error;
        return 0;
    }
    return 1;
}

void fault_done(const char *path)
{
    if ((how == KILL_AFTER || how == KILL_HALF) && calls == at && fault_below(path))
        die();
}

size_t fault_share(const char *path, size_t bytes)
{
    const int half = (how == KILL_HALF && calls == at) || (how == SHORT && calls >= at);
    return half && bytes > 1 && fault_below(path) ? bytes / 2 : bytes;
}

int fault_keeps_books(const char *path)
{
    const size_t n = strlen(path);
    const int holds = strncmp(folder, path, n) == 0 && folder[n] == '/'; /* the folder is a name there */
    return how == POWER && (holds || fault_below(path));
}
