/* entrenar plan: memory and time of a training run, before any of it is done. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "launch/cmd.h"
#include "launch/options.h"
#include "launch/plan.h"

typedef struct arguments {
    const char *config;
    const char **sets;
    size_t n_sets;
    ent_plan_options options;
    bool json, help;
} arguments;

static const char usage[] =
    "usage: entrenar plan CONFIG [--set KEY=VALUE]... [--ranks N [--per-machine M] [--network RATE,LATENCY]] "
    "[--json]\n\n"
    "Tells what the run that CONFIG describes takes: memory by what it is for, a rank and a machine; operations of a\n"
    "unit; the machine's product rate, measured for about a second; and the time of a step. Where a unit takes less\n"
    "than about 20 s, one is run and timed; otherwise the time is what its products take at the measured rate. "
    "Nothing\n"
    "is written.\n\n"
    "  --set KEY=VALUE           sets a key of the config; KEY= takes it back\n"
    "  --ranks N                 predicts a step on 1 to N ranks, each as fast as this process with its threads\n"
    "  --per-machine M           ranks of one machine, for its memory (default: all; with --network 1)\n"
    "  --network RATE,LATENCY    between ranks, such as 100Gbit,2us (default 80Gbit,1us: ranks of one machine)\n"
    "  --json                    all numbers, as JSON\n\n"
    "A step on n ranks: ceil(units / n) times a unit, then the sum of the gradients, then the update. The sum takes "
    "the\n"
    "shorter of a ring, 2 (n-1) latency + 2 (n-1)/n bytes/rate, and recursive doubling, ceil(log2 n) (latency +\n"
    "bytes/rate).\n";

static bool count(size_t *out, const char *option, const char *text)
{
    char *end;
    errno = 0;
    const long value = strtol(text, &end, 10);
    if (errno || end == text || *end || value < 1 || value > 1000000) {
        ent_fail(ENT_ECONFIG, "%s: expected an integer from 1 to 1000000, found \"%s\"", option, text);
        return false;
    }
    *out = (size_t)value;
    return true;
}

/* False, with a message, if the command line isn't right. */
static bool parse(arguments *a, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *key = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
        const bool takes = strcmp(key, "--set") == 0 || strcmp(key, "--ranks") == 0 ||
                           strcmp(key, "--per-machine") == 0 || strcmp(key, "--network") == 0;
        bool right = true;
        if (takes && value == NULL) {
            ent_fail(ENT_ECONFIG, "%s: expected a value after it", key);
            return false;
        }
        i += takes;
        if (strcmp(key, "--set") == 0)
            a->sets[a->n_sets++] = value;
        else if (strcmp(key, "--ranks") == 0)
            right = count(&a->options.ranks, key, value);
        else if (strcmp(key, "--per-machine") == 0)
            right = count(&a->options.per_machine, key, value);
        else if (strcmp(key, "--network") == 0)
            right = a->options.has_network = ent_network_parse(&a->options.network, value) == ENT_OK;
        else if (strcmp(key, "--json") == 0)
            a->json = true;
        else if (strcmp(key, "--help") == 0 || strcmp(key, "-h") == 0)
            a->help = true;
        else if (key[0] == '-' || a->config)
            right = ent_fail(ENT_ECONFIG, key[0] == '-' ? "unknown option %s" : "one config is expected, found also %s",
                             key) == ENT_OK;
        else
            a->config = key;
        if (!right)
            return false;
    }
    if (a->config == NULL && !a->help)
        return ent_fail(ENT_ECONFIG, "expected a config") == ENT_OK;
    if (!a->help && a->options.ranks == 0 && (a->options.per_machine || a->options.has_network))
        return ent_fail(ENT_ECONFIG, "--per-machine and --network act only with --ranks") == ENT_OK;
    return true;
}

static ent_status plan(const arguments *a)
{
    ent_status st;
    ent_config *config = NULL;
    ent_comm *comm = NULL;
    ent_run_plan p = {0};
    ENT_GO(ent_config_load(&config, a->config, a->sets, a->n_sets));
    ENT_GO(ent_comm_self(&comm));
    ENT_GO(ent_plan_make(&p, config, comm, &a->options));
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
    int code = ENT_EXIT_USAGE;
    a.sets = calloc((size_t)argc, sizeof *a.sets);
    if (a.sets == NULL)
        return ENT_EXIT_FAILED;
    if (!parse(&a, argc, argv)) {
        ent_options_complain("plan");
    } else if (a.help) {
        fputs(usage, stdout);
        code = ENT_EXIT_DONE;
    } else {
        const ent_status st = plan(&a);
        if (st != ENT_OK)
            fprintf(stderr, "entrenar: %s\n", ent_message());
        code = st == ENT_OK ? ENT_EXIT_DONE : st == ENT_ENOMEM ? ENT_EXIT_FAILED : ENT_EXIT_USAGE;
    }
    free(a.sets);
    return code;
}
