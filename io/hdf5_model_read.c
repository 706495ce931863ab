/* Model files in HDF5, read: the whole file at once, then from memory. It may be damaged or hostile. */
#include <stdlib.h>
#include <string.h>

#include <hdf5.h>

#include "io/hdf5_check.h"
#include "io/hdf5_model_parts.h"
#include "io/hdf5_parts.h"
#include "io/model_file_parts.h"
#include "src/base/mem.h"

/* The handles of an attribute that is being read. */
typedef struct attribute {
    hid_t handle, type;
    const char *path, *name;
} attribute;

static void close_attribute(const attribute *a)
{
    if (a->type >= 0)
        H5Tclose(a->type);
    if (a->handle >= 0)
        H5Aclose(a->handle);
}

static ent_status fault(const attribute *a)
{
    return ent_hdf5_fail(ENT_EFORMAT, a->path, a->name, "cannot read the attribute");
}

/* Takes over an attribute's handle, which may have failed; to be closed also after a failure. */
static ent_status take_attribute(attribute *out, hid_t handle, const char *name, const char *path)
{
    *out = (attribute){handle, handle < 0 ? -1 : H5Aget_type(handle), path, name};
    if (out->type < 0)
        return fault(out);
    const hid_t space = H5Aget_space(handle);
    if (space < 0)
        return fault(out);
    const H5S_class_t class = H5Sget_simple_extent_type(space);
    H5Sclose(space);
    return class == H5S_SCALAR ? ENT_OK : ent_fail(ENT_EFORMAT, "%s: %s: expected one value", path, name);
}

/* *out = a text of fixed length (caller frees). */
static ent_status get_text(char **out, const attribute *a)
{
    const size_t n = H5Tget_size(a->type);
    if (H5Tget_class(a->type) != H5T_STRING || H5Tis_variable_str(a->type) != 0 || n > ENT_MODEL_FILE_MAX_TEXT)
        return ent_fail(ENT_EFORMAT, "%s: %s: expected a text of a fixed length of at most %d bytes", a->path, a->name,
                        ENT_MODEL_FILE_MAX_TEXT);
    ENT_TRY(ent_calloc(out, n + 1, 1, a->path));
    return H5Aread(a->handle, a->type, *out) < 0 ? fault(a) : ENT_OK;
}

static bool is_bool(const attribute *a)
{
    const hid_t type = ent_hdf5_bool_type();
    const bool same = type >= 0 && H5Tequal(a->type, type) > 0;
    if (type >= 0)
        H5Tclose(type);
    return same;
}

static ent_status get_bool(bool *out, const attribute *a)
{
    signed char byte;
    if (!is_bool(a))
        return ent_fail(ENT_EFORMAT, "%s: %s: expected an enumeration of FALSE and TRUE", a->path, a->name);
    if (H5Aread(a->handle, a->type, &byte) < 0)
        return fault(a);
    if (byte != 0 && byte != 1)
        return ent_fail(ENT_EFORMAT, "%s: %s: expected FALSE or TRUE, found %d", a->path, a->name, byte);
    *out = byte;
    return ENT_OK;
}

static ent_status get_entry(ent_model_file_entry *out, const attribute *a)
{
    hid_t memory = -1;
    if (H5Tget_class(a->type) == H5T_STRING) {
        char *text = NULL;
        const ent_status st = get_text(&text, a);
        out->value.text = text; /* kind 0 is a text: the model's from here on */
        return st;
    }
    if (is_bool(a)) {
        out->kind = ENT_MODEL_FILE_BOOL;
        return get_bool(&out->value.boolean, a);
    }
    if (H5Tequal(a->type, H5T_STD_I64LE) > 0) {
        out->kind = ENT_MODEL_FILE_INTEGER;
        memory = H5T_NATIVE_INT64;
    } else if (H5Tequal(a->type, H5T_IEEE_F64LE) > 0) {
        out->kind = ENT_MODEL_FILE_FLOATING;
        memory = H5T_NATIVE_DOUBLE;
    } else {
        return ent_fail(ENT_EFORMAT, "%s: %s: expected a text, a 64-bit integer, a 64-bit float or a bool", a->path,
                        a->name);
    }
    return H5Aread(a->handle, memory, &out->value) < 0 ? fault(a) : ENT_OK;
}

/* Fails unless an object has that many attributes. */
static ent_status count_attributes(hid_t object, int n, const char *what, const char *path)
{
    const int found = H5Aget_num_attrs(object);
    if (found < 0)
        return ent_hdf5_fail(ENT_EFORMAT, path, what, "cannot count the attributes");
    return found == n ? ENT_OK
                      : ent_fail(ENT_EFORMAT, "%s: %s: expected %d attributes, found %d", path, what, n, found);
}

static ent_status get_named_text(const char **out, hid_t object, const char *name, const char *path)
{
    attribute a;
    char *text = NULL;
    if (H5Aexists(object, name) == 0)
        return ent_fail(ENT_EFORMAT, "%s: %s: the attribute is missing", path, name);
    ent_status st = take_attribute(&a, H5Aopen(object, name, H5P_DEFAULT), name, path);
    if (st == ENT_OK)
        st = get_text(&text, &a);
    close_attribute(&a);
    *out = text;
    return st;
}

/* A model whose parts come one after the other, in order of creation. */
typedef struct filling {
    ent_model_file *model;
    hid_t file;
    size_t n_custom, n_params; /* that have come */
    const char *path;
    ent_status st;
} filling;

static ent_status take_name(const char **out, const char *name, const char *where, const char *path)
{
    char *copy = NULL;
    if (strlen(name) > ENT_MODEL_FILE_MAX_NAME)
        return ent_fail(ENT_EFORMAT, "%s: %s: expected names of at most %d bytes, found %zu", path, where,
                        ENT_MODEL_FILE_MAX_NAME, strlen(name));
    ENT_TRY(ent_strdup(&copy, name));
    *out = copy;
    return ENT_OK;
}

static ent_status get_custom(ent_model_file_entry *out, hid_t group, const char *name, const char *path)
{
    attribute a;
    ENT_TRY(take_name(&out->key, name, "/custom", path));
    ent_status st = take_attribute(&a, H5Aopen(group, name, H5P_DEFAULT), out->key, path);
    if (st == ENT_OK)
        st = get_entry(out, &a);
    close_attribute(&a);
    return st;
}

static ent_status get_param(ent_model_file_param *out, hid_t file, const char *name, const char *path)
{
    char *full = NULL;
    float *data = NULL;
    hid_t dataset = -1;
    attribute a = {-1, -1, path, NULL};
    ent_status st;
    ENT_TRY(take_name(&out->name, name, "/parameters", path));
    ENT_TRY(ent_format(&full, "/parameters/%s", name));
    ENT_GO(ent_hdf5_open_dataset(&dataset, &out->n_dims, out->shape, file, full, path));
    ENT_GO(count_attributes(dataset, 1, full, path));
    ENT_GO(take_attribute(&a, H5Aopen(dataset, "requires_grad", H5P_DEFAULT), full, path));
    ENT_GO(get_bool(&out->requires_grad, &a));
    ENT_GO(ent_calloc(&data, ent_model_file_elements(out), sizeof *data, path));
    out->data = data;
    if (H5Dread(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) < 0)
        ENT_GO(ent_hdf5_fail(ENT_EFORMAT, path, full, "cannot read"));
done:
    close_attribute(&a);
    if (dataset >= 0)
        H5Dclose(dataset);
    free(full);
    return st;
}

static herr_t each_custom(hid_t group, const char *name, const H5A_info_t *info, void *context)
{
    filling *f = context;
    (void)info;
    if (f->n_custom == f->model->n_custom)
        return -1;
    f->st = get_custom(ent_model_file_entry_at(f->model, f->n_custom++), group, name, f->path);
    return f->st == ENT_OK ? 0 : -1;
}

static herr_t each_param(hid_t group, const char *name, const H5L_info_t *info, void *context)
{
    filling *f = context;
    (void)group;
    (void)info;
    if (f->n_params == f->model->n_params)
        return -1;
    f->st = get_param(ent_model_file_param_at(f->model, f->n_params++), f->file, name, f->path);
    return f->st == ENT_OK ? 0 : -1;
}

/* HDF5 would take any order where none was kept. */
static ent_status check_order(hid_t group, const char *name, const char *path)
{
    unsigned links = 0, attributes = 0;
    const hid_t list = H5Gget_create_plist(group);
    const bool known = list >= 0 && H5Pget_link_creation_order(list, &links) >= 0 &&
                       H5Pget_attr_creation_order(list, &attributes) >= 0;
    if (list >= 0)
        H5Pclose(list);
    if (!known)
        return ent_hdf5_fail(ENT_EFORMAT, path, name, "cannot read how the group was created");
    return links & attributes & H5P_CRT_ORDER_TRACKED
               ? ENT_OK
               : ent_fail(ENT_EFORMAT, "%s: %s: expected a group that keeps the order of creation", path, name);
}

static ent_status fill(ent_model_file *m, hid_t file, hid_t custom, hid_t parameters, const char *path)
{
    filling f = {.model = m, .file = file, .path = path};
    hsize_t at = 0;
    ENT_TRY(check_order(custom, "/custom", path));
    ENT_TRY(check_order(parameters, "/parameters", path));
    if ((H5Aiterate2(custom, H5_INDEX_CRT_ORDER, H5_ITER_INC, &at, each_custom, &f) < 0 || f.n_custom != m->n_custom) &&
        f.st == ENT_OK)
        return ent_hdf5_fail(ENT_EFORMAT, path, "/custom", "cannot read in order of creation");
    ENT_TRY(f.st);
    at = 0;
    if ((H5Literate(parameters, H5_INDEX_CRT_ORDER, H5_ITER_INC, &at, each_param, &f) < 0 ||
         f.n_params != m->n_params) &&
        f.st == ENT_OK)
        return ent_hdf5_fail(ENT_EFORMAT, path, "/parameters", "cannot read in order of creation");
    return f.st;
}

static ent_status read_model(ent_model_file **out, hid_t file, const char *path)
{
    hid_t root = -1, custom = -1, parameters = -1;
    size_t links = 0, n_params = 0, none = 0;
    ent_status st;
    ENT_GO(ent_hdf5_open_group(&custom, file, "/custom", path));
    ENT_GO(ent_hdf5_open_group(&parameters, file, "/parameters", path));
    if ((root = H5Gopen2(file, "/", H5P_DEFAULT)) < 0)
        ENT_GO(ent_hdf5_fail(ENT_EFORMAT, path, "/", "cannot open"));
    ENT_GO(ent_hdf5_links(&links, root, "/", path));
    ENT_GO(ent_hdf5_links(&none, custom, "/custom", path));
    if (links != 2 || none != 0)
        ENT_GO(ent_fail(ENT_EFORMAT, "%s: expected nothing but /custom and /parameters, found %zu more", path,
                        links - 2 + none));
    ENT_GO(count_attributes(root, 3, "/", path));
    ENT_GO(count_attributes(parameters, 0, "/parameters", path));
    ENT_GO(ent_hdf5_links(&n_params, parameters, "/parameters", path));
    const int n_custom = H5Aget_num_attrs(custom);
    if (n_custom < 0)
        ENT_GO(ent_hdf5_fail(ENT_EFORMAT, path, "/custom", "cannot count the attributes"));
    ENT_GO(ent_model_file_new(out, (size_t)n_custom, n_params, path));
    ENT_GO(get_named_text(&(*out)->name, root, "name", path));
    ENT_GO(get_named_text(&(*out)->architecture, root, "architecture", path));
    ENT_GO(get_named_text(&(*out)->version, root, "version", path));
    ENT_GO(fill(*out, file, custom, parameters, path));
done:
    if (root >= 0)
        H5Gclose(root);
    if (parameters >= 0)
        H5Gclose(parameters);
    if (custom >= 0)
        H5Gclose(custom);
    return st;
}

static ent_status open_image(hid_t *out, char *image, size_t n, const char *path)
{
    const hid_t access = ent_hdf5_memory_access();
    ent_status st = ENT_OK;
    if (access < 0 || H5Pset_file_image(access, image, n) < 0 ||
        (*out = H5Fopen(ENT_HDF5_NO_FILE, H5F_ACC_RDONLY, access)) < 0)
        st = ent_hdf5_fail(ENT_EFORMAT, path, NULL, "cannot open as HDF5");
    if (access >= 0)
        H5Pclose(access);
    return st;
}

ent_status ent_model_load_hdf5(ent_model_file **out, const char *path)
{
    char *image = NULL;
    size_t n = 0;
    hid_t file = -1;
    ent_status st;
    ENT_TRY(ent_text_read_file(&image, &n, path));
    if (n == 0) { /* would make HDF5 look for the file itself */
        free(image);
        return ent_fail(ENT_EFORMAT, "%s: expected an HDF5 file, found 0 bytes", path);
    }
    st = ent_hdf5_check(image, n, path);
    if (st != ENT_OK) {
        free(image);
        return st;
    }
    H5dont_atexit();
    H5E_BEGIN_TRY
    {
        st = open_image(&file, image, n, path);
        free(image); /* HDF5 has a copy */
        if (st == ENT_OK)
            st = read_model(out, file, path);
        if (file >= 0)
            H5Fclose(file);
    }
    H5E_END_TRY;
    return st;
}
