#include "io/dataset_cache.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/atomic_file.h"
#include "io/digest.h"
#include "src/base/mem.h"

static const char MAGIC[8] = "ENTUNIT1";

typedef struct header {
    char magic[8];
    char digest[64];
    ent_dataset_counts counts;
} header;

enum { HASHED_FROM = offsetof(header, counts) };

_Static_assert(sizeof(header) == 72 + 7 * 8, "the header has no holes, and arrays after it are aligned");

/* The size of an image of so many units and tokens; false if no file is that large. */
static bool image_size(size_t *out, uint64_t n_units, uint64_t n_tokens)
{
    if (n_units >= UINT32_MAX || n_tokens > SIZE_MAX / 32)
        return false;
    *out = sizeof(header) + (n_units + 1) * sizeof(uint64_t) + 3 * n_tokens * sizeof(int32_t);
    return true;
}

/* Where the arrays of an image are, by the counts of its header. */
static void find_arrays(ent_unit_image *image)
{
    const header *h = image->data;
    image->counts = h->counts;
    image->units.offsets = (uint64_t *)((char *)image->data + sizeof *h);
    image->units.ids = (int32_t *)(image->units.offsets + h->counts.units + 1);
    image->units.targets = image->units.ids + h->counts.tokens;
    image->units.doc_start = image->units.targets + h->counts.tokens;
}

ent_status ent_unit_image_make(ent_unit_image *out, const ent_packing *packing, const ent_corpus *corpus)
{
    *out = (ent_unit_image){0};
    if (!image_size(&out->size, packing->counts.units, packing->counts.tokens))
        return ent_fail(ENT_ENOMEM, "out of memory: units");
    ENT_TRY(ent_calloc(&out->data, out->size, 1, "units"));
    header *h = out->data;
    memcpy(h->magic, MAGIC, sizeof MAGIC);
    h->counts = packing->counts;
    find_arrays(out);
    ent_packing_fill(&out->units, packing, corpus);
    ent_sha256(out->digest, (const char *)out->data + HASHED_FROM, out->size - HASHED_FROM);
    memcpy(h->digest, out->digest, sizeof h->digest);
    return ENT_OK;
}

/* Whether every number is one that the kernels may be given. */
static bool is_sound(const ent_unit_image *image, size_t seq_len, size_t vocab_size)
{
    const ent_units *u = &image->units;
    if (u->offsets[0] != 0 || u->offsets[image->counts.units] != image->counts.tokens)
        return false;
    for (size_t i = 0; i < image->counts.units; i++) {
        const uint64_t begin = u->offsets[i], end = u->offsets[i + 1];
        if (end <= begin || end - begin > seq_len || end > image->counts.tokens)
            return false;
        for (uint64_t t = begin; t < end; t++) {
            const int32_t id = u->ids[t], target = u->targets[t], start = u->doc_start[t];
            if (id < 0 || (size_t)id >= vocab_size || start < 0 || (uint64_t)start > t - begin)
                return false;
            if (target != ENT_NO_TARGET && (target < 0 || (size_t)target >= vocab_size))
                return false;
        }
    }
    return true;
}

static bool check(ent_unit_image *image, size_t seq_len, size_t vocab_size)
{
    const header *h = image->data;
    size_t size;
    if (memcmp(h->magic, MAGIC, sizeof MAGIC) != 0 || !image_size(&size, h->counts.units, h->counts.tokens) ||
        size != image->size)
        return false;
    ent_sha256(image->digest, (const char *)image->data + HASHED_FROM, image->size - HASHED_FROM);
    if (memcmp(h->digest, image->digest, sizeof h->digest) != 0)
        return false;
    find_arrays(image);
    return is_sound(image, seq_len, vocab_size);
}

bool ent_unit_image_map(ent_unit_image *out, const char *path, size_t seq_len, size_t vocab_size)
{
    struct stat info;
    *out = (ent_unit_image){0};
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_size >= (off_t)sizeof(header)) {
        void *data = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_SHARED, fd, 0);
        if (data != MAP_FAILED)
            *out = (ent_unit_image){.data = data, .size = (size_t)info.st_size, .mapped = true};
    }
    close(fd);
    if (out->data && check(out, seq_len, vocab_size))
        return true;
    ent_unit_image_free(out);
    return false;
}

ent_status ent_unit_image_write(const ent_unit_image *image, const char *path)
{
    return ent_atomic_write(path, image->data, image->size);
}

void ent_unit_image_free(ent_unit_image *image)
{
    if (image->mapped)
        munmap(image->data, image->size);
    else
        free(image->data);
    *image = (ent_unit_image){0};
}
