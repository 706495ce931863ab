#include "io/safetensors_header.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"

#define MAX_HEADER (UINT64_C(100) << 20)
#define MAX_INTEGER 9007199254740991.0 /* larger ones are not exact in JSON */

enum { LENGTH_BYTES = 8 };

static ent_status read_dtype(ent_st_tensor *t, const char *path, const ent_json *json, bool any)
{
    const char *text = ent_json_string(json);
    if (text == NULL)
        return ent_fail(ENT_EFORMAT, "%s: %s: dtype: expected a string", path, t->name);
    const bool known = ent_st_type_find(&t->type, text);
    if (known && (ent_st_type_dtype(&t->dtype, t->type) || any))
        return ENT_OK;
    return ent_fail(ENT_EUNSUPPORTED, "%s: %s: expected dtype F32, BF16, F16 or F64%s, found %.40s", path, t->name,
                    any ? " or another of whole bytes" : "", text);
}

/* A list of at most `max` whole numbers. */
static ent_status read_sizes(size_t *out, size_t *n, size_t max, const char *path, const char *name, const char *key,
                             const ent_json *json)
{
    *n = 0;
    if (!ent_json_is_array(json))
        return ent_fail(ENT_EFORMAT, "%s: %s: %s: expected a list", path, name, key);
    for (const ent_json *item = ent_json_first(json); item; item = ent_json_next(item)) {
        const double x = ent_json_number(item);
        if (!(x >= 0 && x <= MAX_INTEGER && x == floor(x)))
            return ent_fail(ENT_EFORMAT, "%s: %s: %s: expected whole numbers from 0 to 2^53 - 1", path, name, key);
        if (*n == max)
            return ent_fail(ENT_EUNSUPPORTED, "%s: %s: %s: expected at most %zu numbers, found %zu", path, name, key,
                            max, ent_json_count(json));
        out[(*n)++] = (size_t)x;
    }
    return ENT_OK;
}

/* Exactly dtype, shape and data_offsets, each once. */
static ent_status read_entry(ent_st_entry *out, const char *path, const ent_json *json, bool any)
{
    ent_st_tensor *t = &out->tensor;
    const char *name = t->name = ent_json_key(json);
    const ent_json *dtype = NULL, *shape = NULL, *offsets = NULL;
    size_t n;
    t->file = path;
    if (!ent_json_is_object(json))
        return ent_fail(ENT_EFORMAT, "%s: %s: expected an object", path, name);
    for (const ent_json *item = ent_json_first(json); item; item = ent_json_next(item)) {
        const char *key = ent_json_key(item);
        const ent_json **slot = strcmp(key, "dtype") == 0          ? &dtype
                                : strcmp(key, "shape") == 0        ? &shape
                                : strcmp(key, "data_offsets") == 0 ? &offsets
                                                                   : NULL;
        if (slot == NULL || *slot)
            return ent_fail(ENT_EFORMAT, "%s: %s: expected dtype, shape and data_offsets once, found %s%.40s", path,
                            name, slot ? "another " : "", key);
        *slot = item;
    }
    if (!dtype || !shape || !offsets)
        return ent_fail(ENT_EFORMAT, "%s: %s: expected dtype, shape and data_offsets, found no %s", path, name,
                        !dtype ? "dtype" : (!shape ? "shape" : "data_offsets"));
    ENT_TRY(read_dtype(t, path, dtype, any));
    ENT_TRY(read_sizes(t->shape, &t->n_dims, ENT_SAFETENSORS_MAX_DIMS, path, name, "shape", shape));
    size_t range[2];
    ENT_TRY(read_sizes(range, &n, 2, path, name, "data_offsets", offsets));
    if (n != 2 || range[0] > range[1])
        return ent_fail(ENT_EFORMAT, "%s: %s: data_offsets: expected two numbers, the first not above the second", path,
                        name);
    out->begin = range[0];
    out->end = range[1];
    t->bytes = ent_st_type_size(t->type);
    bool overflow = false, empty = false;
    for (size_t i = 0; i < t->n_dims; i++) {
        empty = empty || t->shape[i] == 0;
        overflow = __builtin_mul_overflow(t->bytes, t->shape[i], &t->bytes) || overflow;
    }
    t->bytes = empty ? 0 : t->bytes;
    if (overflow && !empty)
        return ent_fail(ENT_EFORMAT, "%s: %s: the shape has more than 2^64 bytes", path, name);
    if (out->end - out->begin != t->bytes)
        return ent_fail(ENT_EFORMAT, "%s: %s: the shape takes %zu bytes, data_offsets %zu", path, name, t->bytes,
                        out->end - out->begin);
    return ENT_OK;
}

static int by_place(const void *a, const void *b)
{
    const ent_st_entry *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    if (x->end != y->end)
        return x->end < y->end ? -1 : 1;
    return strcmp(x->tensor.name, y->tensor.name);
}

/* The tensors fill the data of the file one after another, without a gap. */
static ent_status check_places(const ent_st_entry *entries, size_t count, const char *path, size_t start, size_t size)
{
    size_t end = 0;
    for (size_t i = 0; i < count; i++) {
        const ent_st_entry *e = &entries[i];
        if (e->end > size - start)
            return ent_fail(ENT_EFORMAT, "%s: %s: data ends at byte %zu, file has %zu", path, e->tensor.name,
                            start + e->end, size);
        if (e->begin != end)
            return ent_fail(ENT_EFORMAT, "%s: %s: expected data from byte %zu, data_offsets begin at %zu (%s)", path,
                            e->tensor.name, end, e->begin, e->begin < end ? "an overlap" : "a gap");
        end = e->end;
    }
    if (end != size - start)
        return ent_fail(ENT_EFORMAT, "%s: the tensors end at byte %zu, file has %zu", path, start + end, size);
    return ENT_OK;
}

static ent_status read_header_length(size_t *out, const char *path, const unsigned char *data, size_t size)
{
    uint64_t length = 0;
    if (size < LENGTH_BYTES)
        return ent_fail(ENT_EFORMAT, "%s: expected a safetensors file, found %zu bytes", path, size);
    for (int i = LENGTH_BYTES - 1; i >= 0; i--)
        length = length << 8 | data[i];
    if (length > size - LENGTH_BYTES)
        return ent_fail(ENT_EFORMAT, "%s: header length %llu, file has %zu bytes", path, (unsigned long long)length,
                        size);
    if (length > MAX_HEADER)
        return ent_fail(ENT_EFORMAT, "%s: header length %llu, expected at most %llu", path, (unsigned long long)length,
                        (unsigned long long)MAX_HEADER);
    *out = (size_t)length;
    return ENT_OK;
}

static ent_status check_metadata(const ent_json *metadata, const char *path)
{
    bool good = ent_json_is_object(metadata);
    for (const ent_json *item = ent_json_first(metadata); item && good; item = ent_json_next(item))
        good = ent_json_is_string(item);
    return good ? ENT_OK : ent_fail(ENT_EFORMAT, "%s: __metadata__: expected an object of strings", path);
}

ent_status ent_st_read_header(ent_st_entry **entries, size_t *count, ent_json **header, const char *path,
                              const unsigned char *data, size_t size, bool any)
{
    ent_json *json = NULL;
    ent_st_entry *list = NULL;
    size_t length = 0, n = 0;
    ent_status st;
    ENT_TRY(read_header_length(&length, path, data, size));
    ENT_GO(ent_json_parse(&json, (const char *)data + LENGTH_BYTES, length, path));
    if (!ent_json_is_object(json)) {
        st = ent_fail(ENT_EFORMAT, "%s: expected an object as header", path);
        goto done;
    }
    ENT_GO(ent_calloc(&list, ent_json_count(json), sizeof *list, "the tensors of a file"));
    bool has_metadata = false;
    for (const ent_json *item = ent_json_first(json); item; item = ent_json_next(item)) {
        if (strcmp(ent_json_key(item), "__metadata__") == 0 && !has_metadata) {
            has_metadata = true;
            ENT_GO(check_metadata(item, path));
        } else {
            ENT_GO(read_entry(&list[n], path, item, any));
            n++;
        }
    }
    qsort(list, n, sizeof *list, by_place);
    const size_t start = LENGTH_BYTES + length;
    ENT_GO(check_places(list, n, path, start, size));
    for (size_t i = 0; i < n; i++)
        list[i].tensor.data = data + start + list[i].begin;
    *entries = list;
    *count = n;
    *header = json;
    return ENT_OK;
done:
    free(list);
    ent_json_free(json);
    return st;
}
