/* GGUF files, which llama.cpp runs: mapped read-only and used in place, and written.
 *
 * The file, all little-endian: "GGUF", the version, how many tensors and pairs; the pairs, each a key and a typed
 * value; of each tensor its name, dimensions (columns first), type and place; then, aligned, the data in the same order
 * (ggml's docs/gguf.md, version 3). A file that is read may be damaged or hostile: every number in it is compared with
 * the file's size before it is used. Values that are arrays of arrays are refused, as ggml does.
 */
#ifndef ENT_IO_GGUF_H
#define ENT_IO_GGUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/streamed_file.h"
#include "src/base/status.h"
#include "src/quant/blocks.h"

enum {
    ENT_GGUF_VERSION = 3,
    ENT_GGUF_ALIGNMENT = 32, /* of a tensor's data: files that say another are not read */
    ENT_GGUF_MAX_DIMS = 4,
    ENT_GGUF_MAX_NAME = 63 /* bytes of a tensor's name: ggml's limit */
};

typedef enum ent_gguf_type {
    ENT_GGUF_U8,
    ENT_GGUF_I8,
    ENT_GGUF_U16,
    ENT_GGUF_I16,
    ENT_GGUF_U32,
    ENT_GGUF_I32,
    ENT_GGUF_F32,
    ENT_GGUF_BOOL,
    ENT_GGUF_TEXT,
    ENT_GGUF_ARRAY,
    ENT_GGUF_U64,
    ENT_GGUF_I64,
    ENT_GGUF_F64,
    ENT_GGUF_TYPES
} ent_gguf_type;

/* --- reading --- */

typedef struct ent_gguf ent_gguf;

typedef struct ent_gguf_text { /* not zero-terminated; a value may hold anything */
    const char *data;
    size_t n;
} ent_gguf_text;

typedef struct ent_gguf_pair {
    ent_gguf_text key;  /* visible ASCII */
    ent_gguf_type type; /* of the value, or of the elements of an array */
    bool is_array;
    uint64_t count;            /* elements; 1 if it is no array */
    const unsigned char *data; /* the first, at any alignment */
} ent_gguf_pair;

typedef struct ent_gguf_tensor {
    const char *name; /* visible ASCII, zero-terminated; each once */
    uint32_t ggml_type;
    const ent_block_format *format;          /* NULL: F32 */
    size_t n_dims, shape[ENT_GGUF_MAX_DIMS]; /* rows first: the last one is the length of a row */
    const unsigned char *data;               /* aligned to 32 */
    size_t bytes;
} ent_gguf_tensor;

/* Maps a file. ENT_EIO; ENT_EFORMAT naming what does not fit; ENT_EUNSUPPORTED for other versions and alignments, and
 * tensors of types other than F32 and those of src/quant/blocks.h. */
ent_status ent_gguf_open(ent_gguf **out, const char *path);
void ent_gguf_close(ent_gguf *file);
const char *ent_gguf_path(const ent_gguf *file);

/* Lets go of the pages that were read; they come back from the file. */
void ent_gguf_release(const ent_gguf *file);

/* Tensors and pairs, as they stand in the file; find: NULL if there is none. */
size_t ent_gguf_count(const ent_gguf *file);
const ent_gguf_tensor *ent_gguf_at(const ent_gguf *file, size_t i);
const ent_gguf_tensor *ent_gguf_find(const ent_gguf *file, const char *name);
size_t ent_gguf_pairs(const ent_gguf *file);
const ent_gguf_pair *ent_gguf_pair_at(const ent_gguf *file, size_t i);
const ent_gguf_pair *ent_gguf_pair_find(const ent_gguf *file, const char *key);

/* The text at *at, which moves behind it: for the elements of an array of texts. */
ent_gguf_text ent_gguf_next_text(const unsigned char **at);
bool ent_gguf_text_is(ent_gguf_text text, const char *s);

/* The value of a key: TEXT, U32, F32. ENT_EFORMAT "PATH: KEY: expected a text, found ..." for one that is missing or of
 * another type. */
ent_status ent_gguf_get_text(ent_gguf_text *out, const ent_gguf *file, const char *key);
ent_status ent_gguf_get_size(size_t *out, const ent_gguf *file, const char *key);
ent_status ent_gguf_get_number(double *out, const ent_gguf *file, const char *key);

/* --- writing --- */

/* Gathers the pairs and the tensors' places; a lack of memory is remembered until ent_gguf_write. Keys come once. */
typedef struct ent_gguf_writer ent_gguf_writer;

ent_status ent_gguf_writer_new(ent_gguf_writer **out);
void ent_gguf_writer_free(ent_gguf_writer *writer);

void ent_gguf_put_u32(ent_gguf_writer *writer, const char *key, uint32_t value);
void ent_gguf_put_f32(ent_gguf_writer *writer, const char *key, float value);
void ent_gguf_put_bool(ent_gguf_writer *writer, const char *key, bool value);
void ent_gguf_put_text(ent_gguf_writer *writer, const char *key, const char *text);

/* An array of `count` elements of a type of fixed size; of TEXT (elements NULL) they follow, one call each. */
void ent_gguf_put_array(ent_gguf_writer *writer, const char *key, ent_gguf_type type, uint64_t count,
                        const void *elements);
void ent_gguf_put_element(ent_gguf_writer *writer, const char *text);

/* The next tensor; format NULL: F32. ENT_EINVAL for a name that is too long, and rows that aren't whole blocks. */
ent_status ent_gguf_add_tensor(ent_gguf_writer *writer, const char *name, const ent_block_format *format, size_t n_dims,
                               const size_t *shape);

/* Puts the bytes of tensor i, all of them, with ent_streamed_put. */
typedef ent_status ent_gguf_source(ent_streamed_file *to, void *context, size_t i);

typedef struct ent_gguf_written {
    char digest[ENT_SHA256_SIZE];
    uint64_t bytes;
} ent_gguf_written;

/* Writes the file by the protocol of io/streamed_file.h; `verify` (may be NULL) sees it under its temporary name. Equal
 * pairs and data give equal files. ENT_EIO; what `source` and `verify` return. */
ent_status ent_gguf_write(ent_gguf_written *out, const char *path, const ent_gguf_writer *writer,
                          ent_gguf_source *source, void *context, ent_atomic_verify *verify, void *verify_context);

/* The bytes of n_dims dimensions of a format (NULL: F32). ENT_EINVAL if that is no number of this machine, or rows
 * aren't whole blocks. */
ent_status ent_gguf_bytes(size_t *out, const ent_block_format *format, size_t n_dims, const size_t *shape);

/* Of a type's value; 0: texts and arrays, which differ. */
size_t ent_gguf_type_size(ent_gguf_type type);

#endif
