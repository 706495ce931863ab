/* What is in a file or folder, opened: its settings, and its tensors, read a stretch at a time. For entrenar inspect
 * and verify, which take files larger than the memory. */
#ifndef ENT_LAUNCH_CONTENTS_H
#define ENT_LAUNCH_CONTENTS_H

#include <stdbool.h>
#include <stddef.h>

#include "io/gguf.h"
#include "io/hdf5_reader.h"
#include "io/json.h"
#include "io/safetensors.h"

typedef enum ent_kind {
    ENT_KIND_CHECKPOINT,  /* an .h5 file; or the newest one of a run folder or of its folder of checkpoints */
    ENT_KIND_ADAPTER,     /* a folder with adapter_config.json */
    ENT_KIND_MODEL,       /* a folder with config.json */
    ENT_KIND_SAFETENSORS, /* a file */
    ENT_KIND_GGUF,        /* a file */
    ENT_KINDS
} ent_kind;

const char *ent_kind_name(ent_kind kind);

/* What stands at `path`: *out (caller frees) = it, or of a run the checkpoint that `latest` names; then *run (caller
 * frees) = the run folder if `path` is one, otherwise NULL. ENT_EIO, ENT_EFORMAT. */
ent_status ent_kind_find(ent_kind *kind, char **out, char **run, const char *path);

typedef struct ent_contents_tensor {
    char *name;                     /* of a checkpoint: "params/NAME", "optimizer/m/NAME", "optimizer/v/NAME" */
    ent_st_type type;               /* of the numbers that are read */
    const ent_block_format *blocks; /* of a GGUF file: they stand in these, and are read as F32; NULL: they don't */
    size_t
        head_dim; /* of a GGUF file: rows of heads of so many rows are read in Hugging Face's order; 0: as they stand */
    size_t n_dims, shape[ENT_SAFETENSORS_MAX_DIMS];
    size_t count, bytes; /* numbers; bytes in the file */
    const char *file;    /* it stands in */
} ent_contents_tensor;

typedef struct ent_contents {
    ent_kind kind;
    char *path, *run;   /* as of ent_kind_find */
    ent_json *settings; /* of an adapter, a model, the state of a checkpoint, the keys of GGUF */
    ent_json *metadata; /* of a checkpoint: what stands beside it, whose digest of itself holds; NULL: see ... */
    char *fault;        /* ... why there is none to show; NULL: nothing is wrong */
    size_t count;
    ent_contents_tensor
        *tensors;           /* by name; of a checkpoint parameters first, then m, then v; of GGUF as in the file */
    ent_safetensors *files; /* these, */
    ent_hdf5_reader *h5;    /* or this, */
    ent_gguf *gguf;         /* or this */
    float *stretch;
    size_t unreleased; /* bytes that were read since pages were let go */
} ent_contents;

enum { ENT_STRETCH = 1 << 14 }; /* numbers that are read at once */

/* Opens what ent_kind_find finds. All headers and settings are checked as training does it; no tensor is read yet. */
ent_status ent_contents_open(ent_contents **out, const char *path);
void ent_contents_close(ent_contents *contents);

void ent_contents_add_shape(ent_json *to, const char *key, const ent_contents_tensor *tensor);

/* NULL: there is none. Of a checkpoint a parameter's own name will do. */
const ent_contents_tensor *ent_contents_find(const ent_contents *contents, const char *name);

/* A tensor's type as its file calls it. */
const char *ent_contents_type_name(const ent_contents_tensor *tensor);
bool ent_contents_same_type(const ent_contents_tensor *a, const ent_contents_tensor *b);

/* The tensors of a GGUF file of a model get the names and the order of rows that Hugging Face has; those of no such
 * name stay. ENT_EFORMAT, ENT_EUNSUPPORTED for what no model of ours is. */
ent_status ent_contents_as_hf(ent_contents *contents);

/* *out = the bytes of n <= ENT_STRETCH numbers of a tensor, from number `first` on, a multiple of ENT_STRETCH: good
 * until the next call, at any alignment. ENT_EFORMAT for a checksum that doesn't hold. */
ent_status ent_contents_bytes(const void **out, ent_contents *contents, const ent_contents_tensor *tensor, size_t first,
                              size_t n);

/* Gives all numbers of a tensor to `take`, in order, at most ENT_STRETCH at once; it may overwrite them. The tensor's
 * type has values. ENT_EFORMAT as above. */
typedef void ent_contents_take(void *context, double *x, size_t n);
ent_status ent_contents_each(ent_contents *contents, const ent_contents_tensor *tensor, ent_contents_take *take,
                             void *context);

#endif
