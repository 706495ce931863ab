/* The plan of a training run: what it will take of memory and time. */
#ifndef ENT_LAUNCH_PLAN_H
#define ENT_LAUNCH_PLAN_H

#include <stdbool.h>

#include "launch/plan_memory.h"
#include "launch/plan_model.h"
#include "launch/run.h"

typedef struct ent_plan_options {
    size_t ranks;       /* predict up to so many; 0: no prediction */
    size_t per_machine; /* of them on one machine; 0: not said */
    bool has_network;
    ent_network network;
} ent_plan_options;

typedef struct ent_run_plan {
    ent_plan_options options;
    ent_run run;
    ent_memory_plan memory;
    size_t unit_tokens;        /* of the longest unit of the data */
    ent_unit_flops unit_flops; /* of that unit, as one document whose tokens but the last have targets */
    double roof, fp32_roof;    /* operations a second: of products with frozen weights, and of all others */
    double unit_at_roof;       /* seconds that a unit's products take at it */
    ent_step_parts parts;
    bool measured; /* parts were, on a unit of the data; else they are unit_at_roof and nothing for the rest */
} ent_run_plan;

/* Opens the run without writing anything, counts, and measures. The caller frees also after a failure. */
ent_status ent_plan_make(ent_run_plan *out, const ent_config *config, ent_comm *comm, const ent_plan_options *options);
void ent_plan_free(ent_run_plan *plan);

void ent_plan_print(const ent_run_plan *plan);
ent_status ent_plan_print_json(const ent_run_plan *plan);

#endif
