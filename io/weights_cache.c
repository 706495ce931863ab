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

static const char MAGIC[8] = "ENTBF161";

typedef struct header {
    char magic[8];
    char digest[64];
    uint64_t size;
    char zero[48];
} header;

_Static_assert(sizeof(header) == 128, "tensors begin at 128");

enum { ALIGN = 64, PIECE = 1 << 18, TILE = 1 << 14 };

struct ent_weights_cache {
    void *data;
    size_t size;
    char *note;
};

static bool is_wanted(const ent_param *p)
{
    return !p->trainable && p->tensor.compute == ENT_COMPUTE_BF16 && p->tensor.dtype != ENT_DTYPE_BF16;
}

/* The bytes of a tensor and of the gap behind it. */
static size_t room(const ent_tensor *t)
{
    return (ent_tensor_count(t) * sizeof(uint16_t) + ALIGN - 1) / ALIGN * ALIGN;
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
        h->size += room(t);
    }
    ent_sha256_end(hex, &sum);
    memcpy(h->digest, hex, sizeof h->digest);
    return h->size > sizeof *h;
}

/* Numbers `first` on of a tensor, converted into `to` or compared with it. */
typedef struct work {
    const ent_tensor *from;
    size_t first;
    uint16_t *to;
    bool compare, differs;
} work;

static void convert_some(void *context, size_t begin, size_t end)
{
    enum { AT_ONCE = 1024 };
    work *w = context;
    const size_t size = ent_dtype_size(w->from->dtype);
    for (size_t i = begin; i < end; i += AT_ONCE) {
        const size_t n = end - i < AT_ONCE ? end - i : AT_ONCE;
        ent_real values[AT_ONCE];
        uint16_t rounded[AT_ONCE];
        ent_convert(values, (const char *)w->from->data + (w->first + i) * size, w->from->dtype, n);
        ent_kernels_get()->to_bf16(rounded, values, n);
        if (!w->compare)
            memcpy(w->to + i, rounded, n * sizeof *rounded);
        else if (memcmp(w->to + i, rounded, n * sizeof *rounded) != 0)
            __atomic_store_n(&w->differs, true, __ATOMIC_RELAXED);
    }
}

/* Every number of the image is the one of the model. */
static bool is_right(const ent_weights_cache *cache, const ent_params *params)
{
    char *at = (char *)cache->data + sizeof(header);
    for (size_t i = 0; i < params->count; i++) {
        const ent_tensor *t = &params->items[i]->tensor;
        if (!is_wanted(params->items[i]))
            continue;
        work w = {.from = t, .to = (uint16_t *)at, .compare = true};
        ent_tiles(ent_tensor_count(t), TILE, convert_some, &w);
        if (w.differs)
            return false;
        at += room(t);
    }
    return true;
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

/* A piece at a time: there is never a second copy of the weights in memory. */
static ent_status write_tensor(int fd, const ent_tensor *t, uint16_t *piece, const char *path)
{
    static const char zeros[ALIGN];
    const size_t count = ent_tensor_count(t);
    for (size_t i = 0; i < count; i += PIECE) {
        const size_t n = count - i < PIECE ? count - i : PIECE;
        ent_tiles(n, TILE, convert_some, &(work){.from = t, .first = i, .to = piece});
        ENT_TRY(ent_write_all(fd, path, piece, n * sizeof *piece));
    }
    return ent_write_all(fd, path, zeros, room(t) - count * sizeof(uint16_t));
}

static ent_status write_all(const ent_atomic_file *file, const header *h, const ent_params *params)
{
    ent_status st;
    uint16_t *piece = NULL;
    const int fd = open(file->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        return ent_fail(ENT_EIO, "%s: %s", file->path, strerror(errno));
    ENT_GO(ent_calloc(&piece, PIECE, sizeof *piece, "weights to be written"));
    ENT_GO(ent_write_all(fd, file->path, h, sizeof *h));
    for (size_t i = 0; i < params->count; i++)
        if (is_wanted(params->items[i]))
            ENT_GO(write_tensor(fd, &params->items[i]->tensor, piece, file->path));
done:
    free(piece);
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
    ENT_GO(ent_format(&path, "%s/weights-%.64s.bf16", dir, h->digest));
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
        return ent_fail(ENT_ENOMEM, "out of memory: %zu bytes of weights as bf16", cache->size);
    }
    char *at = (char *)cache->data + sizeof *h;
    for (size_t i = 0; i < params->count; i++) {
        const ent_tensor *t = &params->items[i]->tensor;
        if (!is_wanted(params->items[i]))
            continue;
        ent_tiles(ent_tensor_count(t), TILE, convert_some, &(work){.from = t, .to = (uint16_t *)at});
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
    ENT_GO(ent_calloc(&cache, 1, sizeof *cache, "weights as bf16"));
    ENT_GO(dir ? open_file(cache, dir, &h, params, verify) : make_in_memory(cache, &h, params));
    const char *at = (const char *)cache->data + sizeof h;
    for (size_t i = 0; i < params->count; i++) {
        ent_tensor *t = &params->items[i]->tensor;
        if (!is_wanted(params->items[i]))
            continue;
        t->data = at;
        at += room(t);
        t->dtype = ENT_DTYPE_BF16;
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
