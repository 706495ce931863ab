#include "launch/bench.h"

#include <stdlib.h>
#include <string.h>

#include "launch/report.h"
#include "src/base/mem.h"
#include "src/base/tiles.h"
#include "src/tensor/gemm.h"

enum { SEED = 42 };

void ent_bench_close(ent_bench *b)
{
    free(b->seconds);
    free(b->roofs);
    free(b->doc_start);
    free(b->targets);
    free(b->ids);
    ent_trainer_free(b->trainer);
    ent_model_close(&b->model);
    ent_bench_weights_free(&b->weights);
    *b = (ent_bench){0};
}

static ent_status open_shape(ent_bench *b, const ent_lora_config *lora)
{
    const ent_config *c = b->options->config;
    const size_t seq_len = (size_t)c->data.seq_len;
    ent_status st = ent_bench_shape(&b->model.config, b->options->shape);
    if (st == ENT_OK)
        st = ent_decoder_new(&b->model.decoder, &b->model.config, lora, true, seq_len);
    ENT_TRY(ent_comm_agree(b->comm, st));
    b->model.lora = *lora;
    b->model.base = c->quantize.base;
    const bool wide = c->compute.precision == ENT_PRECISION_FP32 && b->model.base == ENT_BASE_NONE;
    const ent_dtype dtype = wide ? ENT_DTYPE_F32 : ENT_DTYPE_BF16;
    ENT_TRY(ent_bench_weights_make(&b->weights, ent_decoder_params(b->model.decoder), dtype, b->comm));
    if (c->compute.precision != ENT_PRECISION_INT8)
        ent_decoder_set_compute(b->model.decoder, ent_model_compute(c));
    ent_decoder_init_adapters(b->model.decoder, SEED);
    return ENT_OK;
}

static ent_status open_model(ent_bench *b)
{
    const ent_config *c = b->options->config;
    const ent_lora_config lora = {.r = (size_t)c->lora.rank, .alpha = c->lora.alpha, .targets = c->lora.targets};
    if (b->options->shape)
        return open_shape(b, &lora);
    const ent_model_options options = {.path = b->options->model,
                                       .lora = &lora,
                                       .train = true,
                                       .base = c->quantize.base,
                                       .compute = ent_model_compute(c),
                                       .seed = SEED,
                                       .max_positions = (size_t)c->data.seq_len};
    return ent_comm_agree(b->comm, ent_model_open(&b->model, &options));
}

/* Room for what is measured. Random tokens; every one but the last of a unit has the next as its target. */
static ent_status make_tokens(ent_bench *b)
{
    const size_t steps = (size_t)b->options->repeat;
    const size_t units = (size_t)b->options->config->training.batch_size;
    const size_t n = (size_t)b->options->config->data.seq_len;
    const ent_rng rng = {.seed = SEED, .stream = ENT_STREAM_SAMPLE};
    ENT_TRY(ent_calloc(&b->ids, units * n, sizeof *b->ids, "tokens"));
    ENT_TRY(ent_calloc(&b->targets, units * n, sizeof *b->targets, "tokens"));
    ENT_TRY(ent_calloc(&b->doc_start, n, sizeof *b->doc_start, "tokens"));
    ENT_TRY(ent_calloc(&b->seconds, steps, sizeof *b->seconds, "measurements"));
    ENT_TRY(ent_calloc(&b->roofs, steps + 1, sizeof *b->roofs, "measurements"));
    for (size_t i = 0; i < units * n; i++)
        b->ids[i] = (int32_t)ent_random_below(&rng, i, (uint32_t)b->model.config.vocab_size);
    for (size_t i = 0; i < units * n; i++)
        b->targets[i] = (i + 1) % n ? b->ids[i + 1] : -100;
    return ENT_OK;
}

static ent_status unit_at(ent_unit *out, void *context, size_t i)
{
    const ent_bench *b = context;
    const size_t n = (size_t)b->options->config->data.seq_len;
    *out = (ent_unit){n, b->ids + i * n, b->targets + i * n, b->doc_start};
    return ENT_OK;
}

/* Weights as their products need them; those that are stored otherwise leave this process. */
static ent_status convert_weights(ent_bench *b)
{
    const ent_config *c = b->options->config;
    ENT_TRY(ent_model_convert(&b->model, NULL, true, NULL));
    ENT_TRY(ent_model_calibrate(&b->model, ent_model_compute(c), (size_t)c->training.batch_size, unit_at, b));
    ENT_TRY(ent_model_convert(&b->model, NULL, true, NULL));
    if (b->model.converted && b->options->shape)
        ent_bench_weights_release(&b->weights);
    return ENT_OK;
}

static ent_status open_trainer(ent_bench *b)
{
    const ent_config *c = b->options->config;
    const ent_trainer_options options = {
        .optimizer = {.kind = (ent_optimizer_kind)c->optimizer.name,
                      .beta1 = c->optimizer.beta1,
                      .beta2 = c->optimizer.beta2,
                      .eps = c->optimizer.eps,
                      .weight_decay = c->optimizer.weight_decay},
        .schedule = {.kind = ENT_SCHEDULE_CONSTANT, .lr = c->optimizer.lr, .steps = b->options->repeat + 1},
        .grad_clip = c->training.grad_clip,
        .batch_size = (size_t)c->training.batch_size,
        .seq_len = (size_t)c->data.seq_len,
        .seed = SEED};
    ent_decoder_recompute(b->model.decoder, c->compute.recompute == ENT_RECOMPUTE_LAYER);
    return ent_trainer_new(&b->trainer, b->model.decoder, b->comm, &options);
}

static ent_status choose_roof(ent_bench *b)
{
    ENT_TRY(b->comm->barrier(b->comm));
    return ent_comm_agree(b->comm, ent_roof_choose(&b->roof, ent_decoder_params(b->model.decoder),
                                                   (size_t)b->options->config->data.seq_len, 0.05));
}

/* All ranks measure at once, as they work at once. What that takes of memory isn't the step's. */
static ent_status measure_roof(ent_bench *b)
{
    double mine[ENT_N_FLOPS] = {0};
    int64_t rates[ENT_N_FLOPS];
    const double peak = ent_resident_peak();
    b->peak = b->done && peak > b->peak ? peak : b->peak;
    ENT_TRY(b->comm->barrier(b->comm));
    const ent_status st = ent_roof_measure(mine, &b->roof, 0.4);
    ENT_TRY(ent_comm_agree(b->comm, st));
    for (int i = 0; i < ENT_N_FLOPS; i++)
        rates[i] = (int64_t)mine[i];
    ENT_TRY(b->comm->sum_i64(b->comm, rates, ENT_N_FLOPS));
    for (int i = 0; i < ENT_N_FLOPS; i++)
        b->roofs[b->steps][i] = (double)rates[i];
    ent_resident_forget_peak();
    return ENT_OK;
}

static ent_status one_step(ent_bench *b, ent_profile *profile, double *seconds)
{
    ent_step_result result;
    ent_set_threads(b->place.threads);
    ENT_TRY(b->comm->barrier(b->comm));
    const double begin = ent_now();
    ent_profile_start();
    const ent_status st =
        ent_trainer_step(&result, b->trainer, b->done, (size_t)b->options->config->training.batch_size, unit_at, b);
    ent_profile_stop(profile);
    *seconds = ent_now() - begin;
    ENT_TRY(st);
    b->done++;
    b->loss = result.loss;
    return ENT_OK;
}

ent_status ent_bench_step(ent_bench *b)
{
    ent_profile p;
    int64_t flops[ENT_N_FLOPS];
    ENT_TRY(one_step(b, &p, &b->seconds[b->steps]));
    b->steps++;
    for (int i = 0; i < ENT_N_FLOPS; i++)
        flops[i] = (int64_t)p.flops[i];
    ENT_TRY(b->comm->sum_i64(b->comm, flops, ENT_N_FLOPS));
    for (int i = 0; i < ENT_N_FLOPS; i++)
        b->sum.flops[i] += (uint64_t)flops[i];
    for (int i = 0; i < ENT_N_PHASES; i++)
        b->sum.seconds[i] += p.seconds[i];
    return measure_roof(b);
}

ent_status ent_bench_open(ent_bench *b, const ent_bench_options *options, ent_comm *comm)
{
    ent_profile warm;
    double seconds;
    *b = (ent_bench){.options = options, .comm = comm};
    ENT_TRY(ent_place(&b->place, comm, options->config->compute.threads));
    ent_set_threads(b->place.threads);
    b->kernel = ent_model_kernel(options->config);
    ENT_TRY(ent_comm_agree(comm, ent_roof_warm()));
    const double program = ent_resident();
    ENT_TRY(open_model(b));
    ENT_TRY(ent_comm_agree(comm, make_tokens(b)));
    ENT_TRY(ent_comm_agree(comm, convert_weights(b)));
    ENT_TRY(ent_comm_agree(comm, open_trainer(b)));
    ent_plan_memory(&b->plan, b->model.decoder, &b->model.config, b->trainer, (size_t)options->config->data.seq_len);
    b->plan.program = program;
    b->plan.file_cache = (double)(options->config->training.batch_size * options->config->data.seq_len) * 8;
    ENT_TRY(choose_roof(b));
    ent_resident_forget_peak(); /* of what calibration and that took */
    ENT_TRY(one_step(b, &warm, &seconds));
    return measure_roof(b);
}
