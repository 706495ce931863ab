/* What cJSON lets pass or cannot hold, refused before it reads. Part of io/json.c. */
#ifndef ENT_IO_JSON_SCAN_H
#define ENT_IO_JSON_SCAN_H

#include <stddef.h>

#include "src/base/status.h"

enum { ENT_JSON_MAX_DEPTH = 64 };

/* ENT_EFORMAT, naming `where`, line and column: a byte that isn't UTF-8, a control character, an escaped U+0000, a
 * number that isn't JSON's or that a double cannot hold, nesting beyond ENT_JSON_MAX_DEPTH. */
ent_status ent_json_scan(const char *text, size_t n, const char *where);

/* ENT_EFORMAT "WHERE: line L column C: MESSAGE" for the byte at `offset` of the text. */
ent_status ent_json_fault(const char *text, size_t n, size_t offset, const char *where, const char *message);

#endif
