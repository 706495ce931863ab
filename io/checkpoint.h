/* The checkpoints of a run: RUN/checkpoints/step-NNNNNNNN.h5, its metadata (.json or .yaml) and `latest`.
 *
 * A pair is written aside, read back, renamed: the numbers first, then the metadata that vouches for them with a
 * SHA-256 of the file, of each tensor and of itself. A pair without metadata, or with other digests, is no checkpoint:
 * it is passed over.
 */
#ifndef ENT_IO_CHECKPOINT_H
#define ENT_IO_CHECKPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/hdf5_checkpoint.h"
#include "io/json.h"
#include "src/base/status.h"

/* What evaluations have said so far. It stands in the metadata alone: so the numbers of a step have the same bytes
 * before and after the evaluation that follows it, and can be written again without a moment of no checkpoint. */
typedef struct ent_ckpt_evals {
    double best_val_loss; /* NaN: none yet */
    int64_t best_step;    /* it was reached after */
    int64_t evals_since_best, eval_step /* of the last evaluation; -1: none yet */;
} ent_ckpt_evals;

/* Writes the pair of state->step, then `latest`. `metadata` (borrowed, an object: decides, config, metrics) stands in
 * the metadata file, whose other members are the state and the digests. RUN is there, its folder of checkpoints is
 * made. ENT_EIO, ENT_ENOMEM; what was there before is then still whole. */
ent_status ent_checkpoint_write(const char *run_dir, const ent_ckpt_tensor *tensors, size_t count,
                                const ent_ckpt_state *state, const ent_ckpt_evals *evals, const ent_json *metadata,
                                bool yaml);

/* Lets `latest` name the pair of `step`, if it doesn't: a run that was killed right behind a pair goes on from it
 * without writing it again. ENT_EIO, ENT_ENOMEM. */
ent_status ent_checkpoint_point(const char *run_dir, int64_t step);

/* Removes the oldest pairs but `keep` (at least 1) up to the step `written`, which stays. Newer ones are left of a run
 * that went on from an older one because they were damaged: they are replaced as the run gets there. ENT_EIO. */
ent_status ent_checkpoint_prune(const char *run_dir, int64_t written, int64_t keep);

/* Whether the run has written a whole checkpoint, usable or not: metadata or `latest` are there. No folder: false.
 * ENT_EIO. */
ent_status ent_checkpoint_exists(bool *out, const char *run_dir);

/* *steps (caller frees) = the steps of which a folder of checkpoints has at least one file, newest first. ENT_EIO. */
ent_status ent_checkpoint_steps(int64_t **steps, size_t *count, const char *folder);

/* *out (caller frees) = what stands beside the numbers `h5`, a path that ends with ".h5", without the digest of itself,
 * which holds; *beside (caller frees, also after a failure) = its path. ENT_EFORMAT, ENT_EIO. */
ent_status ent_checkpoint_metadata(ent_json **out, char **beside, const char *h5);

/* Reads the newest usable checkpoint into the caller's tensors, *state, *evals and *metadata (the caller frees). *notes
 * = one line, with newline, for each one passed over and why (the caller frees; NULL if there is none; set also on
 * failure). None usable: ENT_EFORMAT "RUN/checkpoints: no usable checkpoint: step-00000010.h5: ...".
 *
 * A whole one whose metadata's member `decides` is not equal to the object `decides` is of another run: ENT_ECONFIG
 * naming each key that differs. After a failure, contents of the tensors are undefined. */
ent_status ent_checkpoint_read_newest(ent_ckpt_state *state, ent_ckpt_evals *evals, ent_json **metadata, char **notes,
                                      const char *run_dir, ent_ckpt_tensor *tensors, size_t count,
                                      const ent_json *decides);

/* Reads one checkpoint, whose path ends with ".h5", for those who don't know what is in it: its tensors (freed with
 * ent_hdf5_listing_free) and its metadata (freed by the caller), whose digests hold. ENT_EIO, ENT_EFORMAT. */
ent_status ent_checkpoint_read_file(ent_hdf5_listing *out, ent_json **metadata, const char *path);

#endif
