/* Pairs of numbers and metadata: see io/checkpoint.h. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/atomic_file.h"
#include "io/checkpoint.h"
#include "io/digest.h"
#include "io/path.h"
#include "io/text.h"
#include "io/yaml_json.h"
#include "src/base/mem.h"

#define WHOLE_LIMIT ((uint64_t)1 << 53) /* JSON readers keep whole numbers exact below this */

static const char *const groups[] = {"/params", "/optimizer/m", "/optimizer/v"};
static const char *const endings[] = {"h5", "json", "yaml"}; /* the numbers, and the two notations of metadata */

static const float *part(const ent_ckpt_tensor *t, size_t group)
{
    return group == 0 ? t->value : group == 1 ? t->m : t->v;
}

static size_t tensor_bytes(const ent_ckpt_tensor *t)
{
    size_t n = sizeof(float);
    for (size_t i = 0; i < t->n_dims; i++)
        n *= t->shape[i];
    return n;
}

static ent_status pair_path(char **out, const char *folder, int64_t step, const char *ending)
{
    return ent_format(out, "%s/step-%08" PRId64 ".%s", folder, step, ending);
}

/* --- metadata --- */

/* The digest of a tensor's bytes is what `sha256sum` gives for its numbers as the file holds them. */
static void add_datasets(ent_json *to, const ent_ckpt_tensor *tensors, size_t count)
{
    for (size_t group = 0; group < 3; group++)
        for (size_t i = 0; i < count; i++) {
            const ent_ckpt_tensor *t = &tensors[i];
            char path[300], digest[ENT_SHA256_SIZE];
            if (part(t, group) == NULL)
                continue;
            snprintf(path, sizeof path, "%s/%s", groups[group], t->name);
            ent_json *entry = ent_json_add_object(to, path), *shape = ent_json_add_array(entry, "shape");
            for (size_t d = 0; d < t->n_dims; d++)
                ent_json_add_int(shape, NULL, (int64_t)t->shape[d]);
            ent_sha256(digest, part(t, group), tensor_bytes(t));
            ent_json_add_string(entry, "sha256", digest);
        }
}

static void add_state(ent_json *to, const ent_ckpt_state *s)
{
    char seed[24];
    ent_json_add_int(to, "format_version", ENT_CKPT_VERSION);
    ent_json_add_int(to, "step", s->step);
    ent_json_add_double(to, "epoch", s->epoch);
    ent_json_add_int(to, "unit_position", s->unit_position);
    snprintf(seed, sizeof seed, "%" PRIu64, s->seed);
    if (s->seed < WHOLE_LIMIT)
        ent_json_add_int(to, "seed", (int64_t)s->seed);
    else
        ent_json_add_string(to, "seed", seed);
    ent_json_add_string(to, "config_hash", s->config_hash);
    ent_json_add_string(to, "kernel", s->kernel);
    ent_json *stopping = ent_json_add_object(to, "early_stopping");
    if (isfinite(s->best_val_loss))
        ent_json_add_double(stopping, "best_val_loss", s->best_val_loss);
    else
        ent_json_add_null(stopping, "best_val_loss");
    ent_json_add_int(stopping, "best_step", s->best_step);
    ent_json_add_int(stopping, "evals_since_best", s->evals_since_best);
}

/* *out = the text of the metadata: what the caller gave, the state and the digests. `h5` is the file of the numbers. */
static ent_status metadata_text(char **out, const char *h5, const ent_ckpt_tensor *tensors, size_t count,
                                const ent_ckpt_state *state, const ent_json *given, bool yaml)
{
    ent_status st;
    char *copy = NULL;
    ent_json *tree = NULL;
    char digest[ENT_SHA256_SIZE];
    ENT_GO(ent_sha256_file(digest, h5));
    ENT_GO(ent_json_print(&copy, given, false));
    ENT_GO(ent_json_parse(&tree, copy, strlen(copy), "metadata of a checkpoint"));
    if (!ent_json_is_object(tree))
        ENT_GO(ent_fail(ENT_EINVAL, "metadata of a checkpoint: expected an object"));
    add_state(tree, state);
    ent_json *file = ent_json_add_object(tree, "file");
    ent_json_add_string(file, "name", ent_path_name(h5));
    ent_json_add_string(file, "sha256", digest);
    add_datasets(ent_json_add_object(tree, "datasets"), tensors, count);
    st = yaml ? ent_yaml_from_json(out, tree) : ent_json_print(out, tree, true);
done:
    ent_json_free(tree);
    free(copy);
    return st;
}

/* --- which there are --- */

typedef struct steps {
    int64_t *items; /* newest first */
    size_t count, capacity;
} steps;

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
    for (size_t i = 0; i < 3; i++) {
        snprintf(again, sizeof again, "step-%08" PRId64 ".%s", step, endings[i]);
        if (strcmp(again, name) == 0)
            return step;
    }
    return -1;
}

/* Steps of which there is at least one file. The caller frees out->items. */
static ent_status find_steps(steps *out, const char *folder)
{
    DIR *dir = opendir(folder);
    ent_status st = ENT_OK;
    *out = (steps){0};
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

static ent_status remove_file(const char *folder, int64_t step, const char *ending)
{
    char *path;
    ENT_TRY(pair_path(&path, folder, step, ending));
    const bool failed = unlink(path) != 0 && errno != ENOENT;
    const ent_status st = failed ? ent_fail(ENT_EIO, "%s: cannot remove: %s", path, strerror(errno)) : ENT_OK;
    free(path);
    return st;
}

/* Keeps `keep` pairs up to the step just written. Newer ones are left of a run that went on from an older one because
 * they were damaged: they are replaced as the run gets there. */
static ent_status prune(const char *folder, int64_t written, int64_t keep)
{
    steps all = {0};
    ent_status st;
    int64_t seen = 0;
    ENT_GO(find_steps(&all, folder));
    for (size_t i = 0; i < all.count; i++)
        if (all.items[i] <= written && ++seen > (keep < 1 ? 1 : keep))
            for (size_t k = 3; k-- > 0;) /* metadata first: what is half removed is no checkpoint */
                ENT_GO(remove_file(folder, all.items[i], endings[k]));
done:
    free(all.items);
    return st;
}

/* Removes the temporaries that killed writers left. A failure doesn't matter: nobody reads them. */
static void sweep(const char *folder)
{
    DIR *dir = opendir(folder);
    if (dir == NULL)
        return;
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;)
        if ((strncmp(entry->d_name, ".step-", 6) == 0 || strncmp(entry->d_name, ".latest.", 8) == 0) &&
            strstr(entry->d_name, ".tmp-"))
            unlinkat(dirfd(dir), entry->d_name, 0);
    closedir(dir);
}

/* --- writing --- */

typedef struct verified {
    const char *path;
    const ent_ckpt_tensor *tensors;
    size_t count;
} verified;

static ent_status verify(const char *temporary, void *context)
{
    const verified *v = context;
    return ent_hdf5_checkpoint_verify(temporary, v->path, v->tensors, v->count);
}

static ent_status write_numbers(const char *path, const ent_ckpt_tensor *tensors, size_t count,
                                const ent_ckpt_state *state)
{
    ent_atomic_file file;
    verified context = {path, tensors, count};
    ENT_TRY(ent_atomic_begin(&file, path));
    const ent_status st = ent_hdf5_checkpoint_write(file.temporary, path, tensors, count, state);
    if (st != ENT_OK) {
        ent_atomic_discard(&file);
        return st;
    }
    return ent_atomic_commit(&file, verify, &context);
}

ent_status ent_checkpoint_write(const char *run_dir, const ent_ckpt_tensor *tensors, size_t count,
                                const ent_ckpt_state *state, ent_json *metadata, int64_t keep, bool yaml)
{
    ent_status st;
    char *folder = NULL, *h5 = NULL, *beside = NULL, *latest = NULL, *text = NULL, name[40];
    ENT_GO(ent_format(&folder, "%s/checkpoints", run_dir));
    ENT_GO(ent_make_dirs(folder));
    sweep(folder);
    ENT_GO(pair_path(&h5, folder, state->step, "h5"));
    ENT_GO(pair_path(&beside, folder, state->step, yaml ? "yaml" : "json"));
    ENT_GO(ent_format(&latest, "%s/latest", folder));
    ENT_GO(write_numbers(h5, tensors, count, state));
    ENT_GO(metadata_text(&text, h5, tensors, count, state, metadata, yaml));
    ENT_GO(ent_atomic_write(beside, text, strlen(text)));
    ENT_GO(remove_file(folder, state->step, yaml ? "json" : "yaml")); /* of a run with the other notation */
    snprintf(name, sizeof name, "step-%08" PRId64 "\n", state->step);
    ENT_GO(ent_atomic_write(latest, name, strlen(name)));
    ENT_GO(prune(folder, state->step, keep));
done:
    free(folder);
    free(h5);
    free(beside);
    free(latest);
    free(text);
    return st;
}

/* --- reading --- */

/* The metadata of a step, JSON before YAML. */
static ent_status read_metadata(ent_json **out, char **path, const char *folder, int64_t step)
{
    *out = NULL;
    *path = NULL;
    for (size_t i = 1; i < 3; i++) {
        free(*path);
        ENT_TRY(pair_path(path, folder, step, endings[i]));
        if (access(*path, F_OK) == 0)
            return i == 1 ? ent_json_read_file(out, *path) : ent_yaml_read_json(out, *path);
    }
    return ent_fail(ENT_EFORMAT, "%s/step-%08" PRId64 ".h5: its metadata is missing", folder, step);
}

static ent_status check_digest(const char *file, const char *what, const char *found, const ent_json *entry,
                               const char *where)
{
    const char *expected;
    ENT_TRY(ent_json_get_string(&expected, entry, "sha256", where));
    if (strcmp(expected, found) != 0)
        return ent_fail(ENT_EFORMAT, "%s: %s%shas SHA-256 %.16s..., its metadata says %.16s...", file, what,
                        *what ? " " : "", found, expected);
    return ENT_OK;
}

static ent_status check_tensors(const char *h5, const ent_json *datasets, const char *where,
                                const ent_ckpt_tensor *tensors, size_t count)
{
    for (size_t group = 0; group < 3; group++)
        for (size_t i = 0; i < count; i++) {
            const float *data = part(&tensors[i], group);
            char path[300], digest[ENT_SHA256_SIZE];
            if (data == NULL)
                continue;
            snprintf(path, sizeof path, "%s/%s", groups[group], tensors[i].name);
            ent_sha256(digest, data, tensor_bytes(&tensors[i]));
            ENT_TRY(check_digest(h5, path, digest, ent_json_member(datasets, path), where));
        }
    return ENT_OK;
}

/* The file is compared with its digest before HDF5 looks at it. */
static ent_status read_pair(ent_ckpt_state *state, const char *folder, int64_t step, ent_ckpt_tensor *tensors,
                            size_t count)
{
    ent_status st;
    ent_json *metadata = NULL;
    char *h5 = NULL, *beside = NULL;
    char digest[ENT_SHA256_SIZE];
    ENT_GO(pair_path(&h5, folder, step, "h5"));
    ENT_GO(ent_sha256_file(digest, h5));
    ENT_GO(read_metadata(&metadata, &beside, folder, step));
    ENT_GO(check_digest(h5, "", digest, ent_json_member(metadata, "file"), beside));
    ENT_GO(ent_hdf5_checkpoint_read(state, h5, h5, tensors, count));
    if (state->step != step)
        ENT_GO(ent_fail(ENT_EFORMAT, "%s: step: expected %" PRId64 ", found %" PRId64, h5, step, state->step));
    ENT_GO(check_tensors(h5, ent_json_member(metadata, "datasets"), beside, tensors, count));
done:
    ent_json_free(metadata);
    free(h5);
    free(beside);
    return st;
}

ent_status ent_checkpoint_exists(bool *out, const char *run_dir)
{
    ent_status st;
    char *folder = NULL;
    steps all = {0};
    *out = false;
    ENT_GO(ent_format(&folder, "%s/checkpoints", run_dir));
    if (access(folder, F_OK) != 0 && errno == ENOENT)
        goto done;
    ENT_GO(find_steps(&all, folder));
    for (size_t i = 0; i < 3 * all.count && !*out; i++) { /* the metadata is written after the numbers */
        char *path;
        if (i % 3 == 0)
            continue;
        ENT_GO(pair_path(&path, folder, all.items[i / 3], endings[i % 3]));
        *out = access(path, F_OK) == 0;
        free(path);
    }
done:
    free(all.items);
    free(folder);
    return st;
}

/* This thread's message, without the folder it starts with. */
static const char *reason(const char *folder)
{
    const char *message = ent_message();
    const size_t n = strlen(folder);
    return strncmp(message, folder, n) == 0 && message[n] == '/' ? message + n + 1 : message;
}

ent_status ent_checkpoint_read_newest(ent_ckpt_state *state, char **notes, const char *run_dir,
                                      ent_ckpt_tensor *tensors, size_t count)
{
    ent_status st;
    char *folder = NULL, *newest = NULL;
    ent_text passed = {0};
    steps all = {0};
    *notes = NULL;
    ENT_GO(ent_format(&folder, "%s/checkpoints", run_dir));
    ENT_GO(find_steps(&all, folder));
    if (all.count == 0)
        ENT_GO(ent_fail(ENT_EIO, "%s: no checkpoint", folder));
    for (size_t i = 0; i < all.count; i++) {
        st = read_pair(state, folder, all.items[i], tensors, count);
        if (st == ENT_OK || st == ENT_ENOMEM)
            goto done;
        ent_text_printf(&passed, "%s: passed over: %s\n", folder, reason(folder));
        if (newest == NULL)
            ENT_GO(ent_strdup(&newest, reason(folder)));
    }
    st = ent_fail(ENT_EFORMAT, "%s: no usable checkpoint: %s", folder, newest);
done:
    if (passed.n && ent_text_finish(notes, &passed) != ENT_OK)
        st = ENT_ENOMEM;
    free(passed.data);
    free(all.items);
    free(folder);
    free(newest);
    return st;
}
