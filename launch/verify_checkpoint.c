/* A checkpoint, and a folder of them: see launch/verify.h. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/checkpoint.h"
#include "io/digest.h"
#include "io/path.h"
#include "io/text.h"
#include "launch/contents_parts.h"
#include "launch/statistics.h"
#include "launch/verify_parts.h"
#include "src/base/mem.h"

static ent_status check_digest(const char *h5, const char *what, const char *digest, const ent_json *entry,
                               const char *beside)
{
    const char *expected;
    ENT_TRY(ent_json_get_string(&expected, entry, "sha256", beside));
    if (strcmp(expected, digest) != 0)
        return ent_fail(ENT_EFORMAT, "%s: %s%shas SHA-256 %.16s..., its metadata says %.16s...", h5, what,
                        *what ? " " : "", digest, expected);
    return ENT_OK;
}

static ent_status check_file(const char *h5, const ent_json *metadata, const char *beside)
{
    char digest[ENT_SHA256_SIZE];
    ENT_TRY(ent_sha256_file(digest, h5));
    return check_digest(h5, "", digest, ent_json_member(metadata, "file"), beside);
}

/* --- tensors --- */

static ent_status check_shape(const char *h5, const ent_hdf5_dataset *d, const ent_json *entry)
{
    const ent_json *shape = ent_json_member(entry, "shape");
    bool same = ent_json_is_array(shape) && ent_json_count(shape) == d->n_dims;
    size_t i = 0;
    for (const ent_json *item = ent_json_first(shape); same && item; item = ent_json_next(item), i++)
        same = ent_json_number(item) == (double)d->shape[i];
    return same ? ENT_OK
                : ent_fail(ENT_EFORMAT, "%s: %s: expected the shape in its metadata, found another", h5, d->path);
}

static ent_status check_values(const char *h5, const ent_hdf5_dataset *d, const float *x, double *room, size_t first,
                               size_t n)
{
    const bool second = strncmp(d->path, "/optimizer/v/", strlen("/optimizer/v/")) == 0;
    ent_st_values(room, x, ENT_ST_F32, n);
    const bool finite = isfinite(ent_sum_squares(room, n));
    for (size_t i = 0; i < n && (second || !finite); i++)
        if (!isfinite(room[i]) || (second && room[i] < 0))
            return ent_fail(ENT_EFORMAT, "%s: %s: number %zu: expected %s, found %g", h5, d->path, first + i,
                            second ? "a finite number, not below 0" : "a finite number", room[i]);
    return ENT_OK;
}

/* One dataset: read whole, so that its checksums hold; its values; its digest if there is metadata. */
static ent_status check_dataset(ent_hdf5_reader *r, size_t i, float *x, double *room, const char *h5,
                                const ent_json *metadata, const char *beside)
{
    const ent_hdf5_dataset *d = ent_hdf5_reader_at(r, i);
    char digest[ENT_SHA256_SIZE];
    ent_sha256_sum sum;
    ent_sha256_begin(&sum);
    for (size_t first = 0; first < d->count; first += ENT_STRETCH) {
        const size_t n = d->count - first < ENT_STRETCH ? d->count - first : ENT_STRETCH;
        ENT_TRY(ent_hdf5_reader_read(x, r, i, first, n));
        ENT_TRY(check_values(h5, d, x, room, first, n));
        ent_sha256_add(&sum, x, n * sizeof *x);
    }
    ent_sha256_end(digest, &sum);
    if (metadata == NULL)
        return ENT_OK;
    const ent_json *entry = ent_json_member(ent_json_member(metadata, "datasets"), d->path);
    if (entry == NULL)
        return ent_fail(ENT_EFORMAT, "%s: datasets: has no %s, which %s holds", beside, d->path, h5);
    ENT_TRY(check_digest(h5, d->path, digest, entry, beside));
    return check_shape(h5, d, entry);
}

/* Every dataset of the metadata is in the file. */
static ent_status check_listed(const ent_hdf5_reader *r, const char *h5, const ent_json *metadata)
{
    const ent_json *list = ent_json_member(metadata, "datasets");
    for (const ent_json *item = ent_json_first(list); item; item = ent_json_next(item)) {
        size_t i = 0;
        while (i < ent_hdf5_reader_count(r) && strcmp(ent_hdf5_reader_at(r, i)->path, ent_json_key(item)) != 0)
            i++;
        if (i == ent_hdf5_reader_count(r))
            return ent_fail(ENT_EFORMAT, "%s: %s: is missing", h5, ent_json_key(item));
    }
    return ENT_OK;
}

static void check_datasets(ent_verification *v, ent_hdf5_reader *r, const char *h5, const ent_json *metadata,
                           const char *beside)
{
    const size_t faults = v->faults, count = ent_hdf5_reader_count(r);
    float *x = NULL;
    double *room = NULL;
    size_t numbers = 0;
    ent_status st;
    ENT_GO(ent_calloc(&x, ENT_STRETCH, sizeof *x, "a piece of a tensor"));
    ENT_GO(ent_calloc(&room, ENT_STRETCH, sizeof *room, "a piece of a tensor"));
    for (size_t i = 0; i < count; i++) {
        ent_verify_take(v, check_dataset(r, i, x, room, h5, metadata, beside));
        numbers += ent_hdf5_reader_at(r, i)->count;
    }
    if (metadata)
        ent_verify_take(v, check_listed(r, h5, metadata));
    if (v->faults == faults)
        ent_verify_good(v, "%s: %zu tensors, %zu numbers: %sall finite", h5, count, numbers,
                        metadata ? "their digests, " : "");
done:
    ent_verify_take(v, st);
    free(x);
    free(room);
}

/* --- state --- */

/* A value as text, whether the number is written as one or as a text. */
static ent_status text_of(char **out, const ent_json *value)
{
    if (ent_json_is_string(value))
        return ent_strdup(out, ent_json_string(value));
    return ent_json_print(out, value, false);
}

static ent_status check_state(const ent_ckpt_state *state, const char *h5, const ent_json *metadata)
{
    ent_json *members = ent_json_new_object();
    ent_status st = ENT_OK;
    ent_contents_add_state(members, state);
    for (const ent_json *m = ent_json_first(members); st == ENT_OK && m; m = ent_json_next(m)) {
        const ent_json *other = ent_json_member(metadata, ent_json_key(m));
        char *own = NULL, *stated = NULL;
        st = text_of(&own, m);
        if (st == ENT_OK && other)
            st = text_of(&stated, other);
        if (st == ENT_OK && (stated == NULL || strcmp(own, stated) != 0))
            st = ent_fail(ENT_EFORMAT, "%s: %s: is %.80s, its metadata says %.80s", h5, ent_json_key(m), own,
                          stated ? stated : "nothing");
        free(own);
        free(stated);
    }
    ent_json_free(members);
    return st;
}

/* The name says the step, if it is one that a run gives. */
static ent_status check_name(const ent_ckpt_state *state, const char *h5)
{
    const char *name = ent_path_name(h5);
    int64_t step;
    if (sscanf(name, "step-%18" SCNd64 ".h5", &step) == 1 && step != state->step)
        return ent_fail(ENT_EFORMAT, "%s: step: expected %" PRId64 ", found %" PRId64, h5, step, state->step);
    return ENT_OK;
}

/* What the metadata says of the run. */
static ent_status read_run(ent_verified *out, int64_t *planned, const ent_json *metadata, const char *beside)
{
    const ent_json *metrics = ent_json_member(metadata, "metrics"),
                   *stops = ent_json_member(metadata, "early_stopping");
    const ent_json *eval = ent_json_member(ent_json_member(metadata, "config"), "eval");
    int64_t since_best, patience;
    if (!ent_json_is_object(ent_json_member(metadata, "decides")))
        return ent_fail(ENT_EFORMAT, "%s: decides: expected an object", beside);
    ENT_TRY(ent_json_get_int(planned, metadata, "planned_steps", beside));
    ENT_TRY(ent_json_get_double(&out->loss, metrics, "loss", beside));
    ENT_TRY(ent_json_get_double(&out->lr, metrics, "lr", beside));
    ENT_TRY(ent_json_get_double(&out->grad_norm, metrics, "grad_norm", beside));
    ENT_TRY(ent_json_get_int(&out->best_step, stops, "best_step", beside));
    ENT_TRY(ent_json_get_int(&since_best, stops, "evals_since_best", beside));
    ENT_TRY(ent_json_get_int_or(&patience, eval, "patience", 0, beside));
    if (*planned < out->step || out->best_step > out->step)
        return ent_fail(ENT_EFORMAT,
                        "%s: expected at most %" PRId64 " planned steps and a best one before, found %" PRId64
                        " and %" PRId64,
                        beside, out->step, *planned, out->best_step);
    out->is_final = *planned == out->step || (patience > 0 && since_best >= patience);
    return ENT_OK;
}

static void check_metadata(ent_verified *out, ent_verification *v, const ent_hdf5_reader *r, const char *h5,
                           const ent_json *metadata, const char *beside)
{
    const ent_ckpt_state *state = ent_hdf5_reader_state(r);
    const size_t faults = v->faults;
    int64_t planned = 0;
    out->step = state->step;
    ent_verify_take(v, check_name(state, h5));
    if (metadata == NULL)
        return;
    ent_verify_take(v, check_state(state, h5, metadata));
    ent_verify_take(v, read_run(out, &planned, metadata, beside));
    if (v->faults == faults)
        ent_verify_good(v, "%s: state as its metadata says: step %" PRId64 " of %" PRId64, h5, state->step, planned);
}

void ent_verify_checkpoint(ent_verified *out, ent_verification *v, const char *h5)
{
    const size_t faults = v->faults;
    ent_json *metadata = NULL;
    char *beside = NULL;
    ent_hdf5_reader *r = NULL;
    *out = (ent_verified){.step = -1};
    if (ent_verify_take(v, ent_checkpoint_metadata(&metadata, &beside, h5))) {
        ent_verify_good(v, "%s: digest of itself", beside);
        if (ent_verify_take(v, check_file(h5, metadata, beside)))
            ent_verify_good(v, "%s: digest of the file", h5);
    }
    if (ent_verify_take(v, ent_hdf5_reader_open(&r, h5))) {
        check_metadata(out, v, r, h5, metadata, beside);
        check_datasets(v, r, h5, metadata, beside);
    }
    out->good = v->faults == faults;
    ent_hdf5_reader_close(r);
    ent_json_free(metadata);
    free(beside);
}

/* --- a folder of them --- */

/* `latest` names one of them that is good. It may be older than the newest: a run may die between the two. */
static ent_status check_latest(int64_t *step, const ent_verified_list *list, const char *folder)
{
    char *path = NULL, *text = NULL, name[64];
    size_t n, i = 0;
    ent_status st;
    ENT_GO(ent_format(&path, "%s/latest", folder));
    ENT_GO(ent_text_read_file(&text, &n, path));
    for (; i < list->count; i++) {
        snprintf(name, sizeof name, "step-%08" PRId64 "\n", list->items[i].step);
        if (n == strlen(name) && memcmp(text, name, n) == 0)
            break;
    }
    text[strcspn(text, "\r\n")] = '\0';
    if (i == list->count)
        ENT_GO(
            ent_fail(ENT_EFORMAT, "%s: expected the name of a checkpoint that is there, found \"%.60s\"", path, text));
    if (!list->items[i].good)
        ENT_GO(ent_fail(ENT_EFORMAT, "%s: names %.60s, which is damaged", path, text));
    *step = list->items[i].step;
done:
    free(text);
    free(path);
    return st;
}

static ent_status verify_steps(ent_verified_list *out, ent_verification *v, const char *folder)
{
    int64_t *steps = NULL;
    size_t count = 0;
    ent_status st;
    ENT_GO(ent_checkpoint_steps(&steps, &count, folder));
    ENT_GO(ent_calloc(&out->items, count, sizeof *out->items, "a list of checkpoints"));
    for (; out->count < count; out->count++) {
        char *h5;
        ENT_GO(ent_format(&h5, "%s/step-%08" PRId64 ".h5", folder, steps[out->count]));
        ent_verify_checkpoint(&out->items[out->count], v, h5);
        out->items[out->count].step = steps[out->count]; /* by its name, whatever it says */
        free(h5);
    }
done:
    free(steps);
    return st;
}

void ent_verify_checkpoints(ent_verified_list *out, ent_verification *v, const char *folder)
{
    int64_t step = -1;
    *out = (ent_verified_list){0};
    if (!ent_verify_take(v, verify_steps(out, v, folder)))
        return;
    if (ent_verify_take(v, check_latest(&step, out, folder)))
        ent_verify_good(v, "%s/latest: names step %" PRId64 ", which is good", folder, step);
}
