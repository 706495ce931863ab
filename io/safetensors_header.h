/* The header of one safetensors file, read and made. For the readers and writers of the format. */
#ifndef ENT_IO_SAFETENSORS_HEADER_H
#define ENT_IO_SAFETENSORS_HEADER_H

#include <stdbool.h>
#include <stddef.h>

#include "io/json.h"
#include "io/safetensors.h"

typedef struct ent_st_entry {
    ent_st_tensor tensor; /* first: callers get its address */
    size_t begin, end;    /* in the data */
    void *owned;          /* a copy of misaligned data; NULL: tensor.data is in the mapping */
} ent_st_entry;

/* Reads the header of the file that is mapped at `data`, `size` bytes. *entries (caller frees) hold the tensors in the
 * order of the data; their names and the metadata stay in *header (caller frees). `any`: types that aren't one of
 * ent_dtype are let through. ENT_EFORMAT; ENT_EUNSUPPORTED. */
ent_status ent_st_read_header(ent_st_entry **entries, size_t *count, ent_json **header, const char *path,
                              const unsigned char *data, size_t size, bool any);

/* *start (caller frees) = the *n bytes that a file of these tensors (name, dtype, shape used) begins with: the length
 * of the header and the header, which ends where data is aligned. Sorts `tensors` into the order of the data. */
ent_status ent_st_make_start(char **start, size_t *n, const ent_st_tensor **tensors, size_t count,
                             const ent_st_pair *metadata, size_t n_metadata);

/* The name of the type that a tensor is written with: of its dtype, or U8 (see ent_st_tensor). */
const char *ent_st_written_type(const ent_st_tensor *tensor);

/* The bytes of a tensor's data, by its shape and type. */
size_t ent_st_data_bytes(const ent_st_tensor *tensor);

#endif
