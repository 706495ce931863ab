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
#include "io/weights_convert.h"
#include "src/base/mem.h"

static const char MAGIC[8] = "ENTWGHT3";

typedef struct header {
    char magic[8];
    char digest[64];
    uint64_t size;
    char zero[48];
} header;

_Static_assert(sizeof(header) == 128, "tensors begin at 128");

enum { PIECE = 1 << 20 };

struct ent_weights_cache {
    void *data;
    size_t size;
    char *note;
};

/* What is made of which parameters. */
typedef struct image {
    ent_params *params;
    bool quantizes; /* all frozen matrices become `base`; else weights become what products with them ask for */
    ent_dtype base;
    bool (*stop)(void);
    header header;
} image;

static bool is_stopped(const image *im)
{
    return im->stop && im->stop();
}

static ent_dtype wanted(const image *im, const ent_param *p)
{
    const ent_tensor *t = &p->tensor;
    if (p->trainable || p->replaced || t->dtype == ENT_DTYPE_I8 || t->dtype == ENT_DTYPE_NF4)
        return t->dtype;
    if (im->quantizes)
        return t->n_dims == 2 ? im->base : t->dtype;
    return t->compute == ENT_COMPUTE_BF16 ? ENT_DTYPE_BF16 : t->compute == ENT_COMPUTE_INT8 ? ENT_DTYPE_I8 : t->dtype;
}

/* What parameter i becomes; false: it stays. */
static bool conversion_of(ent_conversion *c, const image *im, size_t i)
{
    const ent_tensor *t = &im->params->items[i]->tensor;
    const ent_dtype to = wanted(im, im->params->items[i]);
    if (to == t->dtype)
        return false;
    *c = ent_conversion_of(t, to);
    return true;
}

/* What the file begins with; false if it would hold nothing. */
static bool plan(image *im)
{
    enum { SAMPLE = 4096 };
    char hex[ENT_SHA256_SIZE];
    ent_sha256_sum sum;
    ent_conversion c;
    header *h = &im->header;
    *h = (header){.size = sizeof *h};
    memcpy(h->magic, MAGIC, sizeof MAGIC);
    ent_sha256_begin(&sum);
    for (size_t i = 0; i < im->params->count; i++) {
        const ent_tensor *t = &im->params->items[i]->tensor;
        if (!conversion_of(&c, im, i))
            continue;
        char text[300];
        const size_t bytes = ent_tensor_bytes(t), sample = bytes < SAMPLE ? bytes : SAMPLE;
        const int n = snprintf(text, sizeof text, "%.200s %s %zu %s\n", t->name, ent_dtype_name(t->dtype), bytes,
                               ent_dtype_name(c.to));
        ent_sha256_add(&sum, text, (size_t)n);
        ent_sha256_add(&sum, (const char *)t->data + (bytes - sample) / 2, sample);
        if (c.to == ENT_DTYPE_I8 && t->column_factors)
            ent_sha256_add(&sum, t->column_factors, ent_tensor_columns(t) * sizeof *t->column_factors);
        h->size += c.bytes;
    }
    ent_sha256_end(hex, &sum);
    memcpy(h->digest, hex, sizeof h->digest);
    return h->size > sizeof *h;
}

/* A tensor is converted a piece of its rows at a time: there is never a second copy of the weights in memory. */
typedef struct piece {
    char *rows, *tail;
    float *scales; /* of the whole tensor */
    size_t n;      /* rows at a time */
} piece;

static void piece_free(piece *p)
{
    free(p->rows), free(p->tail), free(p->scales);
}

static ent_status piece_take(piece *p, const ent_conversion *c)
{
    p->n = c->row_bytes < PIECE ? PIECE / c->row_bytes : 1;
    p->n = p->n < c->rows ? p->n : c->rows;
    ENT_TRY(ent_calloc(&p->rows, p->n, c->row_bytes, "weights to be converted"));
    ENT_TRY(ent_calloc(&p->scales, c->rows * c->row_scales + 1, sizeof *p->scales, "weights to be converted"));
    return ent_calloc(&p->tail, c->bytes - c->rows * c->row_bytes + 1, 1, "weights to be converted");
}

/* Makes of each piece, and of what comes behind the rows, what `use` does with it. */
typedef ent_status (*use_bytes)(void *context, const char *bytes, size_t n);

static ent_status convert_in_pieces(const image *im, const ent_conversion *c, use_bytes use, void *context)
{
    ent_status st;
    piece p = {0};
    const size_t codes = c->rows * c->row_bytes;
    ENT_GO(piece_take(&p, c));
    for (size_t i = 0; i < c->rows; i += p.n) {
        const size_t n = c->rows - i < p.n ? c->rows - i : p.n;
        if (is_stopped(im))
            ENT_GO(ent_fail(ENT_ESTOPPED, "stopped"));
        ENT_GO(ent_conversion_rows(p.rows, p.scales + i * c->row_scales, c, i, n));
        ENT_GO(use(context, p.rows, n * c->row_bytes));
    }
    ent_conversion_tail(p.tail + (c->tail_at - codes), c, p.scales);
    ENT_GO(use(context, p.tail, c->bytes - codes));
done:
    piece_free(&p);
    return st;
}

static ent_status convert_all(const image *im, use_bytes use, void *context)
{
    ent_conversion c;
    for (size_t i = 0; i < im->params->count; i++)
        if (conversion_of(&c, im, i))
            ENT_TRY(convert_in_pieces(im, &c, use, context));
    return ENT_OK;
}

typedef struct comparison {
    const char *at;
    bool same;
} comparison;

static ent_status compare(void *context, const char *bytes, size_t n)
{
    comparison *c = context;
    c->same = memcmp(c->at, bytes, n) == 0;
    c->at += n;
    return c->same ? ENT_OK : ENT_EFORMAT; /* no more need be converted */
}

/* Every byte of the image is what the model's files give; a number that can't be converted is the same fault there. */
static bool is_right(const ent_weights_cache *cache, const image *im)
{
    comparison c = {.at = (char *)cache->data + sizeof(header)};
    return convert_all(im, compare, &c) == ENT_OK;
}

/* False: the file is not there, or not the one that is wanted. */
static bool map(ent_weights_cache *cache, const char *path, const image *im, bool verify)
{
    struct stat info;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && (uint64_t)info.st_size == im->header.size) {
        cache->size = im->header.size;
        cache->data = mmap(NULL, cache->size, PROT_READ, MAP_SHARED, fd, 0);
        if (cache->data == MAP_FAILED)
            cache->data = NULL;
    }
    close(fd);
    if (cache->data && memcmp(cache->data, &im->header, sizeof im->header) == 0 && (!verify || is_right(cache, im)))
        return true;
    if (cache->data)
        munmap(cache->data, cache->size);
    cache->data = NULL;
    return false;
}

typedef struct output {
    int fd;
    const char *path;
} output;

static ent_status put(void *context, const char *bytes, size_t n)
{
    const output *out = context;
    return ent_write_all(out->fd, out->path, bytes, n);
}

static ent_status write_all(const ent_atomic_file *file, const image *im)
{
    ent_status st;
    output out = {open(file->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666), file->path};
    if (out.fd < 0)
        return ent_fail(ENT_EIO, "%s: %s", file->path, strerror(errno));
    ENT_GO(put(&out, (const char *)&im->header, sizeof im->header));
    ENT_GO(convert_all(im, put, &out));
done:
    if (close(out.fd) != 0 && st == ENT_OK)
        st = ent_fail(ENT_EIO, "%s: %s", file->path, strerror(errno));
    return st;
}

typedef struct expected {
    const image *image;
    const char *path;
} expected;

static ent_status read_back(const char *temporary, void *context)
{
    const expected *e = context;
    ent_weights_cache cache = {0};
    if (!map(&cache, temporary, e->image, true))
        return is_stopped(e->image) ? ent_fail(ENT_ESTOPPED, "stopped")
                                    : ent_fail(ENT_EIO, "%s: what was written can't be read back", e->path);
    munmap(cache.data, cache.size);
    return ENT_OK;
}

static ent_status make_file(const char *dir, const char *path, const image *im)
{
    ent_atomic_file file = {0};
    ENT_TRY(ent_make_dir(dir));
    ENT_TRY(ent_atomic_begin(&file, path));
    const ent_status st = write_all(&file, im);
    if (st == ENT_OK)
        return ent_atomic_commit(&file, read_back, &(expected){im, path});
    ent_atomic_discard(&file);
    return st;
}

static ent_status open_file(ent_weights_cache *cache, const char *dir, const image *im, bool verify)
{
    ent_status st;
    char *path = NULL;
    ENT_GO(ent_format(&path, "%s/weights-%.64s", dir, im->header.digest));
    if (map(cache, path, im, verify))
        goto done;
    if (access(path, F_OK) == 0)
        ENT_GO(ent_format(&cache->note, "%s: damaged, made anew", path));
    ENT_GO(make_file(dir, path, im));
    if (!map(cache, path, im, false))
        ENT_GO(ent_fail(ENT_EIO, "%s: can't be mapped", path));
done:
    free(path);
    return st;
}

static ent_status append(void *context, const char *bytes, size_t n)
{
    char **at = context;
    memcpy(*at, bytes, n);
    *at += n;
    return ENT_OK;
}

static ent_status make_in_memory(ent_weights_cache *cache, const image *im)
{
    cache->size = im->header.size;
    cache->data = mmap(NULL, cache->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (cache->data == MAP_FAILED) {
        cache->data = NULL;
        return ent_fail(ENT_ENOMEM, "out of memory: %zu bytes of converted weights", cache->size);
    }
    char *at = (char *)cache->data + sizeof im->header;
    return convert_all(im, append, &at);
}

/* The parameters are what the image holds. */
static void rebind(const image *im, const char *at)
{
    ent_conversion c;
    for (size_t i = 0; i < im->params->count; i++) {
        ent_tensor *t = &im->params->items[i]->tensor;
        if (!conversion_of(&c, im, i))
            continue;
        t->data = at;
        t->dtype = c.to;
        t->row_scales = c.to == ENT_DTYPE_I8 ? (const float *)(const void *)(at + c.tail_at) : NULL;
        at += c.bytes;
    }
}

static ent_status open_image(ent_weights_cache **out, image *im, const char *dir, bool verify)
{
    ent_status st;
    ent_weights_cache *cache = *out = NULL;
    if (!plan(im))
        return ENT_OK;
    ENT_GO(ent_calloc(&cache, 1, sizeof *cache, "converted weights"));
    ENT_GO(dir ? open_file(cache, dir, im, verify) : make_in_memory(cache, im));
    rebind(im, (const char *)cache->data + sizeof im->header);
    *out = cache;
    cache = NULL;
done:
    ent_weights_cache_close(cache);
    return st;
}

ent_status ent_weights_cache_open(ent_weights_cache **out, ent_params *params, const char *dir, bool verify,
                                  bool (*stop)(void))
{
    return open_image(out, &(image){.params = params, .stop = stop}, dir, verify);
}

ent_status ent_weights_cache_quantize(ent_weights_cache **out, ent_params *params, ent_dtype base, const char *dir,
                                      bool verify, bool (*stop)(void))
{
    return open_image(out, &(image){.params = params, .quantizes = true, .base = base, .stop = stop}, dir, verify);
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

size_t ent_weights_cache_bytes(const ent_weights_cache *cache)
{
    return cache ? cache->size : 0;
}
