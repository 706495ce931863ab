/* Checked allocation for sizes that may come from files. */
#ifndef ENT_BASE_MEM_H
#define ENT_BASE_MEM_H

#include <stddef.h>

#include "src/base/status.h"

/* Allocates count * size zeroed bytes into *out. Fails with ENT_ENOMEM, naming `what`, on overflow or without memory.
 * The caller frees with free(). A size of zero gives a valid pointer. */
ent_status ent_calloc(void *out, size_t count, size_t size, const char *what);

/* *out = `bytes` for numbers that are gone through again and again: 64-byte aligned, not initialised, on large pages
 * where they are large and the system has such. ENT_ENOMEM, naming `what`. The caller frees with free(). */
ent_status ent_numbers(void *out, size_t bytes, const char *what);

/* Grows *array (elements of `size` bytes, *capacity of them) so that it holds `needed`; doubles, keeps contents. */
ent_status ent_grow(void *array, size_t *capacity, size_t needed, size_t size, const char *what);

/* A copy of a string, or of `n` bytes with a terminating zero. */
ent_status ent_strdup(char **out, const char *s);
ent_status ent_strndup(char **out, const char *s, size_t n);

/* *out = formatted string, allocated. */
ent_status ent_format(char **out, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
