/* entrenar inspect: what is in a checkpoint, an adapter, a model or a safetensors file, and what differs. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "launch/cmd.h"
#include "launch/inspect.h"

static const char help_text[] =
    "usage: entrenar inspect FILE|DIR [--tensor NAME] [--json]\n"
    "       entrenar inspect --diff A B [--json]\n"
    "\n"
    "Shows what is in a checkpoint (.h5), a .safetensors or GGUF file, or the folder of an adapter, a model or a run "
    "(its "
    "newest\n"
    "checkpoint): settings, and each tensor with its type, shape, bytes and Euclidean norm. All is read and checked, "
    "a\n"
    "stretch at a time: files may be larger than the memory.\n"
    "\n"
    "  --tensor NAME  one tensor: how many zeros, NaN and infinities; min, max, mean, deviation, norm, quantiles and "
    "a\n"
    "                 histogram of its finite numbers. Of a checkpoint a parameter's name will do\n"
    "  --diff         which settings and tensors of A and B differ: how many numbers, the largest difference |a - b|,\n"
    "                 and the largest relative to the larger of both; and what is in one of them alone.\n"
    "                 GGUF of a model is compared with safetensors under the names, and in the order of rows, of "
    "these\n"
    "  --json         write one JSON object\n"
    "  --help         show this\n"
    "\n"
    "Exit codes: 0 done, 1 failed, 2 usage; with --diff 0 equal, 1 different, 2 usage or failed.\n";

typedef struct options {
    const char *paths[2], *tensor;
    int n_paths;
    bool json, diff, help;
} options;

static ent_status read_options(options *out, int argc, char **argv)
{
    *out = (options){0};
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i];
        if (strcmp(arg, "--json") == 0) {
            out->json = true;
        } else if (strcmp(arg, "--diff") == 0) {
            out->diff = true;
        } else if (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0) {
            out->help = true;
        } else if (strcmp(arg, "--tensor") == 0) {
            if (++i == argc || *argv[i] == '\0')
                return ent_fail(ENT_EINVAL, "inspect: --tensor: expected a name, found none");
            out->tensor = argv[i];
        } else if (*arg == '-' || *arg == '\0') {
            return ent_fail(ENT_EINVAL, "inspect: unknown argument \"%s\"", arg);
        } else if (out->n_paths == 2) {
            return ent_fail(ENT_EINVAL, "inspect: expected at most two files or folders, found \"%s\" too", arg);
        } else {
            out->paths[out->n_paths++] = arg;
        }
    }
    if (out->help)
        return ENT_OK;
    if (out->diff && out->tensor)
        return ent_fail(ENT_EINVAL, "inspect: --tensor can't be combined with --diff");
    if (out->n_paths == 0)
        return ent_fail(ENT_EINVAL, "inspect: expected a file or folder, found none");
    if (out->diff && out->n_paths != 2)
        return ent_fail(ENT_EINVAL, "inspect: --diff: expected two files or folders, found one");
    if (!out->diff && out->n_paths == 2)
        return ent_fail(ENT_EINVAL, "inspect: expected one file or folder, found \"%s\" too", out->paths[1]);
    return ENT_OK;
}

static ent_status inspect(bool *differ, const options *o)
{
    ent_json *root = NULL;
    char *text = NULL;
    ent_status st;
    *differ = false;
    if (o->diff)
        ENT_GO(ent_inspect_diff(&root, differ, o->paths[0], o->paths[1]));
    else if (o->tensor)
        ENT_GO(ent_inspect_tensor(&root, o->paths[0], o->tensor));
    else
        ENT_GO(ent_inspect(&root, o->paths[0]));
    if (o->json)
        ENT_GO(ent_json_print(&text, root, true));
    else if (o->diff)
        ENT_GO(ent_inspect_diff_text(&text, root));
    else
        ENT_GO(o->tensor ? ent_inspect_tensor_text(&text, root) : ent_inspect_text(&text, root));
    if (fputs(text, stdout) == EOF || fflush(stdout) != 0)
        st = ent_fail(ENT_EIO, "standard output: %s", strerror(errno));
done:
    free(text);
    ent_json_free(root);
    return st;
}

int ent_cmd_inspect(int argc, char **argv)
{
    options o;
    bool differ;
    if (read_options(&o, argc, argv) != ENT_OK) {
        fprintf(stderr, "entrenar: %s; `entrenar inspect --help` says more\n", ent_message());
        return ENT_EXIT_USAGE;
    }
    if (o.help) {
        fputs(help_text, stdout);
        return ENT_EXIT_DONE;
    }
    if (inspect(&differ, &o) != ENT_OK) {
        fprintf(stderr, "entrenar: %s\n", ent_message());
        return o.diff ? ENT_EXIT_USAGE : ENT_EXIT_FAILED;
    }
    return differ ? ENT_EXIT_FAILED : ENT_EXIT_DONE;
}
