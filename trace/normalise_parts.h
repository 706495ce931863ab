/* What the parts of the normaliser share. */
#ifndef ENT_TRACE_NORMALISE_PARTS_H
#define ENT_TRACE_NORMALISE_PARTS_H

#include "trace/normalise.h"
#include "trace/syscalls.h"

/* What kind of thing the k-th argument of `call` is, by the name it has in `s` (NULL for a call that isn't in the
 * table). False if that isn't known. */
bool ent_normalise_kind(ent_arg_kind *kind, const ent_syscall *s, const ent_trace_call *call, size_t k);

/* Whether what is read from there is random. */
bool ent_normalise_is_random_device(const char *path);

/* The descriptor in an argument of kind FD or DIRFD, -1 if there is none (AT_FDCWD). */
int64_t ent_normalise_fd(const ent_trace_arg *arg);

/* The descriptor that is the first argument of a call in v1-raw, or seen that way; -1 if there is none. */
int64_t ent_normalise_raw_fd(const ent_trace_call *call, const ent_syscall *s);

/* What descriptor fd of call i stands for by the call itself; NULL if that isn't known. */
const char *ent_normalise_descriptor(const ent_normaliser *n, size_t i, int64_t fd);

#endif
