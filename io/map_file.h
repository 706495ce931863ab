/* Files that are read in place. */
#ifndef ENT_IO_MAP_FILE_H
#define ENT_IO_MAP_FILE_H

#include <stddef.h>

#include "src/base/status.h"

/* *data = the `size` bytes of a file, shared and read-only: every process that maps it uses the same pages. The caller
 * unmaps. ENT_EIO; ENT_EFORMAT "PATH: expected a KIND file, found 0 bytes". */
ent_status ent_map_file(void **data, size_t *size, const char *path, const char *kind);

#endif
