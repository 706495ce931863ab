/* entrenar train: reads the command line, opens the communicator, runs, and tells a failure once. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "launch/cmd.h"
#include "launch/comm_open.h"
#include "launch/run.h"
#include "launch/signals.h"

typedef struct arguments {
    const char *config;
    const char **sets;
    size_t n_sets;
    ent_run_options run;
    bool help;
} arguments;

static int help(void)
{
    char *keys;
    if (ent_config_help(&keys) != ENT_OK) {
        fprintf(stderr, "entrenar: %s\n", ent_message());
        return ENT_EXIT_FAILED;
    }
    printf(
        "usage: entrenar-train CONFIG [--set KEY=VALUE]... [--resume | --overwrite] [--dry-run] [--quiet]\n"
        "       [--trace FILE]\n\n"
        "Fine-tunes a model as CONFIG (YAML) says. Under mpirun, the ranks share the work; the result has the same "
        "bits\n"
        "for any number of ranks and threads.\n\n"
        "  --set KEY=VALUE  sets a key of the config; KEY= takes it back\n"
        "  --resume         goes on from the newest checkpoint in training.output_dir\n"
        "  --overwrite      replaces the run in training.output_dir\n"
        "  --dry-run        checks config, model and data, says what would be done, writes nothing\n"
        "  --quiet          no progress on the terminal\n"
        "  --trace FILE     writes the loss, gradient norm and rate of each step exactly, and a hash of the "
        "parameters,\n"
        "                   when the run has ended, instead of what stood in FILE; with --resume, the steps from there "
        "on.\n"
        "                   `entrenar trace compare` compares two of them\n\n"
        "exit codes: 0 done; 1 failed; 2 command line, config, model or data are not as needed, nothing was begun;\n"
        "75 stopped by SIGUSR1, SIGTERM or SIGINT after saving (run it again with --resume; a second SIGINT ends at\n"
        "once, unsaved)\n\n"
        "Keys of the config:\n\n%s",
        keys);
    free(keys);
    return ENT_EXIT_DONE;
}

/* Fills *a; a message in *wrong if the command line is. */
static void parse(arguments *a, char wrong[256], int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--set") == 0 && i + 1 < argc)
            a->sets[a->n_sets++] = argv[++i];
        else if (strncmp(argv[i], "--set=", 6) == 0)
            a->sets[a->n_sets++] = argv[i] + 6;
        else if (strcmp(argv[i], "--resume") == 0)
            a->run.resume = true;
        else if (strcmp(argv[i], "--overwrite") == 0)
            a->run.overwrite = true;
        else if (strcmp(argv[i], "--dry-run") == 0)
            a->run.dry_run = true;
        else if (strcmp(argv[i], "--quiet") == 0)
            a->run.quiet = true;
        else if (strcmp(argv[i], "--trace") == 0 && i + 1 < argc)
            a->run.trace = argv[++i];
        else if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            a->help = true;
        else if (strcmp(argv[i], "--set") == 0)
            snprintf(wrong, 256, "--set: expected KEY=VALUE after it");
        else if (strcmp(argv[i], "--trace") == 0)
            snprintf(wrong, 256, "--trace: expected a file after it");
        else if (argv[i][0] == '-')
            snprintf(wrong, 256, "unknown option %s", argv[i]);
        else if (a->config)
            snprintf(wrong, 256, "one config is expected, found %s and %s", a->config, argv[i]);
        else
            a->config = argv[i];
    }
    if (!a->config && !*wrong)
        snprintf(wrong, 256, "expected a config");
    if (a->run.resume && a->run.overwrite)
        snprintf(wrong, 256, "--resume and --overwrite exclude each other");
}

static void say_where(const ent_run *run)
{
    const char *dir = run->config->training.output_dir;
    const char *kind = run->model.lora.r ? "adapter" : "model";
    printf(
        "done    %s    %s/%s\n        checkpoint %s/checkpoints/step-%08lld.h5\n        metrics    %s/metrics.jsonl\n",
        kind, dir, kind, dir, (long long)run->at.done, dir);
}

/* What another try would not mend. A file system that fails for a while may have held the checkpoint that was there. */
static int code_before_begin(ent_status st, bool resume)
{
    return st == ENT_ECOMM || st == ENT_ENOMEM || (st == ENT_EIO && resume) ? ENT_EXIT_FAILED : ENT_EXIT_USAGE;
}

static int train(const ent_config *config, ent_comm *comm, const ent_run_options *options)
{
    ent_run run;
    ent_status st;
    int failed = ENT_EXIT_FAILED;
    ent_signals_catch();
    st = ent_run_open(&run, config, comm, options);
    if (st != ENT_OK)
        failed = code_before_begin(st, options->resume);
    if (st != ENT_OK || options->dry_run)
        goto done;
    ENT_GO(ent_run_train(&run));
    if (run.speaks)
        say_where(&run);
done:
    if (st == ENT_ECOMM) { /* the others can't be reached: say why and end them; what MPI may still use stays */
        fprintf(stderr, "entrenar: %s\n", ent_message());
        comm->abort(comm, ENT_EXIT_FAILED);
    }
    if (st != ENT_OK && comm->rank == 0)
        fprintf(stderr, "entrenar: %s\n", ent_message());
    ent_run_close(&run);
    return st == ENT_OK ? ENT_EXIT_DONE : st == ENT_ESTOPPED ? ENT_EXIT_STOPPED : failed;
}

static int run_all(const arguments *a)
{
    static const char *const comms[] = {"auto", "self", "mpi"};
    ent_config *config = NULL;
    ent_comm *comm = NULL;
    ent_status st = ent_config_load(&config, a->config, a->sets, a->n_sets);
    if (st == ENT_OK)
        st = ent_comm_open(&comm, comms[config->distributed.comm], config->distributed.timeout);
    if (st != ENT_OK) { /* under a launcher all ranks agree on the failure all the same, so that one of them tells it */
        char message[1024];
        const ent_status failed = st;
        snprintf(message, sizeof message, "%s", ent_message());
        if (ent_comm_open(&comm, "auto", 60) != ENT_OK)
            comm = NULL;
        st = ent_fail(failed, "%s", message);
    }
    const bool tells = comm == NULL || comm->rank == 0;
    if (comm)
        st = ent_comm_agree(comm, st);
    int code;
    if (st == ENT_OK)
        code = train(config, comm, &a->run);
    else
        code = code_before_begin(st, a->run.resume);
    if (st != ENT_OK && tells)
        fprintf(stderr, "entrenar: %s\n", ent_message());
    ent_comm_free(comm);
    ent_config_free(config);
    return code;
}

int ent_cmd_train(int argc, char **argv)
{
    arguments a = {0};
    char wrong[256] = "";
    a.sets = calloc((size_t)argc, sizeof *a.sets);
    if (a.sets == NULL)
        return ENT_EXIT_FAILED;
    parse(&a, wrong, argc, argv);
    int code;
    if (a.help) {
        code = help();
    } else if (*wrong) {
        fprintf(stderr, "entrenar: %s; `entrenar-train --help` says more\n", wrong);
        code = ENT_EXIT_USAGE;
    } else {
        code = run_all(&a);
    }
    free(a.sets);
    return code;
}
