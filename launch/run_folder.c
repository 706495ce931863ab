#include "launch/run_folder.h"

#include <errno.h>
#include <ftw.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/atomic_file.h"
#include "io/checkpoint.h"
#include "io/model_weights.h"
#include "io/peft.h"
#include "io/text.h"
#include "src/base/mem.h"
#include "src/tensor/gemm.h"

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

ent_status ent_run_folder_check(const ent_run *run)
{
    if (run->options.overwrite) {
        ENT_TRY(check_input(run, run->config->model.path, "model.path"));
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

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *at)
{
    (void)info;
    (void)type;
    (void)at;
    return remove(path);
}

static ent_status remove_old(const ent_run *run)
{
    for (size_t i = 0; i < sizeof contents / sizeof *contents - 1; i++) { /* the cache is this run's already */
        char *path;
        ENT_TRY(join(&path, run, contents[i]));
        const bool failed = access(path, F_OK) == 0 && nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0;
        const ent_status st = failed ? ent_fail(ENT_EIO, "%s: %s", path, strerror(errno)) : ENT_OK;
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

static ent_status read_state(ent_run *run)
{
    ent_status st;
    ent_ckpt_state state = {0};
    char *notes = NULL;
    bool any;
    ent_ckpt_tensor *tensors = NULL;
    size_t count;
    ENT_GO(ent_checkpoint_exists(&any, run->config->training.output_dir));
    if (!any) {
        if (run->speaks)
            printf("resume  %s: no checkpoint yet, the run starts from its beginning\n",
                   run->config->training.output_dir);
        goto done;
    }
    ENT_GO(checkpoint_tensors(&tensors, &count, run));
    st = ent_checkpoint_read_newest(&state, &notes, run->config->training.output_dir, tensors, count);
    if (notes && *notes)
        fprintf(stderr, "%s%s", notes, notes[strlen(notes) - 1] == '\n' ? "" : "\n");
    if (st != ENT_OK)
        goto done;
    if (strcmp(state.config_hash, run->config_hash) != 0)
        ENT_GO(ent_fail(ENT_ECONFIG,
                        "%s: the checkpoint of step %lld is of another configuration (model, data, lora, "
                        "optimizer, scheduler, batch_size or seed differ)",
                        run->config->training.output_dir, (long long)state.step));
    if (!run->config->distributed.allow_mixed_cpus && strcmp(state.kernel, ent_gemm_kernel()) != 0)
        ENT_GO(ent_fail(ENT_ECONFIG,
                        "%s: the checkpoint of step %lld was computed with %s, here is %s: the bits would "
                        "differ; distributed.allow_mixed_cpus: true allows it",
                        run->config->training.output_dir, (long long)state.step, state.kernel, ent_gemm_kernel()));
    if (run->steps < state.step ||
        (run->steps > state.step && state.unit_position != state.step * run->config->training.batch_size))
        ENT_GO(ent_fail(
            ENT_ECONFIG, "%s: the checkpoint of step %lld %s", run->config->training.output_dir, (long long)state.step,
            run->steps < state.step ? "is beyond the end of this run: training.max_steps or epochs is too small"
                                    : "ended its run with a step of fewer units: the run can't be prolonged"));
    run->done = state.step;
    run->best_val_loss = state.best_val_loss;
    run->best_step = state.best_step;
    run->evals_since_best = state.evals_since_best;
    if (run->speaks)
        printf("resume  from step %lld\n", (long long)run->done);
done:
    free(notes);
    free(tensors);
    return st;
}

ent_status ent_run_folder_begin(ent_run *run)
{
    ent_status st;
    char *text = NULL, *path = NULL, *metrics = NULL;
    ENT_GO(ent_make_dirs(run->config->training.output_dir));
    if (run->options.overwrite)
        ENT_GO(remove_old(run));
    if (run->options.resume)
        ENT_GO(read_state(run));
    ENT_GO(ent_config_print(&text, run->config));
    ENT_GO(join(&path, run, "config.yaml"));
    ENT_GO(ent_atomic_write(path, text, strlen(text)));
    ENT_GO(join(&metrics, run, "metrics.jsonl"));
    ENT_GO(ent_metrics_open(&run->metrics, metrics, run->done > 0 ? run->done : -1));
done:
    free(text);
    free(path);
    free(metrics);
    return st;
}

/* What stands beside the numbers: the config and what the last step measured. */
static ent_status add_metadata(ent_json *to, const ent_run *run, const ent_step_result *last)
{
    ENT_TRY(ent_config_to_json(ent_json_add_object(to, "config"), run->config));
    ent_json *metrics = ent_json_add_object(to, "metrics");
    ent_json_add_double(metrics, "loss", last->loss);
    ent_json_add_double(metrics, "grad_norm", last->grad_norm);
    ent_json_add_double(metrics, "lr", last->lr);
    if (isfinite(run->best_val_loss))
        ent_json_add_double(metrics, "best_val_loss", run->best_val_loss);
    return ENT_OK;
}

ent_status ent_run_folder_checkpoint(const ent_run *run, const ent_step_result *last)
{
    ent_status st;
    ent_ckpt_tensor *tensors = NULL;
    size_t count;
    const ent_config *c = run->config;
    ent_ckpt_state state = {.step = run->done,
                            .unit_position = ent_run_position(run),
                            .epoch = (double)ent_run_position(run) / (double)ent_dataset_units(run->train),
                            .seed = (uint64_t)c->training.seed,
                            .best_val_loss = run->best_val_loss,
                            .best_step = run->best_step,
                            .evals_since_best = run->evals_since_best};
    snprintf(state.config_hash, sizeof state.config_hash, "%s", run->config_hash);
    snprintf(state.kernel, sizeof state.kernel, "%s", ent_gemm_kernel());
    ent_json *metadata = ent_json_new_object();
    ENT_GO(add_metadata(metadata, run, last));
    ENT_GO(checkpoint_tensors(&tensors, &count, run));
    ENT_GO(ent_checkpoint_write(c->training.output_dir, tensors, count, &state, metadata, c->checkpoint.keep,
                                c->checkpoint.metadata == ENT_METADATA_YAML));
done:
    free(tensors);
    ent_json_free(metadata);
    return st;
}

/* Files of the model folder that a fully trained model needs beside its weights. */
static ent_status copy_model_files(const ent_run *run, const char *folder)
{
    static const char *const names[] = {"config.json",
                                        "generation_config.json",
                                        "tokenizer.json",
                                        "tokenizer_config.json",
                                        "special_tokens_map.json",
                                        "chat_template.jinja",
                                        "tokenizer.model",
                                        "vocab.json",
                                        "merges.txt",
                                        "added_tokens.json"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        ent_status st;
        char *from = NULL, *to = NULL, *text = NULL;
        size_t n;
        ENT_GO(ent_format(&from, "%s/%s", run->config->model.path, names[i]));
        if (access(from, F_OK) == 0) {
            ENT_GO(ent_format(&to, "%s/%s", folder, names[i]));
            ENT_GO(ent_text_read_file(&text, &n, from));
            ENT_GO(ent_atomic_write(to, text, n));
        }
    done:
        free(from);
        free(to);
        free(text);
        ENT_TRY(st);
    }
    return ENT_OK;
}

ent_status ent_run_folder_save(const ent_run *run, const char *name)
{
    ent_status st;
    char *folder = NULL, *file = NULL;
    ent_st_tensor *tensors = NULL;
    size_t count;
    ENT_GO(join(&folder, run, name));
    ENT_GO(ent_trainable_tensors(&tensors, &count, ent_decoder_params(run->model.decoder)));
    if (run->model.lora.r) {
        ENT_GO(ent_peft_write(folder, &run->model.lora, run->config->model.path, tensors, count));
    } else {
        ENT_GO(ent_make_dirs(folder));
        ENT_GO(ent_format(&file, "%s/model.safetensors", folder));
        ENT_GO(ent_safetensors_write(file, tensors, count));
        ENT_GO(copy_model_files(run, folder));
    }
done:
    free(tensors);
    free(folder);
    free(file);
    return st;
}
