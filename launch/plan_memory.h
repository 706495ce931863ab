/* What a run takes of memory, by what it is for. */
#ifndef ENT_LAUNCH_PLAN_MEMORY_H
#define ENT_LAUNCH_PLAN_MEMORY_H

#include "io/json.h"
#include "src/nn/decoder.h"
#include "src/train/trainer.h"

/* Bytes. The first three are one for all ranks of a machine; the others are each rank's own. */
typedef struct ent_memory_plan {
    double mapped_weights; /* frozen parameters, as they are stored: in the model's files, or converted */
    double teachers;       /* their weights, as their files have them */
    double file_cache;     /* tokenised data, mapped */
    double parameters;     /* trainable: the adapters, or all weights */
    double gradients;      /* of a unit */
    double optimizer;      /* its moments */
    double gradient_sums;  /* of a step, as integers */
    double activations;    /* results and gradients of one unit of seq_len tokens, and the tape's records */
    double workspace;      /* scratch of operators */
    double tables;         /* of RoPE; factors and scales of products in int8 */
    double program;        /* code, libraries and what they hold (buffers of products, MPI): measured */
} ent_memory_plan;

/* Fills all but teachers, file_cache and program. */
void ent_plan_memory(ent_memory_plan *out, ent_decoder *decoder, const ent_model_config *config,
                     const ent_trainer *trainer, size_t max_positions);

double ent_plan_shared(const ent_memory_plan *plan);  /* one for all ranks of a machine */
double ent_plan_private(const ent_memory_plan *plan); /* each rank's own */

/* Adds every member to `to` under its name, in bytes; prints them as a table. */
void ent_plan_memory_add(ent_json *to, const ent_memory_plan *plan);
void ent_plan_memory_print(const ent_memory_plan *plan);

/* Bytes of this process in memory now, and at most so far (VmRSS, VmHWM); 0 where /proc doesn't tell. */
double ent_resident(void);
double ent_resident_peak(void);

/* Begins the peak anew, from what is in memory now; where the system doesn't let us, it stays. */
void ent_resident_forget_peak(void);

#endif
