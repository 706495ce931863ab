/* The arithmetic of a step by formula, before it runs, and how a step goes on several ranks. */
#ifndef ENT_LAUNCH_PLAN_MODEL_H
#define ENT_LAUNCH_PLAN_MODEL_H

#include <stdbool.h>
#include <stddef.h>

#include "src/base/status.h"
#include "src/nn/lora_config.h"
#include "src/nn/model_config.h"

/* 2 m n k of the products of one unit, forward and backward. */
typedef struct ent_unit_flops {
    double frozen; /* of frozen weights with activations: these run in compute.precision */
    double other;  /* adapters, attention, trained weights: in fp32 */
} ent_unit_flops;

/* A unit of `n` tokens that is one document, `targets` of them with a target. `lora` NULL: all weights train.
 * `recompute`: halves of layers that backward goes through are computed twice. Equal to what the operators count when
 * they run (src/base/profile.h), to the last one. */
ent_unit_flops ent_plan_unit(const ent_model_config *config, const ent_lora_config *lora, size_t n, size_t targets,
                             bool recompute);

/* What a step has beside its units: with DoRA the norms of all rows (src/nn/decoder_norms.c), in fp32; else 0. */
double ent_plan_norms(const ent_model_config *config, const ent_lora_config *lora);

/* A network: seconds until a message arrives, and bytes a second, between any two ranks. */
typedef struct ent_network {
    double latency, bandwidth;
} ent_network;

/* Reads "100Gbit,2us": a rate in bit, kbit, Mbit, Gbit or Tbit, or in B, kB, ... GB a second; a time in s, ms, us or
 * ns. ENT_ECONFIG. */
ent_status ent_network_parse(ent_network *out, const char *text);

/* Seconds to sum `bytes` over n ranks: the shorter of
 *   ring                2 (n - 1) latency + 2 (n - 1) / n * bytes / bandwidth
 *   recursive doubling  ceil(log2 n) (latency + bytes / bandwidth)
 * (Thakur, Rabenseifner, Gropp 2005, "Optimization of Collective Communication Operations in MPICH", sections 4.3 and
 * 4.5, without the time of the additions.) 0 for one rank. */
double ent_plan_reduction(const ent_network *network, size_t n, double bytes);

/* What a step is made of, measured or estimated on one rank. */
typedef struct ent_step_parts {
    double unit;   /* seconds of a unit's forward and backward, and of adding its gradient to the sums */
    double update; /* seconds of the mean, norm, clipping and update: each rank does it all */
    double bytes;  /* of the sums that are reduced */
} ent_step_parts;

/* Seconds of a step of `units` units on n ranks: ceil(units / n) unit + reduction + update. */
double ent_plan_step(const ent_step_parts *parts, const ent_network *network, size_t units, size_t n);

#endif
