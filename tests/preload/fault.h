/* What goes wrong, and when: see tests/preload/fault.c. For the functions that stand in place of the C library's. */
#ifndef ENT_TESTS_FAULT_H
#define ENT_TESTS_FAULT_H

#include <limits.h>
#include <stddef.h>

/* Whether the call can fail because the disk is full. */
enum fault_need { FAULT_ROOM, FAULT_NO_ROOM };

/* Whether `path` is the folder or in it. */
int fault_below(const char *path);

/* What stands behind a descriptor; false: nothing that has a path, out = "". */
int fault_fd(char out[PATH_MAX], int fd);

/* The path that `path` is for openat and its like. */
void fault_path(char out[PATH_MAX], int dirfd, const char *path);

/* Counts the call that is about to change what `path` names. False: it must fail; errno is set. */
int fault_allows(const char *call, const char *path, size_t bytes, enum fault_need need);

/* How many of the bytes of the write that was just allowed are to be written. */
size_t fault_share(const char *path, size_t bytes);

/* After the call. */
void fault_done(const char *path);

/* Whether loss.h is to be told of a call on `path`. */
int fault_keeps_books(const char *path);

#endif
