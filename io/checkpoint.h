/* The checkpoints of a run: RUN/checkpoints/step-NNNNNNNN.h5, its metadata (.json or .yaml) and `latest`.
 *
 * A pair is written aside, read back, renamed: the numbers first, then the metadata that vouches for them with a
 * SHA-256 of the file and of each tensor. A pair without metadata, or with other digests, is no checkpoint: it is
 * passed over.
 */
#ifndef ENT_IO_CHECKPOINT_H
#define ENT_IO_CHECKPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/hdf5_checkpoint.h"
#include "io/json.h"
#include "src/base/status.h"

/* Writes the pair of state->step, then `latest`, then removes the oldest pairs beyond `keep` (at least 1), never the
 * one just written. `metadata` (borrowed, an object: config, metrics) stands in the metadata file, whose other members
 * are the state and the digests. Folders are made. ENT_EIO, ENT_ENOMEM; what was there before is then still whole. */
ent_status ent_checkpoint_write(const char *run_dir, const ent_ckpt_tensor *tensors, size_t count,
                                const ent_ckpt_state *state, ent_json *metadata, int64_t keep, bool yaml);

/* Whether the run has written a whole checkpoint, a .h5 with its metadata, usable or not. No folder: false. ENT_EIO. */
ent_status ent_checkpoint_exists(bool *out, const char *run_dir);

/* Reads the newest usable checkpoint into the caller's tensors and *state. *notes = one line, with newline, for each
 * one passed over and why (the caller frees; NULL if there is none; set also on failure). None usable: ENT_EFORMAT
 * "RUN/checkpoints: no usable checkpoint: step-00000010.h5: ..."; contents of the tensors are then undefined. */
ent_status ent_checkpoint_read_newest(ent_ckpt_state *state, char **notes, const char *run_dir,
                                      ent_ckpt_tensor *tensors, size_t count);

#endif
