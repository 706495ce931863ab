/* What io/hdf5_model.c and io/hdf5_model_read.c share. An HDF5 handle (hid_t) is an int64_t here. */
#ifndef ENT_IO_HDF5_MODEL_PARTS_H
#define ENT_IO_HDF5_MODEL_PARTS_H

#include <stdint.h>

/* The name of a file that is in memory alone. HDF5 tries to open it all the same, and there must be none. */
#define ENT_HDF5_NO_FILE "/dev/null/image"

/* The enumeration of FALSE and TRUE that h5py takes for bools; a file access list for files that are in memory alone.
 * The caller closes them; -1 after a failure. */
int64_t ent_hdf5_bool_type(void);
int64_t ent_hdf5_memory_access(void);

#endif
