/* Writes pairs of numbers and metadata: see io/checkpoint.h. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/atomic_file.h"
#include "io/checkpoint_parts.h"
#include "io/digest.h"
#include "io/text.h"
#include "io/yaml_json.h"
#include "src/base/mem.h"

#define WHOLE_LIMIT ((uint64_t)1 << 53) /* JSON readers keep whole numbers exact below this */

/* The digest of a tensor's bytes is what `sha256sum` gives for its numbers as the file holds them. */
static void add_datasets(ent_json *to, const ent_ckpt_tensor *tensors, size_t count)
{
    for (size_t group = 0; group < ENT_CKPT_GROUPS; group++)
        for (size_t i = 0; i < count; i++) {
            const ent_ckpt_tensor *t = &tensors[i];
            char path[300], digest[ENT_SHA256_SIZE];
            if (ent_ckpt_part(t, group) == NULL)
                continue;
            snprintf(path, sizeof path, "%s/%s", ent_ckpt_groups[group], t->name);
            ent_json *entry = ent_json_add_object(to, path), *shape = ent_json_add_array(entry, "shape");
            for (size_t d = 0; d < t->n_dims; d++)
                ent_json_add_int(shape, NULL, (int64_t)t->shape[d]);
            ent_sha256(digest, ent_ckpt_part(t, group), ent_ckpt_bytes(t));
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
}

static void add_evals(ent_json *to, const ent_ckpt_evals *e)
{
    ent_json *stopping = ent_json_add_object(to, "early_stopping");
    if (isfinite(e->best_val_loss))
        ent_json_add_double(stopping, "best_val_loss", e->best_val_loss);
    else
        ent_json_add_null(stopping, "best_val_loss");
    ent_json_add_int(stopping, "best_step", e->best_step);
    ent_json_add_int(stopping, "evals_since_best", e->evals_since_best);
    ent_json_add_int(stopping, "eval_step", e->eval_step);
}

/* *out = the text of the metadata: what the caller gave, the state and the digests. `h5` is the file of the numbers. */
static ent_status metadata_text(char **out, const char *h5, const ent_ckpt_tensor *tensors, size_t count,
                                const ent_ckpt_state *state, const ent_ckpt_evals *evals, const ent_json *given,
                                bool yaml)
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
    add_evals(tree, evals);
    ent_json *file = ent_json_add_object(tree, "file");
    ent_json_add_string(file, "name", ent_path_name(h5));
    ent_json_add_string(file, "sha256", digest);
    add_datasets(ent_json_add_object(tree, "datasets"), tensors, count);
    ENT_GO(ent_ckpt_metadata_digest(digest, tree));
    ent_json_add_string(tree, ENT_CKPT_DIGEST, digest);
    st = yaml ? ent_yaml_from_json(out, tree) : ent_json_print(out, tree, true);
done:
    ent_json_free(tree);
    free(copy);
    return st;
}

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

ent_status ent_checkpoint_point(const char *run_dir, int64_t step)
{
    ent_status st;
    char *latest = NULL, *old = NULL, name[40];
    size_t n;
    snprintf(name, sizeof name, "step-%08" PRId64 "\n", step);
    ENT_GO(ent_format(&latest, "%s/checkpoints/latest", run_dir));
    const bool is_right = ent_text_read_file(&old, &n, latest) == ENT_OK && n == strlen(name) && !memcmp(old, name, n);
    if (!is_right)
        ENT_GO(ent_atomic_write(latest, name, strlen(name)));
done:
    free(latest);
    free(old);
    return st;
}

ent_status ent_checkpoint_write(const char *run_dir, const ent_ckpt_tensor *tensors, size_t count,
                                const ent_ckpt_state *state, const ent_ckpt_evals *evals, const ent_json *metadata,
                                bool yaml)
{
    ent_status st;
    char *folder = NULL, *h5 = NULL, *beside = NULL, *text = NULL;
    ENT_GO(ent_format(&folder, "%s/checkpoints", run_dir));
    ENT_GO(ent_make_dir(folder));
    ENT_GO(ent_ckpt_path(&h5, folder, state->step, "h5"));
    ENT_GO(ent_ckpt_path(&beside, folder, state->step, yaml ? "yaml" : "json"));
    ENT_GO(write_numbers(h5, tensors, count, state));
    ENT_GO(metadata_text(&text, h5, tensors, count, state, evals, metadata, yaml));
    ENT_GO(ent_atomic_write(beside, text, strlen(text)));
    ENT_GO(ent_ckpt_remove(folder, state->step, yaml ? "json" : "yaml")); /* of a run with the other notation */
    ENT_GO(ent_checkpoint_point(run_dir, state->step));
done:
    free(folder);
    free(h5);
    free(beside);
    free(text);
    return st;
}
