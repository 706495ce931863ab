#include "src/train/trainer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/fixed.h"
#include "src/base/mem.h"
#include "src/base/profile.h"
#include "src/base/tiles.h"
#include "src/kernel/kernels.h"
#include "src/quant/fake.h"

/* Behind the gradient, the sums carry these of a step; so one reduction does it all. */
enum { SUM_LOSS, SUM_TARGETS, SUM_TOKENS, SUM_FAILED, SUM_STOPPED, N_SUMS };

struct ent_trainer {
    ent_decoder *decoder;
    ent_params *params;
    ent_comm *comm;
    ent_trainer_options options;
    ent_tape *tape;
    size_t planned; /* bytes of the tape for a unit of seq_len tokens */
    size_t scratch; /* of these */
    int64_t *sums;  /* gradient (n_trainable), then N_SUMS */
};

void ent_trainer_free(ent_trainer *trainer)
{
    if (trainer == NULL)
        return;
    ent_tape_free(trainer->tape);
    free(trainer->sums);
    free(trainer);
}

/* Of a step, or with dropout NULL of an evaluation. */
static ent_status loss_of(ent_tensor **loss, ent_tape *tape, const ent_trainer *t, const ent_tokens *tokens,
                          const int32_t *targets, const ent_rng *dropout)
{
    if (dropout && t->options.teaching)
        return ent_decoder_distill_loss(loss, tape, t->decoder, tokens, targets, dropout, t->options.teaching);
    return ent_decoder_loss(loss, tape, t->decoder, tokens, targets, dropout);
}

/* Measures a unit of seq_len tokens on a planning tape, and takes that much. */
static ent_status take_memory(ent_trainer *t)
{
    ent_status st;
    ent_tape *plan = NULL;
    ent_tensor *loss;
    const ent_tokens tokens = {.n = t->options.seq_len};
    const ent_rng rng = {.seed = t->options.seed};
    ENT_GO(ent_tape_new(&plan, true));
    ENT_GO(loss_of(&loss, plan, t, &tokens, NULL, &rng));
    ENT_GO(ent_tape_backward(plan, loss, 1));
    ENT_GO(ent_tape_new(&t->tape, false));
    ENT_GO(ent_tape_reserve(t->tape, plan));
    t->planned = ent_tape_peak(plan);
    t->scratch = ent_tape_scratch(plan);
done:
    ent_tape_free(plan);
    return st;
}

ent_status ent_trainer_new(ent_trainer **out, ent_decoder *decoder, ent_comm *comm, const ent_trainer_options *options)
{
    ent_status st;
    ent_trainer *t = *out = NULL;
    ENT_GO(ent_calloc(&t, 1, sizeof *t, "a trainer"));
    t->decoder = decoder;
    t->params = ent_decoder_params(decoder);
    t->comm = comm;
    t->options = *options;
    ENT_GO(ent_calloc(&t->sums, t->params->n_trainable + N_SUMS, sizeof *t->sums, "gradient sums"));
    ENT_GO(take_memory(t));
    *out = t;
    t = NULL;
done:
    ent_trainer_free(t);
    return st;
}

size_t ent_trainer_memory(const ent_trainer *t)
{
    const size_t n = t->params->n_trainable;
    return t->planned + n * (4 * sizeof(ent_real) + sizeof *t->sums);
}

size_t ent_trainer_tape(const ent_trainer *t, size_t *scratch)
{
    *scratch = t->scratch;
    return t->planned;
}

void ent_trainer_set_steps(ent_trainer *t, int64_t steps)
{
    t->options.schedule.steps = steps;
}

size_t ent_first_unit(size_t count, int rank, int world_size)
{
    const size_t r = (size_t)rank, w = (size_t)world_size;
    return count / w * r + count % w * r / w;
}

/* sums += the unit's gradient, as fixed-point numbers; *bad is set if a gradient is not finite or too large. */
typedef struct gradient_sum {
    ent_trainer *trainer;
    bool bad;
} gradient_sum;

static void add_gradient(void *context, size_t begin, size_t end)
{
    gradient_sum *s = context;
    const double limit = ENT_GRAD_LIMIT / (double)s->trainer->options.batch_size;
    if (!ent_kernels_get()->add_fixed(s->trainer->sums + begin, s->trainer->params->grad + begin, limit, end - begin))
        __atomic_store_n(&s->bad, true, __ATOMIC_RELAXED);
}

static ent_status unit_is_bad(const ent_trainer *t, double loss, double limit_of_loss, const ent_rng *rng, size_t unit)
{
    if (rng == NULL)
        return ent_fail(ENT_ENUMERIC, "evaluation, unit %zu: the loss is %g, its size must be below %g", unit, loss,
                        limit_of_loss);
    const int64_t step = rng->step;
    if (!(fabs(loss) < limit_of_loss))
        return ent_fail(ENT_ENUMERIC, "step %lld, unit %zu: the loss is %g, its size must be below %g",
                        (long long)step + 1, unit, loss, limit_of_loss);
    for (size_t p = 0; p < t->params->count; p++) {
        const ent_param *param = t->params->items[p];
        const size_t n = param->trainable ? ent_tensor_count(&param->tensor) : 0;
        for (size_t i = 0; i < n; i++) {
            const double g = (double)param->tensor.grad[i], limit = ENT_GRAD_LIMIT / (double)t->options.batch_size;
            if (!(fabs(g) < limit))
                return ent_fail(ENT_ENUMERIC,
                                "step %lld, unit %zu: gradient of %s[%zu] is %g, its size must be below %g",
                                (long long)step + 1, unit, param->tensor.name, i, g, limit);
        }
    }
    return ent_fail(ENT_ENUMERIC, "step %lld, unit %zu: a gradient is not finite", (long long)step + 1, unit);
}

/* Loss of unit i of `count`, added to the sums; with `rng`, its gradient too. */
static ent_status one_unit(ent_trainer *t, const ent_unit *unit, size_t i, size_t count, const ent_rng *rng)
{
    const double bit = rng ? ENT_LOSS_BIT : ENT_EVAL_BIT;
    const double limit = rng ? ENT_LOSS_LIMIT / (double)t->options.batch_size : ENT_EVAL_LIMIT / (double)count;
    const ent_tokens tokens = {unit->n, unit->ids, unit->doc_start};
    int64_t *sums = t->sums + t->params->n_trainable;
    ent_tensor *loss;
    if (unit->n > t->options.seq_len)
        return ent_fail(ENT_EINVAL, "a unit of %zu tokens, at most %zu were announced", unit->n, t->options.seq_len);
    ent_tape_rewind(t->tape);
    ent_tape_record(t->tape, rng != NULL);
    ENT_TRY(loss_of(&loss, t->tape, t, &tokens, unit->targets, rng));
    const double value = (double)ent_values(loss)[0];
    gradient_sum sum = {t, !(fabs(value) < limit)};
    if (rng && !sum.bad) {
        memset(t->params->grad, 0, t->params->n_trainable * sizeof(ent_real));
        ENT_TRY(ent_tape_backward(t->tape, loss, 1));
        const ent_phase outer = ent_profile_enter(ENT_PHASE_REDUCTION);
        ent_tiles(t->params->n_trainable, 4096, add_gradient, &sum);
        ent_profile_enter(outer);
    }
    if (sum.bad)
        return unit_is_bad(t, value, limit, rng, i);
    sums[SUM_LOSS] += ent_to_fixed(value, bit);
    sums[SUM_TOKENS] += (int64_t)unit->n;
    for (size_t j = 0; j < unit->n; j++)
        sums[SUM_TARGETS] += unit->targets[j] >= 0;
    return ENT_OK;
}

static bool is_to_stop(const ent_trainer *t)
{
    return t->options.stop && t->options.stop();
}

/* A profile tells the time until all ranks have come from that of the sum: they meet in a barrier before it. */
static ent_status sum_over_ranks(ent_trainer *t, int64_t *sums, size_t n)
{
    const ent_phase outer = ent_profile_enter(ENT_PHASE_WAITING);
    if (ent_profile_on())
        ENT_TRY(t->comm->barrier(t->comm));
    ent_profile_enter(ENT_PHASE_REDUCTION);
    ENT_TRY(t->comm->sum_i64(t->comm, sums, n));
    ent_profile_enter(outer);
    return ENT_OK;
}

/* This rank's units, then the sums over all ranks; or the same failure everywhere. */
static ent_status all_units(ent_trainer *t, size_t count, ent_unit_source source, void *context, bool train,
                            int64_t step)
{
    const size_t n = train ? t->params->n_trainable : 0;
    int64_t *sums = t->sums + t->params->n_trainable;
    const size_t begin = ent_first_unit(count, t->comm->rank, t->comm->world_size);
    const size_t end = ent_first_unit(count, t->comm->rank + 1, t->comm->world_size);
    ent_status st = ent_decoder_refresh(t->decoder);
    bool stopped = begin == end && is_to_stop(t); /* a rank without units is asked too */
    memset(train ? t->sums : sums, 0, (n + N_SUMS) * sizeof *sums);
    for (size_t i = begin; i < end && st == ENT_OK; i++) {
        stopped = is_to_stop(t);
        if (stopped)
            break;
        ent_unit unit;
        const ent_rng rng = {.seed = t->options.seed, .step = (uint32_t)step, .unit = (uint32_t)i};
        st = source(&unit, context, i);
        if (st == ENT_OK)
            st = one_unit(t, &unit, i, count, train ? &rng : NULL);
    }
    sums[SUM_FAILED] = st != ENT_OK;
    sums[SUM_STOPPED] = stopped;
    ENT_TRY(sum_over_ranks(t, train ? t->sums : sums, n + N_SUMS));
    if (sums[SUM_FAILED])
        return ent_comm_agree(t->comm, st);
    return sums[SUM_STOPPED] ? ent_fail(ENT_ESTOPPED, "stopped") : ENT_OK;
}

/* g = sum / targets, over the trainer's buffer of gradients. */
typedef struct mean_gradient {
    const int64_t *sums;
    ent_real *grad;
    double inverse;
} mean_gradient;

static void mean_tile(void *context, size_t begin, size_t end)
{
    const mean_gradient *m = context;
    ent_kernels_get()->fixed_mean(m->grad + begin, m->sums + begin, m->inverse, end - begin);
}

/* All of an adapter, as PyTorch's AdamW has it; of a whole model, not norms, biases and scales. */
static bool decays(const ent_tensor *t)
{
    return t->n_dims > 1 || strncmp(t->name, "base_model.", strlen("base_model.")) == 0;
}

/* Under LoRA+ B's is another. Adam moves every number by about lr, whatever the size of its gradient: of a scale of
 * rounded weights, lr / 127 moves the end of the range, 127 s, as far as a weight. What follows the gradient's size
 * takes lr, for which the gradient was made. */
static double rate_of(const ent_param *param, const ent_trainer_options *options, double lr)
{
    if (param->is_scale)
        return options->optimizer.kind == ENT_OPTIMIZER_SGD ? lr : lr / ENT_FAKE_MOST;
    const bool faster =
        options->plus_ratio > 0 && (param->tensor.n_dims == 1 || strstr(param->tensor.name, ".lora_B."));
    return faster ? lr * options->plus_ratio : lr;
}

/* A step may be larger than a scale is: it stays above 0. A NaN stays, too: the next loss tells it. */
static void update(ent_trainer *t, const ent_step_result *result, int64_t step)
{
    const ent_params *p = t->params;
    const double clip = ent_clip_factor(result->grad_norm, t->options.grad_clip);
    for (size_t i = 0; i < p->count; i++) {
        const ent_param *param = p->items[i];
        const size_t at = param->offset, n = ent_tensor_count(&param->tensor);
        if (!param->trainable)
            continue;
        ent_optimizer_step_clipped(&t->options.optimizer, p->value + at, p->m + at, p->v + at, p->grad + at, clip, n,
                                   step + 1, rate_of(param, &t->options, result->lr), decays(&param->tensor));
        for (size_t j = at; param->is_scale && j < at + n; j++)
            p->value[j] = p->value[j] < ENT_FAKE_LEAST ? ENT_FAKE_LEAST : p->value[j];
    }
}

ent_status ent_trainer_step(ent_step_result *result, ent_trainer *t, int64_t step, size_t count, ent_unit_source source,
                            void *context)
{
    ENT_TRY(all_units(t, count, source, context, true, step));
    const int64_t *sums = t->sums + t->params->n_trainable;
    *result = (ent_step_result){.targets = sums[SUM_TARGETS], .tokens = sums[SUM_TOKENS]};
    if (result->targets == 0)
        return ent_fail(ENT_ENUMERIC, "step %lld: no token has a target", (long long)step + 1);
    const ent_phase outer = ent_profile_enter(ENT_PHASE_OPTIMIZER);
    const mean_gradient mean = {t->sums, t->params->grad, 1.0 / (double)result->targets};
    ent_tiles(t->params->n_trainable, 4096, mean_tile, (void *)&mean);
    result->loss = ent_from_fixed(sums[SUM_LOSS], ENT_LOSS_BIT) / (double)result->targets;
    result->grad_norm = ent_global_norm(t->params->grad, t->params->n_trainable);
    result->lr = ent_schedule_lr(&t->options.schedule, step);
    update(t, result, step);
    ent_profile_enter(outer);
    return ENT_OK;
}

ent_status ent_trainer_evaluate(double *loss, int64_t *targets, ent_trainer *t, size_t count, ent_unit_source source,
                                void *context)
{
    ENT_TRY(all_units(t, count, source, context, false, 0));
    const int64_t *sums = t->sums + t->params->n_trainable;
    *targets = sums[SUM_TARGETS];
    if (*targets == 0)
        return ent_fail(ENT_ENUMERIC, "evaluation: no token has a target");
    *loss = ent_from_fixed(sums[SUM_LOSS], ENT_EVAL_BIT) / (double)*targets;
    return ENT_OK;
}
