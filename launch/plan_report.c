/* A plan, as JSON and for people. */
#include <stdio.h>
#include <stdlib.h>

#include "launch/plan.h"
#include "launch/report.h"

/* Between ranks of one machine, through its memory. */
static const ent_network within = {.latency = 1e-6, .bandwidth = 1e10};

static const ent_network *network(const ent_run_plan *p)
{
    return p->options.has_network ? &p->options.network : &within;
}

static size_t ranks(const ent_run_plan *p)
{
    return p->options.ranks ? p->options.ranks : 1;
}

static size_t per_machine(const ent_run_plan *p)
{
    const size_t n = p->options.per_machine ? p->options.per_machine : p->options.has_network ? 1 : ranks(p);
    return n < ranks(p) ? n : ranks(p);
}

static size_t units(const ent_run_plan *p)
{
    return (size_t)p->run.config->training.batch_size;
}

static double step_on(const ent_run_plan *p, size_t n)
{
    return ent_plan_step(&p->parts, network(p), units(p), n);
}

static double machine_bytes(const ent_run_plan *p)
{
    return ent_plan_shared(&p->memory) + (double)per_machine(p) * ent_plan_private(&p->memory);
}

/* 1, 2, 4, ... and the number asked for. */
static size_t next_count(size_t n, size_t last)
{
    return n == last ? 0 : 2 * n < last ? 2 * n : last;
}

static double tokens(const ent_run_plan *p)
{
    return (double)p->run.config->training.batch_size * (double)p->unit_tokens;
}

static void print_scaling(const ent_run_plan *p)
{
    ent_time_text text[2];
    printf("ranks   over %s a second and %g us; sums of %s\n", ent_bytes_format(&text[0], network(p)->bandwidth),
           network(p)->latency * 1e6, ent_bytes_format(&text[1], p->parts.bytes));
    for (size_t n = 1; n; n = next_count(n, ranks(p)))
        printf("        %6zu ranks %10.3f s a step  %10.0f tokens/s  %6.2f x  (sum %.4f s)\n", n, step_on(p, n),
               tokens(p) / step_on(p, n), step_on(p, 1) / step_on(p, n),
               ent_plan_reduction(network(p), n, p->parts.bytes));
}

void ent_plan_print(const ent_run_plan *p)
{
    const ent_config *c = p->run.config;
    ent_time_text t[2];
    printf("model   %s: %s trainable parameters\n", c->model.path,
           ent_count_format(&t[0], (double)ent_decoder_params(p->run.model.decoder)->n_trainable));
    printf("memory  %.1f MiB a rank, %.1f MiB a machine with %zu of them\n",
           (ent_plan_shared(&p->memory) + ent_plan_private(&p->memory)) / 0x1p20, machine_bytes(p) / 0x1p20,
           per_machine(p));
    ent_plan_memory_print(&p->memory);
    printf("machine %d thread%s, %s: %.1f GFLOP/s measured\n", p->run.place.threads,
           p->run.place.threads > 1 ? "s" : "", p->run.kernel, p->roof * 1e-9);
    printf("unit    %zu tokens, the longest: %s operations, %.3f s at the measured rate", p->unit_tokens,
           ent_count_format(&t[0], p->unit_flops.frozen + p->unit_flops.other), p->unit_at_roof);
    if (p->measured)
        printf(", %.3f s when tried", p->parts.unit);
    printf("\nstep    %zu units: %.3f s, %.0f tokens/s%s\n", units(p), step_on(p, 1), tokens(p) / step_on(p, 1),
           p->measured ? "" : ", at most: a unit was too long to try");
    printf("run     %lld steps: %s\n", (long long)p->run.steps,
           ent_time_format(&t[1], (double)p->run.steps * step_on(p, 1)));
    if (p->options.ranks)
        print_scaling(p);
}

static void add_scaling(ent_json *to, const ent_run_plan *p)
{
    ent_json *list = ent_json_add_array(to, "scaling");
    for (size_t n = 1; n; n = next_count(n, ranks(p))) {
        ent_json *item = ent_json_add_object(list, NULL);
        ent_json_add_int(item, "ranks", (int64_t)n);
        ent_json_add_double(item, "step_seconds", step_on(p, n));
        ent_json_add_double(item, "tokens_per_s", tokens(p) / step_on(p, n));
        ent_json_add_double(item, "reduction_seconds", ent_plan_reduction(network(p), n, p->parts.bytes));
        ent_json_add_double(item, "speedup", step_on(p, 1) / step_on(p, n));
    }
}

ent_status ent_plan_print_json(const ent_run_plan *p)
{
    ent_json *root = ent_json_new_object();
    ent_plan_memory_add(ent_json_add_object(root, "bytes"), &p->memory);
    ent_json_add_int(root, "rank_bytes", (int64_t)(ent_plan_shared(&p->memory) + ent_plan_private(&p->memory)));
    ent_json_add_int(root, "ranks_per_machine", (int64_t)per_machine(p));
    ent_json_add_int(root, "machine_bytes", (int64_t)machine_bytes(p));
    ent_json_add_int(root, "threads", p->run.place.threads);
    ent_json_add_string(root, "kernel", p->run.kernel);
    ent_json_add_double(root, "roof_gflops", p->roof * 1e-9);
    ent_json_add_double(root, "fp32_roof_gflops", p->fp32_roof * 1e-9);
    ent_json_add_int(root, "unit_tokens", (int64_t)p->unit_tokens);
    ent_json_add_int(root, "unit_flops", (int64_t)(p->unit_flops.frozen + p->unit_flops.other));
    ent_json_add_double(root, "unit_seconds_at_roof", p->unit_at_roof);
    ent_json_add_bool(root, "measured", p->measured);
    ent_json_add_double(root, "unit_seconds", p->parts.unit);
    ent_json_add_double(root, "update_seconds", p->parts.update);
    ent_json_add_int(root, "units", (int64_t)units(p));
    ent_json_add_double(root, "step_seconds", step_on(p, 1));
    ent_json_add_double(root, "tokens_per_s", tokens(p) / step_on(p, 1));
    ent_json_add_int(root, "steps", p->run.steps);
    ent_json_add_double(root, "run_seconds", (double)p->run.steps * step_on(p, 1));
    if (p->options.ranks)
        add_scaling(root, p);
    return ent_report_json(root);
}
