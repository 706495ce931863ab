/* The units of a dataset as one flat image, in memory or as a file that is mapped. Little-endian:
 *
 *   bytes 0-7    ENTUNIT1
 *   bytes 8-71   SHA-256 (hexadecimal) of all that follows
 *   then         ent_dataset_counts (uint64 each)
 *   then         offsets uint64 [units + 1]; ids, targets, doc_start int32 [tokens] each
 */
#ifndef ENT_IO_DATASET_CACHE_H
#define ENT_IO_DATASET_CACHE_H

#include <stdbool.h>

#include "src/text/dataset.h"

typedef struct ent_unit_image {
    void *data;
    size_t size;
    bool mapped;
    char digest[65];
    ent_dataset_counts counts;
    ent_units units; /* inside of data; not to be written to */
} ent_unit_image;

/* Makes an image in memory. ENT_ENOMEM. */
ent_status ent_unit_image_make(ent_unit_image *out, const ent_packing *packing, const ent_corpus *corpus);

/* Maps an image, shared and read-only. False: the file is not there, damaged or not for these limits; it is to be made
 * anew. */
bool ent_unit_image_map(ent_unit_image *out, const char *path, size_t seq_len, size_t vocab_size);

/* Writes an image as a file: whole or not at all. ENT_EIO. */
ent_status ent_unit_image_write(const ent_unit_image *image, const char *path);

void ent_unit_image_free(ent_unit_image *image);

#endif
