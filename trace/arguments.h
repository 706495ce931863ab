/* Which arguments a call really has: some stand only beside a flag, some mean what another says. */
#ifndef ENT_TRACE_ARGUMENTS_H
#define ENT_TRACE_ARGUMENTS_H

#include <stdbool.h>
#include <stddef.h>

#include "trace/syscalls.h"

/* *out = argument i (0 to 5) of a call with these values. False: it has none there, or one that counts for nothing, as
 * the mode of an open without O_CREAT: the register then holds anything. */
bool ent_argument(ent_syscall_arg *out, const ent_syscall *s, size_t i, const uint64_t args[6]);

#endif
