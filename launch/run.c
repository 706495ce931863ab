#include "launch/run.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/digest.h"
#include "launch/report.h"
#include "launch/run_folder.h"
#include "launch/run_identity.h"
#include "launch/signals.h"
#include "launch/turn.h"
#include "src/base/mem.h"
#include "src/base/tiles.h"
#include "src/tensor/gemm.h"
#include "src/text/dataset.h"

void ent_run_close(ent_run *run)
{
    ent_run_folder_release(run);
    ent_json_free(run->identity);
    ent_numeric_trace_free(run->trace);
    ent_metrics_close(run->metrics);
    ent_trainer_free(run->trainer);
    ent_dataset_close(run->val);
    ent_dataset_close(run->train);
    free(run->order);
    free(run->digests);
    ent_teachers_close(&run->teachers);
    ent_model_close(&run->model);
}

static ent_status open_model(ent_run *run)
{
    const ent_config *c = run->config;
    ent_status st;
    ent_lora_config lora = {.r = (size_t)c->lora.rank,
                            .alpha = c->lora.alpha,
                            .use_rslora = c->lora.use_rslora,
                            .use_dora = c->lora.use_dora,
                            .pissa = c->lora.init == ENT_LORA_PISSA,
                            .dropout = c->lora.dropout,
                            .targets = c->lora.targets,
                            .ranks = c->lora.ranks, /* borrowed */
                            .alphas = c->lora.alphas,
                            .saved = c->lora.saved};
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
                                       .base = c->quantize.base,
                                       .qat = c->quantize.qat,
                                       .compute = ent_model_compute(c),
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

static ent_status cache_folder(char **out, const ent_run *run)
{
    *out = NULL;
    return run->options.dry_run ? ENT_OK : ent_format(out, "%s/cache", run->config->training.output_dir);
}

/* What rank 0 makes in the cache, if it isn't there, and all map: tokenised data, converted weights. */
static ent_status open_data(void *context)
{
    ent_run *run = context;
    const ent_config *c = run->config;
    ent_status st;
    char *cache;
    ENT_TRY(cache_folder(&cache, run));
    const ent_dataset_options options = {.seq_len = (size_t)c->data.seq_len,
                                         .vocab_size = run->model.config.vocab_size,
                                         .mask_prompt = c->data.mask_prompt,
                                         .packing = c->data.packing,
                                         .tokenizer = run->model.tokenizer,
                                         .tokenizer_path = run->model.tokenizer_path,
                                         .model_folder = c->model.path,
                                         .chat_template = c->data.chat_template,
                                         .cache_dir = cache,
                                         .stop = ent_turn_stop};
    ENT_GO(ent_dataset_open(&run->train, c->data.train, &options));
    if (c->data.val)
        ENT_GO(ent_dataset_open(&run->val, c->data.val, &options));
    ENT_GO(ent_calloc(&run->order, ent_dataset_units(run->train), sizeof *run->order, "the order of units"));
    run->order_epoch = -1;
done:
    free(cache);
    return st;
}

static ent_status convert_weights(void *context)
{
    ent_run *run = context;
    char *cache;
    ENT_TRY(cache_folder(&cache, run));
    const ent_status st = ent_model_convert(&run->model, cache, run->comm->rank == 0, ent_turn_stop);
    free(cache);
    return st;
}

/* Every rank for itself: the same bits. It may take a while. */
static ent_status begin_adapter(ent_run *run)
{
    if (run->speaks && run->model.lora.pissa) {
        printf("pissa   looks for the largest singular values of the adapted weights\n");
        fflush(stdout);
    }
    return ent_decoder_init_pissa(run->model.decoder, ent_signals_stop);
}

/* Rank 0 comes first, and makes what the others find. */
static ent_status in_turn(ent_run *run, ent_status (*open)(void *))
{
    return ent_turn(run->comm, (double)run->config->distributed.timeout, open, run);
}

/* Behind a part of the start, which ended with `st`: the ranks agree whether a signal has come. What is in the cache
 * stays, so that the next start finds it. */
static ent_status go_on(ent_run *run, ent_status st)
{
    int64_t stop = ent_signals_stop();
    if (st != ENT_OK && st != ENT_ESTOPPED)
        return st;
    ENT_TRY(run->comm->max_i64(run->comm, &stop, 1));
    if (stop == 0)
        return st;
    run->made_folder = false;
    return ent_fail(ENT_ESTOPPED, "stopped by %s at the start, nothing was begun: the same command starts it again",
                    ent_signals_name());
}

int64_t ent_run_length(const ent_run *run)
{
    const ent_config *c = run->config;
    const int64_t left = (int64_t)ent_dataset_units(run->train) * c->training.epochs - run->at.position;
    if (c->training.max_steps)
        return c->training.max_steps;
    return run->at.done + (left + c->training.batch_size - 1) / c->training.batch_size;
}

static ent_status open_trainer(ent_run *run)
{
    const ent_config *c = run->config;
    run->steps = ent_run_length(run);
    run->at.evals = (ent_ckpt_evals){.best_val_loss = NAN, .eval_step = -1};
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
                                         .plus_ratio = c->has_lora ? c->lora.plus_ratio : 0,
                                         .batch_size = (size_t)c->training.batch_size,
                                         .seq_len = (size_t)c->data.seq_len,
                                         .seed = (uint64_t)c->training.seed,
                                         .teaching = ent_teachers_teaching(&run->teachers),
                                         .stop = ent_signals_stop};
    return ent_trainer_new(&run->trainer, run->model.decoder, run->comm, &options);
}

/* What decides the numbers is the same on all ranks; its digest is kept with the numbers. */
static ent_status identify(ent_run *run)
{
    char *text = NULL;
    ent_status st = ent_run_identity(&run->identity, run);
    if (st == ENT_OK)
        st = ent_json_print(&text, run->identity, false);
    st = ent_comm_agree(run->comm, st);
    if (st == ENT_OK) {
        ent_sha256(run->config_hash, text, strlen(text));
        st = ent_comm_same(run->comm, text, "what decides the numbers");
    }
    free(text);
    return st;
}

/* The others get the numbers of rank 0, which may have read a checkpoint. A run that is prolonged after a last step of
 * fewer units has other steps left than one of that length from the start. */
static ent_status share_state(ent_run *run)
{
    ent_params *p = ent_decoder_params(run->model.decoder);
    ENT_TRY(run->comm->bcast(run->comm, &run->at, sizeof run->at, 0));
    ent_real *const buffers[] = {p->value, p->m, p->v};
    for (int i = 0; i < 3; i++)
        ENT_TRY(run->comm->bcast(run->comm, buffers[i], p->n_trainable * sizeof(ent_real), 0));
    run->steps = ent_run_length(run);
    ent_trainer_set_steps(run->trainer, run->steps);
    run->comm->step = run->saved = run->at.done;
    return ENT_OK;
}

static void say_what_is_trained(const ent_run *run)
{
    const ent_params *p = ent_decoder_params(run->model.decoder);
    const ent_model_config *c = &run->model.config;
    double all = 0;
    ent_time_text t[3];
    for (size_t i = 0; i < p->count; i++)
        all += p->items[i]->replaced ? 0 : (double)ent_tensor_count(&p->items[i]->tensor);
    printf("model   %s: %s, %s parameters, %s trainable%s\n", run->config->model.path, c->model_type,
           ent_count_format(&t[0], all), ent_count_format(&t[1], (double)p->n_trainable),
           run->model.lora.r                           ? " (LoRA)"
           : run->config->quantize.qat == ENT_QAT_INT8 ? "; projections are rounded to int8 in forward"
                                                       : "");
    if (run->model.base != ENT_BASE_NONE)
        printf("        frozen matrices in %s: %s\n", run->model.base == ENT_BASE_NF4 ? "nf4" : "int8",
               ent_bytes_format(&t[0], (double)ent_weights_cache_bytes(run->model.converted)));
    ent_teachers_say(&run->teachers);
    const ent_dataset_counts *n = ent_dataset_counts_of(run->train);
    printf("data    %s: %zu documents, %s tokens in %zu units of at most %lld\n", run->config->data.train,
           (size_t)n->documents, ent_count_format(&t[0], (double)n->tokens), (size_t)n->units,
           (long long)run->config->data.seq_len);
    if (n->truncated_documents)
        printf("        %zu documents are longer than seq_len and were cut: %zu tokens are not used\n",
               (size_t)n->truncated_documents, (size_t)n->truncated_tokens);
    const char *const notes[] = {ent_dataset_note(run->train), run->val ? ent_dataset_note(run->val) : NULL,
                                 ent_weights_cache_note(run->model.converted)};
    for (size_t i = 0; i < sizeof notes / sizeof *notes; i++)
        if (notes[i])
            printf("        %s\n", notes[i]);
    if (n->dropped_units)
        printf("        %zu units without a target are left out\n", (size_t)n->dropped_units);
    printf("machine %d rank%s, %d thread%s each, %s; %s of memory a rank beside the mapped model\n",
           run->comm->world_size, run->comm->world_size > 1 ? "s" : "", run->place.threads,
           run->place.threads > 1 ? "s" : "", run->kernel,
           ent_bytes_format(&t[0], (double)ent_trainer_memory(run->trainer)));
    if (run->model.calibration)
        ent_report_calibration(run->model.calibration);
    if (run->place.idle)
        printf("        %d of %d cores are idle%s%d; compute.threads sets threads by hand\n", run->place.idle,
               run->place.cores,
               run->comm->world_size > 1 ? ": to use them, start with mpirun --map-by slot:PE="
                                         : "; cores for a rank: ",
               run->place.cores / (run->place.local_size ? run->place.local_size : 1));
}

/* What mpirun leaves ranks between SIGTERM and SIGKILL may not do to save in. entrenar-run asks by SIGUSR1. */
static void warn_of_mpirun(const ent_run *run)
{
    const double bytes = 3 * sizeof(float) * (double)ent_decoder_params(run->model.decoder)->n_trainable;
    const double needed = 2 + bytes / 50e6; /* a unit, and a file system that is not fast */
    const char *given = getenv("OMPI_MCA_odls_base_sigkill_timeout");
    const double seconds = given ? strtod(given, NULL) : 1;
    if (getenv("OMPI_COMM_WORLD_SIZE") && !getenv("ENTRENAR_LAUNCHER") && seconds < needed)
        printf("        mpirun ends ranks %g s after SIGTERM, saving may take %.0f s: to stop this run, send mpirun "
               "SIGUSR1, as entrenar-run does\n",
               seconds, needed);
}

static ent_status open_trace(ent_run *run)
{
    return ent_numeric_trace_new(&run->trace, run->options.trace, run->kernel,
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
    ENT_TRY(ent_comm_agree(c, c->rank == 0 && !options->dry_run ? ent_run_folder_claim(run) : ENT_OK));
    ENT_TRY(ent_place(&run->place, comm, config->compute.threads));
    ent_set_threads(run->place.threads);
    run->kernel = ent_model_kernel(config);
    if (!config->distributed.allow_mixed_cpus)
        ENT_TRY(ent_comm_same(c, run->kernel, "the kernel of this CPU"));
    ENT_TRY(ent_comm_agree(c, open_model(run)));
    ENT_TRY(ent_comm_agree(c, ent_teachers_open(&run->teachers, config, &run->model)));
    ENT_TRY(go_on(run, in_turn(run, open_data)));
    ENT_TRY(go_on(run, in_turn(run, convert_weights)));
    ENT_TRY(go_on(run, ent_comm_agree(c, begin_adapter(run))));
    ENT_TRY(ent_comm_agree(c, ent_model_calibrate(&run->model, ent_model_compute(config), ent_dataset_units(run->train),
                                                  ent_run_train_unit, run)));
    ENT_TRY(go_on(run, in_turn(run, convert_weights)));
    ent_decoder_recompute(run->model.decoder, config->compute.recompute == ENT_RECOMPUTE_LAYER);
    ENT_TRY(ent_comm_agree(c, open_trainer(run)));
    ENT_TRY(ent_comm_agree(
        c, ent_calloc(&run->digests, 4 * (size_t)c->world_size, sizeof *run->digests, "digests of parameters")));
    ENT_TRY(identify(run));
    if (run->speaks)
        say_what_is_trained(run);
    if (run->speaks && !options->dry_run)
        warn_of_mpirun(run);
    fflush(stdout);
    if (options->dry_run)
        return ENT_OK;
    ENT_TRY(ent_comm_agree(c, c->rank == 0 && options->trace ? open_trace(run) : ENT_OK));
    ENT_TRY(ent_comm_agree(c, c->rank == 0 ? ent_run_folder_begin(run) : ENT_OK));
    return share_state(run);
}
