/* What a benchmark has measured, as JSON and for people. */
#include <stdio.h>
#include <stdlib.h>

#include "launch/bench.h"
#include "launch/report.h"

static int compare_numbers(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double ent_median(const double *x, size_t n)
{
    double *sorted = malloc(n * sizeof *sorted);
    if (sorted == NULL)
        return x[0];
    for (size_t i = 0; i < n; i++)
        sorted[i] = x[i];
    qsort(sorted, n, sizeof *sorted, compare_numbers);
    const double median = n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
    free(sorted);
    return median;
}

static double tokens(const ent_bench *b)
{
    return (double)(b->options->config->training.batch_size * b->options->config->data.seq_len);
}

double ent_bench_rate(const ent_bench *b, int64_t step)
{
    return tokens(b) / (step < 0 ? ent_median(b->seconds, (size_t)b->steps) : b->seconds[step]);
}

static double operations(const ent_bench *b) /* of a step, all ranks */
{
    double all = 0;
    for (int i = 0; i < ENT_N_FLOPS; i++)
        all += (double)b->sum.flops[i];
    return all / (double)b->steps;
}

/* The median of value(b, i, what) over i < n; the first where there is no memory for more. */
static double median_of(const ent_bench *b, size_t n, double (*value)(const ent_bench *, size_t, int), int what)
{
    double *x = malloc(n * sizeof *x), median = value(b, 0, what);
    for (size_t i = 0; x && i < n; i++)
        x[i] = value(b, i, what);
    if (x)
        median = ent_median(x, n);
    free(x);
    return median;
}

static double roof_at(const ent_bench *b, size_t i, int kind)
{
    return b->roofs[i][kind];
}

double ent_bench_roof(const ent_bench *b, ent_flop_kind kind)
{
    return median_of(b, (size_t)b->steps + 1, roof_at, (int)kind);
}

/* Time that the products would take at the roof of their precision, as it was before and after step i, over the time of
 * the step. */
static double share_at(const ent_bench *b, size_t i, int unused)
{
    double at_roof = 0;
    (void)unused;
    for (int k = 0; k < ENT_N_FLOPS; k++)
        if (b->sum.flops[k])
            at_roof += (double)b->sum.flops[k] / (double)b->steps / ((b->roofs[i][k] + b->roofs[i + 1][k]) / 2);
    return at_roof / b->seconds[i];
}

static double share_of_roof(const ent_bench *b)
{
    return median_of(b, (size_t)b->steps, share_at, 0);
}

/* The roof of the precision that the run is of. */
static double main_roof(const ent_bench *b)
{
    return ent_bench_roof(b, (ent_flop_kind)b->options->config->compute.precision);
}

static const char *const precisions[] = {"fp32", "bf16", "int8"};

static double planned(const ent_bench *b)
{
    return ent_plan_shared(&b->plan) + ent_plan_private(&b->plan);
}

static void add_phases(ent_json *to, const ent_bench *b)
{
    for (int i = 0; i < ENT_N_PHASES; i++)
        ent_json_add_double(to, ent_phase_name((ent_phase)i), b->sum.seconds[i] / (double)b->steps);
}

static void add_setting(ent_json *to, const ent_bench *b)
{
    const ent_config *c = b->options->config;
    const char *const recomputes[] = {"none", "layer"}, *const bases[] = {"none", "int8", "nf4"};
    ent_json_add_string(to, b->options->shape ? "shape" : "model",
                        b->options->shape ? b->options->shape : b->options->model);
    ent_json_add_int(to, "seq_len", c->data.seq_len);
    ent_json_add_int(to, "units", c->training.batch_size);
    ent_json_add_int(to, "lora_rank", c->lora.rank);
    ent_json *targets = ent_json_add_array(to, "targets");
    for (int p = 0; p < ENT_N_PROJ; p++)
        if (c->lora.targets >> p & 1)
            ent_json_add_string(targets, NULL, ent_proj_name((ent_proj)p));
    ent_json_add_string(to, "precision", precisions[c->compute.precision]);
    ent_json_add_string(to, "base", bases[c->quantize.base]);
    ent_json_add_string(to, "recompute", recomputes[c->compute.recompute]);
    ent_json_add_int(to, "world_size", b->comm->world_size);
    ent_json_add_int(to, "threads", b->place.threads);
    ent_json_add_string(to, "kernel", b->kernel);
    const ent_calibration *calibration = b->model.calibration;
    if (calibration) {
        ent_json *ways = ent_json_add_object(to, "projections");
        ent_json_add_int(ways, "int8", (int64_t)calibration->ways[ENT_INT8_PLAIN]);
        ent_json_add_int(ways, "int8_smoothed", (int64_t)calibration->ways[ENT_INT8_SMOOTHED]);
        ent_json_add_int(ways, "bf16", (int64_t)calibration->ways[ENT_INT8_NOT]);
    }
}

void ent_bench_add(ent_json *to, const ent_bench *b, double peak)
{
    add_setting(to, b);
    ent_json_add_double(to, "tokens_per_s", ent_bench_rate(b, -1));
    ent_json *all = ent_json_add_array(to, "tokens_per_s_all");
    for (int64_t i = 0; i < b->steps; i++)
        ent_json_add_double(all, NULL, ent_bench_rate(b, i));
    ent_json_add_double(to, "step_seconds", ent_median(b->seconds, (size_t)b->steps));
    ent_json_add_double(to, "flops_per_token", operations(b) / tokens(b));
    ent_json *flops = ent_json_add_object(to, "flops_per_step");
    ent_json *roofs = ent_json_add_object(to, "roofs_gflops"), *all_roofs = ent_json_add_object(to, "roofs_gflops_all");
    for (int i = 0; i < ENT_N_FLOPS; i++) {
        ent_json_add_int(flops, precisions[i], (int64_t)b->sum.flops[i] / b->steps);
        if (b->roofs[0][i] > 0) {
            ent_json_add_double(roofs, precisions[i], ent_bench_roof(b, (ent_flop_kind)i) * 1e-9);
            ent_json *every = ent_json_add_array(all_roofs, precisions[i]);
            for (int64_t j = 0; j <= b->steps; j++)
                ent_json_add_double(every, NULL, b->roofs[j][i] * 1e-9);
        }
    }
    ent_json_add_double(to, "roof_gflops", main_roof(b) * 1e-9);
    ent_json_add_double(to, "share_of_roof", share_of_roof(b));
    ent_json *shares = ent_json_add_array(to, "share_of_roof_all");
    for (int64_t i = 0; i < b->steps; i++)
        ent_json_add_double(shares, NULL, share_at(b, (size_t)i, 0));
    ent_json_add_double(to, "loss", b->loss);
    add_phases(ent_json_add_object(to, "phases"), b);
    ent_json_add_double(to, "mapped_weights_mib", b->plan.mapped_weights / 0x1p20);
    ent_json_add_double(to, "planned_mib", planned(b) / 0x1p20);
    if (peak > 0)
        ent_json_add_double(to, "peak_rss_mib", peak / 0x1p20);
    ent_plan_memory_add(ent_json_add_object(to, "planned_bytes"), &b->plan);
}

static void print_phases(const ent_bench *b)
{
    double all = 0;
    for (int i = 0; i < ENT_N_PHASES; i++)
        all += b->sum.seconds[i];
    printf("phases  of a step of %.3f s%s\n", all / (double)b->steps, b->comm->world_size > 1 ? ", rank 0" : "");
    for (int i = 0; i < ENT_N_PHASES; i++)
        printf("        %-12s %8.4f s  %5.1f %%\n", ent_phase_name((ent_phase)i), b->sum.seconds[i] / (double)b->steps,
               100 * b->sum.seconds[i] / all);
}

void ent_bench_print(const ent_bench *b, double peak)
{
    const ent_config *c = b->options->config;
    const ent_params *p = ent_decoder_params(b->model.decoder);
    ent_time_text text;
    double least = ent_bench_rate(b, 0), most = least;
    for (int64_t i = 1; i < b->steps; i++) {
        const double rate = ent_bench_rate(b, i);
        least = rate < least ? rate : least;
        most = rate > most ? rate : most;
    }
    printf("model   %s, LoRA of rank %lld: %s trainable parameters; %s\n",
           b->options->shape ? b->options->shape : b->options->model, (long long)c->lora.rank,
           ent_count_format(&text, (double)p->n_trainable), precisions[c->compute.precision]);
    printf("machine %d rank%s, %d thread%s each, %s\n", b->comm->world_size, b->comm->world_size > 1 ? "s" : "",
           b->place.threads, b->place.threads > 1 ? "s" : "", b->kernel);
    if (b->model.calibration)
        ent_report_calibration(b->model.calibration);
    printf("step    %lld units of %lld tokens, %s operations a token\n", (long long)c->training.batch_size,
           (long long)c->data.seq_len, ent_count_format(&text, operations(b) / tokens(b)));
    printf("speed   %.1f tokens/s, median of %lld steps from %.1f to %.1f (%.1f %%)\n", ent_bench_rate(b, -1),
           (long long)b->steps, least, most, 100 * (most - least) / ent_bench_rate(b, -1));
    printf("roof    %.1f GFLOP/s measured; the step is at %.3f of it\n", main_roof(b) * 1e-9, share_of_roof(b));
    print_phases(b);
    printf("memory  %.1f MiB planned a rank", planned(b) / 0x1p20);
    if (peak > 0)
        printf(", %.1f MiB at most were used (%+.1f %%)", peak / 0x1p20, 100 * (peak / planned(b) - 1));
    printf("\n");
    ent_plan_memory_print(&b->plan);
}
