#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "io/atomic_file.h"
#include "io/safetensors_header.h"
#include "src/base/mem.h"

enum { LENGTH_BYTES = 8, ALIGNMENT = 8 }; /* of the data in the file */

/* Wider types first, so that each tensor is aligned to its type whatever the ones before it hold; then by name. */
static int by_type_and_name(const void *a, const void *b)
{
    const ent_st_tensor *x = *(const ent_st_tensor *const *)a, *y = *(const ent_st_tensor *const *)b;
    const size_t n = ent_dtype_size(x->dtype), m = ent_dtype_size(y->dtype);
    return n != m ? (n > m ? -1 : 1) : strcmp(x->name, y->name);
}

const char *ent_st_written_type(const ent_st_tensor *t)
{
    return t->dtype == ENT_DTYPE_I8 && t->type == ENT_ST_U8 ? "U8" : ent_dtype_name(t->dtype);
}

size_t ent_st_data_bytes(const ent_st_tensor *t)
{
    size_t bytes = ent_dtype_size(t->dtype);
    for (size_t d = 0; d < t->n_dims; d++)
        bytes *= t->shape[d];
    return bytes;
}

/* *out = the header's text (caller frees). */
static ent_status make_header(char **out, const ent_st_tensor *const *sorted, size_t count, const ent_st_pair *metadata,
                              size_t n_metadata)
{
    size_t end = 0;
    ent_json *root = ent_json_new_object();
    ent_json *pairs = ent_json_add_object(root, "__metadata__");
    ent_json_add_string(pairs, "format", "pt");
    for (size_t i = 0; i < n_metadata; i++)
        ent_json_add_string(pairs, metadata[i].key, metadata[i].value);
    for (size_t i = 0; i < count; i++) {
        const ent_st_tensor *t = sorted[i];
        ent_json *entry = ent_json_add_object(root, t->name);
        assert(t->n_dims <= ENT_SAFETENSORS_MAX_DIMS);
        ent_json_add_string(entry, "dtype", ent_st_written_type(t));
        ent_json *shape = ent_json_add_array(entry, "shape");
        for (size_t d = 0; d < t->n_dims; d++)
            ent_json_add_int(shape, NULL, (int64_t)t->shape[d]);
        ent_json *offsets = ent_json_add_array(entry, "data_offsets");
        ent_json_add_int(offsets, NULL, (int64_t)end);
        end += ent_st_data_bytes(t);
        ent_json_add_int(offsets, NULL, (int64_t)end);
    }
    const ent_status st = ent_json_print(out, root, false);
    ent_json_free(root);
    return st;
}

ent_status ent_st_make_start(char **start, size_t *n, const ent_st_tensor **tensors, size_t count,
                             const ent_st_pair *metadata, size_t n_metadata)
{
    char *text = NULL;
    ent_status st;
    qsort(tensors, count, sizeof *tensors, by_type_and_name);
    ENT_GO(make_header(&text, tensors, count, metadata, n_metadata));
    const size_t used = strlen(text), length = (used + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    ENT_GO(ent_calloc(start, LENGTH_BYTES + length, 1, "a header"));
    for (size_t i = 0; i < LENGTH_BYTES; i++)
        (*start)[i] = (char)(length >> (8 * i));
    memset(*start + LENGTH_BYTES, ' ', length);
    memcpy(*start + LENGTH_BYTES, text, used);
    *n = LENGTH_BYTES + length;
done:
    free(text);
    return st;
}

ent_status ent_safetensors_write_with(const char *path, const ent_st_tensor *tensors, size_t count,
                                      const ent_st_pair *metadata, size_t n_metadata)
{
    const ent_st_tensor **sorted = NULL;
    ent_atomic_part *parts = NULL;
    char *start = NULL;
    size_t n;
    ent_status st;
    ENT_GO(ent_calloc(&sorted, count, sizeof *sorted, path));
    ENT_GO(ent_calloc(&parts, count + 2, sizeof *parts, path));
    for (size_t i = 0; i < count; i++)
        sorted[i] = &tensors[i];
    ENT_GO(ent_st_make_start(&start, &n, sorted, count, metadata, n_metadata));
    parts[0] = (ent_atomic_part){start, LENGTH_BYTES};
    parts[1] = (ent_atomic_part){start + LENGTH_BYTES, n - LENGTH_BYTES};
    for (size_t i = 0; i < count; i++)
        parts[i + 2] = (ent_atomic_part){sorted[i]->data, ent_st_data_bytes(sorted[i])};
    ENT_GO(ent_atomic_write_parts(path, parts, count + 2));
done:
    free(start);
    free(parts);
    free(sorted);
    return st;
}

ent_status ent_safetensors_write(const char *path, const ent_st_tensor *tensors, size_t count)
{
    return ent_safetensors_write_with(path, tensors, count, NULL, 0);
}
