/* Stand-alone model files: metadata and named arrays of floats in one file, without an architecture that this library
 * would know. For small models of other programs, for exchange and for examples; a language model's folder is read and
 * written by io/model_weights.h and io/peft.h.
 *
 * The format follows the path's ending. All hold the same, and in the same order: a model that is saved in one, loaded
 * and saved in another is the same model, bit for bit (YAML has one NaN for all of them). Equal models are byte-equal
 * files, written through io/atomic_file.h.
 *
 * .json, .yaml, .yml: one tree. Floats are row-major, of as many digits (6 to 9) as they need to read back exactly.
 *
 *     {"metadata": {"name": "mlp", "architecture": "feed-forward", "version": "1.0", "custom": {"input_dim": 4}},
 *      "parameters": [{"name": "layer1.weight", "shape": [4], "dtype": "f32", "requires_grad": true}],
 *      "data": {"layer1.weight": [0.1, 0.2, 0.3, 0.4]}}
 *
 *   JSON has no infinity and no NaN: such a model is refused with the name and index. YAML has .inf and .nan.
 *
 * .h5: HDF5. /parameters/NAME are chunked float32 datasets, little-endian, with a Fletcher32 checksum and the attribute
 *   requires_grad, in order of creation. name, architecture and version are attributes of the root, the custom entries
 *   those of the group /custom: texts of fixed length in UTF-8, 64-bit integers, 64-bit floats, and bools as h5py's
 *   enumeration of FALSE and TRUE.
 *
 * .safetensors: F32 tensors. __metadata__ has name, architecture, version; lists as JSON text in `parameters` (all
 *   names, in order), `requires_grad` (the names that take a gradient) and `custom` (the keys, in order); and a
 *   custom entry KEY as JSON text in `custom.KEY`.
 */
#ifndef ENT_IO_MODEL_FILE_H
#define ENT_IO_MODEL_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/status.h"

enum {
    ENT_MODEL_FILE_MAX_DIMS = 4,
    ENT_MODEL_FILE_MAX_NAME = 255,   /* bytes of a parameter's name and of a key */
    ENT_MODEL_FILE_MAX_TEXT = 32767, /* bytes of any other text */
    ENT_MODEL_FILE_MAX_CUSTOM = 4096 /* custom entries */
};

typedef enum {
    ENT_MODEL_FILE_TEXT,
    ENT_MODEL_FILE_INTEGER,
    ENT_MODEL_FILE_FLOATING,
    ENT_MODEL_FILE_BOOL
} ent_model_file_kind;

/* A custom entry of the metadata: a key, not empty, and what `kind` says. Texts are UTF-8, floating numbers finite. */
typedef struct ent_model_file_entry {
    const char *key;
    ent_model_file_kind kind;
    union {
        const char *text;
        int64_t integer;
        double floating;
        bool boolean;
    } value;
} ent_model_file_entry;

/* A parameter: a name in UTF-8 without '/', not "." and not "__metadata__"; 1 to 4 dimensions, none of them 0; the
 * product of them floats, row-major. */
typedef struct ent_model_file_param {
    const char *name;
    size_t n_dims, shape[ENT_MODEL_FILE_MAX_DIMS];
    bool requires_grad;
    const float *data;
} ent_model_file_param;

/* A model; what it points at is the caller's when saving, and the model's own when it was loaded. Keys are unique, and
 * so are names. */
typedef struct ent_model_file {
    const char *name, *architecture, *version; /* not NULL; may be empty */
    const ent_model_file_entry *custom;
    size_t n_custom;
    const ent_model_file_param *params;
    size_t n_params;
} ent_model_file;

/* Writes a model as the file `path`, whole or not at all. ENT_EUNSUPPORTED for another ending, or numbers that the
 * format can't hold; ENT_EINVAL for a model that isn't as described above; ENT_EIO. */
ent_status ent_model_save(const char *path, const ent_model_file *model);

/* Reads a model; *out is to be freed with ent_model_file_free, and is NULL after a failure. Everything described above
 * is checked, nothing is guessed or left out: ENT_EFORMAT "PATH: parameters[1].shape: expected ..., found ...".
 * ENT_EUNSUPPORTED for another ending; ENT_EIO. */
ent_status ent_model_load(ent_model_file **out, const char *path);

/* Frees a model that was loaded. NULL is allowed. */
void ent_model_file_free(ent_model_file *model);

#endif
