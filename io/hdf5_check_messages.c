/* Messages of object headers. */
#include <string.h>

#include "io/hdf5_check_parts.h"

/* Scalar, or simple with as many values as it will ever have. */
static bool read_space(size_t *rank, uint64_t dims[ENT_HDF5_MAX_RANK], ent_hdf5_span *s)
{
    enum { WITH_MAX = 1, SCALAR = 0, SIMPLE = 1 };
    const uint64_t version = ent_hdf5_take(s, 1), n = ent_hdf5_take(s, 1), flags = ent_hdf5_take(s, 1),
                   type = ent_hdf5_take(s, 1);
    if (version != 2 || n > ENT_HDF5_MAX_RANK || flags > WITH_MAX || type != (n ? SIMPLE : SCALAR))
        return false;
    *rank = (size_t)n;
    for (size_t i = 0; i < n; i++)
        dims[i] = ent_hdf5_take(s, 8);
    for (size_t i = 0; i < n && flags == WITH_MAX; i++)
        if (ent_hdf5_take(s, 8) != dims[i])
            return false;
    return !s->failed;
}

enum { FIXED = 0, FLOATING = 1, STRING = 3, ENUMERATION = 8, VARIABLE = 9 };

/* Class, version and bits of a datatype, and the bytes of a value. */
static bool read_type_head(unsigned *class, unsigned *bits, size_t *size, ent_hdf5_span *s)
{
    const unsigned first = (unsigned)ent_hdf5_take(s, 1), version = first >> 4;
    *class = first & 15;
    *bits = (unsigned)ent_hdf5_take(s, 3);
    *size = (size_t)ent_hdf5_take(s, 4);
    return !s->failed && *size > 0 && version == (*class == ENUMERATION ? 3 : 1);
}

/* Little-endian, without padding. */
static bool read_fixed(unsigned bits, size_t size, ent_hdf5_span *s)
{
    enum { SIGNED = 8 };
    const uint64_t offset = ent_hdf5_take(s, 2), precision = ent_hdf5_take(s, 2);
    return !s->failed && (bits & ~(unsigned)SIGNED) == 0 && (size == 1 || size == 2 || size == 4 || size == 8) &&
           offset == 0 && precision == 8 * size;
}

/* IEEE's, little-endian: bits, then offset, precision, exponent's place and size, mantissa's, bias. */
static bool read_floating(unsigned bits, size_t size, ent_hdf5_span *s)
{
    static const unsigned char f32[12] = {0, 0, 32, 0, 23, 8, 0, 23, 127, 0, 0, 0},
                               f64[12] = {0, 0, 64, 0, 52, 11, 0, 52, 255, 3, 0, 0};
    const unsigned char *found = ent_hdf5_skip(s, sizeof f32);
    return found && (size == 4 || size == 8) && bits == (size == 4 ? 0x1f20 : 0x3f20) &&
           memcmp(found, size == 4 ? f32 : f64, sizeof f32) == 0;
}

static bool read_type(unsigned *class, size_t *size, ent_hdf5_span *s)
{
    unsigned bits, base, base_bits;
    size_t base_size;
    if (!read_type_head(class, &bits, size, s))
        return false;
    switch (*class) {
    case FIXED:
        return read_fixed(bits, *size, s);
    case FLOATING:
        return read_floating(bits, *size, s);
    case STRING: /* padding, and ASCII or UTF-8 */
        return (bits & 15) <= 2 && bits >> 4 <= 1;
    case ENUMERATION:
        if (bits == 0 || bits > 0xffff || !read_type_head(&base, &base_bits, &base_size, s) || base != FIXED ||
            base_size != *size || !read_fixed(base_bits, base_size, s))
            return false;
        for (unsigned i = 0; i < bits; i++) {
            const unsigned char *end = s->failed ? NULL : memchr(s->at, 0, s->left);
            if (end == NULL || end == s->at)
                return false;
            ent_hdf5_skip(s, (size_t)(end - s->at) + 1);
        }
        return ent_hdf5_skip(s, bits * base_size) != NULL;
    default:
        return false;
    }
}

/* Of a dataset: a number. */
static ent_status check_type(ent_hdf5_object *object, const ent_hdf5_file *file, ent_hdf5_span body)
{
    unsigned class;
    if (!read_type(&class, &object->element, &body) || !ent_hdf5_all_read(&body) ||
        (class != FIXED && class != FLOATING))
        return ent_fail(ENT_EFORMAT, "%s: %s: expected 32-bit floats, little-endian, found another type", file->label,
                        file->path);
    return ENT_OK;
}

static ent_status check_attribute(const ent_hdf5_file *file, ent_hdf5_span body)
{
    static const char what[] = "attribute";
    unsigned class = VARIABLE;
    size_t rank, size, values = 1;
    uint64_t dims[ENT_HDF5_MAX_RANK];
    const uint64_t version = ent_hdf5_take(&body, 1), flags = ent_hdf5_take(&body, 1), n_name = ent_hdf5_take(&body, 2),
                   n_type = ent_hdf5_take(&body, 2), n_space = ent_hdf5_take(&body, 2),
                   encoding = ent_hdf5_take(&body, 1);
    const char *name = (const char *)ent_hdf5_skip(&body, (size_t)n_name);
    ent_hdf5_span type = {.left = (size_t)n_type}, space = {.left = (size_t)n_space};
    type.at = ent_hdf5_skip(&body, type.left);
    space.at = ent_hdf5_skip(&body, space.left);
    if (version != 3 || flags != 0 || encoding > 1 || body.failed || n_name < 2 ||
        strnlen(name, (size_t)n_name) != n_name - 1)
        return ent_hdf5_bad(file, what);
    if (!read_type(&class, &size, &type) || !ent_hdf5_all_read(&type))
        return ent_fail(ENT_EFORMAT, "%s: %s: expected a text of a fixed length, a number or an enumeration",
                        file->label, name);
    if (!read_space(&rank, dims, &space) || !ent_hdf5_all_read(&space))
        return ent_hdf5_bad(file, what);
    for (size_t i = 0; i < rank; i++)
        if (__builtin_mul_overflow(values, dims[i], &values))
            return ent_hdf5_bad(file, what);
    return !__builtin_mul_overflow(values, size, &values) && values == body.left ? ENT_OK : ent_hdf5_bad(file, what);
}

/* Attributes and links that are not in the header: in heaps and trees, which have no place here. `counter`: the width
 * of the number that the next one gets. */
static bool read_info(ent_hdf5_span *s, size_t counter)
{
    enum { TRACKED = 1, INDEXED = 2 };
    const uint64_t version = ent_hdf5_take(s, 1), flags = ent_hdf5_take(s, 1);
    if (version != 0 || flags > (TRACKED | INDEXED))
        return false;
    ent_hdf5_skip(s, flags & TRACKED ? counter : 0);
    for (int i = 0; i < (flags & INDEXED ? 3 : 2); i++)
        if (ent_hdf5_take(s, 8) != ENT_HDF5_UNDEFINED)
            return false;
    return ent_hdf5_all_read(s);
}

/* When links leave the header, and how many are expected. */
static bool read_group_info(ent_hdf5_span *s)
{
    enum { PHASES = 1, ESTIMATE = 2 };
    const uint64_t version = ent_hdf5_take(s, 1), flags = ent_hdf5_take(s, 1);
    ent_hdf5_skip(s, (flags & PHASES ? 4u : 0) + (flags & ESTIMATE ? 4u : 0));
    return version == 0 && flags <= (PHASES | ESTIMATE) && ent_hdf5_all_read(s);
}

/* No value of its own to fill with. */
static bool read_fill(ent_hdf5_span *s)
{
    const uint64_t version = ent_hdf5_take(s, 1), flags = ent_hdf5_take(s, 1);
    return version == 3 && flags <= 15 && ent_hdf5_all_read(s);
}

/* Fletcher32 and no other filter: it has no name and no settings. */
static bool read_pipeline(ent_hdf5_span *s)
{
    static const unsigned char fletcher32[8] = {2, 1, 3, 0, 0, 0, 0, 0};
    return s->left == sizeof fletcher32 && memcmp(s->at, fletcher32, sizeof fletcher32) == 0;
}

ent_status ent_hdf5_check_message(ent_hdf5_object *object, const ent_hdf5_file *file, unsigned type, ent_hdf5_span body)
{
    if (type > ENT_HDF5_ATTRIBUTE_INFO)
        return ent_hdf5_bad(file, "header");
    if (object->seen >> type & 1 && type != ENT_HDF5_NIL && type != ENT_HDF5_ATTRIBUTE)
        return ent_hdf5_bad(file, "header");
    object->seen |= 1u << type;
    switch (type) {
    case ENT_HDF5_NIL:
        return ENT_OK;
    case ENT_HDF5_SPACE:
        return read_space(&object->rank, object->dims, &body) && ent_hdf5_all_read(&body)
                   ? ENT_OK
                   : ent_hdf5_bad(file, "dataspace");
    case ENT_HDF5_TYPE:
        return check_type(object, file, body);
    case ENT_HDF5_FILL:
        return read_fill(&body) ? ENT_OK : ent_hdf5_bad(file, "fill value");
    case ENT_HDF5_LAYOUT:
        object->layout = body;
        return ENT_OK;
    case ENT_HDF5_LINK_INFO:
        return read_info(&body, 8) ? ENT_OK : ent_hdf5_bad(file, "index of links");
    case ENT_HDF5_GROUP_INFO:
        return read_group_info(&body) ? ENT_OK : ent_hdf5_bad(file, "group");
    case ENT_HDF5_PIPELINE:
        return read_pipeline(&body)
                   ? ENT_OK
                   : ent_fail(ENT_EFORMAT, "%s: %s: expected chunks with Fletcher32 alone", file->label, file->path);
    case ENT_HDF5_ATTRIBUTE:
        return check_attribute(file, body);
    case ENT_HDF5_ATTRIBUTE_INFO:
        return read_info(&body, 2) ? ENT_OK : ent_hdf5_bad(file, "index of attributes");
    default:
        return ent_hdf5_bad(file, "header");
    }
}
