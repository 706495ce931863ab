/* Training: units dealt to ranks, gradients summed as integers, one update. The bits of a step don't depend on the
 * number of ranks or threads.
 */
#ifndef ENT_TRAIN_TRAINER_H
#define ENT_TRAIN_TRAINER_H

#include <stdbool.h>
#include <stdint.h>

#include "src/comm/comm.h"
#include "src/nn/decoder.h"
#include "src/optim/optimizer.h"
#include "src/optim/schedule.h"
#include "src/text/unit.h"

typedef struct ent_trainer ent_trainer;

typedef struct ent_trainer_options {
    ent_optimizer optimizer;
    ent_schedule schedule;
    double grad_clip;  /* largest norm of the gradient; 0: off */
    double plus_ratio; /* LoRA+ (Hayou et al. 2024, arXiv:2402.12354): the learning rate of B is this times A's,
                        * as is, in PEFT, that of vectors. 0: 1 */
    size_t batch_size; /* units of a step, over all ranks */
    size_t seq_len;    /* most tokens of a unit: memory is taken for it at once */
    uint64_t seed;     /* of dropout */
    const ent_teaching *teaching; /* steps learn from these too (borrowed); evaluations don't. NULL: none */
    bool (*stop)(void);           /* asked before each unit; one rank's yes stops all ranks. NULL: never */
} ent_trainer_options;

/* What a step did; equal on all ranks. */
typedef struct ent_step_result {
    double loss;      /* mean cross-entropy, or loss of distillation, of its target tokens, before the update; nats */
    double grad_norm; /* of the mean gradient, before clipping */
    double lr;
    int64_t targets; /* target tokens: what loss is the mean over */
    int64_t tokens;  /* all tokens that were computed */
} ent_step_result;

/* Gives unit number i of the step: 0 <= i < count. */
typedef ent_status (*ent_unit_source)(ent_unit *out, void *context, size_t i);

/* A trainer of `decoder` (borrowed, with values) on the ranks of `comm` (borrowed). Memory for units of seq_len tokens
 * is planned and taken here: steps allocate nothing. */
ent_status ent_trainer_new(ent_trainer **out, ent_decoder *decoder, ent_comm *comm, const ent_trainer_options *options);
void ent_trainer_free(ent_trainer *trainer);

/* Step `step` (counted from 0) over `count` units: forward, backward, sum over ranks, clip, update. Collective; fails
 * on all ranks alike, with the parameters as they were. ENT_ENUMERIC: a loss or gradient is not finite or too large.
 * ENT_ESTOPPED: options.stop said so; the step is not done. */
ent_status ent_trainer_step(ent_step_result *result, ent_trainer *trainer, int64_t step, size_t count,
                            ent_unit_source source, void *context);

/* Mean loss over `count` units without training; *targets: the tokens it is the mean over. Collective. ENT_ESTOPPED. */
ent_status ent_trainer_evaluate(double *loss, int64_t *targets, ent_trainer *trainer, size_t count,
                                ent_unit_source source, void *context);

/* The run has another length than it was opened with: that of the schedule. */
void ent_trainer_set_steps(ent_trainer *trainer, int64_t steps);

/* Bytes this trainer took for activations, gradients and sums. */
size_t ent_trainer_memory(const ent_trainer *trainer);

/* What of that its tape takes for a unit of seq_len tokens, and how much of the tape's is scratch. */
size_t ent_trainer_tape(const ent_trainer *trainer, size_t *scratch);

/* The first unit of rank's contiguous share of `count` units; rank = world_size gives count. */
size_t ent_first_unit(size_t count, int rank, int world_size);

#endif
