#include "launch/run.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/digest.h"
#include "launch/report.h"
#include "launch/run_folder.h"
#include "src/base/mem.h"
#include "src/base/tiles.h"
#include "src/tensor/gemm.h"
#include "src/text/dataset.h"

void ent_run_close(ent_run *run)
{
    ent_numeric_trace_free(run->trace);
    ent_metrics_close(run->metrics);
    ent_trainer_free(run->trainer);
    ent_dataset_close(run->val);
    ent_dataset_close(run->train);
    free(run->order);
    ent_model_close(&run->model);
}

static ent_status open_model(ent_run *run)
{
    const ent_config *c = run->config;
    ent_status st;
    ent_lora_config lora = {.r = (size_t)c->lora.rank,
                            .alpha = c->lora.alpha,
                            .use_rslora = c->lora.use_rslora,
                            .dropout = c->lora.dropout,
                            .targets = c->lora.targets};
    if (c->has_lora && c->lora.n_layers) {
        lora.n_layers = c->lora.layers[c->lora.n_layers - 1] + 1;
        ENT_TRY(ent_calloc(&lora.layers, lora.n_layers, 1, "layers"));
        for (size_t i = 0; i < c->lora.n_layers; i++)
            lora.layers[c->lora.layers[i]] = 1;
    }
    const ent_model_options options = {.path = c->model.path,
                                       .adapter = c->has_lora ? c->lora.path : NULL,
                                       .lora = c->has_lora && c->lora.path == NULL ? &lora : NULL,
                                       .dropout = c->has_lora ? c->lora.dropout : 0,
                                       .train = true,
                                       .random = c->model.init == ENT_INIT_RANDOM,
                                       .seed = (uint64_t)c->training.seed,
                                       .max_positions = (size_t)c->data.seq_len};
    st = ent_model_open(&run->model, &options);
    free(lora.layers);
    const ent_model_config *m = &run->model.config;
    const double positions =
        (double)m->max_position_embeddings * (m->rope_scaling == ENT_ROPE_LINEAR ? m->rope_factor : 1);
    if (st == ENT_OK && positions > 0 && (double)c->data.seq_len > positions)
        return ent_fail(ENT_ECONFIG, "data.seq_len: %lld is more than the %.0f positions of %s",
                        (long long)c->data.seq_len, positions, c->model.path);
    return st;
}

static ent_status open_data(ent_run *run)
{
    const ent_config *c = run->config;
    ent_status st;
    char *cache = NULL;
    if (!run->options.dry_run)
        ENT_TRY(ent_format(&cache, "%s/cache", c->training.output_dir));
    const ent_dataset_options options = {.seq_len = (size_t)c->data.seq_len,
                                         .vocab_size = run->model.config.vocab_size,
                                         .mask_prompt = c->data.mask_prompt,
                                         .packing = c->data.packing,
                                         .tokenizer = run->model.tokenizer,
                                         .tokenizer_path = run->model.tokenizer_path,
                                         .model_folder = c->model.path,
                                         .cache_dir = cache};
    ENT_GO(ent_dataset_open(&run->train, c->data.train, &options));
    if (c->data.val)
        ENT_GO(ent_dataset_open(&run->val, c->data.val, &options));
    ENT_GO(ent_calloc(&run->order, ent_dataset_units(run->train), sizeof *run->order, "the order of units"));
    run->order_epoch = -1;
done:
    free(cache);
    return st;
}

static ent_status open_trainer(ent_run *run)
{
    const ent_config *c = run->config;
    const int64_t units = (int64_t)ent_dataset_units(run->train), batch = c->training.batch_size;
    run->steps = c->training.max_steps ? c->training.max_steps : (units * c->training.epochs + batch - 1) / batch;
    run->best_val_loss = NAN;
    const ent_trainer_options options = {.optimizer = {.kind = (ent_optimizer_kind)c->optimizer.name,
                                                       .beta1 = c->optimizer.beta1,
                                                       .beta2 = c->optimizer.beta2,
                                                       .eps = c->optimizer.eps,
                                                       .momentum = c->optimizer.momentum,
                                                       .weight_decay = c->optimizer.weight_decay},
                                         .schedule = {.kind = (ent_schedule_kind)c->scheduler.name,
                                                      .lr = c->optimizer.lr,
                                                      .min_lr = c->scheduler.min_lr,
                                                      .warmup = c->scheduler.warmup_steps,
                                                      .steps = run->steps,
                                                      .step_size = c->scheduler.step_size,
                                                      .gamma = c->scheduler.gamma},
                                         .grad_clip = c->training.grad_clip,
                                         .batch_size = (size_t)batch,
                                         .seq_len = (size_t)c->data.seq_len,
                                         .seed = (uint64_t)c->training.seed};
    return ent_trainer_new(&run->trainer, run->model.decoder, run->comm, &options);
}

/* A digest of the mapped weights: of all names, shapes and types, and of a sample of each tensor's bytes, so that it
 * costs no time. Another model, or another version of it, is told apart. */
static void hash_weights(char hex[ENT_SHA256_SIZE], const ent_run *run)
{
    enum { SAMPLE = 4096 };
    const ent_params *p = ent_decoder_params(run->model.decoder);
    char next[ENT_SHA256_SIZE + 256 + SAMPLE] = "";
    memset(hex, 0, ENT_SHA256_SIZE);
    for (size_t i = 0; i < p->count && run->model.weights; i++) {
        const ent_st_tensor *t = ent_safetensors_find(run->model.weights, p->items[i]->tensor.name);
        if (t == NULL)
            continue;
        size_t n = (size_t)snprintf(next, ENT_SHA256_SIZE + 256, "%s %.150s %s %zu", hex, t->name,
                                    ent_dtype_name(t->dtype), t->bytes);
        const size_t sample = t->bytes < SAMPLE ? t->bytes : SAMPLE;
        memcpy(next + n, (const char *)t->data + (t->bytes - sample) / 2, sample);
        ent_sha256(hex, next, n + sample);
    }
}

/* What decides the numbers of a run, hashed: a checkpoint goes on only under the same. Length of the run, ranks,
 * threads, places and intervals are left out. */
static ent_status hash_config(ent_run *run)
{
    const ent_config *c = run->config;
    const ent_model_config *m = &run->model.config;
    char weights[ENT_SHA256_SIZE];
    const ent_lora_config *l = &run->model.lora;
    char *text;
    hash_weights(weights, run);
    ENT_TRY(ent_format(&text,
                       "%s model %s %d %.17g %.17g %zu %zu %s data %lld %d %d %d lora %zu %.17g %d %.17g %u optimizer "
                       "%d %.17g %.17g %.17g %.17g %.17g %.17g "
                       "scheduler %d %lld %.17g %lld %.17g training %lld %.17g %lld parameters %zu",
                       weights, m->model_type, (int)m->rope_scaling, m->rope_theta, m->rms_norm_eps, m->sliding_window,
                       m->first_window_layer, ent_dataset_digest(run->train), (long long)c->data.seq_len,
                       c->data.mask_prompt, c->data.packing, c->data.shuffle, l->r, l->alpha, l->use_rslora, l->dropout,
                       l->targets, (int)c->optimizer.name, c->optimizer.lr, c->optimizer.beta1, c->optimizer.beta2,
                       c->optimizer.eps, c->optimizer.weight_decay, c->optimizer.momentum, (int)c->scheduler.name,
                       (long long)c->scheduler.warmup_steps, c->scheduler.min_lr, (long long)c->scheduler.step_size,
                       c->scheduler.gamma, (long long)c->training.batch_size, c->training.grad_clip,
                       (long long)c->training.seed, ent_decoder_params(run->model.decoder)->n_trainable));
    ent_sha256(run->config_hash, text, strlen(text));
    free(text);
    return ENT_OK;
}

/* The others get the numbers of rank 0, which may have read a checkpoint. */
static ent_status share_state(ent_run *run)
{
    ent_params *p = ent_decoder_params(run->model.decoder);
    struct {
        int64_t done, best_step, evals_since_best;
        double best_val_loss;
    } s = {run->done, run->best_step, run->evals_since_best, run->best_val_loss};
    ENT_TRY(run->comm->bcast(run->comm, &s, sizeof s, 0));
    run->done = s.done;
    run->best_step = s.best_step;
    run->evals_since_best = s.evals_since_best;
    run->best_val_loss = s.best_val_loss;
    ent_real *const buffers[] = {p->value, p->m, p->v};
    for (int i = 0; i < 3; i++)
        ENT_TRY(run->comm->bcast(run->comm, buffers[i], p->n_trainable * sizeof(ent_real), 0));
    return ENT_OK;
}

static void say_what_is_trained(const ent_run *run)
{
    const ent_params *p = ent_decoder_params(run->model.decoder);
    const ent_model_config *c = &run->model.config;
    double all = 0;
    ent_time_text t[3];
    for (size_t i = 0; i < p->count; i++)
        all += (double)ent_tensor_count(&p->items[i]->tensor);
    printf("model   %s: %s, %s parameters, %s trainable%s\n", run->config->model.path, c->model_type,
           ent_count_format(&t[0], all), ent_count_format(&t[1], (double)p->n_trainable),
           run->model.lora.r ? " (LoRA)" : "");
    const ent_dataset_counts *n = ent_dataset_counts_of(run->train);
    printf("data    %s: %zu documents, %s tokens in %zu units of at most %lld\n", run->config->data.train,
           (size_t)n->documents, ent_count_format(&t[0], (double)n->tokens), (size_t)n->units,
           (long long)run->config->data.seq_len);
    if (n->truncated_documents)
        printf("        %zu documents are longer than seq_len and were cut: %zu tokens are not used\n",
               (size_t)n->truncated_documents, (size_t)n->truncated_tokens);
    const char *const notes[] = {ent_dataset_note(run->train), run->val ? ent_dataset_note(run->val) : NULL};
    for (int i = 0; i < 2; i++)
        if (notes[i])
            printf("        %s\n", notes[i]);
    if (n->dropped_units)
        printf("        %zu units without a target are left out\n", (size_t)n->dropped_units);
    printf("machine %d rank%s, %d thread%s each, %s; %s of memory a rank beside the mapped model\n",
           run->comm->world_size, run->comm->world_size > 1 ? "s" : "", run->place.threads,
           run->place.threads > 1 ? "s" : "", ent_gemm_kernel(),
           ent_bytes_format(&t[0], (double)ent_trainer_memory(run->trainer)));
    if (run->place.idle)
        printf("        %d of %d cores are idle%s%d; compute.threads sets threads by hand\n", run->place.idle,
               run->place.cores,
               run->comm->world_size > 1 ? ": to use them, start with mpirun --map-by slot:PE="
                                         : "; cores for a rank: ",
               run->place.cores / (run->place.local_size ? run->place.local_size : 1));
    fflush(stdout);
}

static ent_status open_trace(ent_run *run)
{
    return ent_numeric_trace_new(&run->trace, run->options.trace, ent_gemm_kernel(),
                                 ent_decoder_params(run->model.decoder)->n_trainable);
}

/* Every rank was given the same: what they are to do together depends on it. */
static ent_status same_config(ent_run *run)
{
    char *text = NULL, *all = NULL;
    ent_status st = ent_config_print(&text, run->config);
    if (st == ENT_OK)
        st = ent_format(&all, "%s# %d %d %d", text, run->options.resume, run->options.overwrite, run->options.dry_run);
    free(text);
    st = ent_comm_agree(run->comm, st);
    if (st == ENT_OK)
        st = ent_comm_same(run->comm, all, "the configuration");
    free(all);
    return st;
}

ent_status ent_run_open(ent_run *run, const ent_config *config, ent_comm *comm, const ent_run_options *options)
{
    *run = (ent_run){.config = config, .options = *options, .comm = comm};
    run->speaks = comm->rank == 0 && !options->quiet;
    ent_comm *const c = comm;
    ENT_TRY(same_config(run));
    ENT_TRY(ent_comm_agree(c, c->rank == 0 && !options->dry_run ? ent_run_folder_check(run) : ENT_OK));
    ENT_TRY(ent_place(&run->place, comm, config->compute.threads));
    ent_set_threads(run->place.threads);
    if (!config->distributed.allow_mixed_cpus)
        ENT_TRY(ent_comm_same(c, ent_gemm_kernel(), "the kernel of this CPU"));
    ENT_TRY(ent_comm_agree(c, open_model(run)));
    ENT_TRY(ent_comm_agree(c, c->rank == 0 ? open_data(run) : ENT_OK)); /* it makes the cache that the others map */
    ENT_TRY(ent_comm_agree(c, c->rank != 0 ? open_data(run) : ENT_OK));
    ENT_TRY(ent_comm_agree(c, open_trainer(run)));
    ENT_TRY(ent_comm_agree(c, hash_config(run)));
    ENT_TRY(ent_comm_same(c, run->config_hash, "model and data"));
    if (run->speaks)
        say_what_is_trained(run);
    if (options->dry_run)
        return ENT_OK;
    ENT_TRY(ent_comm_agree(c, c->rank == 0 && options->trace ? open_trace(run) : ENT_OK));
    ENT_TRY(ent_comm_agree(c, c->rank == 0 ? ent_run_folder_begin(run) : ENT_OK));
    return share_state(run);
}

/* Unit i of the step that begins at run->first * batch_size in the endless row of epochs. */
static ent_status train_unit(ent_unit *out, void *context, size_t i)
{
    ent_run *run = context;
    const int64_t units = (int64_t)ent_dataset_units(run->train);
    const int64_t position = run->first * run->config->training.batch_size + (int64_t)i;
    const int64_t epoch = position / units;
    if (epoch != run->order_epoch) {
        ent_order_fill(run->order, (size_t)units, (uint64_t)run->config->training.seed, (uint64_t)epoch,
                       run->config->data.shuffle);
        run->order_epoch = epoch;
    }
    ent_dataset_unit(out, run->train, run->order[position % units]);
    return ENT_OK;
}

static ent_status val_unit(ent_unit *out, void *context, size_t i)
{
    ent_dataset_unit(out, ((ent_run *)context)->val, i);
    return ENT_OK;
}

/* Units of a step: batch_size, but for the last of a run that is as long as its epochs. */
static size_t units_of_step(const ent_run *run, int64_t step)
{
    const int64_t batch = run->config->training.batch_size;
    if (run->config->training.max_steps)
        return (size_t)batch;
    const int64_t left = (int64_t)ent_dataset_units(run->train) * run->config->training.epochs - step * batch;
    return (size_t)(left < batch ? left : batch);
}

/* Evaluates, remembers the best, and keeps its adapter. *stop: patience is at its end. */
static ent_status evaluate(ent_run *run, bool *stop)
{
    const ent_config *c = run->config;
    double loss;
    int64_t targets;
    ENT_TRY(ent_trainer_evaluate(&loss, &targets, run->trainer, ent_dataset_units(run->val), val_unit, run));
    const bool best = !(loss >= run->best_val_loss);
    if (best) {
        run->best_val_loss = loss;
        run->best_step = run->done;
        run->evals_since_best = 0;
    } else {
        run->evals_since_best++;
    }
    *stop = c->eval.patience && run->evals_since_best >= c->eval.patience;
    if (run->speaks) {
        printf("step %lld: validation loss %.4f, perplexity %.3f%s\n", (long long)run->done, loss, exp(loss),
               best ? "" : " (not better)");
        fflush(stdout);
    }
    ent_status st = ENT_OK;
    if (run->metrics)
        st = ent_metrics_write_eval(run->metrics, run->done, loss, exp(loss), targets);
    if (run->metrics && st == ENT_OK && best && run->done && c->eval.every)
        st = ent_run_folder_save(run, run->model.lora.r ? "adapter-best" : "model-best");
    return ent_comm_agree(run->comm, st);
}

int64_t ent_run_position(const ent_run *run)
{
    const int64_t at = run->done * run->config->training.batch_size;
    const int64_t all = (int64_t)ent_dataset_units(run->train) * run->config->training.epochs;
    return run->config->training.max_steps == 0 && at > all ? all : at;
}

static ent_status log_step(ent_run *run, const ent_step_result *r, double seconds, double begun, int64_t begun_at)
{
    const double rate = (double)r->tokens / (seconds > 1e-9 ? seconds : 1e-9);
    const ent_metrics_step line = {.step = run->done,
                                   .epoch = (double)ent_run_position(run) / (double)ent_dataset_units(run->train),
                                   .loss = r->loss,
                                   .lr = r->lr,
                                   .grad_norm = r->grad_norm,
                                   .tokens = r->targets,
                                   .tokens_per_s = rate,
                                   .seconds = seconds};
    if (run->speaks && (run->done % run->config->training.log_every == 0 || run->done == run->steps))
        ent_report_step(run->done, run->steps, r, rate,
                        (ent_now() - begun) / (double)(run->done - begun_at) * (double)(run->steps - run->done));
    const ent_params *p = ent_decoder_params(run->model.decoder);
    const ent_numeric_step numbers = {run->done, r->loss, r->grad_norm, r->lr};
    if (run->trace)
        ENT_TRY(ent_numeric_trace_step(run->trace, &numbers, p->value, p->n_trainable));
    return run->metrics ? ent_metrics_write_step(run->metrics, &line) : ENT_OK;
}

ent_status ent_run_train(ent_run *run)
{
    const ent_config *c = run->config;
    const double begun = ent_now();
    const int64_t begun_at = run->done;
    ent_step_result result = {0};
    bool stop;
    if (run->val && run->done == 0)
        ENT_TRY(evaluate(run, &stop));
    stop = c->eval.patience && run->evals_since_best >= c->eval.patience; /* a run that has stopped stays stopped */
    while (run->done < run->steps && !stop) {
        const double start = ent_now();
        run->first = run->done;
        ENT_TRY(ent_trainer_step(&result, run->trainer, run->done, units_of_step(run, run->done), train_unit, run));
        run->done++;
        ENT_TRY(ent_comm_agree(run->comm, log_step(run, &result, ent_now() - start, begun, begun_at)));
        const bool last = run->done == run->steps;
        if (run->val && (last || (c->eval.every && run->done % c->eval.every == 0)))
            ENT_TRY(evaluate(run, &stop));
        if (last || stop || (c->checkpoint.every && run->done % c->checkpoint.every == 0))
            ENT_TRY(ent_comm_agree(run->comm, run->metrics ? ent_run_folder_checkpoint(run, &result) : ENT_OK));
    }
    ENT_TRY(ent_comm_agree(run->comm,
                           run->metrics ? ent_run_folder_save(run, run->model.lora.r ? "adapter" : "model") : ENT_OK));
    return ent_comm_agree(run->comm, run->trace ? ent_numeric_trace_commit(run->trace) : ENT_OK);
}
