/* Where a dataset's numbers stand: one chunk, or a fixed array of chunks. */
#include <string.h>

#include "io/hdf5_check_parts.h"

enum { CHECKSUM = 4, SINGLE = 1, FIXED_ARRAY = 3, FILTERED = 2 };

static const char array[] = "array of chunks", chunk[] = "chunk", layout[] = "layout";

/* A chunk with its checksum. */
static ent_status check_chunk(ent_hdf5_file *file, uint64_t address, uint64_t bytes, uint64_t mask, uint64_t expected)
{
    ent_hdf5_span s;
    if (bytes != expected || mask != 0) /* a bit in the mask leaves a filter out */
        return ent_hdf5_bad(file, chunk);
    return ent_hdf5_claim(&s, file, address, bytes, chunk);
}

/* `count` entries, one after the other. */
static ent_status check_entries(ent_hdf5_file *file, ent_hdf5_span *s, uint64_t count, size_t width, uint64_t expected)
{
    for (uint64_t i = 0; i < count; i++) {
        const uint64_t address = ent_hdf5_take(s, 8), bytes = ent_hdf5_take(s, width), mask = ent_hdf5_take(s, 4);
        ENT_TRY(check_chunk(file, address, bytes, mask, expected));
    }
    return ENT_OK;
}

/* The array's entries: behind a bitmap of the pages that are in use, if there are more than fit into one. */
static ent_status check_block(ent_hdf5_file *file, uint64_t address, uint64_t header, uint64_t count,
                              unsigned page_bits, size_t width, uint64_t expected)
{
    enum { HEAD = 14 };
    const uint64_t entry = 12 + width, in_page = (uint64_t)1 << page_bits;
    const uint64_t pages = count > in_page ? (count + in_page - 1) / in_page : 0, bitmap = (pages + 7) / 8;
    const uint64_t sums = (pages + 1) * CHECKSUM;
    ent_hdf5_span s;
    if (count > file->n / entry)
        return ent_hdf5_bad(file, array);
    ENT_TRY(ent_hdf5_claim(&s, file, address, HEAD + bitmap + count * entry + sums, array));
    const unsigned char *head = ent_hdf5_skip(&s, 6);
    if (memcmp(head, "FADB\0\1", 6) != 0 || ent_hdf5_take(&s, 8) != header)
        return ent_hdf5_bad(file, array);
    if (pages == 0) {
        ENT_TRY(check_entries(file, &s, count, width, expected));
        ent_hdf5_skip(&s, CHECKSUM);
        return ent_hdf5_all_read(&s) ? ENT_OK : ent_hdf5_bad(file, array);
    }
    const unsigned char *used = ent_hdf5_skip(&s, (size_t)bitmap);
    ent_hdf5_skip(&s, CHECKSUM);
    for (uint64_t page = 0; page < pages; page++) {
        const uint64_t first = page * in_page, n = count - first < in_page ? count - first : in_page;
        if (!(used[page / 8] >> (7 - page % 8) & 1))
            return ent_hdf5_bad(file, array);
        ENT_TRY(check_entries(file, &s, n, width, expected));
        ent_hdf5_skip(&s, CHECKSUM);
    }
    return ent_hdf5_all_read(&s) ? ENT_OK : ent_hdf5_bad(file, array);
}

static ent_status check_array(ent_hdf5_file *file, uint64_t address, unsigned page_bits, uint64_t count,
                              uint64_t expected)
{
    ent_hdf5_span s;
    ENT_TRY(ent_hdf5_claim(&s, file, address, 28, array));
    const unsigned char *head = ent_hdf5_skip(&s, 6);
    const uint64_t entry = ent_hdf5_take(&s, 1), bits = ent_hdf5_take(&s, 1), n = ent_hdf5_take(&s, 8),
                   block = ent_hdf5_take(&s, 8);
    size_t width = 1; /* of a chunk's bytes: one more than the bytes without checksum take */
    for (uint64_t bytes = expected - CHECKSUM; bytes > 0; bytes >>= 8)
        width++;
    width = width < 8 ? width : 8;
    if (memcmp(head, "FAHD\0\1", 6) != 0 || entry != 12 + width || bits != page_bits || n != count)
        return ent_hdf5_bad(file, array);
    return check_block(file, block, address, count, page_bits, width, expected);
}

/* *count = the chunks that cover a dataset, *bytes = the numbers of one. */
static ent_status read_shape(uint64_t *count, uint64_t *bytes, const ent_hdf5_file *file, const ent_hdf5_object *object,
                             ent_hdf5_span *s)
{
    const uint64_t n_dims = ent_hdf5_take(s, 1), width = ent_hdf5_take(s, 1);
    if (object->rank == 0 || n_dims != object->rank + 1 || width < 1 || width > 8)
        return ent_hdf5_bad(file, layout);
    *bytes = object->element;
    *count = 1;
    for (size_t i = 0; i < object->rank; i++) {
        const uint64_t dim = object->dims[i], size = ent_hdf5_take(s, (size_t)width);
        if (dim == 0)
            return ent_fail(ENT_EFORMAT, "%s: %s: dimension %zu is 0", file->label, file->path, i);
        if (size == 0 || size > dim || __builtin_mul_overflow(*bytes, size, bytes) || *bytes > file->n ||
            __builtin_mul_overflow(*count, (dim - 1) / size + 1, count))
            return ent_hdf5_bad(file, layout);
    }
    return ent_hdf5_take(s, (size_t)width) == object->element ? ENT_OK : ent_hdf5_bad(file, layout);
}

ent_status ent_hdf5_check_layout(ent_hdf5_file *file, const ent_hdf5_object *object)
{
    enum { VERSION = 4, CHUNKED = 2, MAX_PAGE_BITS = 32 };
    ent_hdf5_span s = object->layout;
    uint64_t count = 1, bytes = 0, stored = 0, mask = 0;
    unsigned page_bits = 0;
    if (ent_hdf5_take(&s, 1) != VERSION || ent_hdf5_take(&s, 1) != CHUNKED)
        return ent_fail(ENT_EFORMAT, "%s: %s: expected chunks with Fletcher32 alone", file->label, file->path);
    const uint64_t flags = ent_hdf5_take(&s, 1);
    ENT_TRY(read_shape(&count, &bytes, file, object, &s));
    const uint64_t index = ent_hdf5_take(&s, 1);
    if (index == SINGLE) {
        stored = ent_hdf5_take(&s, 8);
        mask = ent_hdf5_take(&s, 4);
    } else {
        page_bits = (unsigned)ent_hdf5_take(&s, 1);
    }
    const uint64_t address = ent_hdf5_take(&s, 8);
    if (!ent_hdf5_all_read(&s) || (index != SINGLE && index != FIXED_ARRAY) || (index == SINGLE && count != 1) ||
        flags != (index == SINGLE ? FILTERED : 0) || page_bits > MAX_PAGE_BITS)
        return ent_hdf5_bad(file, layout);
    return index == SINGLE ? check_chunk(file, address, stored, mask, bytes + CHECKSUM)
                           : check_array(file, address, page_bits, count, bytes + CHECKSUM);
}
