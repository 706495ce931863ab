/* Checkpoint files: trainable parameters, optimizer moments and the position of a run, in HDF5.
 *
 * /params/NAME, /optimizer/m/NAME, /optimizer/v/NAME are float32, little-endian, with a Fletcher32 checksum; the state
 * is in attributes of the root. Nothing in the file depends on time, ranks or threads: equal states are byte-equal
 * files. A file that is read may be damaged or hostile: everything in it is compared with what is expected before it is
 * used.
 */
#ifndef ENT_IO_HDF5_CHECKPOINT_H
#define ENT_IO_HDF5_CHECKPOINT_H

#include <stddef.h>
#include <stdint.h>

#include "src/base/status.h"

enum { ENT_CKPT_MAX_DIMS = 4, ENT_CKPT_VERSION = 2 };

/* A parameter and its moments: row-major floats, borrowed. m, v: NULL if the optimizer keeps none. */
typedef struct ent_ckpt_tensor {
    const char *name; /* of at most 255 bytes, without '/' */
    size_t n_dims, shape[ENT_CKPT_MAX_DIMS];
    float *value, *m, *v;
} ent_ckpt_tensor;

/* Where a run stands. The strings end with a zero. */
typedef struct ent_ckpt_state {
    int64_t step;          /* optimizer steps done */
    int64_t unit_position; /* units consumed since the start of the run */
    double epoch;
    uint64_t seed;
    char config_hash[65];
    char kernel[128]; /* what computed the numbers: CPU, backend, version */
} ent_ckpt_state;

/* Writes a whole file at `path`, which is replaced; neither synced nor renamed: see io/checkpoint.h. `label` names the
 * file in messages. ENT_EIO; ENT_EINVAL for a tensor with a bad name or an empty shape. */
ent_status ent_hdf5_checkpoint_write(const char *path, const char *label, const ent_ckpt_tensor *tensors, size_t count,
                                     const ent_ckpt_state *state);

/* Reads state and tensors into the caller's memory, by name. The file holds these tensors, in these shapes, with these
 * moments, and no others: otherwise ENT_EFORMAT "step-00000010.h5: /params/NAME: expected ..., found ...", as for a
 * checksum that does not hold; contents of the memory are then undefined. */
ent_status ent_hdf5_checkpoint_read(ent_ckpt_state *state, const char *path, const char *label,
                                    ent_ckpt_tensor *tensors, size_t count);

/* Whether a file reads back as these tensors, bit for bit: ENT_EIO if not. For what was just written. */
ent_status ent_hdf5_checkpoint_verify(const char *path, const char *label, const ent_ckpt_tensor *tensors,
                                      size_t count);

/* What is in a file, for readers who don't know: the state, and all tensors, sorted by name, with their contents. The
 * caller frees with ent_hdf5_listing_free; the names and numbers belong to the listing. */
typedef struct ent_hdf5_listing {
    ent_ckpt_state state;
    ent_ckpt_tensor *tensors;
    size_t count;
} ent_hdf5_listing;

ent_status ent_hdf5_checkpoint_list(ent_hdf5_listing *out, const char *path, const char *label);
void ent_hdf5_listing_free(ent_hdf5_listing *listing);

#endif
