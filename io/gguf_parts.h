/* A GGUF file as it was read. Part of io/gguf*.c. */
#ifndef ENT_IO_GGUF_PARTS_H
#define ENT_IO_GGUF_PARTS_H

#include "io/gguf.h"

struct ent_gguf {
    char *path;
    unsigned char *data; /* mapped */
    size_t size;
    ent_gguf_pair *pairs;
    ent_gguf_tensor *tensors;
    size_t n_pairs, n_tensors;
    char *names;                             /* of the tensors */
    const ent_gguf_tensor **tensors_by_name; /* sorted */
};

/* Reads what is mapped: fills all but path, data and size. */
ent_status ent_gguf_read(ent_gguf *file);

#endif
