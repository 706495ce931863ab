/* entrenar verify: whether a file or folder is whole. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/json.h"
#include "launch/cmd.h"
#include "launch/verify.h"

static const char help_text[] =
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
    "               step these are the checkpoint's, bit for bit. Its cache is not looked at\n"
    "\n"
    "  --json  write one JSON object: path, good, faults: [messages], checked: [what holds]\n"
    "  --help  show this\n"
    "\n"
    "Exit codes: 0 all holds, 1 something does not, 2 usage.\n";

typedef struct options {
    const char *path;
    bool json, help;
} options;

static ent_status read_options(options *out, int argc, char **argv)
{
    *out = (options){0};
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i];
        if (strcmp(arg, "--json") == 0)
            out->json = true;
        else if (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0)
            out->help = true;
        else if (*arg == '-' || *arg == '\0')
            return ent_fail(ENT_EINVAL, "verify: unknown argument \"%s\"", arg);
        else if (out->path)
            return ent_fail(ENT_EINVAL, "verify: expected one file or folder, found \"%s\" too", arg);
        else
            out->path = arg;
    }
    if (!out->help && out->path == NULL)
        return ent_fail(ENT_EINVAL, "verify: expected a file or folder, found none");
    return ENT_OK;
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
    char *text = NULL;
    ent_status st;
    ent_json_add_string(root, "path", path);
    const lists l = {ent_json_add_array(root, "faults"), ent_json_add_array(root, "checked")};
    if (ent_verify(faults, path, collect, (void *)&l) != ENT_OK) {
        ent_json_add_string(l.faults, NULL, ent_message());
        ++*faults;
    }
    ent_json_add_bool(root, "good", *faults == 0);
    ENT_GO(ent_json_print(&text, root, true));
    fputs(text, stdout);
done:
    free(text);
    ent_json_free(root);
    return st;
}

static ent_status verify(size_t *faults, const options *o)
{
    if (o->json)
        ENT_TRY(verify_json(faults, o->path));
    else
        ENT_TRY(ent_verify(faults, o->path, tell, NULL));
    return fflush(stdout) == 0 && !ferror(stdout) ? ENT_OK : ent_fail(ENT_EIO, "standard output: %s", strerror(errno));
}

int ent_cmd_verify(int argc, char **argv)
{
    options o;
    size_t faults;
    if (read_options(&o, argc, argv) != ENT_OK) {
        fprintf(stderr, "entrenar: %s; `entrenar verify --help` says more\n", ent_message());
        return ENT_EXIT_USAGE;
    }
    if (o.help) {
        fputs(help_text, stdout);
        return ENT_EXIT_DONE;
    }
    if (verify(&faults, &o) != ENT_OK) {
        fprintf(stderr, "entrenar: %s\n", ent_message());
        return ENT_EXIT_FAILED;
    }
    return faults ? ENT_EXIT_FAILED : ENT_EXIT_DONE;
}
