/* What is in a checkpoint file, for readers who don't know. */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <hdf5.h>

#include "io/hdf5_parts.h"
#include "src/base/mem.h"

/* Whether a group of moments is there. */
static bool has_group(hid_t file, int group)
{
    return H5Lexists(file, "/optimizer", H5P_DEFAULT) > 0 && H5Lexists(file, ent_hdf5_groups[group], H5P_DEFAULT) > 0;
}

static size_t elements(const ent_ckpt_tensor *t)
{
    size_t n = 1;
    for (size_t i = 0; i < t->n_dims; i++)
        n *= t->shape[i];
    return n;
}

/* The name and the shape of tensor i. */
static ent_status describe(ent_ckpt_tensor *out, hid_t file, hid_t group, size_t i, const char *label)
{
    const char *where = ent_hdf5_groups[ENT_HDF5_VALUE];
    char name[256], *path = NULL, *copy;
    hid_t dataset = -1;
    ent_status st;
    ENT_GO(ent_hdf5_link_name(name, group, i, where, label));
    ENT_GO(ent_strdup(&copy, name));
    out->name = copy;
    ENT_GO(ent_format(&path, "%s/%s", where, name));
    ENT_GO(ent_hdf5_open_dataset(&dataset, &out->n_dims, out->shape, file, path, label));
done:
    if (dataset >= 0)
        H5Dclose(dataset);
    free(path);
    return st;
}

/* Memory for all numbers: never more than the file has bytes, whatever its dimensions say. */
static ent_status allocate(ent_hdf5_listing *out, const char *path, const char *label, bool with_m, bool with_v)
{
    struct stat file;
    if (stat(path, &file) != 0)
        return ent_fail(ENT_EIO, "%s: %s", label, strerror(errno));
    size_t left = (size_t)file.st_size / sizeof(float);
    const size_t sets = 1u + with_m + with_v;
    for (size_t i = 0; i < out->count; i++) {
        ent_ckpt_tensor *t = &out->tensors[i];
        const size_t n = elements(t);
        if (n > left / sets)
            return ent_fail(ENT_EFORMAT, "%s: its tensors are larger than the file of %lld bytes", label,
                            (long long)file.st_size);
        left -= n * sets;
        ENT_TRY(ent_calloc(&t->value, n, sizeof(float), "a checkpoint"));
        if (with_m)
            ENT_TRY(ent_calloc(&t->m, n, sizeof(float), "a checkpoint"));
        if (with_v)
            ENT_TRY(ent_calloc(&t->v, n, sizeof(float), "a checkpoint"));
    }
    return ENT_OK;
}

static ent_status list_file(ent_hdf5_listing *out, const char *path, const char *label)
{
    const char *where = ent_hdf5_groups[ENT_HDF5_VALUE];
    ent_status st;
    hid_t file = -1, group = -1;
    size_t count;
    ENT_GO(ent_hdf5_open(&file, path, label));
    ENT_GO(ent_hdf5_open_group(&group, file, where, label));
    ENT_GO(ent_hdf5_links(&count, group, where, label));
    ENT_GO(ent_calloc(&out->tensors, count, sizeof *out->tensors, "a checkpoint"));
    for (; out->count < count; out->count++) /* a tensor that fails halfway is freed by hand below */
        ENT_GO(describe(&out->tensors[out->count], file, group, out->count, label));
    ENT_GO(allocate(out, path, label, has_group(file, ENT_HDF5_M), has_group(file, ENT_HDF5_V)));
done:
    if (st != ENT_OK && out->tensors && out->count < count)
        out->count++;
    if (group >= 0)
        H5Gclose(group);
    if (file >= 0)
        H5Fclose(file);
    return st;
}

ent_status ent_hdf5_checkpoint_list(ent_hdf5_listing *out, const char *path, const char *label)
{
    ent_status st;
    *out = (ent_hdf5_listing){0};
    H5dont_atexit();
    H5E_BEGIN_TRY
    {
        st = list_file(out, path, label);
    }
    H5E_END_TRY;
    if (st == ENT_OK)
        st = ent_hdf5_checkpoint_read(&out->state, path, label, out->tensors, out->count);
    if (st != ENT_OK)
        ent_hdf5_listing_free(out);
    return st;
}

void ent_hdf5_listing_free(ent_hdf5_listing *listing)
{
    for (size_t i = 0; i < listing->count; i++) {
        ent_ckpt_tensor *t = &listing->tensors[i];
        free((void *)(uintptr_t)t->name);
        free(t->value);
        free(t->m);
        free(t->v);
    }
    free(listing->tensors);
    *listing = (ent_hdf5_listing){0};
}
