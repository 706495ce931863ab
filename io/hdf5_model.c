/* Model files in HDF5, written: see io/model_file.h for what is in them. The file is made in memory and written at
 * once. */
#include <stdlib.h>
#include <string.h>

#include <hdf5.h>

#include "io/atomic_file.h"
#include "io/hdf5_model_parts.h"
#include "io/hdf5_parts.h"
#include "io/model_file_parts.h"
#include "src/base/mem.h"

enum { GROWTH = 1 << 16, CHUNK_BYTES = 1 << 20, MAX_MEMBERS = 65535 };
#define ROW_LIMIT ((size_t)1 << 30) /* HDF5 ends a chunk at 4 GiB */

int64_t ent_hdf5_bool_type(void)
{
    static const signed char values[] = {0, 1};
    const hid_t type = H5Tenum_create(H5T_STD_I8LE);
    if (type < 0)
        return -1;
    if (H5Tenum_insert(type, "FALSE", &values[0]) >= 0 && H5Tenum_insert(type, "TRUE", &values[1]) >= 0)
        return type;
    H5Tclose(type);
    return -1;
}

int64_t ent_hdf5_memory_access(void)
{
    const hid_t list = ent_hdf5_access_list();
    if (list < 0 || H5Pset_fapl_core(list, GROWTH, 0) >= 0)
        return list;
    H5Pclose(list);
    return -1;
}

/* Takes over `type`, which may have failed. */
static ent_status put_attribute(hid_t object, const char *name, hid_t type, hid_t memory, const void *data,
                                const char *path)
{
    const hid_t space = H5Screate(H5S_SCALAR), list = H5Pcreate(H5P_ATTRIBUTE_CREATE);
    hid_t attribute = -1;
    ent_status st = ENT_OK;
    if (type < 0 || space < 0 || list < 0 || H5Pset_char_encoding(list, H5T_CSET_UTF8) < 0 ||
        (attribute = H5Acreate2(object, name, type, space, list, H5P_DEFAULT)) < 0 ||
        H5Awrite(attribute, memory, data) < 0)
        st = ent_hdf5_fail(ENT_EIO, path, name, "cannot write the attribute");
    if (attribute >= 0 && H5Aclose(attribute) < 0 && st == ENT_OK)
        st = ent_hdf5_fail(ENT_EIO, path, name, "cannot write the attribute");
    if (list >= 0)
        H5Pclose(list);
    if (space >= 0)
        H5Sclose(space);
    if (type >= 0)
        H5Tclose(type);
    return st;
}

static ent_status put_text(hid_t object, const char *name, const char *text, const char *path)
{
    const hid_t type = ent_hdf5_text_type(strlen(text));
    return put_attribute(object, name, type, type, text, path);
}

static ent_status put_bool(hid_t object, const char *name, bool value, const char *path)
{
    const signed char byte = value;
    const hid_t type = ent_hdf5_bool_type();
    return put_attribute(object, name, type, type, &byte, path);
}

static ent_status put_entry(hid_t group, const ent_model_file_entry *entry, const char *path)
{
    switch (entry->kind) {
    case ENT_MODEL_FILE_TEXT:
        return put_text(group, entry->key, entry->value.text, path);
    case ENT_MODEL_FILE_BOOL:
        return put_bool(group, entry->key, entry->value.boolean, path);
    case ENT_MODEL_FILE_INTEGER:
        return put_attribute(group, entry->key, H5Tcopy(H5T_STD_I64LE), H5T_NATIVE_INT64, &entry->value.integer, path);
    default:
        return put_attribute(group, entry->key, H5Tcopy(H5T_IEEE_F64LE), H5T_NATIVE_DOUBLE, &entry->value.floating,
                             path);
    }
}

/* All links and attributes stay in the group's header, which has a checksum, and keep the order of their creation. */
static ent_status create_group(hid_t *out, hid_t file, const char *name, size_t links, size_t entries, const char *path)
{
    *out = -1;
    if (links > MAX_MEMBERS || entries > MAX_MEMBERS)
        return ent_fail(ENT_EUNSUPPORTED, "%s: %s: expected at most %d members, found %zu", path, name, MAX_MEMBERS,
                        links > entries ? links : entries);
    const hid_t list = H5Pcreate(H5P_GROUP_CREATE);
    ent_status st = ENT_OK;
    if (list < 0 || H5Pset_obj_track_times(list, 0) < 0 || H5Pset_link_phase_change(list, MAX_MEMBERS, 0) < 0 ||
        H5Pset_attr_phase_change(list, MAX_MEMBERS, 0) < 0 || H5Pset_est_link_info(list, (unsigned)links, 64) < 0 ||
        H5Pset_link_creation_order(list, H5P_CRT_ORDER_TRACKED) < 0 ||
        H5Pset_attr_creation_order(list, H5P_CRT_ORDER_TRACKED) < 0 ||
        (*out = H5Gcreate2(file, name, H5P_DEFAULT, list, H5P_DEFAULT)) < 0)
        st = ent_hdf5_fail(ENT_EIO, path, name, "cannot create the group");
    if (list >= 0)
        H5Pclose(list);
    return st;
}

/* Chunks of whole rows (of the first dimension), as many as fit into CHUNK_BYTES, at least one. */
static ent_status set_chunks(hid_t list, const ent_model_file_param *p, const char *path)
{
    hsize_t chunk[ENT_MODEL_FILE_MAX_DIMS];
    const size_t row = ent_model_file_elements(p) / p->shape[0] * sizeof(float);
    if (row > ROW_LIMIT)
        return ent_fail(ENT_EUNSUPPORTED, "%s: %s: expected rows of at most %zu bytes, found %zu", path, p->name,
                        ROW_LIMIT, row);
    const size_t fit = row < CHUNK_BYTES ? CHUNK_BYTES / row : 1;
    for (size_t d = 0; d < p->n_dims; d++)
        chunk[d] = p->shape[d];
    if (fit < p->shape[0])
        chunk[0] = fit;
    return H5Pset_chunk(list, (int)p->n_dims, chunk) < 0
               ? ent_hdf5_fail(ENT_EIO, path, p->name, "cannot write the parameter")
               : ENT_OK;
}

static ent_status put_param(hid_t group, const ent_model_file_param *p, const char *path)
{
    static const char doing[] = "cannot write the parameter";
    hsize_t dims[ENT_MODEL_FILE_MAX_DIMS];
    hid_t dataset = -1, space = -1, links = -1;
    ent_status st = ENT_OK;
    for (size_t d = 0; d < p->n_dims; d++)
        dims[d] = p->shape[d];
    const hid_t list = H5Pcreate(H5P_DATASET_CREATE);
    if (list < 0)
        ENT_GO(ent_hdf5_fail(ENT_EIO, path, p->name, doing));
    ENT_GO(set_chunks(list, p, path));
    if (H5Pset_obj_track_times(list, 0) < 0 || H5Pset_fletcher32(list) < 0 ||
        (space = H5Screate_simple((int)p->n_dims, dims, NULL)) < 0 || (links = H5Pcreate(H5P_LINK_CREATE)) < 0 ||
        H5Pset_char_encoding(links, H5T_CSET_UTF8) < 0 ||
        (dataset = H5Dcreate2(group, p->name, H5T_IEEE_F32LE, space, links, list, H5P_DEFAULT)) < 0 ||
        H5Dwrite(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, p->data) < 0)
        ENT_GO(ent_hdf5_fail(ENT_EIO, path, p->name, doing));
    ENT_GO(put_bool(dataset, "requires_grad", p->requires_grad, path));
done:
    if (dataset >= 0 && H5Dclose(dataset) < 0 && st == ENT_OK)
        st = ent_hdf5_fail(ENT_EIO, path, p->name, doing);
    if (links >= 0)
        H5Pclose(links);
    if (space >= 0)
        H5Sclose(space);
    if (list >= 0)
        H5Pclose(list);
    return st;
}

static ent_status put_model(hid_t file, const ent_model_file *m, const char *path)
{
    hid_t custom = -1, parameters = -1;
    ent_status st;
    ENT_GO(put_text(file, "name", m->name, path));
    ENT_GO(put_text(file, "architecture", m->architecture, path));
    ENT_GO(put_text(file, "version", m->version, path));
    ENT_GO(create_group(&custom, file, "/custom", 0, m->n_custom, path));
    for (size_t i = 0; i < m->n_custom; i++)
        ENT_GO(put_entry(custom, &m->custom[i], path));
    ENT_GO(create_group(&parameters, file, "/parameters", m->n_params, 0, path));
    for (size_t i = 0; i < m->n_params; i++)
        ENT_GO(put_param(parameters, &m->params[i], path));
done:
    if (parameters >= 0)
        H5Gclose(parameters);
    if (custom >= 0)
        H5Gclose(custom);
    return st;
}

/* The memory of a file. HDF5 asks for it here and leaves it here: what it hands out of a file that is still open
 * (H5Fget_file_image) has a mark for that, and a checksum that doesn't hold without. */
typedef struct image {
    unsigned char *data;
    size_t n;
} image;

static void *grow_image(void *data, size_t n, H5FD_file_image_op_t operation, void *context)
{
    image *i = context;
    unsigned char *grown = realloc(data, n);
    (void)operation;
    if (grown == NULL)
        return NULL;
    if (n > i->n) /* gaps that nobody writes */
        memset(grown + i->n, 0, n - i->n);
    *i = (image){grown, n};
    return grown;
}

static herr_t keep_image(void *data, H5FD_file_image_op_t operation, void *context)
{
    (void)data;
    (void)operation;
    (void)context;
    return 0;
}

static void *same_context(void *context)
{
    return context;
}

static herr_t keep_context(void *context)
{
    (void)context;
    return 0;
}

/* *n = the bytes of the file in its memory, which grows in steps: by the superblock's address of the end. */
static ent_status find_end(size_t *n, const image *i, const char *path)
{
    enum { END_AT = 28, SUPERBLOCK = 48 };
    uint64_t end = 0;
    if (i->n >= SUPERBLOCK)
        for (size_t k = 8; k-- > 0;)
            end = end << 8 | i->data[END_AT + k];
    *n = (size_t)end;
    return end >= SUPERBLOCK && end <= i->n ? ENT_OK : ent_fail(ENT_EIO, "%s: HDF5 made no file", path);
}

static ent_status make_file(image *out, const ent_model_file *m, const char *path)
{
    H5FD_file_image_callbacks_t calls = {.image_realloc = grow_image,
                                         .image_free = keep_image,
                                         .udata_copy = same_context,
                                         .udata_free = keep_context,
                                         .udata = out};
    hid_t file = -1;
    const hid_t access = ent_hdf5_memory_access(), creation = H5Pcreate(H5P_FILE_CREATE);
    ent_status st;
    if (access < 0 || creation < 0 || H5Pset_obj_track_times(creation, 0) < 0 ||
        H5Pset_file_image_callbacks(access, &calls) < 0 ||
        (file = H5Fcreate(ENT_HDF5_NO_FILE, H5F_ACC_TRUNC, creation, access)) < 0)
        ENT_GO(ent_hdf5_fail(ENT_EIO, path, NULL, "cannot create"));
    ENT_GO(put_model(file, m, path));
done:
    if (file >= 0 && H5Fclose(file) < 0 && st == ENT_OK)
        st = ent_hdf5_fail(ENT_EIO, path, NULL, "cannot make the file");
    if (creation >= 0)
        H5Pclose(creation);
    if (access >= 0)
        H5Pclose(access);
    return st;
}

ent_status ent_model_save_hdf5(const char *path, const ent_model_file *m)
{
    image made = {0};
    size_t n = 0;
    ent_status st;
    H5dont_atexit(); /* as io/hdf5_checkpoint.c does, whichever comes first */
    H5E_BEGIN_TRY
    {
        st = make_file(&made, m, path);
    }
    H5E_END_TRY;
    if (st == ENT_OK)
        st = find_end(&n, &made, path);
    if (st == ENT_OK)
        st = ent_atomic_write(path, made.data, n);
    free(made.data);
    return st;
}
