/* The state of a run as attributes of a file's root. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <hdf5.h>

#include "io/hdf5_parts.h"

typedef enum { WHOLE, UNSIGNED, NUMBER, TEXT } kind;

static const struct attribute {
    const char *name;
    kind kind;
    size_t offset, size; /* of a text: with its zero */
} attributes[] = {
    {"step", WHOLE, offsetof(ent_ckpt_state, step), 0},
    {"unit_position", WHOLE, offsetof(ent_ckpt_state, unit_position), 0},
    {"epoch", NUMBER, offsetof(ent_ckpt_state, epoch), 0},
    {"seed", UNSIGNED, offsetof(ent_ckpt_state, seed), 0},
    {"config_hash", TEXT, offsetof(ent_ckpt_state, config_hash), sizeof(((ent_ckpt_state *)0)->config_hash)},
    {"kernel", TEXT, offsetof(ent_ckpt_state, kernel), sizeof(((ent_ckpt_state *)0)->kernel)},
};

/* Types in the file, and in memory. */
static hid_t file_type(kind k)
{
    return k == WHOLE ? H5T_STD_I64LE : k == UNSIGNED ? H5T_STD_U64LE : H5T_IEEE_F64LE;
}

static hid_t memory_type(kind k)
{
    return k == WHOLE ? H5T_NATIVE_INT64 : k == UNSIGNED ? H5T_NATIVE_UINT64 : H5T_NATIVE_DOUBLE;
}

static ent_status write_attribute(hid_t file, const char *label, const char *name, hid_t in_file, hid_t in_memory,
                                  const void *data)
{
    const hid_t space = H5Screate(H5S_SCALAR);
    const hid_t attribute = H5Acreate2(file, name, in_file, space, H5P_DEFAULT, H5P_DEFAULT);
    ent_status st = ENT_OK;
    if (attribute < 0 || H5Awrite(attribute, in_memory, data) < 0)
        st = ent_hdf5_fail(ENT_EIO, label, name, "cannot write the attribute");
    if (attribute >= 0 && H5Aclose(attribute) < 0 && st == ENT_OK)
        st = ent_hdf5_fail(ENT_EIO, label, name, "cannot write the attribute");
    H5Sclose(space);
    return st;
}

ent_status ent_hdf5_write_state(int64_t file, const char *label, const ent_ckpt_state *state)
{
    const int64_t version = ENT_CKPT_VERSION;
    ENT_TRY(write_attribute(file, label, "format_version", H5T_STD_I64LE, H5T_NATIVE_INT64, &version));
    for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++) {
        const struct attribute *a = &attributes[i];
        const char *data = (const char *)state + a->offset;
        if (a->kind == TEXT) {
            const hid_t type = ent_hdf5_text_type(strnlen(data, a->size - 1));
            const ent_status st = write_attribute(file, label, a->name, type, type, data);
            H5Tclose(type);
            ENT_TRY(st);
        } else {
            ENT_TRY(write_attribute(file, label, a->name, file_type(a->kind), memory_type(a->kind), data));
        }
    }
    return ENT_OK;
}

/* Reads one attribute of exactly the type we write; a text has at most size - 1 bytes. */
static ent_status read_attribute(void *out, hid_t file, const char *label, const char *name, kind k, size_t size)
{
    const htri_t exists = H5Aexists(file, name);
    if (exists < 0)
        return ent_hdf5_fail(ENT_EFORMAT, label, name, "cannot look up the attribute");
    if (exists == 0)
        return ent_fail(ENT_EFORMAT, "%s: %s: the attribute is missing", label, name);
    hid_t attribute = H5Aopen(file, name, H5P_DEFAULT), type = -1, space = -1;
    ent_status st = ENT_OK;
    if (attribute < 0 || (type = H5Aget_type(attribute)) < 0 || (space = H5Aget_space(attribute)) < 0)
        ENT_GO(ent_hdf5_fail(ENT_EFORMAT, label, name, "cannot read the attribute"));
    if (H5Sget_simple_extent_type(space) != H5S_SCALAR)
        ENT_GO(ent_fail(ENT_EFORMAT, "%s: %s: expected one value", label, name));
    if (k == TEXT) {
        if (H5Tget_class(type) != H5T_STRING || H5Tis_variable_str(type) != 0 || H5Tget_size(type) >= size)
            ENT_GO(ent_fail(ENT_EFORMAT, "%s: %s: expected a text of at most %zu bytes", label, name, size - 1));
        memset(out, 0, size);
    } else if (H5Tequal(type, file_type(k)) <= 0) {
        ENT_GO(ent_fail(ENT_EFORMAT, "%s: %s: expected a 64-bit %s", label, name, k == NUMBER ? "float" : "integer"));
    }
    if (H5Aread(attribute, k == TEXT ? type : memory_type(k), out) < 0)
        ENT_GO(ent_hdf5_fail(ENT_EFORMAT, label, name, "cannot read the attribute"));
done:
    if (space >= 0)
        H5Sclose(space);
    if (type >= 0)
        H5Tclose(type);
    if (attribute >= 0)
        H5Aclose(attribute);
    return st;
}

ent_status ent_hdf5_read_state(ent_ckpt_state *out, int64_t file, const char *label)
{
    int64_t version;
    ENT_TRY(read_attribute(&version, file, label, "format_version", WHOLE, 0));
    if (version != ENT_CKPT_VERSION)
        return ent_fail(ENT_EUNSUPPORTED, "%s: format_version: expected %d, found %lld", label, ENT_CKPT_VERSION,
                        (long long)version);
    for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++) {
        const struct attribute *a = &attributes[i];
        char *to = (char *)out + a->offset;
        ENT_TRY(read_attribute(to, file, label, a->name, a->kind, a->size));
        if (a->kind == WHOLE && *(int64_t *)(void *)to < 0)
            return ent_fail(ENT_EFORMAT, "%s: %s: expected 0 or more, found %lld", label, a->name,
                            (long long)*(int64_t *)(void *)to);
    }
    if (!(out->epoch >= 0 && isfinite(out->epoch)))
        return ent_fail(ENT_EFORMAT, "%s: epoch: expected 0 or more, found %g", label, out->epoch);
    return ENT_OK;
}
