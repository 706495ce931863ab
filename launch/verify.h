/* Whether a file or folder is whole: for `entrenar verify`. */
#ifndef ENT_LAUNCH_VERIFY_H
#define ENT_LAUNCH_VERIFY_H

#include <stdbool.h>
#include <stddef.h>

#include "src/base/status.h"

/* Told of each thing that was looked at: what holds, or what does not, in one line. */
typedef void ent_verify_tell(void *context, bool good, const char *line);

/* Looks at all of what stands at `path`, and goes on behind a fault where what follows doesn't rest on it. *faults =
 * what does not hold. Nothing is held in memory as a whole.
 *
 *   checkpoint    metadata: its digest of itself; digests of the file and of each tensor; the structure of the file and
 *                 its checksums; state and shapes as in the metadata; numbers finite, second moments not negative
 *   safetensors   header, offsets, types; numbers finite
 *   adapter       settings; names and shapes of the tensors as they and each other ask; numbers finite
 *   model         config.json; the index and its files; names and shapes; numbers finite; tokenizer and its ids
 *   run           config.yaml loads; every checkpoint; `latest`; metrics.jsonl, step by step, and what checkpoints say
 *                 of it; adapters and models, and that they hold what the checkpoint of their step holds
 *
 * ENT_EIO, ENT_EFORMAT, ENT_EUNSUPPORTED: nothing of this kind stands there. */
ent_status ent_verify(size_t *faults, const char *path, ent_verify_tell *tell, void *context);

#endif
