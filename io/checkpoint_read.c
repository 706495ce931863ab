/* Reads pairs of numbers and metadata, the newest that is whole: see io/checkpoint.h. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/checkpoint_parts.h"
#include "io/path.h"
#include "io/text.h"
#include "io/yaml_json.h"
#include "src/base/mem.h"

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
    for (size_t group = 0; group < ENT_CKPT_GROUPS; group++)
        for (size_t i = 0; i < count; i++) {
            const float *data = ent_ckpt_part(&tensors[i], group);
            char path[300], digest[ENT_SHA256_SIZE];
            if (data == NULL)
                continue;
            snprintf(path, sizeof path, "%s/%s", ent_ckpt_groups[group], tensors[i].name);
            ent_sha256(digest, data, ent_ckpt_bytes(&tensors[i]));
            ENT_TRY(check_digest(h5, path, digest, ent_json_member(datasets, path), where));
        }
    return ENT_OK;
}

/* The metadata is what was written. Without its digest it is what the digest is of. */
static ent_status check_itself(ent_json *metadata, const char *where)
{
    char digest[ENT_SHA256_SIZE], expected[ENT_SHA256_SIZE];
    const char *stated;
    ENT_TRY(ent_json_get_string(&stated, metadata, ENT_CKPT_DIGEST, where));
    snprintf(expected, sizeof expected, "%s", stated);
    ent_json_remove(metadata, ENT_CKPT_DIGEST);
    ENT_TRY(ent_ckpt_metadata_digest(digest, metadata));
    if (strcmp(digest, expected) != 0)
        return ent_fail(ENT_EFORMAT, "%s: has SHA-256 %.16s..., it says %.16s...", where, digest, expected);
    return ENT_OK;
}

ent_status ent_checkpoint_metadata(ent_json **out, char **beside, const char *h5)
{
    const size_t stem = strlen(h5) - (ent_path_ends_with(h5, ".h5") ? strlen(".h5") : 0);
    ent_status st = ENT_OK;
    *out = NULL;
    *beside = NULL;
    for (size_t i = 1; i < ENT_CKPT_ENDINGS && *out == NULL && st == ENT_OK; i++) {
        free(*beside);
        ENT_TRY(ent_format(beside, "%.*s.%s", (int)stem, h5, ent_ckpt_endings[i]));
        if (access(*beside, F_OK) == 0)
            st = i == 1 ? ent_json_read_file(out, *beside) : ent_yaml_read_json(out, *beside);
    }
    if (st == ENT_OK && *out == NULL)
        st = ent_fail(ENT_EFORMAT, "%s: its metadata is missing", h5);
    if (st == ENT_OK)
        st = check_itself(*out, *beside);
    if (st != ENT_OK) {
        ent_json_free(*out);
        *out = NULL;
    }
    return st;
}

static ent_status read_evals(ent_ckpt_evals *out, const ent_json *metadata, const char *where)
{
    const ent_json *e = ent_json_member(metadata, "early_stopping");
    ENT_TRY(ent_json_get_double_or(&out->best_val_loss, e, "best_val_loss", NAN, where));
    ENT_TRY(ent_json_get_int(&out->best_step, e, "best_step", where));
    ENT_TRY(ent_json_get_int(&out->evals_since_best, e, "evals_since_best", where));
    return ent_json_get_int(&out->eval_step, e, "eval_step", where);
}

/* A value as a message shows it: of a digest, the beginning is enough. */
static const char *shown(char out[64], const ent_json *value)
{
    const char *text = ent_json_string(value);
    snprintf(out, 64, text == NULL || *text == '\0' ? "unset" : strlen(text) < 60 ? "%s" : "%.12s...", text);
    return out;
}

/* What the numbers of a checkpoint were decided by is what decides them now; or each key that differs is named. */
static ent_status check_decides(const ent_json *found, const ent_json *expected, const char *h5)
{
    ent_text differences = {0};
    char was[64], is[64], *list;
    for (const ent_json *e = ent_json_first(expected); e; e = ent_json_next(e)) {
        const char *a = ent_json_string(ent_json_member(found, ent_json_key(e))), *b = ent_json_string(e);
        if (a == NULL || strcmp(a, b) != 0)
            ent_text_printf(&differences, "; %s was %s, is %s", ent_json_key(e),
                            shown(was, ent_json_member(found, ent_json_key(e))), shown(is, e));
    }
    for (const ent_json *f = ent_json_first(found); f; f = ent_json_next(f))
        if (ent_json_member(expected, ent_json_key(f)) == NULL)
            ent_text_printf(&differences, "; %s was %s, is unset", ent_json_key(f), shown(was, f));
    if (differences.n == 0 && !differences.failed)
        return ENT_OK;
    ENT_TRY(ent_text_finish(&list, &differences));
    const ent_status st = ent_fail(ENT_ECONFIG, "%s: is of another configuration: %s", h5, list + 2);
    free(list);
    return st;
}

/* The file is compared with its digest before HDF5 looks at it, and its configuration before its tensors. */
static ent_status read_pair(ent_ckpt_state *state, ent_ckpt_evals *evals, ent_json **out, const char *folder,
                            int64_t step, ent_ckpt_tensor *tensors, size_t count, const ent_json *decides)
{
    ent_status st;
    ent_json *metadata = NULL;
    char *h5 = NULL, *beside = NULL;
    char digest[ENT_SHA256_SIZE];
    ENT_GO(ent_ckpt_path(&h5, folder, step, "h5"));
    ENT_GO(ent_sha256_file(digest, h5));
    ENT_GO(ent_checkpoint_metadata(&metadata, &beside, h5));
    ENT_GO(check_digest(h5, "", digest, ent_json_member(metadata, "file"), beside));
    if (!ent_json_is_object(ent_json_member(metadata, "decides")))
        ENT_GO(ent_fail(ENT_EFORMAT, "%s: decides: expected an object", beside));
    ENT_GO(check_decides(ent_json_member(metadata, "decides"), decides, h5));
    ENT_GO(ent_hdf5_checkpoint_read(state, h5, h5, tensors, count));
    if (state->step != step)
        ENT_GO(ent_fail(ENT_EFORMAT, "%s: step: expected %" PRId64 ", found %" PRId64, h5, step, state->step));
    ENT_GO(check_tensors(h5, ent_json_member(metadata, "datasets"), beside, tensors, count));
    ENT_GO(read_evals(evals, metadata, beside));
    *out = metadata;
    metadata = NULL;
done:
    ent_json_free(metadata);
    free(h5);
    free(beside);
    return st;
}

/* This thread's message, without the folder it starts with. */
static const char *reason(const char *folder)
{
    const char *message = ent_message();
    const size_t n = strlen(folder);
    return strncmp(message, folder, n) == 0 && message[n] == '/' ? message + n + 1 : message;
}

ent_status ent_checkpoint_read_newest(ent_ckpt_state *state, ent_ckpt_evals *evals, ent_json **metadata, char **notes,
                                      const char *run_dir, ent_ckpt_tensor *tensors, size_t count,
                                      const ent_json *decides)
{
    ent_status st;
    char *folder = NULL, *newest = NULL;
    ent_text passed = {0};
    ent_ckpt_steps all = {0};
    *notes = NULL;
    *metadata = NULL;
    ENT_GO(ent_format(&folder, "%s/checkpoints", run_dir));
    ENT_GO(ent_ckpt_find(&all, folder));
    if (all.count == 0)
        ENT_GO(ent_fail(ENT_EIO, "%s: no checkpoint", folder));
    for (size_t i = 0; i < all.count; i++) {
        st = read_pair(state, evals, metadata, folder, all.items[i], tensors, count, decides);
        if (st == ENT_OK || st == ENT_ENOMEM || st == ENT_ECONFIG)
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

ent_status ent_checkpoint_read_file(ent_hdf5_listing *out, ent_json **metadata, const char *path)
{
    ent_status st;
    char *beside = NULL;
    char digest[ENT_SHA256_SIZE];
    *out = (ent_hdf5_listing){0};
    *metadata = NULL;
    ENT_GO(ent_sha256_file(digest, path));
    ENT_GO(ent_checkpoint_metadata(metadata, &beside, path));
    ENT_GO(check_digest(path, "", digest, ent_json_member(*metadata, "file"), beside));
    ENT_GO(ent_hdf5_checkpoint_list(out, path, path));
    ENT_GO(check_tensors(path, ent_json_member(*metadata, "datasets"), beside, out->tensors, out->count));
done:
    if (st != ENT_OK) {
        ent_hdf5_listing_free(out);
        ent_json_free(*metadata);
        *metadata = NULL;
    }
    free(beside);
    return st;
}
