#include "io/weights_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/atomic_file.h"
#include "io/digest.h"
#include "src/base/mem.h"
#include "src/base/tiles.h"
#include "src/kernel/kernels.h"
#include "src/quant/int8_choice.h"

static const char MAGIC[8] = "ENTWGHT2";

typedef struct header {
    char magic[8];
    char digest[64];
    uint64_t size;
    char zero[48];
} header;

_Static_assert(sizeof(header) == 128, "tensors begin at 128");

enum { ALIGN = 64, PIECE = 1 << 20 };

struct ent_weights_cache {
    void *data;
    size_t size;
    char *note;
};

static bool is_wanted(const ent_param *p)
{
    const ent_compute compute = p->tensor.compute;
    return !p->trainable && ((compute == ENT_COMPUTE_BF16 && p->tensor.dtype != ENT_DTYPE_BF16) ||
                             (compute == ENT_COMPUTE_INT8 && p->tensor.dtype != ENT_DTYPE_I8));
}

static bool is_int8(const ent_tensor *t)
{
    return t->compute == ENT_COMPUTE_INT8;
}

static size_t aligned(size_t bytes)
{
    return (bytes + ALIGN - 1) / ALIGN * ALIGN;
}

static size_t row_bytes(const ent_tensor *t)
{
    return ent_tensor_columns(t) * (is_int8(t) ? 1 : sizeof(uint16_t));
}

static size_t scales_at(const ent_tensor *t)
{
    return aligned(ent_tensor_rows(t) * row_bytes(t));
}

/* The bytes of a tensor and of the gaps behind numbers and scales. */
static size_t room(const ent_tensor *t)
{
    return scales_at(t) + (is_int8(t) ? aligned(ent_tensor_rows(t) * sizeof(float)) : 0);
}

/* Whether there is one, and what the file begins with. */
static bool plan(header *h, const ent_params *params)
{
    enum { SAMPLE = 4096 };
    char hex[ENT_SHA256_SIZE];
    ent_sha256_sum sum;
    *h = (header){.size = sizeof *h};
    memcpy(h->magic, MAGIC, sizeof MAGIC);
    ent_sha256_begin(&sum);
    for (size_t i = 0; i < params->count; i++) {
        const ent_tensor *t = &params->items[i]->tensor;
        if (!is_wanted(params->items[i]))
            continue;
        char text[300];
        const size_t bytes = ent_tensor_count(t) * ent_dtype_size(t->dtype);
        const size_t sample = bytes < SAMPLE ? bytes : SAMPLE;
        const int n = snprintf(text, sizeof text, "%.200s %s %zu\n", t->name, ent_dtype_name(t->dtype), bytes);
        ent_sha256_add(&sum, text, (size_t)n);
        ent_sha256_add(&sum, (const char *)t->data + (bytes - sample) / 2, sample);
        if (is_int8(t))
            ent_sha256_add(&sum, t->column_factors, ent_tensor_columns(t) * sizeof *t->column_factors);
        else
            ent_sha256_add(&sum, "bf16", 4);
        h->size += room(t);
    }
    ent_sha256_end(hex, &sum);
    memcpy(h->digest, hex, sizeof h->digest);
    return h->size > sizeof *h;
}

/* Rows `first` on of a tensor, converted. */
typedef struct work {
    const ent_tensor *from;
    size_t first;
    char *to;
    float *scales; /* of int8 */
} work;

static void convert_rows(void *context, size_t begin, size_t end)
{
    enum { AT_ONCE = 1024 };
    const work *w = context;
    const size_t columns = ent_tensor_columns(w->from), size = ent_dtype_size(w->from->dtype);
    if (is_int8(w->from)) {
        ent_int8_rows((int8_t *)w->to + begin * columns, w->scales + begin, w->from, w->from->column_factors,
                      w->first + begin, w->first + end);
        return;
    }
    for (size_t i = begin * columns; i < end * columns; i += AT_ONCE) {
        const size_t n = end * columns - i < AT_ONCE ? end * columns - i : AT_ONCE;
        ent_real values[AT_ONCE];
        ent_convert(values, (const char *)w->from->data + (w->first * columns + i) * size, w->from->dtype, n);
        ent_kernels_get()->to_bf16((uint16_t *)w->to + i, values, n);
    }
}

static void convert(const ent_tensor *t, size_t first, size_t rows, char *to, float *scales)
{
    ent_tiles(rows, 4, convert_rows, &(work){t, first, to, scales});
}

/* A tensor is converted a piece at a time: there is never a second copy of the weights in memory. */
typedef struct piece {
    char *data;
    float *scales;
    size_t rows;
} piece;

static ent_status piece_take(piece *p, const ent_tensor *t)
{
    p->rows = row_bytes(t) < PIECE ? PIECE / row_bytes(t) : 1;
    p->rows = p->rows < ent_tensor_rows(t) ? p->rows : ent_tensor_rows(t);
    free(p->data), free(p->scales);
    p->data = NULL, p->scales = NULL;
    ENT_TRY(ent_calloc(&p->data, p->rows, row_bytes(t), "weights to be converted"));
    return ent_calloc(&p->scales, aligned(ent_tensor_rows(t) * sizeof(float)), 1, "weights to be converted");
}

static void piece_free(piece *p)
{
    free(p->data), free(p->scales);
}

/* Whether the tensor at `at` is what the model's would be converted to. */
static ent_status compare(bool *same, const char *at, const ent_tensor *t, piece *p)
{
    const size_t rows = ent_tensor_rows(t), bytes = row_bytes(t);
    ENT_TRY(piece_take(p, t));
    for (size_t i = 0; i < rows && *same; i += p->rows) {
        const size_t n = rows - i < p->rows ? rows - i : p->rows;
        convert(t, i, n, p->data, p->scales + i);
        *same = memcmp(at + i * bytes, p->data, n * bytes) == 0;
    }
    *same = *same && (!is_int8(t) || memcmp(at + scales_at(t), p->scales, rows * sizeof *p->scales) == 0);
    return ENT_OK;
}

/* Every number of the image is the one of the model. */
static bool is_right(const ent_weights_cache *cache, const ent_params *params)
{
    const char *at = (char *)cache->data + sizeof(header);
    piece p = {0};
    bool same = true;
    for (size_t i = 0; i < params->count && same; i++) {
        const ent_tensor *t = &params->items[i]->tensor;
        if (!is_wanted(params->items[i]))
            continue;
        if (compare(&same, at, t, &p) != ENT_OK)
            same = false;
        at += room(t);
    }
    piece_free(&p);
    return same;
}

/* False: the file is not there, or not the one that is wanted. */
static bool map(ent_weights_cache *cache, const char *path, const header *h, const ent_params *params, bool verify)
{
    struct stat info;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && (uint64_t)info.st_size == h->size) {
        cache->data = mmap(NULL, h->size, PROT_READ, MAP_SHARED, fd, 0);
        cache->size = h->size;
        if (cache->data == MAP_FAILED)
            cache->data = NULL;
    }
    close(fd);
    if (cache->data && memcmp(cache->data, h, sizeof *h) == 0 && (!verify || is_right(cache, params)))
        return true;
    if (cache->data)
        munmap(cache->data, cache->size);
    cache->data = NULL;
    return false;
}

static ent_status write_tensor(int fd, const ent_tensor *t, piece *p, const char *path)
{
    static const char zeros[ALIGN];
    const size_t rows = ent_tensor_rows(t), bytes = row_bytes(t);
    ENT_TRY(piece_take(p, t));
    for (size_t i = 0; i < rows; i += p->rows) {
        const size_t n = rows - i < p->rows ? rows - i : p->rows;
        convert(t, i, n, p->data, p->scales + i);
        ENT_TRY(ent_write_all(fd, path, p->data, n * bytes));
    }
    ENT_TRY(ent_write_all(fd, path, zeros, scales_at(t) - rows * bytes));
    return ent_write_all(fd, path, p->scales, room(t) - scales_at(t));
}

static ent_status write_all(const ent_atomic_file *file, const header *h, const ent_params *params)
{
    ent_status st;
    piece p = {0};
    const int fd = open(file->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        return ent_fail(ENT_EIO, "%s: %s", file->path, strerror(errno));
    ENT_GO(ent_write_all(fd, file->path, h, sizeof *h));
    for (size_t i = 0; i < params->count; i++)
        if (is_wanted(params->items[i]))
            ENT_GO(write_tensor(fd, &params->items[i]->tensor, &p, file->path));
done:
    piece_free(&p);
    if (close(fd) != 0 && st == ENT_OK)
        st = ent_fail(ENT_EIO, "%s: %s", file->path, strerror(errno));
    return st;
}

typedef struct expected {
    const header *header;
    const ent_params *params;
    const char *path;
} expected;

static ent_status read_back(const char *temporary, void *context)
{
    const expected *e = context;
    ent_weights_cache cache = {0};
    if (!map(&cache, temporary, e->header, e->params, true))
        return ent_fail(ENT_EIO, "%s: what was written can't be read back", e->path);
    munmap(cache.data, cache.size);
    return ENT_OK;
}

static ent_status make_file(const char *dir, const char *path, const header *h, const ent_params *params)
{
    ent_atomic_file file = {0};
    ENT_TRY(ent_make_dir(dir));
    ENT_TRY(ent_atomic_begin(&file, path));
    const ent_status st = write_all(&file, h, params);
    if (st == ENT_OK)
        return ent_atomic_commit(&file, read_back, &(expected){h, params, path});
    ent_atomic_discard(&file);
    return st;
}

static ent_status open_file(ent_weights_cache *cache, const char *dir, const header *h, const ent_params *params,
                            bool verify)
{
    ent_status st;
    char *path = NULL;
    ENT_GO(ent_format(&path, "%s/weights-%.64s", dir, h->digest));
    if (map(cache, path, h, params, verify))
        goto done;
    if (access(path, F_OK) == 0)
        ENT_GO(ent_format(&cache->note, "%s: damaged, made anew", path));
    ENT_GO(make_file(dir, path, h, params));
    if (!map(cache, path, h, params, false))
        ENT_GO(ent_fail(ENT_EIO, "%s: can't be mapped", path));
done:
    free(path);
    return st;
}

static ent_status make_in_memory(ent_weights_cache *cache, const header *h, const ent_params *params)
{
    cache->size = h->size;
    cache->data = mmap(NULL, h->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (cache->data == MAP_FAILED) {
        cache->data = NULL;
        return ent_fail(ENT_ENOMEM, "out of memory: %zu bytes of converted weights", cache->size);
    }
    char *at = (char *)cache->data + sizeof *h;
    for (size_t i = 0; i < params->count; i++) {
        const ent_tensor *t = &params->items[i]->tensor;
        if (!is_wanted(params->items[i]))
            continue;
        convert(t, 0, ent_tensor_rows(t), at, (float *)(at + scales_at(t)));
        at += room(t);
    }
    return ENT_OK;
}

ent_status ent_weights_cache_open(ent_weights_cache **out, ent_params *params, const char *dir, bool verify)
{
    ent_status st;
    header h;
    ent_weights_cache *cache = *out = NULL;
    if (!plan(&h, params))
        return ENT_OK;
    ENT_GO(ent_calloc(&cache, 1, sizeof *cache, "converted weights"));
    ENT_GO(dir ? open_file(cache, dir, &h, params, verify) : make_in_memory(cache, &h, params));
    const char *at = (const char *)cache->data + sizeof h;
    for (size_t i = 0; i < params->count; i++) {
        ent_tensor *t = &params->items[i]->tensor;
        if (!is_wanted(params->items[i]))
            continue;
        const size_t bytes = room(t);
        t->data = at;
        if (is_int8(t))
            t->row_scales = (const float *)(at + scales_at(t));
        t->dtype = is_int8(t) ? ENT_DTYPE_I8 : ENT_DTYPE_BF16;
        at += bytes;
    }
    *out = cache;
    cache = NULL;
done:
    ent_weights_cache_close(cache);
    return st;
}

void ent_weights_cache_close(ent_weights_cache *cache)
{
    if (cache == NULL)
        return;
    if (cache->data)
        munmap(cache->data, cache->size);
    free(cache->note);
    free(cache);
}

const char *ent_weights_cache_note(const ent_weights_cache *cache)
{
    return cache ? cache->note : NULL;
}
