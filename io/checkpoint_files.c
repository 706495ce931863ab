/* Which checkpoints a folder holds, and which of them go: see io/checkpoint.h. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/checkpoint_parts.h"
#include "src/base/mem.h"

const char *const ent_ckpt_groups[ENT_CKPT_GROUPS] = {"/params", "/optimizer/m", "/optimizer/v"};
const char *const ent_ckpt_endings[ENT_CKPT_ENDINGS] = {"h5", "json", "yaml"};

const float *ent_ckpt_part(const ent_ckpt_tensor *t, size_t group)
{
    return group == 0 ? t->value : group == 1 ? t->m : t->v;
}

size_t ent_ckpt_bytes(const ent_ckpt_tensor *t)
{
    size_t n = sizeof(float);
    for (size_t i = 0; i < t->n_dims; i++)
        n *= t->shape[i];
    return n;
}

ent_status ent_ckpt_path(char **out, const char *folder, int64_t step, const char *ending)
{
    return ent_format(out, "%s/step-%08" PRId64 ".%s", folder, step, ending);
}

ent_status ent_ckpt_metadata_digest(char hex[ENT_SHA256_SIZE], const ent_json *metadata)
{
    char *text;
    ENT_TRY(ent_json_print(&text, metadata, false));
    ent_sha256(hex, text, strlen(text));
    free(text);
    return ENT_OK;
}

static int newest_first(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x < y) - (x > y);
}

/* The step in a name "step-00000010.h5"; -1: it is another name. */
static int64_t step_of(const char *name)
{
    char again[64];
    int64_t step = -1;
    if (sscanf(name, "step-%18" SCNd64 ".", &step) != 1 || step < 0)
        return -1;
    for (size_t i = 0; i < ENT_CKPT_ENDINGS; i++) {
        snprintf(again, sizeof again, "step-%08" PRId64 ".%s", step, ent_ckpt_endings[i]);
        if (strcmp(again, name) == 0)
            return step;
    }
    return -1;
}

ent_status ent_ckpt_find(ent_ckpt_steps *out, const char *folder)
{
    DIR *dir = opendir(folder);
    ent_status st = ENT_OK;
    *out = (ent_ckpt_steps){0};
    if (dir == NULL)
        return ent_fail(ENT_EIO, "%s: %s", folder, strerror(errno));
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (entry == NULL)
            break;
        const int64_t step = step_of(entry->d_name);
        if (step < 0)
            continue;
        ENT_GO(ent_grow(&out->items, &out->capacity, out->count + 1, sizeof *out->items, "a list of checkpoints"));
        out->items[out->count++] = step;
    }
    if (errno)
        ENT_GO(ent_fail(ENT_EIO, "%s: %s", folder, strerror(errno)));
    if (out->count)
        qsort(out->items, out->count, sizeof *out->items, newest_first);
    size_t kept = 0; /* a pair was found twice */
    for (size_t i = 0; i < out->count; i++)
        if (i == 0 || out->items[i] != out->items[i - 1])
            out->items[kept++] = out->items[i];
    out->count = kept;
done:
    closedir(dir);
    return st;
}

ent_status ent_ckpt_remove(const char *folder, int64_t step, const char *ending)
{
    char *path;
    ENT_TRY(ent_ckpt_path(&path, folder, step, ending));
    const bool failed = unlink(path) != 0 && errno != ENOENT;
    const ent_status st = failed ? ent_fail(ENT_EIO, "%s: cannot remove: %s", path, strerror(errno)) : ENT_OK;
    free(path);
    return st;
}

ent_status ent_checkpoint_prune(const char *run_dir, int64_t written, int64_t keep)
{
    ent_ckpt_steps all = {0};
    ent_status st;
    char *folder = NULL;
    int64_t seen = 0;
    ENT_GO(ent_format(&folder, "%s/checkpoints", run_dir));
    ENT_GO(ent_ckpt_find(&all, folder));
    for (size_t i = 0; i < all.count; i++)
        if (all.items[i] <= written && ++seen > (keep < 1 ? 1 : keep))
            for (size_t k = ENT_CKPT_ENDINGS; k-- > 0;) /* metadata first: what is half removed is no checkpoint */
                ENT_GO(ent_ckpt_remove(folder, all.items[i], ent_ckpt_endings[k]));
done:
    free(all.items);
    free(folder);
    return st;
}

/* The metadata is written after the numbers, and `latest` after it. */
ent_status ent_checkpoint_exists(bool *out, const char *run_dir)
{
    ent_status st;
    char *folder = NULL, *path = NULL;
    ent_ckpt_steps all = {0};
    *out = false;
    ENT_GO(ent_format(&folder, "%s/checkpoints", run_dir));
    if (access(folder, F_OK) != 0 && errno == ENOENT)
        goto done;
    ENT_GO(ent_format(&path, "%s/latest", folder));
    *out = access(path, F_OK) == 0;
    ENT_GO(ent_ckpt_find(&all, folder));
    for (size_t i = 0; i < ENT_CKPT_ENDINGS * all.count && !*out; i++) {
        if (i % ENT_CKPT_ENDINGS == 0)
            continue;
        free(path);
        path = NULL;
        ENT_GO(ent_ckpt_path(&path, folder, all.items[i / ENT_CKPT_ENDINGS], ent_ckpt_endings[i % ENT_CKPT_ENDINGS]));
        *out = access(path, F_OK) == 0;
    }
done:
    free(all.items);
    free(folder);
    free(path);
    return st;
}

ent_status ent_checkpoint_steps(int64_t **steps, size_t *count, const char *folder)
{
    ent_ckpt_steps all;
    const ent_status st = ent_ckpt_find(&all, folder);
    *steps = NULL;
    *count = 0;
    if (st != ENT_OK) {
        free(all.items);
        return st;
    }
    *steps = all.items;
    *count = all.count;
    return ENT_OK;
}
