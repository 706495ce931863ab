/* Superblock, object headers and groups. */
#include "io/hdf5_check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/hdf5_check_parts.h"

enum { MAX_DEPTH = 4, MAX_NAME = 255, PATH_BYTES = 1100, CHECKSUM = 4, SUPERBLOCK = 48, CONTINUATION_BYTES = 16 };

uint64_t ent_hdf5_take(ent_hdf5_span *span, size_t width)
{
    uint64_t x = 0;
    const unsigned char *p = ent_hdf5_skip(span, width);
    while (p && width-- > 0)
        x = x << 8 | p[width];
    return x;
}

const unsigned char *ent_hdf5_skip(ent_hdf5_span *span, size_t n)
{
    const unsigned char *p = span->at;
    if (span->failed || n > span->left) {
        span->failed = true;
        return NULL;
    }
    span->at += n;
    span->left -= n;
    return p;
}

bool ent_hdf5_all_read(const ent_hdf5_span *span)
{
    return !span->failed && span->left == 0;
}

ent_status ent_hdf5_bad(const ent_hdf5_file *file, const char *what)
{
    return ent_fail(ENT_EFORMAT, "%s: %s: the %s is damaged, or not one that entrenar writes", file->label,
                    *file->path ? file->path : "/", what);
}

ent_status ent_hdf5_claim(ent_hdf5_span *out, ent_hdf5_file *file, uint64_t address, uint64_t n, const char *what)
{
    if (address > file->n || n > file->n - address || n > file->left)
        return ent_fail(ENT_EFORMAT, "%s: %s: the %s is beyond the file's end, or in the place of something else",
                        file->label, *file->path ? file->path : "/", what);
    file->left -= (size_t)n;
    *out = (ent_hdf5_span){.at = file->data + address, .left = (size_t)n};
    return ENT_OK;
}

static ent_status check_object(ent_hdf5_file *file, uint64_t address, int depth);

/* A link of a group, and what it leads to; one that leads elsewhere is the reader's to refuse. */
static ent_status check_link(ent_hdf5_file *file, ent_hdf5_span body, int depth)
{
    enum { WIDTH = 3, ORDERED = 4, TYPED = 8, ENCODED = 16, HARD = 0 };
    char path[PATH_BYTES];
    const uint64_t version = ent_hdf5_take(&body, 1), flags = ent_hdf5_take(&body, 1);
    const uint64_t type = flags & TYPED ? ent_hdf5_take(&body, 1) : HARD;
    ent_hdf5_skip(&body, flags & ORDERED ? 8 : 0);
    const uint64_t encoding = flags & ENCODED ? ent_hdf5_take(&body, 1) : 0;
    const uint64_t length = ent_hdf5_take(&body, (size_t)1 << (flags & WIDTH));
    const char *name = length > 0 && length <= MAX_NAME ? (const char *)ent_hdf5_skip(&body, (size_t)length) : NULL;
    if (version != 1 || flags > 31 || encoding > 1 || name == NULL || memchr(name, 0, (size_t)length) ||
        memchr(name, '/', (size_t)length))
        return ent_hdf5_bad(file, "link");
    if (type != HARD) {
        const uint64_t n = ent_hdf5_take(&body, 2);
        ent_hdf5_skip(&body, (size_t)n);
        return ent_hdf5_all_read(&body) ? ENT_OK : ent_hdf5_bad(file, "link");
    }
    const uint64_t address = ent_hdf5_take(&body, 8);
    if (!ent_hdf5_all_read(&body))
        return ent_hdf5_bad(file, "link");
    const char *parent = file->path;
    snprintf(path, sizeof path, "%s/%.*s", parent, (int)length, name);
    file->path = path;
    const ent_status st = check_object(file, address, depth + 1);
    file->path = parent;
    return st;
}

/* Messages one after the other, up to what is too short for another. *more, *more_bytes: where they go on. */
static ent_status check_messages(ent_hdf5_object *object, uint64_t *more, uint64_t *more_bytes, ent_hdf5_file *file,
                                 ent_hdf5_span block, bool ordered, int depth)
{
    const size_t head = ordered ? 6 : 4;
    *more_bytes = 0;
    while (block.left >= head) {
        const unsigned type = (unsigned)ent_hdf5_take(&block, 1);
        const size_t n = (size_t)ent_hdf5_take(&block, 2);
        const uint64_t flags = ent_hdf5_take(&block, 1);
        ent_hdf5_skip(&block, head - 4);
        ent_hdf5_span body = {.left = n};
        body.at = ent_hdf5_skip(&block, n);
        if (body.at == NULL || (flags & ~UINT64_C(5)) != 0) /* shared ones stand elsewhere */
            return ent_hdf5_bad(file, "header");
        if (type == ENT_HDF5_CONTINUATION) {
            if (*more_bytes != 0 || n != CONTINUATION_BYTES)
                return ent_hdf5_bad(file, "header");
            *more = ent_hdf5_take(&body, 8);
            *more_bytes = ent_hdf5_take(&body, 8);
        } else if (type == ENT_HDF5_LINK) {
            object->seen |= 1u << type;
            ENT_TRY(check_link(file, body, depth));
        } else {
            ENT_TRY(ent_hdf5_check_message(object, file, type, body));
        }
    }
    return ENT_OK;
}

/* What all messages of an object are together. */
static ent_status check_whole(ent_hdf5_file *file, const ent_hdf5_object *object, int depth)
{
    const unsigned attributes = 1u << ENT_HDF5_ATTRIBUTE | 1u << ENT_HDF5_ATTRIBUTE_INFO | 1u << ENT_HDF5_NIL,
                   group = 1u << ENT_HDF5_LINK_INFO | 1u << ENT_HDF5_GROUP_INFO,
                   dataset = 1u << ENT_HDF5_SPACE | 1u << ENT_HDF5_TYPE | 1u << ENT_HDF5_LAYOUT | 1u << ENT_HDF5_FILL |
                             1u << ENT_HDF5_PIPELINE;
    const unsigned seen = object->seen & ~attributes;
    if ((seen & ~(1u << ENT_HDF5_LINK)) == group)
        return ENT_OK;
    if (seen == (dataset & ~(1u << ENT_HDF5_PIPELINE)))
        return ent_fail(ENT_EFORMAT, "%s: %s: expected chunks with Fletcher32 alone", file->label, file->path);
    if (seen != dataset || depth == 0)
        return ent_fail(ENT_EFORMAT, "%s: %s: expected a group%s", file->label, depth ? file->path : "/",
                        depth ? " or a dataset" : "");
    return ent_hdf5_check_layout(file, object);
}

/* An object header: a first block of messages, and others that are reached from those before. */
static ent_status check_object(ent_hdf5_file *file, uint64_t address, int depth)
{
    enum { ORDERED = 4, PHASES = 16, TIMES = 32, KNOWN = 63 };
    static const char what[] = "header";
    ent_hdf5_object object = {0};
    ent_hdf5_span block;
    uint64_t more = 0, more_bytes = 0;
    if (depth > MAX_DEPTH)
        return ent_fail(ENT_EFORMAT, "%s: %s: expected at most %d groups in one another", file->label, file->path,
                        MAX_DEPTH);
    ENT_TRY(ent_hdf5_claim(&block, file, address, 6, what));
    const bool known = memcmp(block.at, "OHDR\2", 5) == 0;
    const unsigned flags = block.at[5];
    if (!known || flags > KNOWN)
        return ent_hdf5_bad(file, what);
    const size_t rest = (flags & TIMES ? 16u : 0) + (flags & PHASES ? 4u : 0), width = (size_t)1 << (flags & 3);
    ENT_TRY(ent_hdf5_claim(&block, file, address + 6, rest + width, what));
    ent_hdf5_skip(&block, rest);
    const uint64_t n = ent_hdf5_take(&block, width);
    if (n > file->n)
        return ent_hdf5_bad(file, what);
    ENT_TRY(ent_hdf5_claim(&block, file, address + 6 + rest + width, n + CHECKSUM, what));
    block.left -= CHECKSUM;
    ENT_TRY(check_messages(&object, &more, &more_bytes, file, block, flags & ORDERED, depth));
    while (more_bytes != 0) {
        ENT_TRY(ent_hdf5_claim(&block, file, more, more_bytes, what));
        if (more_bytes < 4 + CHECKSUM || memcmp(block.at, "OCHK", 4) != 0)
            return ent_hdf5_bad(file, what);
        ent_hdf5_skip(&block, 4);
        block.left -= CHECKSUM;
        ENT_TRY(check_messages(&object, &more, &more_bytes, file, block, flags & ORDERED, depth));
    }
    return check_whole(file, &object, depth);
}

ent_status ent_hdf5_check(const void *data, size_t n, const char *label)
{
    static const unsigned char signature[8] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};
    ent_hdf5_file file = {.data = data, .n = n, .left = n, .label = label, .path = ""};
    ent_hdf5_span s;
    if (n < SUPERBLOCK || memcmp(data, signature, sizeof signature) != 0)
        return ent_fail(ENT_EFORMAT, "%s: expected an HDF5 file, found %s", label,
                        n < SUPERBLOCK ? "too few bytes" : "another signature");
    ENT_TRY(ent_hdf5_claim(&s, &file, 0, SUPERBLOCK, "superblock"));
    ent_hdf5_skip(&s, sizeof signature);
    const uint64_t version = ent_hdf5_take(&s, 1), widths = ent_hdf5_take(&s, 2), flags = ent_hdf5_take(&s, 1);
    const uint64_t base = ent_hdf5_take(&s, 8), extension = ent_hdf5_take(&s, 8), end = ent_hdf5_take(&s, 8);
    if (version != 3)
        return ent_fail(ENT_EFORMAT, "%s: expected HDF5's format 1.10 (superblock 3), found superblock %u", label,
                        (unsigned)version);
    if (widths != 0x0808 || flags != 0 || base != 0 || extension != ENT_HDF5_UNDEFINED)
        return ent_hdf5_bad(&file, "superblock");
    if (end > n || end < SUPERBLOCK)
        return ent_fail(ENT_EFORMAT, "%s: expected %llu bytes, file has %zu", label, (unsigned long long)end, n);
    file.n = (size_t)end;
    return check_object(&file, ent_hdf5_take(&s, 8), 0);
}

ent_status ent_hdf5_check_file(const char *path, const char *label)
{
    struct stat info;
    ent_status st = ENT_OK;
    void *data = MAP_FAILED;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &info) != 0)
        st = ent_fail(ENT_EIO, "%s: %s", label, strerror(errno));
    else if (!S_ISREG(info.st_mode) || info.st_size < SUPERBLOCK)
        st = ent_fail(ENT_EFORMAT, "%s: expected an HDF5 file, found %s", label,
                      S_ISREG(info.st_mode) ? "too few bytes" : "something else");
    else if ((data = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_SHARED, fd, 0)) == MAP_FAILED)
        st = ent_fail(ENT_EIO, "%s: %s", label, strerror(errno));
    if (fd >= 0)
        close(fd);
    if (st != ENT_OK)
        return st;
    st = ent_hdf5_check(data, (size_t)info.st_size, label);
    munmap(data, (size_t)info.st_size);
    return st;
}
