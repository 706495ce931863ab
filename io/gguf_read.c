/* What a mapped GGUF file says of itself, checked: see io/gguf.h. */
#include <stdlib.h>
#include <string.h>

#include "io/gguf_parts.h"
#include "src/base/mem.h"

enum {
    PAIR = 8 + 1 + 4 + 1,          /* the smallest pair: a key of one byte and a value of one */
    TENSOR = 8 + 1 + 4 + 8 + 4 + 8 /* the smallest tensor's place: a name of one byte, one dimension */
};

/* What is left to be read. */
typedef struct cursor {
    const ent_gguf *file;
    const unsigned char *at;
    size_t left;
} cursor;

/* *out = n bytes. */
static ent_status take(const unsigned char **out, cursor *c, uint64_t n, const char *what)
{
    *out = c->at;
    if (n > c->left)
        return ent_fail(ENT_EFORMAT, "%s: byte %zu: %s of %llu bytes, the file has %zu more", c->file->path,
                        (size_t)(c->at - c->file->data), what, (unsigned long long)n, c->left);
    c->at += n;
    c->left -= (size_t)n;
    return ENT_OK;
}

static ent_status take_u32(uint32_t *out, cursor *c, const char *what)
{
    const unsigned char *at;
    ENT_TRY(take(&at, c, sizeof *out, what));
    memcpy(out, at, sizeof *out);
    return ENT_OK;
}

static ent_status take_u64(uint64_t *out, cursor *c, const char *what)
{
    const unsigned char *at;
    ENT_TRY(take(&at, c, sizeof *out, what));
    memcpy(out, at, sizeof *out);
    return ENT_OK;
}

static ent_status take_text(ent_gguf_text *out, cursor *c, const char *what)
{
    const unsigned char *at;
    uint64_t n;
    ENT_TRY(take_u64(&n, c, what));
    ENT_TRY(take(&at, c, n, what));
    *out = (ent_gguf_text){(const char *)at, (size_t)n};
    return ENT_OK;
}

/* A key or a name: it may stand in a message, and in a string of C. */
static ent_status take_name(ent_gguf_text *out, cursor *c, const char *what, size_t most)
{
    const size_t start = (size_t)(c->at - c->file->data);
    ENT_TRY(take_text(out, c, what));
    bool good = out->n > 0 && out->n <= most;
    for (size_t i = 0; good && i < out->n; i++)
        good = out->data[i] > ' ' && out->data[i] <= '~';
    if (!good)
        return ent_fail(ENT_EFORMAT, "%s: byte %zu: %s: expected 1 to %zu visible characters of ASCII", c->file->path,
                        start, what, most);
    return ENT_OK;
}

static ent_status bad_pair(const cursor *c, const ent_gguf_pair *p, const char *what)
{
    return ent_fail(ENT_EFORMAT, "%s: %.*s: %s", c->file->path, (int)(p->key.n < 200 ? p->key.n : 200), p->key.data,
                    what);
}

/* The elements of a value, each within the file. */
static ent_status take_elements(ent_gguf_pair *p, cursor *c)
{
    const size_t size = ent_gguf_type_size(p->type);
    uint64_t bytes;
    ent_gguf_text text;
    if (size == 0) {
        p->data = c->at;
        if (p->count > c->left / sizeof(uint64_t))
            return bad_pair(c, p, "more texts than the file has bytes for");
        for (uint64_t i = 0; i < p->count; i++)
            ENT_TRY(take_text(&text, c, "a text"));
        return ENT_OK;
    }
    if (__builtin_mul_overflow(p->count, size, &bytes))
        return bad_pair(c, p, "more elements than the file has bytes for");
    ENT_TRY(take(&p->data, c, bytes, "a value"));
    for (uint64_t i = 0; p->type == ENT_GGUF_BOOL && i < p->count; i++)
        if (p->data[i] > 1)
            return bad_pair(c, p, "expected 0 or 1 for a truth value");
    return ENT_OK;
}

static ent_status read_pair(ent_gguf_pair *p, cursor *c)
{
    uint32_t type;
    ENT_TRY(take_name(&p->key, c, "a key", UINT16_MAX));
    ENT_TRY(take_u32(&type, c, "a type"));
    p->is_array = type == ENT_GGUF_ARRAY;
    p->count = 1;
    if (p->is_array) {
        ENT_TRY(take_u32(&type, c, "a type"));
        ENT_TRY(take_u64(&p->count, c, "a number of elements"));
    }
    if (type == ENT_GGUF_ARRAY)
        return ent_fail(ENT_EUNSUPPORTED, "%s: %.*s: arrays of arrays are not supported", c->file->path,
                        (int)(p->key.n < 200 ? p->key.n : 200), p->key.data);
    if (type >= ENT_GGUF_TYPES)
        return bad_pair(c, p, "its type is none of version 3");
    p->type = (ent_gguf_type)type;
    return take_elements(p, c);
}

/* The name goes to `names`, which has room. */
static ent_status read_tensor(ent_gguf_tensor *t, uint64_t *offset, char **names, cursor *c)
{
    const char *path = c->file->path;
    ent_gguf_text name;
    uint32_t n_dims;
    ENT_TRY(take_name(&name, c, "a tensor's name", ENT_GGUF_MAX_NAME));
    memcpy(*names, name.data, name.n);
    (*names)[name.n] = '\0';
    t->name = *names;
    *names += name.n + 1;
    ENT_TRY(take_u32(&n_dims, c, "a number of dimensions"));
    if (n_dims < 1 || n_dims > ENT_GGUF_MAX_DIMS)
        return ent_fail(ENT_EFORMAT, "%s: %s: expected 1 to %d dimensions, found %u", path, t->name, ENT_GGUF_MAX_DIMS,
                        n_dims);
    t->n_dims = n_dims;
    for (size_t i = n_dims; i-- > 0;) {
        uint64_t size;
        ENT_TRY(take_u64(&size, c, "a dimension"));
        if (size < 1 || size > INT64_MAX)
            return ent_fail(ENT_EFORMAT, "%s: %s: expected dimensions from 1 to 2^63 - 1, found %llu", path, t->name,
                            (unsigned long long)size);
        t->shape[i] = (size_t)size;
    }
    ENT_TRY(take_u32(&t->ggml_type, c, "a type"));
    t->format = ent_block_format_by_type(t->ggml_type);
    if (t->format == NULL && t->ggml_type != 0)
        return ent_fail(ENT_EUNSUPPORTED,
                        "%s: %s: ggml's type %u is not supported, only F32, F16, BF16, Q8_0, Q4_0, "
                        "Q4_1 and Q5_0",
                        path, t->name, t->ggml_type);
    if (ent_gguf_bytes(&t->bytes, t->format, t->n_dims, t->shape) != ENT_OK)
        return ent_fail(ENT_EFORMAT, "%s: %s: %zu columns aren't whole blocks, or it is larger than any file", path,
                        t->name, t->shape[t->n_dims - 1]);
    return take_u64(offset, c, "an offset");
}

static size_t padding(size_t n)
{
    return -n & (ENT_GGUF_ALIGNMENT - 1);
}

static ent_status check_alignment(const ent_gguf *file)
{
    static const char key[] = "general.alignment";
    size_t alignment = ENT_GGUF_ALIGNMENT;
    if (ent_gguf_pair_find(file, key))
        ENT_TRY(ent_gguf_get_size(&alignment, file, key));
    if (alignment != ENT_GGUF_ALIGNMENT)
        return ent_fail(ENT_EUNSUPPORTED, "%s: %s: only %d is supported, found %zu", file->path, key,
                        ENT_GGUF_ALIGNMENT, alignment);
    return ENT_OK;
}

static int by_key(const void *a, const void *b)
{
    const ent_gguf_text x = (*(const ent_gguf_pair *const *)a)->key, y = (*(const ent_gguf_pair *const *)b)->key;
    const int order = memcmp(x.data, y.data, x.n < y.n ? x.n : y.n);
    return order ? order : (x.n > y.n) - (x.n < y.n);
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const ent_gguf_tensor *const *)a)->name, (*(const ent_gguf_tensor *const *)b)->name);
}

static ent_status read_pairs(ent_gguf *file, cursor *c)
{
    ent_status st;
    const ent_gguf_pair **sorted = NULL;
    ENT_GO(ent_calloc(&file->pairs, file->n_pairs, sizeof *file->pairs, "pairs"));
    ENT_GO(ent_calloc(&sorted, file->n_pairs, sizeof *sorted, "pairs"));
    for (size_t i = 0; i < file->n_pairs; i++) {
        ENT_GO(read_pair(&file->pairs[i], c));
        sorted[i] = &file->pairs[i];
    }
    if (file->n_pairs)
        qsort(sorted, file->n_pairs, sizeof *sorted, by_key);
    for (size_t i = 1; i < file->n_pairs; i++)
        if (by_key(&sorted[i - 1], &sorted[i]) == 0)
            ENT_GO(bad_pair(c, sorted[i], "stands twice"));
done:
    free(sorted);
    return st;
}

/* The data of each tensor is where the one before it ends, and the last one ends where the file does, give or take the
 * padding. */
static ent_status place(ent_gguf *file, const uint64_t *offsets, cursor *c)
{
    const unsigned char *skipped;
    ENT_TRY(check_alignment(file));
    const size_t before = padding((size_t)(c->at - file->data));
    ENT_TRY(take(&skipped, c, file->n_tensors == 0 && c->left < before ? c->left : before, "padding"));
    const size_t room = c->left;
    for (size_t i = 0; i < file->n_tensors; i++) {
        ent_gguf_tensor *t = &file->tensors[i];
        if (offsets[i] != room - c->left)
            return ent_fail(ENT_EFORMAT, "%s: %s: expected it at byte %zu of the data, found %llu", file->path, t->name,
                            room - c->left, (unsigned long long)offsets[i]);
        ENT_TRY(take(&t->data, c, t->bytes, t->name));
        const size_t behind = padding(t->bytes);
        const bool last = i + 1 == file->n_tensors;
        ENT_TRY(take(&skipped, c, last && c->left < behind ? c->left : behind, "padding"));
    }
    if (c->left)
        return ent_fail(ENT_EFORMAT, "%s: %zu bytes behind the last tensor", file->path, c->left);
    return ENT_OK;
}

static ent_status read_tensors(ent_gguf *file, cursor *c)
{
    ent_status st;
    uint64_t *offsets = NULL;
    ENT_GO(ent_calloc(&file->tensors, file->n_tensors, sizeof *file->tensors, "tensors"));
    ENT_GO(ent_calloc(&file->tensors_by_name, file->n_tensors, sizeof *file->tensors_by_name, "tensors"));
    ENT_GO(ent_calloc(&file->names, file->n_tensors, ENT_GGUF_MAX_NAME + 1, "names"));
    ENT_GO(ent_calloc(&offsets, file->n_tensors, sizeof *offsets, "offsets"));
    char *names = file->names;
    for (size_t i = 0; i < file->n_tensors; i++) {
        ENT_GO(read_tensor(&file->tensors[i], &offsets[i], &names, c));
        file->tensors_by_name[i] = &file->tensors[i];
    }
    if (file->n_tensors)
        qsort(file->tensors_by_name, file->n_tensors, sizeof *file->tensors_by_name, by_name);
    for (size_t i = 1; i < file->n_tensors; i++)
        if (by_name(&file->tensors_by_name[i - 1], &file->tensors_by_name[i]) == 0)
            ENT_GO(ent_fail(ENT_EFORMAT, "%s: %s: stands twice", file->path, file->tensors_by_name[i]->name));
    ENT_GO(place(file, offsets, c));
done:
    free(offsets);
    return st;
}

/* How many pairs or tensors follow: at least `size` bytes each. */
static ent_status take_count(size_t *out, cursor *c, size_t size, const char *what)
{
    uint64_t count;
    ENT_TRY(take_u64(&count, c, what));
    if (count > c->left / size)
        return ent_fail(ENT_EFORMAT, "%s: says it has %llu %s, which are more than fit into its %zu bytes",
                        c->file->path, (unsigned long long)count, what, c->file->size);
    *out = (size_t)count;
    return ENT_OK;
}

ent_status ent_gguf_read(ent_gguf *file)
{
    cursor c = {file, file->data, file->size};
    const unsigned char *magic;
    uint32_t version;
    ENT_TRY(take(&magic, &c, 4, "the mark"));
    if (memcmp(magic, "GGUF", 4) != 0)
        return ent_fail(ENT_EFORMAT, "%s: expected a GGUF file, which begins with \"GGUF\"", file->path);
    ENT_TRY(take_u32(&version, &c, "the version"));
    if (version != ENT_GGUF_VERSION) /* of big-endian files it is 3 << 24 */
        return ent_fail(ENT_EUNSUPPORTED, "%s: version %u is not supported, only %d", file->path, version,
                        ENT_GGUF_VERSION);
    ENT_TRY(take_count(&file->n_tensors, &c, TENSOR, "tensors"));
    ENT_TRY(take_count(&file->n_pairs, &c, PAIR, "pairs"));
    ENT_TRY(read_pairs(file, &c));
    return read_tensors(file, &c);
}
