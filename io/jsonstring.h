/* Single JSON strings, read and written exactly: unlike those of io/json.h they may hold U+0000. */
#ifndef ENT_IO_JSONSTRING_H
#define ENT_IO_JSONSTRING_H

#include "io/text.h"

/* *out (caller frees) = the *n bytes of UTF-8 that a JSON string of n_text bytes stands for, zero-terminated besides.
 * Spaces around it may stand, nothing else. ENT_EFORMAT "WHERE: column N: ..." for anything else: control characters
 * and bytes that are not UTF-8, unknown escapes, lone surrogates. */
ent_status ent_jsonstring_read(char **out, size_t *n, const char *text, size_t n_text, const char *where);

/* Appends n bytes of UTF-8 as a JSON string, with quotes, on one line by anyone's rules: U+0080 to U+009F, U+2028 and
 * U+2029 are escaped too. */
void ent_jsonstring_put(ent_text *text, const char *s, size_t n);

#endif
