/* entrenar bench: how fast a training step is, how fast the machine multiplies, and where the time goes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "launch/bench.h"
#include "launch/cmd.h"
#include "launch/comm_open.h"
#include "launch/options.h"
#include "launch/report.h"

static const char usage[] =
    "usage: entrenar bench [--shape llama-162m | --model DIR] [OPTIONS]\n\n"
    "Runs the real training step (LoRA, AdamW) on random tokens, and tells tokens/s, operations a token, the share of\n"
    "the machine's measured product rate (the roof), the time of each phase, and memory, planned and used. Under "
    "mpirun\n"
    "the ranks share the units of a step, and all numbers but phases and memory are those of all ranks together.\n\n"
    "  --shape NAME         a shape with random weights (default llama-162m)\n"
    "  --model DIR          a Hugging Face model folder\n"
    "  --seq-len N          tokens of a unit (default 512)\n"
    "  --units N            units of a step, over all ranks (default 4)\n"
    "  --precision P        arithmetic of products, as compute.precision (default fp32)\n"
    "  --base B             storage of frozen weights, as quantize.base (default none)\n"
    "  --threads N          of a rank; auto: the cores it may use (default auto)\n"
    "  --recompute R        as compute.recompute (default none)\n"
    "  --lora-rank N        (default 16)\n"
    "  --targets LIST       projections with an adapter (default q_proj,v_proj)\n"
    "  --repeat N           measured steps, after one to warm up (default 3)\n"
    "  --json               all numbers, as JSON\n"
    "  --compare \"OPTIONS\"  a second configuration, the first with these options: steps of both in turn, and their "
    "ratio\n";

static ent_status peak_of_all(double *out, const ent_bench *b, ent_comm *comm)
{
    int64_t bytes = (int64_t)b->peak;
    ENT_TRY(comm->max_i64(comm, &bytes, 1));
    *out = (double)bytes;
    return ENT_OK;
}

static ent_status bench(const ent_bench_options *options, ent_comm *comm)
{
    ent_status st;
    ent_bench b;
    double peak;
    ENT_GO(ent_bench_open(&b, options, comm));
    for (long i = 0; i < options->repeat; i++)
        ENT_GO(ent_bench_step(&b));
    ENT_GO(peak_of_all(&peak, &b, comm));
    if (comm->rank == 0 && options->json) {
        ent_json *root = ent_json_new_object();
        ent_bench_add(root, &b, peak);
        ENT_GO(ent_report_json(root));
    } else if (comm->rank == 0) {
        ent_bench_print(&b, peak);
    }
done:
    ent_bench_close(&b);
    return st;
}

static ent_status tell_both(const ent_bench pair[2])
{
    const double ratio = ent_bench_rate(&pair[1], -1) / ent_bench_rate(&pair[0], -1);
    if (!pair[0].options->json) {
        ent_bench_print(&pair[0], 0);
        printf("\n        against: %s\n\n", pair[0].options->compare);
        ent_bench_print(&pair[1], 0);
        printf("\nratio   %.3f: tokens/s of the second over the first, of medians; step by step", ratio);
        for (int64_t i = 0; i < pair[0].steps; i++)
            printf(" %.3f", ent_bench_rate(&pair[1], i) / ent_bench_rate(&pair[0], i));
        printf("\n");
        return ENT_OK;
    }
    ent_json *root = ent_json_new_object();
    ent_bench_add(ent_json_add_object(root, "first"), &pair[0], 0);
    ent_bench_add(ent_json_add_object(root, "second"), &pair[1], 0);
    ent_json_add_string(root, "compare", pair[0].options->compare);
    ent_json_add_double(root, "ratio", ratio);
    ent_json *all = ent_json_add_array(root, "ratios");
    for (int64_t i = 0; i < pair[0].steps; i++)
        ent_json_add_double(all, NULL, ent_bench_rate(&pair[1], i) / ent_bench_rate(&pair[0], i));
    return ent_report_json(root);
}

/* Both are open at once, and take steps in turn: what disturbs the machine disturbs both. */
static ent_status compare(const ent_bench_options options[2], ent_comm *comm)
{
    ent_status st;
    ent_bench pair[2] = {{0}};
    for (int i = 0; i < 2; i++)
        ENT_GO(ent_bench_open(&pair[i], &options[i], comm));
    for (long step = 0; step < options[0].repeat; step++)
        for (int i = 0; i < 2; i++)
            ENT_GO(ent_bench_step(&pair[i]));
    if (comm->rank == 0)
        ENT_GO(tell_both(pair));
done:
    ent_bench_close(&pair[1]);
    ent_bench_close(&pair[0]);
    return st;
}

/* Every rank reads the same command line, so every rank fails or none does. */
static int run(const ent_bench_options options[2])
{
    ent_comm *comm = NULL;
    ent_status st = ent_comm_open(&comm, "auto", 600);
    if (st == ENT_OK)
        st = options[0].compare ? compare(options, comm) : bench(&options[0], comm);
    if (st != ENT_OK && (comm == NULL || comm->rank == 0))
        fprintf(stderr, "entrenar: bench: %s\n", ent_message());
    ent_comm_free(comm);
    return st == ENT_OK ? ENT_EXIT_DONE : ENT_EXIT_FAILED;
}

int ent_cmd_bench(int argc, char **argv)
{
    ent_bench_options options[2] = {{0}};
    ent_bench_words words = {0};
    int code = ENT_EXIT_USAGE;
    ent_status st = ent_bench_options_parse(&options[0], argc - 1, argv + 1);
    if (st == ENT_OK && options[0].compare && !options[0].help) {
        st = ent_bench_words_of(&words, &options[0], argc - 1, argv + 1);
        if (st == ENT_OK)
            st = ent_bench_options_parse(&options[1], words.argc, words.argv);
    }
    if (st != ENT_OK) {
        code = ent_options_complain("bench");
    } else if (options[0].help) {
        fputs(usage, stdout);
        code = ENT_EXIT_DONE;
    } else {
        code = run(options);
    }
    ent_bench_options_clear(&options[0]);
    ent_bench_options_clear(&options[1]);
    ent_bench_words_free(&words);
    return code;
}
