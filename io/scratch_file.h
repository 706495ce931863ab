/* Memory on disk: for numbers that are made once, read a few times, and may be more than fit into memory. */
#ifndef ENT_IO_SCRATCH_FILE_H
#define ENT_IO_SCRATCH_FILE_H

#include <stddef.h>

#include "src/base/status.h"

typedef struct ent_scratch ent_scratch;

/* `bytes` zeros, mapped from a file in `folder` that has no name any more: nothing is left of it, however the process
 * ends. ENT_EIO if the disk has no room for them. */
ent_status ent_scratch_new(ent_scratch **out, const char *folder, size_t bytes);
void ent_scratch_free(ent_scratch *scratch);

/* The next n bytes, aligned to 64: the caller sees to it that they are there. ent_scratch_room: what n bytes take. */
void *ent_scratch_take(ent_scratch *scratch, size_t n);
size_t ent_scratch_room(size_t n);

#endif
