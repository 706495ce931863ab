/* The memory of a stopped thread that this process traces. */
#ifndef ENT_TRACE_TRACEE_H
#define ENT_TRACE_TRACEE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Reads n bytes at `address`; returns how many there were before the first that can't be read. */
size_t ent_tracee_read(void *to, pid_t tid, uint64_t address, size_t n);

/* Reads a text that ends with a zero. `to` (of `capacity` bytes) gets it, without the zero if *cut: there is more of it
 * than fits. Returns its length; -1 if it can't be read up to there. */
ssize_t ent_tracee_string(char *to, bool *cut, size_t capacity, pid_t tid, uint64_t address);

#endif
