/* The program: `entrenar COMMAND …`, and `entrenar-train …`, which is `entrenar train …`. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "launch/cmd.h"

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    bool computes; /* with threads */
    const char *summary;
} commands[] = {
    {"train", ent_cmd_train, true, "fine-tune a model as a config says"},
    {"generate", ent_cmd_generate, true, "continue a prompt"},
    {"inspect", ent_cmd_inspect, false,
     "show what is in a checkpoint, an adapter, a model or a safetensors file, or what differs"},
    {"verify", ent_cmd_verify, false, "check that one of these, or a run, is whole"},
    {"tokenize", ent_cmd_tokenize, false, "turn text into token ids, or back"},
    {"plan", ent_cmd_plan, true, "tell the memory and time of a training run, before any work"},
    {"bench", ent_cmd_bench, true, "measure tokens/s, the machine's product rate, and where a step's time goes"},
    {"merge", ent_cmd_merge, true, "merge models, or fold an adapter into its model"},
    {"trace", ent_cmd_trace, false,
     "record the system calls of a program; compare, measure and judge what was recorded"},
};

enum { N_COMMANDS = sizeof commands / sizeof *commands };

static void help(FILE *to)
{
    fputs("entrenar fine-tunes Llama-family language models on CPUs, on one machine or under MPI.\n\n"
          "usage: entrenar COMMAND [ARGUMENTS]\n\n",
          to);
    for (int i = 0; i < N_COMMANDS; i++)
        fprintf(to, "  %-10s %s\n", commands[i].name, commands[i].summary);
    fputs("\n`entrenar COMMAND --help` says more. entrenar-train is `entrenar train`.\n", to);
}

/* Threads that wait for each other sleep: by default OpenMP spins, and where a core is shared with another process (too
 * many ranks, another job) a step then takes ten times as long. OpenMP reads the setting when it is loaded, so the
 * program starts itself again with it; what a user has set stays. */
static void wait_passively(char **argv)
{
    if (getenv("OMP_WAIT_POLICY") || getenv("GOMP_SPINCOUNT") || setenv("OMP_WAIT_POLICY", "passive", 1) != 0)
        return;
    execvp(argv[0], argv);
}

int main(int argc, char **argv)
{
    const char *slash = strrchr(argv[0], '/');
    if (strcmp(slash ? slash + 1 : argv[0], "entrenar-train") == 0) {
        wait_passively(argv);
        argv[0] = "train";
        return ent_cmd_train(argc, argv);
    }
    if (argc < 2) {
        help(stderr);
        return ENT_EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        help(stdout);
        return ENT_EXIT_DONE;
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts("entrenar " ENT_VERSION);
        return ENT_EXIT_DONE;
    }
    for (int i = 0; i < N_COMMANDS; i++) {
        if (strcmp(argv[1], commands[i].name) != 0)
            continue;
        if (commands[i].computes)
            wait_passively(argv);
        return commands[i].run(argc - 1, argv + 1);
    }
    fprintf(stderr, "entrenar: unknown command \"%s\"; `entrenar --help` lists them\n", argv[1]);
    return ENT_EXIT_USAGE;
}
