/* The loop of a training run. */
#include <stdio.h>

#include "io/digest.h"
#include "launch/report.h"
#include "launch/run.h"
#include "launch/run_folder.h"
#include "launch/signals.h"
#include "src/base/elementary.h"
#include "src/text/dataset.h"

ent_status ent_run_train_unit(ent_unit *out, void *context, size_t i)
{
    ent_run *run = context;
    const int64_t units = (int64_t)ent_dataset_units(run->train);
    const int64_t position = run->at.position + (int64_t)i;
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

/* Units of the next step: batch_size, but for the last of a run that is as long as its epochs. */
static int64_t units_of_step(const ent_run *run)
{
    const int64_t batch = run->config->training.batch_size;
    if (run->config->training.max_steps)
        return batch;
    const int64_t left = (int64_t)ent_dataset_units(run->train) * run->config->training.epochs - run->at.position;
    return left < batch ? left : batch;
}

static bool patience_is_over(const ent_run *run)
{
    const int64_t patience = run->config->eval.patience;
    return patience && run->at.evals.evals_since_best >= patience;
}

/* Before the first step, after the last, and every so many steps. */
static bool evaluation_is_due(const ent_run *run)
{
    const int64_t done = run->at.done, every = run->config->eval.every;
    return run->val && run->at.evals.eval_step != done &&
           (done == 0 || done == run->steps || (every && done % every == 0));
}

/* Evaluates, remembers the best, and keeps its adapter. */
static ent_status evaluate(ent_run *run)
{
    ent_ckpt_evals *e = &run->at.evals;
    double loss;
    int64_t targets;
    ENT_TRY(ent_trainer_evaluate(&loss, &targets, run->trainer, ent_dataset_units(run->val), val_unit, run));
    const bool best = !(loss >= e->best_val_loss);
    if (best) {
        e->best_val_loss = loss;
        e->best_step = run->at.done;
    }
    e->evals_since_best = best ? 0 : e->evals_since_best + 1;
    e->eval_step = run->at.done;
    if (run->speaks) {
        printf("step %lld: validation loss %.4f, perplexity %.3f%s\n", (long long)run->at.done, loss, ent_exp(loss),
               best ? "" : " (not better)");
        fflush(stdout);
    }
    ent_status st = ENT_OK;
    if (run->metrics)
        st = ent_metrics_write_eval(run->metrics, run->at.done, loss, ent_exp(loss), targets);
    if (run->metrics && st == ENT_OK && best && run->at.done && run->config->eval.every)
        st = ent_run_folder_save(run, run->model.lora.r ? "adapter-best" : "model-best");
    return ent_comm_agree(run->comm, st);
}

double ent_run_epoch(const ent_run *run)
{
    return (double)run->at.position / (double)ent_dataset_units(run->train);
}

/* Since when, and since which step, a run computes: for the time that is left. */
typedef struct stretch {
    double begun;
    int64_t done;
} stretch;

static ent_status log_step(ent_run *run, double seconds, const stretch *s)
{
    const ent_step_result *r = &run->at.last;
    const int64_t done = run->at.done, steps = run->steps;
    const double rate = (double)r->tokens / (seconds > 1e-9 ? seconds : 1e-9);
    const ent_metrics_step line = {.step = done,
                                   .epoch = ent_run_epoch(run),
                                   .loss = r->loss,
                                   .lr = r->lr,
                                   .grad_norm = r->grad_norm,
                                   .tokens = r->targets,
                                   .tokens_per_s = rate,
                                   .seconds = seconds};
    if (run->speaks && (done % run->config->training.log_every == 0 || done == steps))
        ent_report_step(done, steps, r, rate,
                        (ent_now() - s->begun) / (double)(done - s->done) * (double)(steps - done));
    const ent_params *p = ent_decoder_params(run->model.decoder);
    const ent_numeric_step numbers = {done, r->loss, r->grad_norm, r->lr};
    if (run->trace)
        ENT_TRY(ent_numeric_trace_step(run->trace, &numbers, p->value, p->n_trainable));
    return run->metrics ? ent_metrics_write_step(run->metrics, &line) : ENT_OK;
}

static ent_status one_step(ent_run *run, const stretch *s)
{
    const double start = ent_now();
    const int64_t units = units_of_step(run);
    ENT_TRY(ent_trainer_step(&run->at.last, run->trainer, run->at.done, (size_t)units, ent_run_train_unit, run));
    run->comm->step = ++run->at.done;
    run->at.position += units;
    return ent_comm_agree(run->comm, log_step(run, ent_now() - start, s));
}

/* All ranks hold the same parameters: a bad bit of memory, or another library, is found before it is saved. */
static ent_status compare_parameters(ent_run *run)
{
    const ent_params *p = ent_decoder_params(run->model.decoder);
    uint8_t digest[32];
    char what[64];
    if (run->comm->world_size == 1)
        return ENT_OK;
    ent_sha256_bytes(digest, p->value, p->n_trainable * sizeof *p->value);
    snprintf(what, sizeof what, "step %lld: the trained parameters", (long long)run->at.done);
    return ent_comm_odd_one(run->comm, digest, run->digests, what);
}

static ent_status save(ent_run *run)
{
    if (run->config->distributed.check_every)
        ENT_TRY(compare_parameters(run));
    ENT_TRY(ent_comm_agree(run->comm, run->metrics ? ent_run_folder_checkpoint(run) : ENT_OK));
    run->saved = run->at.done;
    return ENT_OK;
}

/* What is due after a step, or after the start. *stop: the run is at its end. */
static ent_status between_steps(ent_run *run, bool *stop)
{
    const ent_config *c = run->config;
    const int64_t done = run->at.done;
    const bool evaluates = evaluation_is_due(run);
    if (evaluates)
        ENT_TRY(evaluate(run));
    *stop = done == run->steps || patience_is_over(run);
    const bool is_saved = run->saved == done && !evaluates;
    if (done > 0 && !is_saved && (*stop || (c->checkpoint.every && done % c->checkpoint.every == 0)))
        return save(run);
    const bool compares = c->distributed.check_every && done % c->distributed.check_every == 0;
    return compares ? compare_parameters(run) : ENT_OK;
}

static ent_status train(ent_run *run)
{
    const stretch s = {ent_now(), run->at.done};
    bool stop;
    ENT_TRY(between_steps(run, &stop));
    while (!stop) {
        ENT_TRY(one_step(run, &s));
        ENT_TRY(between_steps(run, &stop));
    }
    return ent_comm_agree(run->comm,
                          run->metrics ? ent_run_folder_save(run, run->model.lora.r ? "adapter" : "model") : ENT_OK);
}

/* A signal has come: what is done is saved. */
static ent_status stop_early(ent_run *run)
{
    const long long done = run->at.done;
    if (run->saved != run->at.done)
        ENT_TRY(save(run));
    if (done == 0)
        return ent_fail(ENT_ESTOPPED, "stopped by %s before the first step: --resume begins it", ent_signals_name());
    return ent_fail(ENT_ESTOPPED, "stopped by %s after step %lld of %lld, which is saved: --resume goes on",
                    ent_signals_name(), done, (long long)run->steps);
}

ent_status ent_run_train(ent_run *run)
{
    ent_status st = train(run);
    if (st == ENT_ESTOPPED)
        st = stop_early(run);
    if (st == ENT_OK || st == ENT_ESTOPPED) {
        const ent_status traced = ent_comm_agree(run->comm, run->trace ? ent_numeric_trace_commit(run->trace) : ENT_OK);
        if (traced != ENT_OK)
            return traced;
    }
    return st;
}
