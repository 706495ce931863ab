#include "io/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/path.h"
#include "io/safetensors_header.h"
#include "src/base/mem.h"

struct mapped {
    char *path;
    void *data;
    size_t size;
    ent_json *header;
};

struct ent_safetensors {
    struct mapped *files;
    size_t n_files, files_capacity;
    ent_st_entry *entries; /* by name */
    size_t count, capacity;
    bool any; /* types and alignments are let through */
};

void ent_safetensors_close(ent_safetensors *file)
{
    if (file == NULL)
        return;
    for (size_t i = 0; i < file->count; i++)
        free(file->entries[i].owned);
    for (size_t i = 0; i < file->n_files; i++) {
        if (file->files[i].data)
            munmap(file->files[i].data, file->files[i].size);
        ent_json_free(file->files[i].header);
        free(file->files[i].path);
    }
    free(file->entries);
    free(file->files);
    free(file);
}

void ent_safetensors_release(const ent_safetensors *file)
{
    for (size_t i = 0; i < file->n_files; i++)
        if (file->files[i].data)
            madvise(file->files[i].data, file->files[i].size, MADV_DONTNEED);
}

/* Shared and read-only: every process that maps the file uses the same pages. */
static ent_status map(struct mapped *out, const char *path)
{
    struct stat status;
    ent_status st = ENT_OK;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return ent_fail(ENT_EIO, "%s: %s", path, strerror(errno));
    if (fstat(fd, &status) != 0) {
        st = ent_fail(ENT_EIO, "%s: %s", path, strerror(errno));
    } else if (!S_ISREG(status.st_mode)) {
        st = ent_fail(ENT_EIO, "%s: expected a file, found something else", path);
    } else if (status.st_size == 0) {
        st = ent_fail(ENT_EFORMAT, "%s: expected a safetensors file, found 0 bytes", path);
    } else {
        void *data = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, fd, 0);
        if (data == MAP_FAILED) {
            st = ent_fail(ENT_EIO, "%s: %s", path, strerror(errno));
        } else {
            out->data = data;
            out->size = (size_t)status.st_size;
        }
    }
    close(fd);
    return st;
}

/* A header of any length may come before the data, so it may stand where its type can't be read in place. Rare. */
static ent_status align(ent_st_entry *entry)
{
    ent_st_tensor *t = &entry->tensor;
    if ((uintptr_t)t->data % ent_dtype_size(t->dtype) == 0)
        return ENT_OK;
    ENT_TRY(ent_calloc(&entry->owned, t->bytes, 1, t->name));
    memcpy(entry->owned, t->data, t->bytes);
    t->data = entry->owned;
    return ENT_OK;
}

/* Maps one more file and adds its tensors at the end. */
static ent_status add_file(ent_safetensors *file, const char *path)
{
    ent_st_entry *entries = NULL;
    size_t count = 0;
    ent_status st;
    ENT_TRY(ent_grow(&file->files, &file->files_capacity, file->n_files + 1, sizeof *file->files, "files"));
    struct mapped *mapped = &file->files[file->n_files++];
    *mapped = (struct mapped){0};
    ENT_TRY(ent_strdup(&mapped->path, path));
    ENT_TRY(map(mapped, path));
    ENT_TRY(ent_st_read_header(&entries, &count, &mapped->header, mapped->path, mapped->data, mapped->size, file->any));
    ENT_GO(ent_grow(&file->entries, &file->capacity, file->count + count, sizeof *entries, "tensors"));
    for (size_t i = 0; i < count; i++) {
        file->entries[file->count++] = entries[i];
        if (!file->any)
            ENT_GO(align(&file->entries[file->count - 1]));
    }
done:
    free(entries);
    return st;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const ent_st_entry *)a)->tensor.name, ((const ent_st_entry *)b)->tensor.name);
}

/* Sorts the tensors; a name stands in one file. That it stands there once is the JSON reader's to check. */
static ent_status sort_names(ent_safetensors *file)
{
    if (file->count > 0)
        qsort(file->entries, file->count, sizeof *file->entries, by_name);
    for (size_t i = 1; i < file->count; i++) {
        const ent_st_tensor *a = &file->entries[i - 1].tensor, *b = &file->entries[i].tensor;
        if (strcmp(a->name, b->name) != 0)
            continue;
        return ent_fail(ENT_EFORMAT, "%s: %s: stands in %s too", b->file, b->name, a->file);
    }
    return ENT_OK;
}

static ent_status open_file(ent_safetensors **out, const char *path, bool any)
{
    ent_safetensors *file;
    ent_status st;
    *out = NULL;
    ENT_TRY(ent_calloc(&file, 1, sizeof *file, path));
    file->any = any;
    ENT_GO(add_file(file, path));
    ENT_GO(sort_names(file));
    *out = file;
    return ENT_OK;
done:
    ent_safetensors_close(file);
    return st;
}

ent_status ent_safetensors_open(ent_safetensors **out, const char *path)
{
    return open_file(out, path, false);
}

/* A row of weight_map: which file holds a tensor. */
struct placed {
    const char *name, *file;
};

static int by_placed_name(const void *a, const void *b)
{
    return strcmp(((const struct placed *)a)->name, ((const struct placed *)b)->name);
}

static int by_placed_file(const void *a, const void *b)
{
    return strcmp(((const struct placed *)a)->file, ((const struct placed *)b)->file);
}

/* *rows (caller frees) = the rows of weight_map. A file stands in the model's folder: no path leads elsewhere. */
static ent_status read_weight_map(struct placed **rows, size_t *count, const ent_json *index, const char *path)
{
    const ent_json *weight_map = ent_json_member(index, "weight_map");
    size_t n = 0;
    if (!ent_json_is_object(weight_map) || ent_json_first(weight_map) == NULL)
        return ent_fail(ENT_EFORMAT, "%s: weight_map: expected an object of tensor names and files", path);
    ENT_TRY(ent_calloc(rows, ent_json_count(weight_map), sizeof **rows, "a weight map"));
    for (const ent_json *item = ent_json_first(weight_map); item; item = ent_json_next(item)) {
        const char *file = ent_json_string(item);
        if (file == NULL || *file == '\0' || *file == '.' || strchr(file, '/'))
            return ent_fail(ENT_EFORMAT, "%s: weight_map: %s: expected the name of a file in the folder", path,
                            ent_json_key(item));
        (*rows)[n++] = (struct placed){ent_json_key(item), file};
    }
    *count = n;
    return ENT_OK;
}

/* Every row has its tensor, in the file it says, and every tensor its row. Both are sorted by name. */
static ent_status check_weight_map(const ent_safetensors *file, const struct placed *rows, size_t count,
                                   const char *path)
{
    for (size_t i = 0; i < file->count || i < count; i++) {
        const ent_st_tensor *t = i < file->count ? &file->entries[i].tensor : NULL;
        const int order = !t ? 1 : (i >= count ? -1 : strcmp(t->name, rows[i].name));
        if (order > 0)
            return ent_fail(ENT_EFORMAT, "%s: weight_map: %s: %s has no such tensor", path, rows[i].name, rows[i].file);
        if (order < 0)
            return ent_fail(ENT_EFORMAT, "%s: weight_map: expected %s, which %s holds", path, t->name, t->file);
        if (strcmp(ent_path_name(t->file), rows[i].file) != 0)
            return ent_fail(ENT_EFORMAT, "%s: weight_map: %s: expected %s, found %s", path, t->name,
                            ent_path_name(t->file), rows[i].file);
    }
    return ENT_OK;
}

static ent_status open_index(ent_safetensors *file, const char *folder, const char *path)
{
    ent_json *index = NULL;
    struct placed *rows = NULL;
    char *part = NULL;
    size_t count = 0;
    ent_status st;
    ENT_GO(ent_json_read_file(&index, path));
    ENT_GO(read_weight_map(&rows, &count, index, path));
    qsort(rows, count, sizeof *rows, by_placed_file);
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && strcmp(rows[i].file, rows[i - 1].file) == 0)
            continue;
        free(part);
        part = NULL;
        ENT_GO(ent_format(&part, "%s/%s", folder, rows[i].file));
        ENT_GO(add_file(file, part));
    }
    ENT_GO(sort_names(file));
    qsort(rows, count, sizeof *rows, by_placed_name);
    ENT_GO(check_weight_map(file, rows, count, path));
done:
    free(part);
    free(rows);
    ent_json_free(index);
    return st;
}

static ent_status open_model(ent_safetensors **out, const char *folder, bool any)
{
    ent_safetensors *file = NULL;
    char *single = NULL, *index = NULL;
    ent_status st;
    *out = NULL;
    ENT_GO(ent_format(&single, "%s/model.safetensors", folder));
    ENT_GO(ent_format(&index, "%s/model.safetensors.index.json", folder));
    if (ent_path_is_file(single)) {
        ENT_GO(open_file(out, single, any));
    } else if (ent_path_is_file(index)) {
        ENT_GO(ent_calloc(&file, 1, sizeof *file, index));
        file->any = any;
        ENT_GO(open_index(file, folder, index));
        *out = file;
        file = NULL;
    } else {
        st = ent_fail(ENT_EIO, "%s: expected model.safetensors or model.safetensors.index.json, found neither", folder);
    }
done:
    ent_safetensors_close(file);
    free(single);
    free(index);
    return st;
}

ent_status ent_safetensors_open_model(ent_safetensors **out, const char *folder)
{
    return open_model(out, folder, false);
}

ent_status ent_safetensors_open_any(ent_safetensors **out, const char *path, bool is_folder)
{
    return is_folder ? open_model(out, path, true) : open_file(out, path, true);
}

size_t ent_safetensors_count(const ent_safetensors *file)
{
    return file->count;
}

const ent_st_tensor *ent_safetensors_at(const ent_safetensors *file, size_t i)
{
    return &file->entries[i].tensor;
}

const ent_st_tensor *ent_safetensors_find(const ent_safetensors *file, const char *name)
{
    const ent_st_entry key = {.tensor.name = name};
    if (file->count == 0)
        return NULL;
    const ent_st_entry *entry = bsearch(&key, file->entries, file->count, sizeof key, by_name);
    return entry ? &entry->tensor : NULL;
}

const char *ent_safetensors_metadata(const ent_safetensors *file, const char *key)
{
    for (size_t i = 0; i < file->n_files; i++) {
        const ent_json *metadata = ent_json_member(file->files[i].header, "__metadata__");
        const char *value = ent_json_string(ent_json_member(metadata, key));
        if (value)
            return value;
    }
    return NULL;
}
