#include "io/gguf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/gguf_parts.h"
#include "src/base/mem.h"

size_t ent_gguf_type_size(ent_gguf_type type)
{
    static const size_t sizes[ENT_GGUF_TYPES] = {
        [ENT_GGUF_U8] = 1,  [ENT_GGUF_I8] = 1,  [ENT_GGUF_U16] = 2, [ENT_GGUF_I16] = 2,
        [ENT_GGUF_U32] = 4, [ENT_GGUF_I32] = 4, [ENT_GGUF_F32] = 4, [ENT_GGUF_BOOL] = 1,
        [ENT_GGUF_U64] = 8, [ENT_GGUF_I64] = 8, [ENT_GGUF_F64] = 8,
    };
    return sizes[type];
}

ent_status ent_gguf_bytes(size_t *out, const ent_block_format *format, size_t n_dims, const size_t *shape)
{
    *out = shape[n_dims - 1];
    if (format)
        ENT_TRY(ent_block_row_bytes(out, format, *out));
    else if (__builtin_mul_overflow(*out, sizeof(float), out))
        return ent_fail(ENT_EINVAL, "a row is too large for this machine");
    for (size_t i = 0; i + 1 < n_dims; i++)
        if (__builtin_mul_overflow(*out, shape[i], out))
            return ent_fail(ENT_EINVAL, "a tensor is too large for this machine");
    return ENT_OK;
}

void ent_gguf_close(ent_gguf *file)
{
    if (file == NULL)
        return;
    if (file->data)
        munmap(file->data, file->size);
    free(file->tensors_by_name);
    free(file->names);
    free(file->pairs);
    free(file->tensors);
    free(file->path);
    free(file);
}

static ent_status map(ent_gguf *file)
{
    struct stat status;
    ent_status st = ENT_OK;
    const int fd = open(file->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return ent_fail(ENT_EIO, "%s: %s", file->path, strerror(errno));
    if (fstat(fd, &status) != 0) {
        st = ent_fail(ENT_EIO, "%s: %s", file->path, strerror(errno));
    } else if (!S_ISREG(status.st_mode)) {
        st = ent_fail(ENT_EIO, "%s: expected a file, found something else", file->path);
    } else if (status.st_size == 0) {
        st = ent_fail(ENT_EFORMAT, "%s: expected a GGUF file, found 0 bytes", file->path);
    } else {
        void *data = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, fd, 0);
        if (data == MAP_FAILED)
            st = ent_fail(ENT_EIO, "%s: %s", file->path, strerror(errno));
        else
            file->data = data;
        file->size = (size_t)status.st_size;
    }
    close(fd);
    return st;
}

ent_status ent_gguf_open(ent_gguf **out, const char *path)
{
    ent_gguf *file;
    ent_status st;
    *out = NULL;
    ENT_TRY(ent_calloc(&file, 1, sizeof *file, path));
    ENT_GO(ent_strdup(&file->path, path));
    ENT_GO(map(file));
    ENT_GO(ent_gguf_read(file));
    *out = file;
    return ENT_OK;
done:
    ent_gguf_close(file);
    return st;
}

const char *ent_gguf_path(const ent_gguf *file)
{
    return file->path;
}

void ent_gguf_release(const ent_gguf *file)
{
    madvise(file->data, file->size, MADV_DONTNEED);
}

size_t ent_gguf_count(const ent_gguf *file)
{
    return file->n_tensors;
}

const ent_gguf_tensor *ent_gguf_at(const ent_gguf *file, size_t i)
{
    return &file->tensors[i];
}

const ent_gguf_tensor *ent_gguf_find(const ent_gguf *file, const char *name)
{
    for (size_t low = 0, high = file->n_tensors; low < high;) {
        const size_t middle = low + (high - low) / 2;
        const int order = strcmp(name, file->tensors_by_name[middle]->name);
        if (order == 0)
            return file->tensors_by_name[middle];
        *(order < 0 ? &high : &low) = order < 0 ? middle : middle + 1;
    }
    return NULL;
}

size_t ent_gguf_pairs(const ent_gguf *file)
{
    return file->n_pairs;
}

const ent_gguf_pair *ent_gguf_pair_at(const ent_gguf *file, size_t i)
{
    return &file->pairs[i];
}

const ent_gguf_pair *ent_gguf_pair_find(const ent_gguf *file, const char *key)
{
    for (size_t i = 0; i < file->n_pairs; i++)
        if (ent_gguf_text_is(file->pairs[i].key, key))
            return &file->pairs[i];
    return NULL;
}

ent_gguf_text ent_gguf_next_text(const unsigned char **at)
{
    uint64_t n;
    memcpy(&n, *at, sizeof n);
    const ent_gguf_text text = {(const char *)*at + sizeof n, (size_t)n};
    *at += sizeof n + (size_t)n;
    return text;
}

bool ent_gguf_text_is(ent_gguf_text text, const char *s)
{
    return text.n == strlen(s) && memcmp(text.data, s, text.n) == 0;
}

/* *pair = the value of the key, of this type, which is called so. */
static ent_status get(const ent_gguf_pair **pair, const ent_gguf *file, const char *key, ent_gguf_type type,
                      const char *expected)
{
    const ent_gguf_pair *p = *pair = ent_gguf_pair_find(file, key);
    if (p == NULL || p->is_array || p->type != type)
        return ent_fail(ENT_EFORMAT, "%s: %s: expected %s, found %s", file->path, key, expected,
                        p == NULL     ? "nothing"
                        : p->is_array ? "an array"
                                      : "another type");
    return ENT_OK;
}

ent_status ent_gguf_get_text(ent_gguf_text *out, const ent_gguf *file, const char *key)
{
    const ent_gguf_pair *p;
    ENT_TRY(get(&p, file, key, ENT_GGUF_TEXT, "a text"));
    const unsigned char *at = p->data;
    *out = ent_gguf_next_text(&at);
    return ENT_OK;
}

ent_status ent_gguf_get_size(size_t *out, const ent_gguf *file, const char *key)
{
    const ent_gguf_pair *p;
    uint32_t value;
    ENT_TRY(get(&p, file, key, ENT_GGUF_U32, "a whole number of type U32"));
    memcpy(&value, p->data, sizeof value);
    *out = value;
    return ENT_OK;
}

ent_status ent_gguf_get_number(double *out, const ent_gguf *file, const char *key)
{
    const ent_gguf_pair *p;
    float value;
    ENT_TRY(get(&p, file, key, ENT_GGUF_F32, "a number of type F32"));
    memcpy(&value, p->data, sizeof value);
    *out = (double)value;
    return ENT_OK;
}
