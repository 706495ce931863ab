/* What the files io/hdf5*.c share. An HDF5 handle (hid_t) is an int64_t here, so that <hdf5.h> stays in them. */
#ifndef ENT_IO_HDF5_PARTS_H
#define ENT_IO_HDF5_PARTS_H

#include <stddef.h>
#include <stdint.h>

#include "io/hdf5_checkpoint.h"

/* The groups of a checkpoint, and a tensor's numbers in each (NULL: it has none there). */
enum { ENT_HDF5_VALUE, ENT_HDF5_M, ENT_HDF5_V, ENT_HDF5_GROUPS };
extern const char *const ent_hdf5_groups[ENT_HDF5_GROUPS];
float *ent_hdf5_part(const ent_ckpt_tensor *tensor, int group);

/* Fails with "LABEL: WHAT: DOING: REASON", where the reason is the innermost fault that HDF5 knows of. To be called
 * before the next call of HDF5, which forgets it. `what` may be NULL. */
ent_status ent_hdf5_fail(ent_status code, const char *label, const char *what, const char *doing);

/* How files are opened: format 1.10, without locks. The caller closes with H5Pclose; -1 after a failure. */
int64_t ent_hdf5_access_list(void);

/* The type of a text of n bytes, which may be 0. The caller closes with H5Tclose; -1 after a failure. */
int64_t ent_hdf5_text_type(size_t n);

/* Creates, or opens read-only. The caller closes with H5Fclose. */
ent_status ent_hdf5_create(int64_t *out, const char *path, const char *label);
ent_status ent_hdf5_open(int64_t *out, const char *path, const char *label);

/* The object at `path` below the root of a file: a group, or a dataset of floats in at most 4 dimensions that is stored
 * as we store it. Links out of the file are not followed. ENT_EFORMAT if it is absent or something else. */
ent_status ent_hdf5_open_group(int64_t *out, int64_t file, const char *path, const char *label);
ent_status ent_hdf5_open_dataset(int64_t *out, size_t *n_dims, size_t shape[ENT_CKPT_MAX_DIMS], int64_t file,
                                 const char *path, const char *label);

/* *count = links in a group; *out = the name of link i in order of names, ENT_EFORMAT if it is longer than 255 bytes.
 */
ent_status ent_hdf5_links(size_t *count, int64_t group, const char *path, const char *label);
ent_status ent_hdf5_link_name(char out[256], int64_t group, size_t i, const char *path, const char *label);

/* The state, as attributes of the root. */
ent_status ent_hdf5_write_state(int64_t file, const char *label, const ent_ckpt_state *state);
ent_status ent_hdf5_read_state(ent_ckpt_state *out, int64_t file, const char *label);

#endif
