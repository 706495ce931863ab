/* entrenar plan: memory and time of a training run, before any of it is done. */
#include <stdio.h>
#include <stdlib.h>

#include "launch/cmd.h"
#include "launch/options.h"
#include "launch/plan.h"

typedef struct arguments {
    const char *config, *network;
    ent_option_texts sets;
    int64_t ranks, per_machine; /* 0: not given */
    bool json, help;
} arguments;

static const char usage[] =
    "usage: entrenar plan CONFIG [--set KEY=VALUE]... [--ranks N [--per-machine M] [--network RATE,LATENCY]] "
    "[--json]\n\n"
    "Tells what the run that CONFIG describes takes: memory by what it is for, a rank and a machine; operations of a\n"
    "unit; the machine's product rate, measured for about a second; and the time of a step. Where a unit takes less\n"
    "than about 20 s, one is run and timed; otherwise the time is what its products take at the measured rate. "
    "Nothing\n"
    "is written.\n\n";

static const char model[] =
    "\nA step on n ranks: ceil(units / n) times a unit, then the sum of the gradients, then the update. The sum takes "
    "the\n"
    "shorter of a ring, 2 (n-1) latency + 2 (n-1)/n bytes/rate, and recursive doubling, ceil(log2 n) (latency +\n"
    "bytes/rate).\n";

#define AT(member) .offset = offsetof(arguments, member)

static const ent_option options[] = {
    {"CONFIG", NULL, ENT_OPTION_TEXT, AT(config)},
    {"--set", "KEY=VALUE", ENT_OPTION_TEXTS, AT(sets), .help = "sets a key of the config; KEY= takes it back"},
    {"--ranks", "N", ENT_OPTION_INT, AT(ranks), .low = 1, .high = 1000000,
     .help = "predicts a step on 1 to N ranks, each as fast as this process with its threads"},
    {"--per-machine", "M", ENT_OPTION_INT, AT(per_machine), .low = 1, .high = 1000000,
     .help = "ranks of one machine, for its memory (default: all; with --network 1)"},
    {"--network", "RATE,LATENCY", ENT_OPTION_TEXT, AT(network),
     .help = "between ranks, such as 100Gbit,2us (default 80Gbit,1us: ranks of one machine)"},
    {"--json", NULL, ENT_OPTION_FLAG, AT(json), .help = "all numbers, as JSON"},
    {"--help", NULL, ENT_OPTION_FLAG, AT(help), .help = "show this"},
};

enum { N_OPTIONS = sizeof options / sizeof *options };

static ent_status parse(arguments *a, ent_plan_options *plan, int argc, char **argv)
{
    ENT_TRY(ent_options_read(a, options, N_OPTIONS, argc, argv));
    *plan = (ent_plan_options){
        .ranks = (size_t)a->ranks, .per_machine = (size_t)a->per_machine, .has_network = a->network != NULL};
    if (a->network)
        ENT_TRY(ent_network_parse(&plan->network, a->network));
    if (a->help)
        return ENT_OK;
    if (a->config == NULL)
        return ent_fail(ENT_ECONFIG, "expected a config");
    if (a->ranks == 0 && (a->per_machine || a->network))
        return ent_fail(ENT_ECONFIG, "--per-machine and --network act only with --ranks");
    return ENT_OK;
}

static ent_status plan(const arguments *a, const ent_plan_options *how)
{
    ent_status st;
    ent_config *config = NULL;
    ent_comm *comm = NULL;
    ent_run_plan p = {0};
    ENT_GO(ent_config_load(&config, a->config, a->sets.items, a->sets.count));
    ENT_GO(ent_comm_self(&comm));
    ENT_GO(ent_plan_make(&p, config, comm, how));
    if (a->json)
        ENT_GO(ent_plan_print_json(&p));
    else
        ent_plan_print(&p);
done:
    ent_plan_free(&p);
    ent_comm_free(comm);
    ent_config_free(config);
    return st;
}

int ent_cmd_plan(int argc, char **argv)
{
    arguments a = {0};
    ent_plan_options how;
    int code = ENT_EXIT_USAGE;
    if (parse(&a, &how, argc, argv) != ENT_OK) {
        ent_options_complain("plan");
    } else if (a.help) {
        fputs(usage, stdout);
        ent_options_help(options, N_OPTIONS);
        fputs(model, stdout);
        code = ENT_EXIT_DONE;
    } else {
        const ent_status st = plan(&a, &how);
        if (st != ENT_OK)
            fprintf(stderr, "entrenar: %s\n", ent_message());
        code = st == ENT_OK ? ENT_EXIT_DONE : st == ENT_ENOMEM ? ENT_EXIT_FAILED : ENT_EXIT_USAGE;
    }
    free(a.sets.items);
    return code;
}
