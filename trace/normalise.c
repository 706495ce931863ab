#include "trace/normalise_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"

enum { MAX_TRACKED = 4096 };

bool ent_normalise_kind(ent_arg_kind *kind, const ent_syscall *s, const ent_trace_call *call, size_t k)
{
    for (size_t i = 0; s && i < ENT_TRACE_MAX_ARGS && s->args[i].name; i++) {
        if (strcmp(s->args[i].name, call->args[k].name) == 0) {
            *kind = s->args[i].kind;
            return true;
        }
    }
    return false;
}

bool ent_normalise_is_random_device(const char *path)
{
    return strcmp(path, "/dev/urandom") == 0 || strcmp(path, "/dev/random") == 0;
}

int64_t ent_normalise_fd(const ent_trace_arg *arg)
{
    char *end;
    errno = 0;
    const long long fd = strtoll(arg->value, &end, 0);
    return errno || *end || end == arg->value || fd < 0 || fd > INT32_MAX ? -1 : fd;
}

int64_t ent_normalise_raw_fd(const ent_trace_call *call, const ent_syscall *s)
{
    ent_arg_kind kind;
    if (s == NULL || (s->args[0].kind != ENT_ARG_FD && s->args[0].kind != ENT_ARG_DIRFD) || s->args[0].name == NULL)
        return -1;
    if (call->n_args == 0 || (call->args[0].name[0] && !ent_normalise_kind(&kind, s, call, 0)))
        return -1;
    return ent_normalise_fd(&call->args[0]);
}

const char *ent_normalise_descriptor(const ent_normaliser *n, size_t i, int64_t fd)
{
    const ent_trace_call *call = &n->trace->calls[i];
    for (size_t k = 0; k < call->n_descriptors; k++)
        if (call->descriptors[k].fd == fd)
            return call->descriptors[k].what;
    return NULL;
}

/* What the descriptors of v1-raw stand for, by the calls that open and close them. */
static ent_status track(ent_normaliser *n)
{
    const char **paths = NULL;
    ENT_TRY(ent_calloc(&n->tracked, n->trace->count, sizeof *n->tracked, "what descriptors stand for"));
    ENT_TRY(ent_calloc(&paths, MAX_TRACKED, sizeof *paths, "what descriptors stand for"));
    for (size_t i = 0; i < n->trace->count; i++) {
        const ent_trace_call *call = &n->trace->calls[i];
        const ent_syscall *s = ent_syscall_of_name(call->name);
        const int64_t fd = ent_normalise_raw_fd(call, s);
        const bool opens = s && (s->traits & ENT_CALL_OPENS) && call->result >= 0 && call->result < MAX_TRACKED;
        if (fd >= 0 && fd < MAX_TRACKED) {
            n->tracked[i] = paths[fd];
            if (strcmp(call->name, "close") == 0)
                paths[fd] = NULL;
        }
        if (opens && strcmp(call->name, "openat") == 0)
            paths[call->result] = ent_trace_value(call, "pathname");
        else if (opens)
            paths[call->result] = strncmp(call->name, "dup", 3) == 0 ? n->tracked[i] : NULL;
    }
    free(paths);
    return ENT_OK;
}

void ent_normalise_end(ent_normaliser *n)
{
    ent_trace_varying_free(n->varying);
    free(n->tracked);
    *n = (ent_normaliser){0};
}

ent_status ent_normalise_begin(ent_normaliser *n, const ent_trace *trace, const ent_trace *other)
{
    *n = (ent_normaliser){.trace = trace,
                          .raw = trace->raw || (other && other->raw),
                          .mpi = trace->rank >= 0 || (other && other->rank >= 0)};
    while (n->first < trace->count && strcmp(trace->calls[n->first].name, "execve") == 0)
        n->first++;
    ENT_TRY(ent_trace_varying_new(&n->varying, trace, other));
    return n->raw ? track(n) : ENT_OK;
}
