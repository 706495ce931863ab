#include "launch/plan.h"

#include "launch/bench_roof.h"
#include "launch/report.h"
#include "src/base/profile.h"
#include "src/base/tiles.h"

enum { LONGEST_UNIT = 20 }; /* seconds; a longer one is not tried */

void ent_plan_free(ent_run_plan *p)
{
    ent_run_close(&p->run);
}

/* The longest unit of the data: the time of a step is that of units like it. */
static size_t longest_unit(size_t *tokens, const ent_dataset *data)
{
    size_t best = 0;
    *tokens = 0;
    for (size_t i = 0; i < ent_dataset_units(data); i++) {
        ent_unit unit;
        ent_dataset_unit(&unit, data, i);
        if (unit.n > *tokens) {
            *tokens = unit.n;
            best = i;
        }
    }
    return best;
}

typedef struct chosen {
    const ent_dataset *data;
    size_t unit;
} chosen;

static ent_status chosen_unit(ent_unit *out, void *context, size_t i)
{
    const chosen *c = context;
    (void)i;
    ent_dataset_unit(out, c->data, c->unit);
    return ENT_OK;
}

/* A step of one unit, the second of two. What it changes of the parameters goes with this process. */
static ent_status measure_parts(ent_run_plan *p, size_t unit)
{
    chosen c = {p->run.train, unit};
    ent_step_result result;
    ent_profile profile;
    for (int i = 0; i < 2; i++) {
        ent_profile_start();
        const ent_status st = ent_trainer_step(&result, p->run.trainer, i, 1, chosen_unit, &c);
        ent_profile_stop(&profile);
        ENT_TRY(st);
    }
    const double begun = ent_now(); /* DoRA's norms are made once a step, not for each unit */
    ENT_TRY(ent_decoder_refresh(p->run.model.decoder));
    p->parts.update = profile.seconds[ENT_PHASE_OPTIMIZER] + ent_now() - begun;
    p->parts.unit = -p->parts.update;
    for (int i = 0; i < ENT_N_PHASES; i++)
        p->parts.unit += profile.seconds[i];
    p->measured = true;
    return ENT_OK;
}

/* Teachers run forward, in fp32; their logits are computed again for the gradient of a head that is trained. */
static void add_teachers(ent_run_plan *p, bool frozen_head)
{
    static const ent_lora_config nothing_trains = {.targets = 0};
    const size_t n = p->unit_tokens, targets = n - 1;
    for (size_t i = 0; i < p->run.teachers.teaching.count; i++) {
        const ent_model_config *c = &p->run.teachers.models[i].config;
        const ent_unit_flops f = ent_plan_unit(c, &nothing_trains, n, targets, false);
        const double head = 2 * (double)targets * (double)c->vocab_size * (double)c->hidden_size;
        p->unit_flops.other += f.frozen + f.other + (frozen_head ? 0 : head);
    }
}

ent_status ent_plan_make(ent_run_plan *p, const ent_config *config, ent_comm *comm, const ent_plan_options *options)
{
    const ent_run_options dry = {.dry_run = true, .quiet = true};
    const size_t seq_len = (size_t)config->data.seq_len;
    double roofs[ENT_N_FLOPS];
    ent_roof roof;
    *p = (ent_run_plan){.options = *options};
    ENT_TRY(ent_place(&p->run.place, comm, config->compute.threads));
    ent_set_threads(p->run.place.threads);
    ENT_TRY(ent_roof_warm());
    const double program = ent_resident();
    ENT_TRY(ent_run_open(&p->run, config, comm, &dry));
    ent_model *m = &p->run.model;
    const ent_dataset_counts *n = ent_dataset_counts_of(p->run.train);
    ent_plan_memory(&p->memory, m->decoder, &m->config, p->run.trainer, seq_len);
    p->memory.program = program;
    p->memory.teachers = ent_teachers_mapped(&p->run.teachers);
    p->memory.tables += ent_teachers_tables(&p->run.teachers, seq_len);
    p->memory.file_cache = (double)(128 + 8 * (n->units + 1) + 12 * n->tokens);
    const size_t longest = longest_unit(&p->unit_tokens, p->run.train);
    p->unit_flops = ent_plan_unit(&m->config, m->lora.r ? &m->lora : NULL, p->unit_tokens, p->unit_tokens - 1,
                                  config->compute.recompute == ENT_RECOMPUTE_LAYER);
    add_teachers(p, m->lora.r != 0 && !ent_lora_saves(&m->lora, "lm_head"));
    ENT_TRY(ent_roof_choose(&roof, ent_decoder_params(m->decoder), seq_len, 0.05));
    ENT_TRY(ent_roof_measure(roofs, &roof, 0.4));
    p->fp32_roof = roofs[ENT_FLOPS_FP32];
    p->roof = roofs[config->compute.precision]; /* kinds of operations stand in the order of precisions */
    p->unit_at_roof = p->unit_flops.frozen / p->roof + p->unit_flops.other / p->fp32_roof;
    p->parts = (ent_step_parts){.unit = p->unit_at_roof,
                                .update = ent_plan_norms(&m->config, m->lora.r ? &m->lora : NULL) / p->fp32_roof,
                                .bytes = p->memory.gradient_sums};
    return p->unit_at_roof < LONGEST_UNIT ? measure_parts(p, longest) : ENT_OK;
}
