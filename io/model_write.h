/* Writes a Hugging Face model folder whose weights are computed while they are written, a piece of one tensor at a
 * time: no tensor is in memory as a whole.
 *
 * The folder is there as a whole or not at all: it is written under a temporary name beside its place, each file by the
 * protocol of io/atomic_file.h, and renamed. model.safetensors, or where that would be larger than file_bytes,
 * model-00001-of-0000N.safetensors with model.safetensors.index.json, as transformers has them.
 */
#ifndef ENT_IO_MODEL_WRITE_H
#define ENT_IO_MODEL_WRITE_H

#include <stdbool.h>
#include <stddef.h>

#include "io/atomic_file.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "src/base/status.h"

enum { ENT_MODEL_PIECE = 1 << 20 };               /* numbers of a piece, at most */
#define ENT_MODEL_FILE_BYTES ((size_t)5000000000) /* of tensors in a file: 5 GB, transformers' default for long */

/* out = numbers `first` to first + n - 1 of tensor i of the list. Each tensor is asked for once, from its first number
 * to its last, without another in between. */
typedef ent_status ent_model_source(float *out, void *context, size_t i, size_t first, size_t n);

typedef void ent_model_configure(ent_json *config, const void *context);

typedef struct ent_model_write_options {
    const char *from;       /* the model folder whose config and tokenizer are copied */
    const ent_dtype *dtype; /* what config.json is to name as the type of the weights; NULL: as it is */
    size_t file_bytes;      /* 0: ENT_MODEL_FILE_BYTES. A tensor larger than that has a file of its own */
    bool overwrite;         /* a model that is there is replaced */

    /* NULL, or what may change the copied config.json, whose quantization_config, if it had one, is gone. */
    ent_model_configure *configure;
    const void *configure_context;

    /* NULL, or what is called with the written folder, under its temporary name, before it takes its place. It may add
     * files; if it fails, nothing is written. */
    ent_folder_writer *verify;
    const void *verify_context;
} ent_model_write_options;

/* Writes the folder. Of a tensor its name, dtype (F32, BF16 or F16: numbers are rounded to it once, to nearest, ties to
 * even; I8: they are whole, from -128 to 127, or with the type ENT_ST_U8 from 0 to 255) and shape are used; a file has
 * them in the order of ent_safetensors_write, files are filled in the order of the list. ENT_ENUMERIC naming a tensor
 * with a number that its dtype doesn't hold as a finite one; ENT_EIO; what `source` returns; ENT_ECONFIG as
 * ent_model_write_check. */
ent_status ent_model_write(const char *folder, const ent_st_tensor *tensors, size_t count,
                           const ent_model_write_options *options, ent_model_source *source, void *context);

/* Whether it may be written to: ENT_ECONFIG if something is there that is not to be overwritten, or with `overwrite` is
 * no model (a folder with a config.json). */
ent_status ent_model_write_check(const char *folder, bool overwrite);

/* Copies config.json and the files of the tokenizer and of generation, as many as there are. */
ent_status ent_model_copy_files(const char *folder, const char *from);

#endif
