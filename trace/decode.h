/* The arguments of a system call of a stopped thread, as text. */
#ifndef ENT_TRACE_DECODE_H
#define ENT_TRACE_DECODE_H

#include <sys/types.h>

#include "trace/syscalls.h"
#include "trace/trace.h"

/* At the entry of call `s` (NULL: one that isn't in the table) of thread `tid`, which is stopped: gives `call` name,
 * number, all arguments (those that the kernel fills in as addresses, for now) and descriptors. What can't be read from
 * the thread's memory is shown as its address. ENT_ENOMEM. */
ent_status ent_decode_entry(ent_trace_call *call, ent_trace *trace, pid_t tid, const ent_syscall *s, uint64_t number,
                            const uint64_t args[6]);

/* At its exit: result, error, what the kernel filled in, size and hash of the data that moved, the new descriptor. */
ent_status ent_decode_exit(ent_trace_call *call, ent_trace *trace, pid_t tid, const ent_syscall *s,
                           const uint64_t args[6], int64_t result);

#endif
