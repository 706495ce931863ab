/* Safetensors files: mapped read-only and used in place, and written.
 *
 * The file: 8 bytes little-endian length of the header, a JSON header {name: {dtype, shape, data_offsets}}, then the
 * data. Every number in it is checked: offsets within the file and equal to shape times type size, no overlap, no gaps.
 */
#ifndef ENT_IO_SAFETENSORS_H
#define ENT_IO_SAFETENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/safetensors_types.h"
#include "src/base/real.h"
#include "src/base/status.h"

enum { ENT_SAFETENSORS_MAX_DIMS = 4 };

typedef struct ent_st_tensor {
    const char *name; /* borrowed from the file */
    ent_dtype dtype;  /* F32, BF16, F16, F64; another type in the file is ENT_EUNSUPPORTED */
    size_t n_dims, shape[ENT_SAFETENSORS_MAX_DIMS];
    const void *data; /* into the mapping; or a copy: aligned to its element */
    size_t bytes;
    const char *file; /* the path of the file it stands in */
    ent_st_type type; /* of one that was read: its type in the file. To be written: ENT_ST_U8 makes I8 unsigned */
} ent_st_tensor;

typedef struct ent_safetensors ent_safetensors;

/* Maps one file; or a model folder: model.safetensors, or the files of model.safetensors.index.json (whose weight_map
 * is checked against what the files hold). */
ent_status ent_safetensors_open(ent_safetensors **out, const char *path);
ent_status ent_safetensors_open_model(ent_safetensors **out, const char *folder);
void ent_safetensors_close(ent_safetensors *file);

/* The same for those who look into files, `is_folder` a model's: tensors may be of any ent_st_type (where that is not
 * an ent_dtype, `dtype` means nothing), and `data` may stand at any alignment: nothing is copied, so that files may be
 * larger than the memory. */
ent_status ent_safetensors_open_any(ent_safetensors **out, const char *path, bool is_folder);

/* Lets go of the pages that were read; they come back where they are read again. For weights that were converted. */
void ent_safetensors_release(const ent_safetensors *file);

/* Tensors sorted by name; find: NULL if there is none. */
size_t ent_safetensors_count(const ent_safetensors *file);
const ent_st_tensor *ent_safetensors_at(const ent_safetensors *file, size_t i);
const ent_st_tensor *ent_safetensors_find(const ent_safetensors *file, const char *name);

/* The value of a key in __metadata__; NULL if there is none. */
const char *ent_safetensors_metadata(const ent_safetensors *file, const char *key);

/* Writes tensors (name, dtype, shape, data of each used), wider types first and then in order of name, with
 * {"format":"pt"} as metadata, through io/atomic_file.h: equal tensors give byte-equal files. */
ent_status ent_safetensors_write(const char *path, const ent_st_tensor *tensors, size_t count);

/* The same with n more pairs of text behind {"format":"pt"}. Keys are unique; "format" is taken. */
typedef struct ent_st_pair {
    const char *key, *value;
} ent_st_pair;
ent_status ent_safetensors_write_with(const char *path, const ent_st_tensor *tensors, size_t count,
                                      const ent_st_pair *metadata, size_t n);

#endif
