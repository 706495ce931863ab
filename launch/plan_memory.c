#include "launch/plan_memory.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "src/tensor/gemm_int8.h"

static const struct {
    const char *name, *words;
    size_t offset;
    bool shared;
} rows[] = {
#define ROW(member, words, shared)                                \
    {                                                             \
#member, words, offsetof(ent_memory_plan, member), shared \
    }
    ROW(mapped_weights, "mapped weights", true),  ROW(teachers, "mapped teachers", true),
    ROW(file_cache, "tokenised data", true),      ROW(parameters, "trained parameters", false),
    ROW(gradients, "gradients", false),           ROW(optimizer, "optimizer's moments", false),
    ROW(gradient_sums, "gradient sums", false),   ROW(activations, "activations", false),
    ROW(workspace, "workspace", false),           ROW(tables, "tables", false),
    ROW(program, "program and libraries", false),
#undef ROW
};

enum { N_ROWS = sizeof rows / sizeof *rows };

static double value(const ent_memory_plan *plan, int row)
{
    double bytes;
    memcpy(&bytes, (const char *)plan + rows[row].offset, sizeof bytes);
    return bytes;
}

static double sum(const ent_memory_plan *plan, bool shared)
{
    double bytes = 0;
    for (int i = 0; i < N_ROWS; i++)
        bytes += rows[i].shared == shared ? value(plan, i) : 0;
    return bytes;
}

double ent_plan_shared(const ent_memory_plan *plan)
{
    return sum(plan, true);
}

double ent_plan_private(const ent_memory_plan *plan)
{
    return sum(plan, false);
}

void ent_plan_memory_add(ent_json *to, const ent_memory_plan *plan)
{
    for (int i = 0; i < N_ROWS; i++)
        ent_json_add_int(to, rows[i].name, (int64_t)value(plan, i));
}

void ent_plan_memory_print(const ent_memory_plan *plan)
{
    for (int i = 0; i < N_ROWS; i++)
        printf("        %-22s %9.1f MiB%s\n", rows[i].words, value(plan, i) / 0x1p20,
               rows[i].shared ? "  one for all ranks of a machine" : "");
}

/* What each rank keeps of a weight whose products are computed in int8. */
static size_t int8_bytes(const ent_tensor *t)
{
    const size_t columns = ent_tensor_columns(t);
    size_t n = t->column_factors ? columns : 0;
    if (t->rounding)
        n += 2 * ent_tensor_rows(t) + (t->rounding->reciprocals ? columns : 0);
    return n * sizeof(float);
}

void ent_plan_memory(ent_memory_plan *out, ent_decoder *decoder, const ent_model_config *config,
                     const ent_trainer *trainer, size_t max_positions)
{
    const ent_params *p = ent_decoder_params(decoder);
    const double n = (double)p->n_trainable;
    size_t scratch;
    const size_t tape = ent_trainer_tape(trainer, &scratch);
    *out = (ent_memory_plan){.parameters = n * sizeof(ent_real),
                             .gradients = n * sizeof(ent_real),
                             .optimizer = 2 * n * sizeof(ent_real),
                             .gradient_sums = n * sizeof(int64_t),
                             .activations = (double)(tape - scratch),
                             .workspace = (double)scratch,
                             .tables = (double)(max_positions * config->head_dim * sizeof(float)) +
                                       (double)ent_decoder_side_bytes(decoder)};
    for (size_t i = 0; i < p->count; i++) {
        const ent_tensor *t = &p->items[i]->tensor;
        if (p->items[i]->trainable || p->items[i]->replaced)
            continue;
        out->mapped_weights += (double)ent_tensor_bytes(t);
        out->tables += (double)int8_bytes(t);
    }
}

/* A line "KEY   123 kB" of /proc/self/status, in bytes. */
static double status_line(const char *key)
{
    char line[256];
    double kilobytes = 0;
    FILE *f = fopen("/proc/self/status", "r");
    if (f == NULL)
        return 0;
    while (fgets(line, sizeof line, f))
        if (strncmp(line, key, strlen(key)) == 0)
            sscanf(line + strlen(key), "%lf", &kilobytes);
    fclose(f);
    return kilobytes * 1024;
}

double ent_resident(void)
{
    return status_line("VmRSS:");
}

double ent_resident_peak(void)
{
    return status_line("VmHWM:");
}

void ent_resident_forget_peak(void)
{
    FILE *f = fopen("/proc/self/clear_refs", "w");
    if (f == NULL)
        return;
    fputs("5", f);
    fclose(f);
}
