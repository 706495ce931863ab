#include "launch/run_folder.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/atomic_file.h"
#include "io/checkpoint.h"
#include "io/model_weights.h"
#include "io/model_write.h"
#include "io/peft.h"
#include "launch/pissa.h"
#include "launch/run_rounded.h"
#include "src/base/mem.h"

/* What a run leaves, and --overwrite removes. Nothing else in the folder is touched. */
static const char *const contents[] = {"config.yaml",  "metrics.jsonl", "checkpoints", "adapter",
                                       "adapter-best", "model",         "model-best",  "cache"};

static ent_status join(char **out, const ent_run *run, const char *name)
{
    return ent_format(out, "%s/%s", run->config->training.output_dir, name);
}

/* --overwrite must not remove what the run begins from. */
static ent_status check_input(const ent_run *run, const char *input, const char *key)
{
    for (size_t i = 0; input && i < sizeof contents / sizeof *contents; i++) {
        char *path;
        ENT_TRY(join(&path, run, contents[i]));
        const size_t n = strlen(path);
        const bool inside = strncmp(input, path, n) == 0 && (input[n] == '\0' || input[n] == '/');
        free(path);
        if (inside)
            return ent_fail(ENT_ECONFIG, "%s: %s is part of the run that --overwrite would remove", key, input);
    }
    return ENT_OK;
}

static ent_status check(const ent_run *run)
{
    if (run->options.overwrite) {
        ENT_TRY(check_input(run, run->config->model.path, "model.path"));
        for (size_t i = 0; i < run->config->distill.n_teachers; i++)
            ENT_TRY(check_input(run, run->config->distill.teachers[i], "distill.teachers"));
        ENT_TRY(check_input(run, run->config->distill.teacher, "distill.teacher"));
        ENT_TRY(check_input(run, run->config->has_lora ? run->config->lora.path : NULL, "lora.path"));
    }
    static const char *const marks[] = {"config.yaml", "checkpoints", "adapter", "model"};
    if (run->options.resume || run->options.overwrite)
        return ENT_OK;
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        char *path;
        ENT_TRY(join(&path, run, marks[i]));
        const bool there = access(path, F_OK) == 0;
        free(path);
        if (there)
            return ent_fail(ENT_ECONFIG, "%s: holds a run already: --resume goes on with it, --overwrite replaces it",
                            run->config->training.output_dir);
    }
    return ENT_OK;
}

static ent_status sweep(const ent_run *run)
{
    ent_sweep_temporaries(run->config->training.output_dir);
    for (size_t i = 0; i < sizeof contents / sizeof *contents; i++) {
        char *path;
        ENT_TRY(join(&path, run, contents[i]));
        ent_sweep_temporaries(path);
        free(path);
    }
    return ENT_OK;
}

ent_status ent_run_folder_claim(ent_run *run)
{
    char *path;
    run->made_folder = !ent_path_is_folder(run->config->training.output_dir);
    ENT_TRY(ent_make_dirs(run->config->training.output_dir));
    ENT_TRY(join(&path, run, "lock"));
    ent_status st = ent_lock_file_take(&run->lock, path);
    free(path);
    if (st == ENT_OK)
        st = check(run);
    return st == ENT_OK ? sweep(run) : st;
}

void ent_run_folder_release(ent_run *run)
{
    char *cache;
    if (run->lock == NULL)
        return;
    if (run->made_folder && run->metrics == NULL && join(&cache, run, "cache") == ENT_OK) {
        ent_remove_tree(cache);
        free(cache);
    }
    ent_lock_file_release(run->lock);
    run->lock = NULL;
    if (run->made_folder && run->metrics == NULL)
        rmdir(run->config->training.output_dir); /* it stays if there is something in it */
}

/* Away at once, whatever instant this process dies at; what is left under the temporary name is swept at the next
 * start.
 */
static ent_status remove_one(const char *path)
{
    char *temporary;
    ENT_TRY(ent_path_temporary(&temporary, path));
    ent_status st = ENT_OK;
    if (rename(path, temporary) == 0 ? !ent_remove_tree(temporary) : errno != ENOENT)
        st = ent_fail(ENT_EIO, "%s: %s", path, strerror(errno));
    free(temporary);
    return st;
}

static ent_status remove_old(const ent_run *run)
{
    for (size_t i = 0; i < sizeof contents / sizeof *contents - 1; i++) { /* the cache is this run's already */
        char *path;
        ENT_TRY(join(&path, run, contents[i]));
        const ent_status st = remove_one(path);
        free(path);
        ENT_TRY(st);
    }
    return ENT_OK;
}

/* The trainable parameters as a checkpoint sees them. The caller frees. */
static ent_status checkpoint_tensors(ent_ckpt_tensor **out, size_t *count, const ent_run *run)
{
    const ent_params *p = ent_decoder_params(run->model.decoder);
    ENT_TRY(ent_calloc(out, p->count, sizeof **out, "a checkpoint"));
    *count = 0;
    for (size_t i = 0; i < p->count; i++) {
        const ent_param *param = p->items[i];
        if (!param->trainable)
            continue;
        ent_ckpt_tensor *t = &(*out)[(*count)++];
        *t = (ent_ckpt_tensor){.name = param->tensor.name,
                               .n_dims = param->tensor.n_dims,
                               .value = p->value + param->offset,
                               .m = p->m + param->offset,
                               .v = run->config->optimizer.name == ENT_NAME_SGD ? NULL : p->v + param->offset};
        memcpy(t->shape, param->tensor.shape, sizeof t->shape);
    }
    return ENT_OK;
}

/* What the metadata of a checkpoint says beside its state. */
static ent_status read_metadata(ent_step_result *last, int64_t *planned, const ent_json *metadata, const char *where)
{
    const ent_json *metrics = ent_json_member(metadata, "metrics");
    ENT_TRY(ent_json_get_double(&last->loss, metrics, "loss", where));
    ENT_TRY(ent_json_get_double(&last->grad_norm, metrics, "grad_norm", where));
    ENT_TRY(ent_json_get_double(&last->lr, metrics, "lr", where));
    return ent_json_get_int(planned, metadata, "planned_steps", where);
}

/* The checkpoint can be gone on from here. */
static ent_status accept(const ent_run *run, const ent_ckpt_state *state, int64_t planned)
{
    const char *dir = run->config->training.output_dir;
    if (!run->config->distributed.allow_mixed_cpus && strcmp(state->kernel, run->kernel) != 0)
        return ent_fail(ENT_ECONFIG,
                        "%s: the checkpoint of step %lld was computed with %s, here is %s: the bits would "
                        "differ; distributed.allow_mixed_cpus: true allows it",
                        dir, (long long)state->step, state->kernel, run->kernel);
    if (ent_run_length(run) < planned)
        return ent_fail(ENT_ECONFIG,
                        "%s: the run was to have %lld steps, is now to have %lld: training.max_steps and epochs can "
                        "make it longer, not shorter",
                        dir, (long long)planned, (long long)ent_run_length(run));
    return ENT_OK;
}

/* Nothing is lost if it fails. */
static void prune(const ent_run *run)
{
    if (ent_checkpoint_prune(run->config->training.output_dir, run->at.done, run->config->checkpoint.keep) != ENT_OK)
        fprintf(stderr, "entrenar: an old checkpoint stays: %s\n", ent_message());
}

static ent_status read_state(ent_run *run)
{
    ent_status st;
    const char *dir = run->config->training.output_dir;
    ent_ckpt_state state = {0};
    ent_json *metadata = NULL;
    char *notes = NULL;
    bool any;
    ent_ckpt_tensor *tensors = NULL;
    size_t count;
    int64_t planned;
    ENT_GO(ent_checkpoint_exists(&any, dir));
    if (!any) {
        if (run->speaks)
            printf("resume  %s: no checkpoint yet, the run starts from its beginning\n", dir);
        goto done;
    }
    ENT_GO(checkpoint_tensors(&tensors, &count, run));
    st = ent_checkpoint_read_newest(&state, &run->at.evals, &metadata, &notes, dir, tensors, count, run->identity);
    if (notes)
        fputs(notes, stderr);
    if (st != ENT_OK)
        goto done;
    run->at.done = state.step;
    run->at.position = state.unit_position;
    ENT_GO(read_metadata(&run->at.last, &planned, metadata, dir));
    ENT_GO(accept(run, &state, planned));
    ENT_GO(ent_checkpoint_point(dir, state.step)); /* what a run that was killed had still to do */
    prune(run);
    if (run->speaks)
        printf("resume  from step %lld\n", (long long)run->at.done);
done:
    ent_json_free(metadata);
    free(notes);
    free(tensors);
    return st;
}

static ent_status open_log(ent_run *run)
{
    char *path;
    int64_t missing;
    ENT_TRY(join(&path, run, "metrics.jsonl"));
    const ent_status st =
        ent_metrics_open(&run->metrics, &missing, path, run->at.done, run->at.done ? run->at.evals.eval_step : -1);
    if (st == ENT_OK && missing)
        fprintf(stderr, "entrenar: %s: %lld of the %lld steps up to the checkpoint are not in it any more\n", path,
                (long long)missing, (long long)run->at.done);
    free(path);
    return st;
}

ent_status ent_run_folder_begin(ent_run *run)
{
    ent_status st;
    char *text = NULL, *path = NULL;
    if (run->options.overwrite)
        ENT_GO(remove_old(run));
    if (run->options.resume)
        ENT_GO(read_state(run));
    ENT_GO(open_log(run));
    ENT_GO(ent_config_print(&text, run->config));
    ENT_GO(join(&path, run, "config.yaml")); /* from here on the folder holds a run */
    ENT_GO(ent_atomic_write(path, text, strlen(text)));
done:
    free(text);
    free(path);
    return st;
}

static void copy_members(ent_json *to, const ent_json *from)
{
    for (const ent_json *m = ent_json_first(from); m; m = ent_json_next(m))
        ent_json_add_string(to, ent_json_key(m), ent_json_string(m));
}

/* What stands beside the numbers: what decides them, the config, and what the last step measured. */
static ent_status add_metadata(ent_json *to, const ent_run *run)
{
    const ent_step_result *last = &run->at.last;
    copy_members(ent_json_add_object(to, "decides"), run->identity);
    ENT_TRY(ent_config_to_json(ent_json_add_object(to, "config"), run->config));
    ent_json_add_int(to, "planned_steps", run->steps);
    ent_json *metrics = ent_json_add_object(to, "metrics");
    ent_json_add_double(metrics, "loss", last->loss);
    ent_json_add_double(metrics, "grad_norm", last->grad_norm);
    ent_json_add_double(metrics, "lr", last->lr);
    if (isfinite(run->at.evals.best_val_loss))
        ent_json_add_double(metrics, "best_val_loss", run->at.evals.best_val_loss);
    return ENT_OK;
}

static ent_status write_checkpoint(const ent_run *run)
{
    ent_status st;
    ent_ckpt_tensor *tensors = NULL;
    size_t count;
    const ent_config *c = run->config;
    ent_ckpt_state state = {.step = run->at.done,
                            .unit_position = run->at.position,
                            .epoch = ent_run_epoch(run),
                            .seed = (uint64_t)c->training.seed};
    snprintf(state.config_hash, sizeof state.config_hash, "%s", run->config_hash);
    snprintf(state.kernel, sizeof state.kernel, "%s", run->kernel);
    ent_json *metadata = ent_json_new_object();
    ENT_GO(add_metadata(metadata, run));
    ENT_GO(checkpoint_tensors(&tensors, &count, run));
    ENT_GO(ent_checkpoint_write(c->training.output_dir, tensors, count, &state, &run->at.evals, metadata,
                                c->checkpoint.metadata == ENT_METADATA_YAML));
done:
    free(tensors);
    ent_json_free(metadata);
    return st;
}

ent_status ent_run_folder_checkpoint(const ent_run *run)
{
    ENT_TRY(ent_metrics_sync(run->metrics));
    ENT_TRY(write_checkpoint(run));
    prune(run);
    return ENT_OK;
}

typedef struct full_model {
    const ent_run *run;
    const ent_st_tensor *tensors;
    size_t count;
} full_model;

static ent_status write_model(const char *folder, const void *context)
{
    const full_model *m = context;
    char *file;
    ENT_TRY(ent_format(&file, "%s/model.safetensors", folder));
    ent_status st = ent_safetensors_write(file, m->tensors, m->count);
    free(file);
    return st == ENT_OK ? ent_model_copy_files(folder, m->run->config->model.path) : st;
}

ent_status ent_run_folder_save(const ent_run *run, const char *name)
{
    ent_status st;
    char *folder = NULL;
    ent_st_tensor *tensors = NULL;
    size_t count;
    ENT_GO(ent_metrics_sync(run->metrics)); /* the run folder is where it was */
    ENT_GO(join(&folder, run, name));
    ENT_GO(ent_trainable_tensors(&tensors, &count, ent_decoder_params(run->model.decoder)));
    if (run->config->quantize.qat == ENT_QAT_INT8)
        ENT_GO(ent_run_rounded_write(folder, run));
    else if (run->model.lora.pissa)
        ENT_GO(ent_pissa_write(folder, &run->model, run->config->model.path));
    else if (run->model.lora.r)
        ENT_GO(ent_peft_write(folder, &run->model.lora, run->config->model.path, tensors, count));
    else
        ENT_GO(ent_atomic_folder(folder, write_model, &(full_model){run, tensors, count}));
    ENT_GO(ent_metrics_sync(run->metrics)); /* and was not made again by writing there */
done:
    free(tensors);
    free(folder);
    return st;
}
