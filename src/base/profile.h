/* Where the time of a step goes, and how many products it computes. Off until ent_profile_start; then the thread that
 * called it measures its time by phase, and the floating-point operations of all threads are counted.
 *
 * Phases nest: what an inner phase takes is not the outer's, so phases sum to the time from start to stop.
 */
#ifndef ENT_BASE_PROFILE_H
#define ENT_BASE_PROFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
    ENT_PHASE_OTHER,       /* what no other phase claims: clearing gradients, reading units, the tape */
    ENT_PHASE_PRODUCTS,    /* products over all threads of the rank: linear layers, adapters, lm_head */
    ENT_PHASE_ATTENTION,   /* with the small products inside it */
    ENT_PHASE_NORMS,       /* rmsnorm, layer_norm */
    ENT_PHASE_ELEMENTWISE, /* activations, rotations, sums, embedding: operators without a product */
    ENT_PHASE_LOSS,        /* of logits: softmax and its gradient */
    ENT_PHASE_OPTIMIZER,   /* mean and norm of the gradient, clipping, update */
    ENT_PHASE_REDUCTION,   /* gradients as integers, and their sum over the ranks */
    ENT_PHASE_WAITING,     /* until every rank has come to the sum */
    ENT_N_PHASES
} ent_phase;

/* What a product computes in. */
typedef enum { ENT_FLOPS_FP32, ENT_FLOPS_BF16, ENT_FLOPS_INT8, ENT_N_FLOPS } ent_flop_kind;

typedef struct ent_profile {
    double seconds[ENT_N_PHASES]; /* of the thread that started the profile */
    uint64_t flops[ENT_N_FLOPS];  /* 2 m n k of every product, by all threads */
} ent_profile;

/* Begins with all zero; ends and tells. One profile at a time, by one thread. */
void ent_profile_start(void);
void ent_profile_stop(ent_profile *out);

/* Whether the calling thread has started one. */
bool ent_profile_on(void);

/* Goes over to `phase` and returns the one before, which the caller goes back to in the same way. On other threads than
 * the one that started it, nothing. */
ent_phase ent_profile_enter(ent_phase phase);

/* Counts a product (m, k) (k, n). Any thread. */
void ent_profile_count(ent_flop_kind kind, size_t m, size_t n, size_t k);

const char *ent_phase_name(ent_phase phase); /* "products" */

#endif
