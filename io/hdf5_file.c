/* Files, groups, datasets and faults of HDF5, with checks for files that may be hostile. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <hdf5.h>

#include "io/hdf5_check.h"
#include "io/hdf5_parts.h"

_Static_assert(sizeof(hid_t) == sizeof(int64_t), "an HDF5 handle is an int64_t");

const char *const ent_hdf5_groups[ENT_HDF5_GROUPS] = {"/params", "/optimizer/m", "/optimizer/v"};

float *ent_hdf5_part(const ent_ckpt_tensor *tensor, int group)
{
    return group == ENT_HDF5_VALUE ? tensor->value : group == ENT_HDF5_M ? tensor->m : tensor->v;
}

static herr_t first_fault(unsigned n, const H5E_error2_t *fault, void *context)
{
    if (n == 0 && fault->desc)
        snprintf(context, 256, "%s", fault->desc);
    return 0;
}

/* Faults of the system come as "...: time = ..., errno = 28, error message = 'No space left on device', ...". */
static void keep_system_message(char reason[256])
{
    static const char mark[] = "error message = '";
    char *message = strstr(reason, mark);
    if (message == NULL)
        return;
    message += sizeof mark - 1;
    message[strcspn(message, "'")] = 0;
    memmove(reason, message, strlen(message) + 1);
}

ent_status ent_hdf5_fail(ent_status code, const char *label, const char *what, const char *doing)
{
    char reason[256] = "HDF5 gives no reason";
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, first_fault, reason);
    keep_system_message(reason);
    return ent_fail(code, "%s: %s%s%s: %s", label, what ? what : "", what ? ": " : "", doing, reason);
}

/* Format 1.10: every piece of metadata has a checksum. No locks: network file systems often have none, and files are
 * renamed into place when they are complete. */
int64_t ent_hdf5_access_list(void)
{
    const hid_t list = H5Pcreate(H5P_FILE_ACCESS);
    bool ok = list >= 0 && H5Pset_libver_bounds(list, H5F_LIBVER_V110, H5F_LIBVER_V110) >= 0 &&
              H5Pset_fclose_degree(list, H5F_CLOSE_STRONG) >= 0;
#if H5_VERSION_GE(1, 10, 7)
    ok = ok && H5Pset_file_locking(list, 0, 1) >= 0;
#endif
    if (!ok && list >= 0)
        H5Pclose(list);
    return ok ? list : -1;
}

int64_t ent_hdf5_text_type(size_t n)
{
    const hid_t type = H5Tcopy(H5T_C_S1);
    if (type < 0)
        return -1;
    if (H5Tset_size(type, n ? n : 1) >= 0 && H5Tset_strpad(type, H5T_STR_NULLPAD) >= 0 &&
        H5Tset_cset(type, H5T_CSET_UTF8) >= 0)
        return type;
    H5Tclose(type);
    return -1;
}

ent_status ent_hdf5_create(int64_t *out, const char *path, const char *label)
{
    const hid_t access = ent_hdf5_access_list(), creation = H5Pcreate(H5P_FILE_CREATE);
    ent_status st = ENT_OK;
    *out = -1;
    /* The state has more attributes than fit into the compact form by default, and only that form has a checksum. */
    if (access < 0 || creation < 0 || H5Pset_obj_track_times(creation, 0) < 0 ||
        H5Pset_attr_phase_change(creation, 64, 0) < 0 || (*out = H5Fcreate(path, H5F_ACC_TRUNC, creation, access)) < 0)
        st = ent_hdf5_fail(ENT_EIO, label, NULL, "cannot create");
    if (creation >= 0)
        H5Pclose(creation);
    if (access >= 0)
        H5Pclose(access);
    return st;
}

ent_status ent_hdf5_open(int64_t *out, const char *path, const char *label)
{
    *out = -1;
    ENT_TRY(ent_hdf5_check_file(path, label));
    const hid_t list = ent_hdf5_access_list();
    ent_status st = ENT_OK;
    if (list < 0 || (*out = H5Fopen(path, H5F_ACC_RDONLY, list)) < 0)
        st = ent_hdf5_fail(ENT_EFORMAT, label, NULL, "cannot open as HDF5");
    if (list >= 0)
        H5Pclose(list);
    return st;
}

/* Opens `path` component by component, so that no link on the way leads elsewhere. */
static ent_status open_object(int64_t *out, int64_t file, const char *path, const char *label)
{
    char name[512];
    *out = -1;
    for (const char *end = path; *end;) {
        end += 1 + strcspn(end + 1, "/");
        snprintf(name, sizeof name, "%.*s", (int)(end - path), path);
        const htri_t exists = H5Lexists(file, name, H5P_DEFAULT);
        if (exists < 0)
            return ent_hdf5_fail(ENT_EFORMAT, label, name, "cannot look up");
        if (exists == 0)
            return ent_fail(ENT_EFORMAT, "%s: %s: is missing", label, name);
        H5L_info_t info;
        if (H5Lget_info(file, name, &info, H5P_DEFAULT) < 0)
            return ent_hdf5_fail(ENT_EFORMAT, label, name, "cannot look up");
        if (info.type != H5L_TYPE_HARD)
            return ent_fail(ENT_EFORMAT, "%s: %s: is a link to something else", label, name);
    }
    *out = H5Oopen(file, path, H5P_DEFAULT);
    return *out < 0 ? ent_hdf5_fail(ENT_EFORMAT, label, path, "cannot open") : ENT_OK;
}

ent_status ent_hdf5_open_group(int64_t *out, int64_t file, const char *path, const char *label)
{
    ENT_TRY(open_object(out, file, path, label));
    if (H5Iget_type(*out) == H5I_GROUP)
        return ENT_OK;
    H5Oclose(*out);
    *out = -1;
    return ent_fail(ENT_EFORMAT, "%s: %s: expected a group", label, path);
}

/* The type has to be the one we write: no conversion of hostile types. */
static ent_status check_type(int64_t dataset, const char *path, const char *label)
{
    const hid_t type = H5Dget_type(dataset);
    if (type < 0)
        return ent_hdf5_fail(ENT_EFORMAT, label, path, "cannot read its type");
    ent_status st = ENT_OK;
    if (H5Tequal(type, H5T_IEEE_F32LE) <= 0) {
        const H5T_class_t kind = H5Tget_class(type);
        st = ent_fail(ENT_EFORMAT, "%s: %s: expected 32-bit floats, little-endian, found %s of %zu bits", label, path,
                      kind == H5T_FLOAT     ? "floats"
                      : kind == H5T_INTEGER ? "integers"
                                            : "another type",
                      8 * H5Tget_size(type));
    }
    H5Tclose(type);
    return st;
}

static ent_status check_shape(size_t *n_dims, size_t *shape, int64_t dataset, const char *path, const char *label)
{
    hsize_t dims[H5S_MAX_RANK];
    const hid_t space = H5Dget_space(dataset);
    const int n = space < 0 ? -1 : H5Sget_simple_extent_dims(space, dims, NULL);
    if (space >= 0)
        H5Sclose(space);
    if (n < 1 || n > ENT_CKPT_MAX_DIMS)
        return ent_fail(ENT_EFORMAT, "%s: %s: expected 1 to %d dimensions, found %d", label, path, ENT_CKPT_MAX_DIMS,
                        n < 0 ? 0 : n);
    size_t bytes = sizeof(float);
    *n_dims = (size_t)n;
    for (int i = 0; i < n; i++)
        if (dims[i] == 0 || __builtin_mul_overflow(bytes, dims[i], &bytes))
            return ent_fail(ENT_EFORMAT, "%s: %s: dimension %d is %llu", label, path, i, (unsigned long long)dims[i]);
        else
            shape[i] = dims[i];
    if (H5Dget_storage_size(dataset) < bytes)
        return ent_fail(ENT_EFORMAT, "%s: %s: expected %zu bytes, file holds %llu", label, path, bytes,
                        (unsigned long long)H5Dget_storage_size(dataset));
    return ENT_OK;
}

/* Chunks with Fletcher32 and nothing else: other layouts may name other files, other filters may load code. */
static ent_status check_storage(int64_t dataset, const char *path, const char *label)
{
    const hid_t list = H5Dget_create_plist(dataset);
    bool ok = list >= 0 && H5Pget_layout(list) == H5D_CHUNKED && H5Pget_nfilters(list) == 1;
    if (ok) {
        unsigned flags;
        size_t n = 0;
        ok = H5Pget_filter2(list, 0, &flags, &n, NULL, 0, NULL, NULL) == H5Z_FILTER_FLETCHER32;
    }
    if (list >= 0)
        H5Pclose(list);
    return ok ? ENT_OK : ent_fail(ENT_EFORMAT, "%s: %s: expected chunks with Fletcher32 alone", label, path);
}

ent_status ent_hdf5_open_dataset(int64_t *out, size_t *n_dims, size_t shape[ENT_CKPT_MAX_DIMS], int64_t file,
                                 const char *path, const char *label)
{
    ent_status st;
    ENT_TRY(open_object(out, file, path, label));
    if (H5Iget_type(*out) != H5I_DATASET)
        ENT_GO(ent_fail(ENT_EFORMAT, "%s: %s: expected a dataset", label, path));
    ENT_GO(check_type(*out, path, label));
    ENT_GO(check_shape(n_dims, shape, *out, path, label));
    ENT_GO(check_storage(*out, path, label));
done:
    if (st != ENT_OK) {
        H5Oclose(*out);
        *out = -1;
    }
    return st;
}

ent_status ent_hdf5_links(size_t *count, int64_t group, const char *path, const char *label)
{
    H5G_info_t info;
    if (H5Gget_info(group, &info) < 0)
        return ent_hdf5_fail(ENT_EFORMAT, label, path, "cannot read the group");
    *count = info.nlinks;
    return ENT_OK;
}

ent_status ent_hdf5_link_name(char out[256], int64_t group, size_t i, const char *path, const char *label)
{
    const ssize_t n = H5Lget_name_by_idx(group, ".", H5_INDEX_NAME, H5_ITER_INC, i, out, 256, H5P_DEFAULT);
    if (n < 0)
        return ent_hdf5_fail(ENT_EFORMAT, label, path, "cannot read the group");
    return n < 256 ? ENT_OK : ent_fail(ENT_EFORMAT, "%s: %s: a name is %zd bytes long", label, path, n);
}
