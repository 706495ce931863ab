/* entrenar verify: whether a file or folder is whole. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/json.h"
#include "launch/cmd.h"
#include "launch/options.h"
#include "launch/report.h"
#include "launch/verify.h"

static const char usage[] =
    "usage: entrenar verify FILE|DIR [--json]\n"
    "\n"
    "Checks all that can be checked of a checkpoint (.h5), a .safetensors or GGUF file, or the folder of an adapter, a "
    "model, "
    "a\n"
    "run or its checkpoints, and tells each thing that holds in a line; faults, with file and tensor, go to stderr.\n"
    "\n"
    "  checkpoint   digests of the metadata, of the file and of each tensor; checksums; state and shapes as the "
    "metadata\n"
    "               says; numbers finite, second moments not below 0\n"
    "  safetensors  header, types, offsets without overlap or gap; numbers finite. It has no digest: a changed number\n"
    "               that is finite isn't seen\n"
    "  adapter      also that names and shapes are those its settings ask for\n"
    "  model        also config.json, the index against the files, names and shapes, the tokenizer and its ids\n"
    "  gguf         header, keys, types, places; numbers finite; of a llama, qwen2 or qwen3 also names and shapes "
    "against\n"
    "               its keys, and the number of tokens; the digest in PATH.proof.json, where entrenar export left it\n"
    "  run          config.yaml, all checkpoints, latest, steps of metrics.jsonl, adapters and models: after the last\n"
    "               step these are the checkpoint's, bit for bit. Its cache is not looked at\n\n";

static const char codes[] = "\nexit codes: 0 all holds, 1 something does not, 2 usage\n";

typedef struct arguments {
    const char *path;
    bool json, help;
} arguments;

#define AT(member) .offset = offsetof(arguments, member)

static const ent_option options[] = {
    {"FILE|DIR", NULL, ENT_OPTION_TEXT, AT(path)},
    {"--json", NULL, ENT_OPTION_FLAG, AT(json),
     .help = "write one JSON object: path, good, faults: [messages], checked: [what holds]"},
    {"--help", NULL, ENT_OPTION_FLAG, AT(help), .help = "show this"},
};

enum { N_OPTIONS = sizeof options / sizeof *options };

static ent_status parse(arguments *a, int argc, char **argv)
{
    ENT_TRY(ent_options_read(a, options, N_OPTIONS, argc, argv));
    return a->help || a->path ? ENT_OK : ent_fail(ENT_ECONFIG, "expected a file or folder, found none");
}

/* As it is found, for people. */
static void tell(void *context, bool good, const char *line)
{
    (void)context;
    if (good) {
        printf("ok  %s\n", line);
        fflush(stdout);
    } else {
        fprintf(stderr, "entrenar: %s\n", line);
    }
}

typedef struct lists {
    ent_json *faults, *checked;
} lists;

static void collect(void *context, bool good, const char *line)
{
    const lists *l = context;
    ent_json_add_string(good ? l->checked : l->faults, NULL, line);
}

static ent_status verify_json(size_t *faults, const char *path)
{
    ent_json *root = ent_json_new_object();
    ent_json_add_string(root, "path", path);
    const lists l = {ent_json_add_array(root, "faults"), ent_json_add_array(root, "checked")};
    if (ent_verify(faults, path, collect, (void *)&l) != ENT_OK) {
        ent_json_add_string(l.faults, NULL, ent_message());
        ++*faults;
    }
    ent_json_add_bool(root, "good", *faults == 0);
    return ent_report_json(root);
}

static ent_status verify(size_t *faults, const arguments *a)
{
    if (a->json)
        ENT_TRY(verify_json(faults, a->path));
    else
        ENT_TRY(ent_verify(faults, a->path, tell, NULL));
    return fflush(stdout) == 0 && !ferror(stdout) ? ENT_OK : ent_fail(ENT_EIO, "standard output: %s", strerror(errno));
}

int ent_cmd_verify(int argc, char **argv)
{
    arguments a = {0};
    size_t faults;
    if (parse(&a, argc, argv) != ENT_OK)
        return ent_options_complain("verify");
    if (a.help) {
        fputs(usage, stdout);
        ent_options_help(options, N_OPTIONS);
        fputs(codes, stdout);
        return ENT_EXIT_DONE;
    }
    if (verify(&faults, &a) != ENT_OK) {
        fprintf(stderr, "entrenar: %s\n", ent_message());
        return ENT_EXIT_FAILED;
    }
    return faults ? ENT_EXIT_FAILED : ENT_EXIT_DONE;
}
