/* The header of one safetensors file. Part of io/safetensors.c. */
#ifndef ENT_IO_SAFETENSORS_HEADER_H
#define ENT_IO_SAFETENSORS_HEADER_H

#include <stddef.h>

#include "io/json.h"
#include "io/safetensors.h"

typedef struct ent_st_entry {
    ent_st_tensor tensor; /* first: callers get its address */
    size_t begin, end;    /* in the data */
    void *owned;          /* a copy of misaligned data; NULL: tensor.data is in the mapping */
} ent_st_entry;

/* Reads the header of the file that is mapped at `data`, `size` bytes. *entries (caller frees) hold the tensors in the
 * order of the data; their names and the metadata stay in *header (caller frees). ENT_EFORMAT; ENT_EUNSUPPORTED. */
ent_status ent_st_read_header(ent_st_entry **entries, size_t *count, ent_json **header, const char *path,
                              const unsigned char *data, size_t size);

#endif
