#include <stdlib.h>
#include <string.h>

#include "io/path.h"
#include "trace/normalise_parts.h"

static bool is_one_of(const char *name, const char *const *names)
{
    while (*names && strcmp(name, *names) != 0)
        names++;
    return *names != NULL;
}

static bool is_within(const char *path, const char *folder)
{
    const size_t n = strlen(folder);
    return strncmp(path, folder, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

static bool is_within_any(const char *path, const char *const *folders)
{
    while (*folders && !is_within(path, *folders))
        folders++;
    return *folders != NULL;
}

/* NAME.so or NAME.so.NUMBER. */
static bool is_library(const char *path)
{
    for (const char *so = strstr(ent_path_name(path), ".so"); so; so = strstr(so + 1, ".so"))
        if (so[3] == '\0' || (so[3] == '.' && so[4] >= '0' && so[4] <= '9'))
            return true;
    return false;
}

/* /proc/NUMBER, and what is in it. */
static bool is_process(const char *path)
{
    if (strncmp(path, "/proc/", 6) != 0)
        return false;
    const size_t digits = strspn(path + 6, "0123456789");
    return digits > 0 && (path[6 + digits] == '/' || path[6 + digits] == '\0');
}

static bool has_session_component(const char *path)
{
    static const char *const beginnings[] = {"ompi.", "pmix", "openmpi-sessions", ".openmpi", ".pmix"};
    for (const char *component = path; component; component = strchr(component, '/')) {
        component += *component == '/';
        for (size_t i = 0; i < sizeof beginnings / sizeof *beginnings; i++)
            if (strncmp(component, beginnings[i], strlen(beginnings[i])) == 0)
                return true;
    }
    return false;
}

/* A path, or what a descriptor stands for, that isn't the program's own business. */
static bool is_foreign(const char *what, bool mpi)
{
    static const char *const always[] = {
        "/sys/devices/system", "/sys/fs/cgroup", "/proc/self", "/proc/thread-self", "/proc/cpuinfo",
        "/proc/meminfo",       "/proc/stat",     "/proc/sys",  "/etc/ld.so.cache",  NULL};
    static const char *const with_mpi[] = {"/dev/shm", "/dev/infiniband", "/etc", "/usr", "/lib",
                                           "/lib64",   "/proc",           "/run", "/sys", NULL};
    static const char *const themselves[] = {"/", "/dev", "/tmp", "/var/tmp", NULL};
    static const char *const kinds[] = {"socket:", "pipe:", "anon_inode:"};
    if (is_within_any(what, always) || is_process(what) || is_library(what))
        return true;
    for (size_t i = 0; mpi && i < sizeof kinds / sizeof *kinds; i++)
        if (strncmp(what, kinds[i], strlen(kinds[i])) == 0)
            return true;
    return mpi && (is_within_any(what, with_mpi) || is_one_of(what, themselves) || has_session_component(what));
}

static bool is_input_or_output(const ent_normaliser *n, const ent_trace_call *call, const ent_syscall *s)
{
    if (s && (s->traits & ENT_CALL_IO))
        return true;
    return !n->raw && strcmp(call->name, "mmap") == 0 && ent_trace_number(call, "fd", -1) >= 0;
}

typedef enum { FOREIGN, OWN, STANDARD } ownership;

/* By the descriptors among the arguments. */
static ownership of_descriptors(const ent_normaliser *n, size_t i, const ent_syscall *s)
{
    const ent_trace_call *call = &n->trace->calls[i];
    ownership found = OWN;
    ent_arg_kind kind;
    for (size_t k = 0; k < call->n_args && !n->raw; k++) {
        if (!ent_normalise_kind(&kind, s, call, k) || (kind != ENT_ARG_FD && kind != ENT_ARG_DIRFD))
            continue;
        const int64_t fd = ent_normalise_fd(&call->args[k]);
        if (fd >= 0 && fd <= 2)
            return STANDARD;
        if (n->mpi && fd > 2 && ent_normalise_descriptor(n, i, fd) == NULL)
            found = FOREIGN;
    }
    for (size_t k = 0; k < call->n_descriptors && !n->raw; k++)
        if (call->descriptors[k].fd >= 0 && is_foreign(call->descriptors[k].what, n->mpi))
            found = FOREIGN;
    if (n->raw) {
        const int64_t fd = ent_normalise_raw_fd(call, s);
        if (fd >= 0 && fd <= 2)
            return STANDARD;
        if (n->tracked[i] ? is_foreign(n->tracked[i], n->mpi) : n->mpi && fd > 2)
            found = FOREIGN;
    }
    return found;
}

bool ent_normalise_is_own(const ent_normaliser *n, size_t i)
{
    static const char *const of_mpi[] = {"socket", "socketpair", "pipe", "pipe2", "close_range", NULL};
    const ent_trace_call *call = &n->trace->calls[i];
    const ent_syscall *s = ent_syscall_of_name(call->name);
    ent_arg_kind kind;
    if (i < n->first || !is_input_or_output(n, call, s) || (call->loader && !n->raw))
        return false;
    const ownership found = of_descriptors(n, i, s);
    if (found != OWN)
        return found == STANDARD;
    if (n->mpi && is_one_of(call->name, of_mpi))
        return false;
    for (size_t k = 0; k < call->n_args; k++)
        if (ent_normalise_kind(&kind, s, call, k) && (kind == ENT_ARG_PATH || kind == ENT_ARG_STRING) &&
            is_foreign(call->args[k].value, n->mpi))
            return false;
    return true;
}

/* The next call of the same thread, from `i` on; count if there is none. */
static size_t next_of_thread(const ent_trace *trace, size_t i, int tid)
{
    while (i < trace->count && trace->calls[i].tid != tid)
        i++;
    return i;
}

static bool asks_the_same(const ent_trace *trace, size_t i, size_t again)
{
    const ent_trace_call *a = &trace->calls[i], *b;
    if (again == trace->count)
        return false;
    b = &trace->calls[again];
    return strcmp(a->name, b->name) == 0 && a->n_args == b->n_args &&
           (a->n_args == 0 || strcmp(a->args[0].value, b->args[0].value) == 0);
}

bool ent_normalise_is_restarted(const ent_normaliser *n, size_t i)
{
    enum { ERESTARTSYS = 512, ERESTARTNOINTR = 513, ERESTARTNOHAND = 514 }; /* the kernel's own */
    const ent_trace *trace = n->trace;
    const ent_trace_call *call = &trace->calls[i];
    if (!call->returned || call->result > -ERESTARTSYS || call->result < -ERESTARTNOHAND)
        return false;
    size_t next = next_of_thread(trace, i + 1, call->tid);
    if (asks_the_same(trace, i, next))
        return true;
    while (next < trace->count && strcmp(trace->calls[next].name, "rt_sigreturn") != 0) /* within the handler */
        next = next_of_thread(trace, next + 1, call->tid);
    return next < trace->count && asks_the_same(trace, i, next_of_thread(trace, next + 1, call->tid));
}
