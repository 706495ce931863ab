/* Checkpoint files: see io/hdf5_checkpoint.h for what is in them. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <hdf5.h>

#include "io/hdf5_parts.h"
#include "src/base/mem.h"

enum { CHUNK_BYTES = 1 << 20, PATH_BYTES = 300 };
#define ROW_LIMIT ((size_t)1 << 30) /* HDF5 ends a chunk at 4 GiB */

static void dataset_path(char out[PATH_BYTES], int group, const ent_ckpt_tensor *t)
{
    snprintf(out, PATH_BYTES, "%s/%s", ent_hdf5_groups[group], t->name);
}

/* Rows (of the first dimension) in a chunk: as many as fit into CHUNK_BYTES, at least one. */
static size_t chunk_rows(const ent_ckpt_tensor *t, size_t *row_bytes)
{
    *row_bytes = sizeof(float);
    for (size_t i = 1; i < t->n_dims; i++)
        *row_bytes *= t->shape[i];
    const size_t rows = *row_bytes < CHUNK_BYTES ? CHUNK_BYTES / *row_bytes : 1;
    return rows < t->shape[0] ? rows : t->shape[0];
}

static ent_status check_tensor(const ent_ckpt_tensor *t, const char *label)
{
    const size_t n = strlen(t->name);
    if (n == 0 || n > 255 || strchr(t->name, '/') || strcmp(t->name, ".") == 0)
        return ent_fail(ENT_EINVAL, "%s: \"%s\" is no name for a tensor", label, t->name);
    if (t->n_dims < 1 || t->n_dims > ENT_CKPT_MAX_DIMS)
        return ent_fail(ENT_EINVAL, "%s: %s: expected 1 to %d dimensions, found %zu", label, t->name, ENT_CKPT_MAX_DIMS,
                        t->n_dims);
    size_t row = sizeof(float), all;
    for (size_t i = 1; i < t->n_dims; i++)
        if (t->shape[i] == 0 || __builtin_mul_overflow(row, t->shape[i], &row) || row > ROW_LIMIT)
            return ent_fail(ENT_EINVAL, "%s: %s: dimension %zu is %zu", label, t->name, i, t->shape[i]);
    if (t->shape[0] == 0 || __builtin_mul_overflow(row, t->shape[0], &all))
        return ent_fail(ENT_EINVAL, "%s: %s: dimension 0 is %zu", label, t->name, t->shape[0]);
    return ENT_OK;
}

static size_t count_in_group(int group, const ent_ckpt_tensor *tensors, size_t count)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        n += ent_hdf5_part(&tensors[i], group) != NULL;
    return n;
}

/* All links stay in the group's header, which has a checksum; the heap that HDF5 uses for many links has none. */
static ent_status write_group(hid_t file, const char *label, const char *path, size_t links)
{
    const hid_t list = H5Pcreate(H5P_GROUP_CREATE);
    hid_t group = -1;
    ent_status st = ENT_OK;
    if (links > 65535)
        st = ent_fail(ENT_EUNSUPPORTED, "%s: %s: expected at most 65535 tensors, found %zu", label, path, links);
    else if (list < 0 || H5Pset_obj_track_times(list, 0) < 0 || H5Pset_link_phase_change(list, 65535, 0) < 0 ||
             H5Pset_est_link_info(list, (unsigned)links, 64) < 0 ||
             (group = H5Gcreate2(file, path, H5P_DEFAULT, list, H5P_DEFAULT)) < 0)
        st = ent_hdf5_fail(ENT_EIO, label, path, "cannot create the group");
    if (group >= 0)
        H5Gclose(group);
    if (list >= 0)
        H5Pclose(list);
    return st;
}

static ent_status write_dataset(hid_t file, const char *label, int group, const ent_ckpt_tensor *t)
{
    char path[PATH_BYTES];
    hsize_t dims[ENT_CKPT_MAX_DIMS], chunk[ENT_CKPT_MAX_DIMS];
    size_t row_bytes;
    dataset_path(path, group, t);
    for (size_t i = 0; i < t->n_dims; i++)
        dims[i] = chunk[i] = t->shape[i];
    chunk[0] = chunk_rows(t, &row_bytes);
    const hid_t space = H5Screate_simple((int)t->n_dims, dims, NULL), list = H5Pcreate(H5P_DATASET_CREATE);
    hid_t dataset = -1;
    ent_status st = ENT_OK;
    if (space < 0 || list < 0 || H5Pset_obj_track_times(list, 0) < 0 || H5Pset_chunk(list, (int)t->n_dims, chunk) < 0 ||
        H5Pset_fletcher32(list) < 0 ||
        (dataset = H5Dcreate2(file, path, H5T_IEEE_F32LE, space, H5P_DEFAULT, list, H5P_DEFAULT)) < 0 ||
        H5Dwrite(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, ent_hdf5_part(t, group)) < 0)
        st = ent_hdf5_fail(ENT_EIO, label, path, "cannot write");
    if (dataset >= 0 && H5Dclose(dataset) < 0 && st == ENT_OK)
        st = ent_hdf5_fail(ENT_EIO, label, path, "cannot write");
    if (list >= 0)
        H5Pclose(list);
    if (space >= 0)
        H5Sclose(space);
    return st;
}

static ent_status write_contents(hid_t file, const char *label, const ent_ckpt_tensor *tensors, size_t count,
                                 const ent_ckpt_state *state)
{
    const size_t with_m = count_in_group(ENT_HDF5_M, tensors, count),
                 with_v = count_in_group(ENT_HDF5_V, tensors, count);
    ENT_TRY(ent_hdf5_write_state(file, label, state));
    ENT_TRY(write_group(file, label, ent_hdf5_groups[ENT_HDF5_VALUE], count));
    if (with_m || with_v)
        ENT_TRY(write_group(file, label, "/optimizer", 2));
    if (with_m)
        ENT_TRY(write_group(file, label, ent_hdf5_groups[ENT_HDF5_M], with_m));
    if (with_v)
        ENT_TRY(write_group(file, label, ent_hdf5_groups[ENT_HDF5_V], with_v));
    for (int group = 0; group < ENT_HDF5_GROUPS; group++)
        for (size_t i = 0; i < count; i++)
            if (ent_hdf5_part(&tensors[i], group))
                ENT_TRY(write_dataset(file, label, group, &tensors[i]));
    return ENT_OK;
}

static ent_status write_file(const char *path, const char *label, const ent_ckpt_tensor *tensors, size_t count,
                             const ent_ckpt_state *state)
{
    hid_t file;
    for (size_t i = 0; i < count; i++)
        ENT_TRY(check_tensor(&tensors[i], label));
    ENT_TRY(ent_hdf5_create(&file, path, label));
    ent_status st = write_contents(file, label, tensors, count, state);
    if (H5Fclose(file) < 0 && st == ENT_OK)
        st = ent_hdf5_fail(ENT_EIO, label, NULL, "cannot write");
    return st;
}

/* What is done with a dataset that was found as expected. */
typedef ent_status use_dataset(hid_t dataset, const char *path, const char *label, int group, const ent_ckpt_tensor *t);

static ent_status read_dataset(hid_t dataset, const char *path, const char *label, int group, const ent_ckpt_tensor *t)
{
    if (H5Dread(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, ent_hdf5_part(t, group)) < 0)
        return ent_hdf5_fail(ENT_EFORMAT, label, path, "cannot read");
    return ENT_OK;
}

/* Reads a chunk at a time, so that comparing takes no memory to speak of. */
static ent_status compare_dataset(hid_t dataset, const char *path, const char *label, int group,
                                  const ent_ckpt_tensor *t)
{
    size_t row_bytes;
    const size_t rows = chunk_rows(t, &row_bytes);
    const char *expected = (const char *)ent_hdf5_part(t, group);
    char *buffer;
    ENT_TRY(ent_calloc(&buffer, rows, row_bytes, "a chunk of a checkpoint"));
    const hid_t space = H5Dget_space(dataset);
    ent_status st = ENT_OK;
    for (size_t row = 0; row < t->shape[0]; row += rows) {
        hsize_t start[ENT_CKPT_MAX_DIMS] = {row}, size[ENT_CKPT_MAX_DIMS];
        for (size_t i = 0; i < t->n_dims; i++)
            size[i] = t->shape[i];
        size[0] = rows < t->shape[0] - row ? rows : t->shape[0] - row;
        const hid_t memory = H5Screate_simple((int)t->n_dims, size, NULL);
        if (memory < 0 || H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, size, NULL) < 0 ||
            H5Dread(dataset, H5T_NATIVE_FLOAT, memory, space, H5P_DEFAULT, buffer) < 0)
            st = ent_hdf5_fail(ENT_EIO, label, path, "cannot read back");
        else if (memcmp(buffer, expected + row * row_bytes, size[0] * row_bytes) != 0)
            st = ent_fail(ENT_EIO, "%s: %s: reads back as something else than was written", label, path);
        if (memory >= 0)
            H5Sclose(memory);
        if (st != ENT_OK)
            break;
    }
    H5Sclose(space);
    free(buffer);
    return st;
}

static void shape_text(char out[96], size_t n_dims, const size_t *shape)
{
    size_t n = 0;
    for (size_t i = 0; i < n_dims; i++)
        n += (size_t)snprintf(out + n, 96 - n, "%s%zu", i ? "," : "[", shape[i]);
    snprintf(out + n, 96 - n, "]");
}

static ent_status visit_dataset(hid_t file, const char *label, int group, const ent_ckpt_tensor *t, use_dataset *use)
{
    char path[PATH_BYTES], expected[96], found[96];
    size_t n_dims, shape[ENT_CKPT_MAX_DIMS];
    hid_t dataset;
    dataset_path(path, group, t);
    ENT_TRY(ent_hdf5_open_dataset(&dataset, &n_dims, shape, file, path, label));
    ent_status st;
    if (n_dims != t->n_dims || memcmp(shape, t->shape, n_dims * sizeof *shape) != 0) {
        shape_text(expected, t->n_dims, t->shape);
        shape_text(found, n_dims, shape);
        st = ent_fail(ENT_EFORMAT, "%s: %s: expected %s, file has %s", label, path, expected, found);
    } else {
        st = use(dataset, path, label, group, t);
    }
    H5Dclose(dataset);
    return st;
}

/* Everything that is expected was found; so a group with more links holds something else as well. */
static ent_status check_no_others(hid_t file, const char *label, int group, const ent_ckpt_tensor *tensors,
                                  size_t count)
{
    const char *path = ent_hdf5_groups[group];
    const size_t expected = count_in_group(group, tensors, count);
    size_t found;
    hid_t handle;
    if (expected == 0 && group != ENT_HDF5_VALUE) {
        if ((H5Lexists(file, "/optimizer", H5P_DEFAULT) > 0 && H5Lexists(file, path, H5P_DEFAULT) > 0))
            return ent_fail(ENT_EFORMAT, "%s: %s: is not expected with this optimizer", label, path);
        return ENT_OK;
    }
    ENT_TRY(ent_hdf5_open_group(&handle, file, path, label));
    ent_status st = ent_hdf5_links(&found, handle, path, label);
    for (size_t i = 0; st == ENT_OK && found != expected && i < found; i++) {
        char name[256];
        size_t at = 0;
        st = ent_hdf5_link_name(name, handle, i, path, label);
        while (at < count && strcmp(tensors[at].name, name) != 0)
            at++;
        if (st == ENT_OK && at == count)
            st = ent_fail(ENT_EFORMAT, "%s: %s/%s: is not expected", label, path, name);
    }
    H5Gclose(handle);
    if (st == ENT_OK && found != expected)
        st = ent_fail(ENT_EFORMAT, "%s: %s: expected %zu tensors, found %zu", label, path, expected, found);
    return st;
}

static ent_status visit(ent_ckpt_state *state, const char *path, const char *label, const ent_ckpt_tensor *tensors,
                        size_t count, use_dataset *use)
{
    ent_status st;
    hid_t file = -1;
    for (size_t i = 0; i < count; i++)
        ENT_TRY(check_tensor(&tensors[i], label));
    ENT_GO(ent_hdf5_open(&file, path, label));
    ENT_GO(ent_hdf5_read_state(state, file, label));
    for (int group = 0; group < ENT_HDF5_GROUPS; group++) {
        for (size_t i = 0; i < count; i++)
            if (ent_hdf5_part(&tensors[i], group))
                ENT_GO(visit_dataset(file, label, group, &tensors[i], use));
        ENT_GO(check_no_others(file, label, group, tensors, count));
    }
done:
    if (file >= 0)
        H5Fclose(file);
    return st;
}

/* HDF5 prints its faults to the terminal unless told not to. A disk that was full leaves it with what it can't close:
 * no second try, with its complaints, at the exit (works if this is the program's first call of HDF5). */
ent_status ent_hdf5_checkpoint_write(const char *path, const char *label, const ent_ckpt_tensor *tensors, size_t count,
                                     const ent_ckpt_state *state)
{
    ent_status st;
    H5dont_atexit();
    H5E_BEGIN_TRY
    {
        st = write_file(path, label, tensors, count, state);
    }
    H5E_END_TRY;
    return st;
}

ent_status ent_hdf5_checkpoint_read(ent_ckpt_state *state, const char *path, const char *label,
                                    ent_ckpt_tensor *tensors, size_t count)
{
    ent_status st;
    H5dont_atexit();
    H5E_BEGIN_TRY
    {
        st = visit(state, path, label, tensors, count, read_dataset);
    }
    H5E_END_TRY;
    return st;
}

ent_status ent_hdf5_checkpoint_verify(const char *path, const char *label, const ent_ckpt_tensor *tensors, size_t count)
{
    ent_status st;
    ent_ckpt_state state;
    H5dont_atexit();
    H5E_BEGIN_TRY
    {
        st = visit(&state, path, label, tensors, count, compare_dataset);
    }
    H5E_END_TRY;
    return st;
}
