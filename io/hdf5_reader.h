/* Looks into a checkpoint file a stretch of a dataset at a time: it may be larger than the memory. What is checked is
 * what io/hdf5_checkpoint.h checks, but for what only the run knows: which tensors there are. */
#ifndef ENT_IO_HDF5_READER_H
#define ENT_IO_HDF5_READER_H

#include <stddef.h>

#include "io/hdf5_checkpoint.h"
#include "src/base/status.h"

typedef struct ent_hdf5_dataset {
    char *path; /* "/params/NAME", "/optimizer/m/NAME", "/optimizer/v/NAME" */
    size_t n_dims, shape[ENT_CKPT_MAX_DIMS];
    size_t count; /* of numbers: float32 */
} ent_hdf5_dataset;

typedef struct ent_hdf5_reader ent_hdf5_reader;

/* Opens a file and reads its state and the list of datasets: parameters, then moments, each by name. Moments are those
 * of all parameters, in their shapes, or of none; nothing else is in the file. ENT_EIO, ENT_EFORMAT; *out is then NULL.
 */
ent_status ent_hdf5_reader_open(ent_hdf5_reader **out, const char *path);
void ent_hdf5_reader_close(ent_hdf5_reader *reader);

const ent_ckpt_state *ent_hdf5_reader_state(const ent_hdf5_reader *reader);
size_t ent_hdf5_reader_count(const ent_hdf5_reader *reader);
const ent_hdf5_dataset *ent_hdf5_reader_at(const ent_hdf5_reader *reader, size_t i);

/* out = n numbers of dataset i from number `first` on, row-major. Read in order they are read once, some rows at a
 * time. ENT_EFORMAT for a checksum that does not hold. */
ent_status ent_hdf5_reader_read(float *out, ent_hdf5_reader *reader, size_t i, size_t first, size_t n);

#endif
