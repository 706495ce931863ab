/* Text in memory: a growing buffer that printers write to, whole files read as text, and the UTF-8 rule. */
#ifndef ENT_IO_TEXT_H
#define ENT_IO_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "src/base/status.h"

/* Starts as {0}. A lack of memory is remembered, so that printers need one check: ent_text_finish. */
typedef struct ent_text {
    char *data; /* n bytes and a terminating zero; NULL while empty */
    size_t n, capacity;
    bool failed;
} ent_text;

void ent_text_put(ent_text *text, const char *s);
void ent_text_put_n(ent_text *text, const char *s, size_t n);
void ent_text_printf(ent_text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* *out = the text (caller frees with free()), and `text` is empty again; ENT_ENOMEM if memory ran out on the way. */
ent_status ent_text_finish(char **out, ent_text *text);

/* Reads a whole file: *out = its *n bytes and a terminating zero (caller frees). ENT_EIO "PATH: No such file or
 * directory" and the like. */
ent_status ent_text_read_file(char **out, size_t *n, const char *path);

/* The length (1 to 4) of the UTF-8 sequence at the start of the n >= 1 bytes at `s`; 0 if they are not UTF-8. */
size_t ent_utf8_length(const char *s, size_t n);

/* Whether all of a string is UTF-8. */
bool ent_utf8_is_valid(const char *s);

#endif
