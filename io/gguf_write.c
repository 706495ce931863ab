/* Writing GGUF files: see io/gguf.h. */
#include <stdlib.h>
#include <string.h>

#include "io/gguf.h"
#include "io/text.h"
#include "src/base/mem.h"

struct ent_gguf_writer {
    ent_text pairs, tensors; /* as they stand in the file */
    size_t *bytes;           /* of each tensor's data */
    size_t n_pairs, n_tensors, capacity;
    size_t end; /* of the data so far, padded */
};

ent_status ent_gguf_writer_new(ent_gguf_writer **out)
{
    return ent_calloc(out, 1, sizeof **out, "a GGUF file");
}

void ent_gguf_writer_free(ent_gguf_writer *w)
{
    if (w == NULL)
        return;
    free(w->pairs.data);
    free(w->tensors.data);
    free(w->bytes);
    free(w);
}

static void put_u32(ent_text *to, uint32_t value)
{
    ent_text_put_n(to, (const char *)&value, sizeof value);
}

static void put_u64(ent_text *to, uint64_t value)
{
    ent_text_put_n(to, (const char *)&value, sizeof value);
}

static void put_text(ent_text *to, const char *text)
{
    put_u64(to, strlen(text));
    ent_text_put(to, text);
}

static void put_key(ent_gguf_writer *w, const char *key, ent_gguf_type type)
{
    w->n_pairs++;
    put_text(&w->pairs, key);
    put_u32(&w->pairs, (uint32_t)type);
}

void ent_gguf_put_u32(ent_gguf_writer *w, const char *key, uint32_t value)
{
    put_key(w, key, ENT_GGUF_U32);
    put_u32(&w->pairs, value);
}

void ent_gguf_put_f32(ent_gguf_writer *w, const char *key, float value)
{
    put_key(w, key, ENT_GGUF_F32);
    ent_text_put_n(&w->pairs, (const char *)&value, sizeof value);
}

void ent_gguf_put_bool(ent_gguf_writer *w, const char *key, bool value)
{
    put_key(w, key, ENT_GGUF_BOOL);
    ent_text_put_n(&w->pairs, value ? "\1" : "\0", 1);
}

void ent_gguf_put_text(ent_gguf_writer *w, const char *key, const char *text)
{
    put_key(w, key, ENT_GGUF_TEXT);
    put_text(&w->pairs, text);
}

void ent_gguf_put_array(ent_gguf_writer *w, const char *key, ent_gguf_type type, uint64_t count, const void *elements)
{
    put_key(w, key, ENT_GGUF_ARRAY);
    put_u32(&w->pairs, (uint32_t)type);
    put_u64(&w->pairs, count);
    if (elements)
        ent_text_put_n(&w->pairs, elements, (size_t)count * ent_gguf_type_size(type));
}

void ent_gguf_put_element(ent_gguf_writer *w, const char *text)
{
    put_text(&w->pairs, text);
}

static size_t padding(size_t n)
{
    return -n & (ENT_GGUF_ALIGNMENT - 1);
}

ent_status ent_gguf_add_tensor(ent_gguf_writer *w, const char *name, const ent_block_format *format, size_t n_dims,
                               const size_t *shape)
{
    size_t bytes;
    if (strlen(name) > ENT_GGUF_MAX_NAME)
        return ent_fail(ENT_EINVAL, "%s: a name of %zu bytes, GGUF has at most %d", name, strlen(name),
                        ENT_GGUF_MAX_NAME);
    ENT_TRY(ent_gguf_bytes(&bytes, format, n_dims, shape));
    ENT_TRY(ent_grow(&w->bytes, &w->capacity, w->n_tensors + 1, sizeof *w->bytes, "tensors"));
    w->bytes[w->n_tensors++] = bytes;
    put_text(&w->tensors, name);
    put_u32(&w->tensors, (uint32_t)n_dims);
    for (size_t i = n_dims; i-- > 0;)
        put_u64(&w->tensors, shape[i]);
    put_u32(&w->tensors, format ? format->ggml_type : 0);
    put_u64(&w->tensors, w->end);
    w->end += bytes + padding(bytes);
    return ENT_OK;
}

static ent_status put_zeros(ent_streamed_file *to, size_t n)
{
    static const char zeros[ENT_GGUF_ALIGNMENT] = {0};
    return ent_streamed_put(to, zeros, n);
}

static ent_status put_all(ent_streamed_file *to, const ent_gguf_writer *w, ent_gguf_source *source, void *context)
{
    const uint32_t version = ENT_GGUF_VERSION;
    const uint64_t counts[] = {w->n_tensors, w->n_pairs};
    if (w->pairs.failed || w->tensors.failed)
        return ent_fail(ENT_ENOMEM, "out of memory: the head of a GGUF file");
    ENT_TRY(ent_streamed_put(to, "GGUF", 4));
    ENT_TRY(ent_streamed_put(to, &version, sizeof version));
    ENT_TRY(ent_streamed_put(to, counts, sizeof counts));
    ENT_TRY(ent_streamed_put(to, w->pairs.data, w->pairs.n));
    ENT_TRY(ent_streamed_put(to, w->tensors.data, w->tensors.n));
    if (w->n_tensors)
        ENT_TRY(put_zeros(to, padding((size_t)to->bytes)));
    for (size_t i = 0; i < w->n_tensors; i++) {
        const uint64_t begin = to->bytes;
        ENT_TRY(source(to, context, i));
        if (to->bytes - begin != w->bytes[i])
            return ent_fail(ENT_EINVAL, "%s: tensor %zu: expected %zu bytes, got %llu", to->path, i, w->bytes[i],
                            (unsigned long long)(to->bytes - begin));
        ENT_TRY(put_zeros(to, padding(w->bytes[i])));
    }
    return ENT_OK;
}

ent_status ent_gguf_write(ent_gguf_written *out, const char *path, const ent_gguf_writer *w, ent_gguf_source *source,
                          void *context, ent_atomic_verify *verify, void *verify_context)
{
    ent_streamed_file to;
    ENT_TRY(ent_streamed_begin(&to, path));
    ent_status st = put_all(&to, w, source, context);
    if (st != ENT_OK) {
        ent_streamed_discard(&to);
        return st;
    }
    st = ent_streamed_commit(&to, verify, verify_context);
    memcpy(out->digest, to.digest, sizeof out->digest);
    out->bytes = to.bytes;
    return st;
}
