/* What of a system call is the same in every run of the same program, as a line of text.
 *
 *     openat(AT_FDCWD, "./model.json", O_RDONLY|O_CLOEXEC) = <./model.json>
 *     write(<./out.json>, "{\"name\": ", count 214, sha256 1a2b3c4d5e6f) = 214
 *     unlink("./missing") = -ENOENT
 *
 * In a line
 * - a descriptor is what it stands for: 0, 1 and 2 are <stdin>, <stdout>, <stderr>; others <path>, <pipe>, <socket>;
 *   <fd> where that isn't known;
 * - addresses are ADDR, processes and threads PID; paths are as trace/varying.h puts them;
 * - data is its SHA-256, all of it; its first bytes are shown, but not compared. Random bytes (/dev/random,
 *   /dev/urandom) have no hash;
 * - durations, times, and where the program asked are not in it.
 *
 * Traces in v1-raw know no descriptors and name no arguments: their lines have the path of openat, the descriptor's
 * path where an openat before it gave one, and the results of calls that do input or output. A trace that is compared
 * with one in v1-raw is seen the same way.
 *
 * The program's own input and output are the calls with ENT_CALL_IO and mmap of a descriptor, but for
 * - the execve that started the program, and what the dynamic loader asks for (`loader`);
 * - what only looks at the machine, or is a library's: /sys/devices/system, /sys/fs/cgroup, /proc/self,
 *   /proc/thread-self, /proc/NUMBER, /proc/cpuinfo, /proc/meminfo, /proc/stat, /proc/sys, /etc/ld.so.cache, and files
 *   NAME.so and NAME.so.NUMBER;
 * - if one of the traces has a rank of MPI, also what MPI does by itself: sockets, pipes, eventfds and descriptors that
 *   aren't known; what is in /dev/shm, /dev/infiniband, /etc, /usr, /lib, /lib64, /proc, /run, /sys; the folders /,
 *   /dev, /tmp and /var/tmp themselves; and every path with a component that begins with "ompi.", "pmix",
 *   "openmpi-sessions", ".openmpi" or ".pmix".
 * Calls on stdin, stdout and stderr are always among them.
 */
#ifndef ENT_TRACE_NORMALISE_H
#define ENT_TRACE_NORMALISE_H

#include "io/text.h"
#include "trace/trace.h"
#include "trace/varying.h"

typedef struct ent_normaliser {
    const ent_trace *trace;
    ent_trace_varying *varying;
    bool raw;             /* this trace, or the other, is in v1-raw */
    bool mpi;             /* this trace, or the other, has a rank */
    size_t first;         /* the calls before it started the program */
    const char **tracked; /* if raw: for each call, what its descriptor stands for, or NULL */
} ent_normaliser;

/* Starts to normalise `trace`, which is to be compared with `other` (NULL: with none); both must outlive *n, which
 * needs no initialisation. ent_normalise_end frees what it holds, also after a failure. ENT_ENOMEM. */
ent_status ent_normalise_begin(ent_normaliser *n, const ent_trace *trace, const ent_trace *other);
void ent_normalise_end(ent_normaliser *n);

/* Whether call i is one of the program's own input and output. */
bool ent_normalise_is_own(const ent_normaliser *n, size_t i);

/* Whether call i was cut off by a signal before it did anything, and made again by the kernel, or by the program after
 * the signal's handler: when signals come is not the program's doing. */
bool ent_normalise_is_restarted(const ent_normaliser *n, size_t i);

typedef enum {
    ENT_NORMALISE_COMPARE, /* calls are the same if these lines are */
    ENT_NORMALISE_SHOW,    /* for people: with the first bytes of data, and the start of its hash */
} ent_normalise_form;

/* Appends the line of call i, without a newline. */
void ent_normalise_put(ent_text *out, const ent_normaliser *n, size_t i, ent_normalise_form form);

#endif
