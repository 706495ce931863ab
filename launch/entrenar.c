/* The program: `entrenar COMMAND …`, and `entrenar-train …`, which is `entrenar train …`. */
#include <sched.h>
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
    {"generate", ent_cmd_generate, true, "continue a prompt, answer in a chat"},
    {"eval", ent_cmd_eval, true, "measure loss and perplexity on data, or accuracy of choosing among completions"},
    {"inspect", ent_cmd_inspect, false,
     "show what is in a checkpoint, an adapter, a model, a safetensors or GGUF file, or what differs"},
    {"verify", ent_cmd_verify, false, "check that one of these, or a run, is whole"},
    {"tokenize", ent_cmd_tokenize, false, "turn text into token ids, or back"},
    {"data", ent_cmd_data, false, "show tokens and targets of the data, and what is wrong with it, before a run"},
    {"plan", ent_cmd_plan, true, "tell the memory and time of a training run, before any work"},
    {"bench", ent_cmd_bench, true, "measure tokens/s, the machine's product rate, and where a step's time goes"},
    {"merge", ent_cmd_merge, true, "merge models, or fold an adapter into its model"},
    {"export", ent_cmd_export, true, "write a model or an adapter for other programs: PEFT, safetensors, GGUF"},
    {"quantize", ent_cmd_quantize, true, "write a model in 8 or 4 bits, and tell what it costs"},
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

/* Whether ranks of this machine have to share cores, as far as that is known before they meet. */
static bool ranks_share_cores(void)
{
    static const char *const names[] = {"OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS", "SLURM_STEP_TASKS_PER_NODE"};
    long ranks = 1;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *text = getenv(names[i]);
        if (text && strtol(text, NULL, 10) > ranks)
            ranks = strtol(text, NULL, 10);
    }
    cpu_set_t mine;
    if (sched_getaffinity(0, sizeof mine, &mine) != 0)
        return true;
    return ranks * CPU_COUNT(&mine) > sysconf(_SC_NPROCESSORS_ONLN);
}

/* Threads that wait for each other spin for about a millisecond, then sleep: to wake one takes long, above all in a
 * virtual machine. Where ranks share cores they sleep at once, or a step would take ten times as long. OpenMP reads the
 * setting when it is loaded, so the program starts itself again with it; what a user has set stays. */
static void set_waiting(char **argv)
{
    if (getenv("OMP_WAIT_POLICY") || getenv("GOMP_SPINCOUNT"))
        return;
    if ((ranks_share_cores() ? setenv("OMP_WAIT_POLICY", "passive", 1) : setenv("GOMP_SPINCOUNT", "100000", 1)) == 0)
        execvp(argv[0], argv);
}

int main(int argc, char **argv)
{
    const char *slash = strrchr(argv[0], '/');
    if (strcmp(slash ? slash + 1 : argv[0], "entrenar-train") == 0) {
        set_waiting(argv);
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
            set_waiting(argv);
        return commands[i].run(argc - 1, argv + 1);
    }
    fprintf(stderr, "entrenar: unknown command \"%s\"; `entrenar --help` lists them\n", argv[1]);
    return ENT_EXIT_USAGE;
}
