#include "io/hdf5_reader.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <hdf5.h>

#include "io/hdf5_parts.h"
#include "src/base/mem.h"

enum { BLOCK_BYTES = 1 << 20 };

struct ent_hdf5_reader {
    char *path;
    hid_t file;
    ent_ckpt_state state;
    ent_hdf5_dataset *datasets;
    size_t count, capacity;
    hid_t dataset; /* that is being read, -1: none */
    size_t at;     /* its index */
    float *block;  /* `held` numbers of it, from number `begin` on */
    size_t begin, held, block_capacity;
};

void ent_hdf5_reader_close(ent_hdf5_reader *r)
{
    if (r == NULL)
        return;
    if (r->dataset >= 0)
        H5Dclose(r->dataset);
    if (r->file >= 0)
        H5Fclose(r->file);
    for (size_t i = 0; i < r->count; i++)
        free(r->datasets[i].path);
    free(r->datasets);
    free(r->block);
    free(r->path);
    free(r);
}

/* Link i of a group becomes the next dataset. */
static ent_status add_dataset(ent_hdf5_reader *r, hid_t group, const char *where, size_t i)
{
    char name[256];
    hid_t dataset = -1;
    ENT_TRY(ent_hdf5_link_name(name, group, i, where, r->path));
    ENT_TRY(ent_grow(&r->datasets, &r->capacity, r->count + 1, sizeof *r->datasets, "the tensors of a checkpoint"));
    ent_hdf5_dataset *d = &r->datasets[r->count];
    *d = (ent_hdf5_dataset){0};
    ENT_TRY(ent_format(&d->path, "%s/%s", where, name));
    r->count++;
    ENT_TRY(ent_hdf5_open_dataset(&dataset, &d->n_dims, d->shape, r->file, d->path, r->path));
    H5Dclose(dataset);
    d->count = 1;
    for (size_t k = 0; k < d->n_dims; k++)
        d->count *= d->shape[k];
    return ENT_OK;
}

static ent_status add_group(ent_hdf5_reader *r, const char *where)
{
    hid_t group;
    size_t count = 0;
    ENT_TRY(ent_hdf5_open_group(&group, r->file, where, r->path));
    ent_status st = ent_hdf5_links(&count, group, where, r->path);
    for (size_t i = 0; st == ENT_OK && i < count; i++)
        st = add_dataset(r, group, where, i);
    H5Gclose(group);
    return st;
}

/* The moments from dataset `begin` on are those of the `n_params` parameters. */
static ent_status check_moments(const ent_hdf5_reader *r, size_t begin, size_t n_params, const char *where)
{
    const size_t n = strlen(where), params = strlen(ent_hdf5_groups[ENT_HDF5_VALUE]);
    if (r->count - begin != n_params)
        return ent_fail(ENT_EFORMAT, "%s: %s: expected %zu tensors, found %zu", r->path, where, n_params,
                        r->count - begin);
    for (size_t i = 0; i < n_params; i++) {
        const ent_hdf5_dataset *p = &r->datasets[i], *m = &r->datasets[begin + i];
        if (strcmp(m->path + n, p->path + params) != 0)
            return ent_fail(ENT_EFORMAT, "%s: %s: is not expected: the parameter is %s", r->path, m->path, p->path);
        if (m->n_dims != p->n_dims || memcmp(m->shape, p->shape, p->n_dims * sizeof *p->shape) != 0)
            return ent_fail(ENT_EFORMAT, "%s: %s: expected the shape of %s, found another", r->path, m->path, p->path);
    }
    return ENT_OK;
}

/* A group holds `expected` things, which have been found: no others. */
static ent_status check_links(const ent_hdf5_reader *r, const char *where, size_t expected)
{
    const hid_t group = H5Gopen2(r->file, where, H5P_DEFAULT);
    size_t found = 0;
    if (group < 0)
        return ent_hdf5_fail(ENT_EFORMAT, r->path, where, "cannot open");
    ent_status st = ent_hdf5_links(&found, group, where, r->path);
    if (st == ENT_OK && found != expected)
        st = ent_fail(ENT_EFORMAT, "%s: %s: expected %zu groups, found %zu", r->path, where, expected, found);
    H5Gclose(group);
    return st;
}

static ent_status list(ent_hdf5_reader *r, const char *path)
{
    ENT_TRY(ent_hdf5_open(&r->file, path, path));
    ENT_TRY(ent_hdf5_read_state(&r->state, r->file, path));
    ENT_TRY(add_group(r, ent_hdf5_groups[ENT_HDF5_VALUE]));
    const size_t n_params = r->count;
    const bool moments = H5Lexists(r->file, "/optimizer", H5P_DEFAULT) > 0;
    size_t groups = 0;
    for (int group = ENT_HDF5_M; moments && group < ENT_HDF5_GROUPS; group++) {
        const size_t begin = r->count;
        if (H5Lexists(r->file, ent_hdf5_groups[group], H5P_DEFAULT) <= 0)
            continue;
        groups++;
        ENT_TRY(add_group(r, ent_hdf5_groups[group]));
        ENT_TRY(check_moments(r, begin, n_params, ent_hdf5_groups[group]));
    }
    if (moments)
        ENT_TRY(check_links(r, "/optimizer", groups));
    return check_links(r, "/", 1u + moments);
}

ent_status ent_hdf5_reader_open(ent_hdf5_reader **out, const char *path)
{
    ent_status st;
    ent_hdf5_reader *r = *out = NULL;
    ENT_TRY(ent_calloc(&r, 1, sizeof *r, "a checkpoint"));
    r->file = r->dataset = -1;
    ENT_GO(ent_strdup(&r->path, path));
    H5dont_atexit();
    H5E_BEGIN_TRY
    {
        st = list(r, path);
    }
    H5E_END_TRY;
    if (st == ENT_OK) {
        *out = r;
        return ENT_OK;
    }
done:
    ent_hdf5_reader_close(r);
    return st;
}

const ent_ckpt_state *ent_hdf5_reader_state(const ent_hdf5_reader *r)
{
    return &r->state;
}

size_t ent_hdf5_reader_count(const ent_hdf5_reader *r)
{
    return r->count;
}

const ent_hdf5_dataset *ent_hdf5_reader_at(const ent_hdf5_reader *r, size_t i)
{
    return &r->datasets[i];
}

static ent_status choose(ent_hdf5_reader *r, size_t i)
{
    size_t n_dims, shape[ENT_CKPT_MAX_DIMS];
    if (r->dataset >= 0 && r->at == i)
        return ENT_OK;
    if (r->dataset >= 0)
        H5Dclose(r->dataset);
    r->held = 0;
    r->at = i;
    return ent_hdf5_open_dataset(&r->dataset, &n_dims, shape, r->file, r->datasets[i].path, r->path);
}

/* The block becomes the rows from the one that holds number `first` on: about BLOCK_BYTES, at least one. Their memory
 * is never more than the file has bytes, since all chunks are stored in it. */
static ent_status load(ent_hdf5_reader *r, size_t first)
{
    const ent_hdf5_dataset *d = &r->datasets[r->at];
    const size_t row = d->count / d->shape[0];
    const size_t at = first / row, fit = row * sizeof(float) < BLOCK_BYTES ? BLOCK_BYTES / (row * sizeof(float)) : 1;
    hsize_t start[ENT_CKPT_MAX_DIMS] = {at}, size[ENT_CKPT_MAX_DIMS];
    for (size_t k = 0; k < d->n_dims; k++)
        size[k] = d->shape[k];
    size[0] = fit < d->shape[0] - at ? fit : d->shape[0] - at;
    r->held = 0;
    ENT_TRY(ent_grow(&r->block, &r->block_capacity, size[0] * row, sizeof *r->block, "a piece of a checkpoint"));
    const hid_t space = H5Dget_space(r->dataset), memory = H5Screate_simple((int)d->n_dims, size, NULL);
    ent_status st = ENT_OK;
    if (space < 0 || memory < 0 || H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, size, NULL) < 0 ||
        H5Dread(r->dataset, H5T_NATIVE_FLOAT, memory, space, H5P_DEFAULT, r->block) < 0)
        st = ent_hdf5_fail(ENT_EFORMAT, r->path, d->path, "cannot read");
    if (memory >= 0)
        H5Sclose(memory);
    if (space >= 0)
        H5Sclose(space);
    ENT_TRY(st);
    r->begin = at * row;
    r->held = size[0] * row;
    return ENT_OK;
}

static ent_status read_numbers(float *out, ent_hdf5_reader *r, size_t i, size_t first, size_t n)
{
    ENT_TRY(choose(r, i));
    while (n > 0) {
        if (first < r->begin || first - r->begin >= r->held)
            ENT_TRY(load(r, first));
        const size_t skip = first - r->begin, m = n < r->held - skip ? n : r->held - skip;
        memcpy(out, r->block + skip, m * sizeof *out);
        out += m;
        first += m;
        n -= m;
    }
    return ENT_OK;
}

ent_status ent_hdf5_reader_read(float *out, ent_hdf5_reader *r, size_t i, size_t first, size_t n)
{
    ent_status st;
    H5E_BEGIN_TRY
    {
        st = read_numbers(out, r, i, first, n);
    }
    H5E_END_TRY;
    return st;
}
