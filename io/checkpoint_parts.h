/* What reading and writing checkpoints share. Part of io/checkpoint_*.c. */
#ifndef ENT_IO_CHECKPOINT_PARTS_H
#define ENT_IO_CHECKPOINT_PARTS_H

#include "io/checkpoint.h"
#include "io/digest.h"

enum { ENT_CKPT_GROUPS = 3, ENT_CKPT_ENDINGS = 3 };

extern const char *const ent_ckpt_groups[ENT_CKPT_GROUPS];   /* of datasets in the file */
extern const char *const ent_ckpt_endings[ENT_CKPT_ENDINGS]; /* the numbers; the two notations of metadata */

const float *ent_ckpt_part(const ent_ckpt_tensor *t, size_t group); /* NULL if the tensor has none in the group */
size_t ent_ckpt_bytes(const ent_ckpt_tensor *t);

/* *out = FOLDER/step-NNNNNNNN.ENDING; the caller frees. */
ent_status ent_ckpt_path(char **out, const char *folder, int64_t step, const char *ending);

typedef struct ent_ckpt_steps {
    int64_t *items; /* newest first */
    size_t count, capacity;
} ent_ckpt_steps;

/* Steps of which there is at least one file. The caller frees out->items. */
ent_status ent_ckpt_find(ent_ckpt_steps *out, const char *folder);

/* Removes a file of a step; none there is fine. */
ent_status ent_ckpt_remove(const char *folder, int64_t step, const char *ending);

/* The member of the metadata with the digest of all the others, and that digest: of their text on one line. */
#define ENT_CKPT_DIGEST "sha256"
ent_status ent_ckpt_metadata_digest(char hex[ENT_SHA256_SIZE], const ent_json *metadata);

#endif
