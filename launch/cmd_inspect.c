/* entrenar inspect: what is in a checkpoint, an adapter, a model or a safetensors file, and what differs. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "launch/cmd.h"
#include "launch/inspect.h"
#include "launch/options.h"
#include "launch/report.h"

static const char usage[] =
    "usage: entrenar inspect FILE|DIR [--tensor NAME] [--json]\n"
    "       entrenar inspect --diff A B [--json]\n\n"
    "Shows what is in a checkpoint (.h5), a .safetensors or GGUF file, or the folder of an adapter, a model or a run\n"
    "(its newest checkpoint): settings, and each tensor with its type, shape, bytes and Euclidean norm. All is read\n"
    "and checked, a stretch at a time: files may be larger than the memory.\n\n";

static const char codes[] =
    "\nexit codes: 0 done, 1 failed, 2 usage; with --diff 0 equal, 1 different, 2 usage or failed\n";

typedef struct arguments {
    ent_option_texts paths;
    const char *tensor;
    bool json, diff, help;
} arguments;

#define AT(member) .offset = offsetof(arguments, member)

static const ent_option options[] = {
    {"FILE|DIR", NULL, ENT_OPTION_TEXTS, AT(paths)},
    {"--tensor", "NAME", ENT_OPTION_TEXT, AT(tensor),
     .help = "one tensor: how many zeros, NaN and infinities; min, max, mean, deviation, norm, quantiles and\n"
             "a histogram of its finite numbers. Of a checkpoint a parameter's name will do"},
    {"--diff", NULL, ENT_OPTION_FLAG, AT(diff),
     .help = "which settings and tensors of A and B differ: how many numbers, the largest difference |a - b|,\n"
             "and the largest relative to the larger of both; and what is in one of them alone. GGUF of a\n"
             "model is compared with safetensors under the names, and in the order of rows, of these"},
    {"--json", NULL, ENT_OPTION_FLAG, AT(json), .help = "write one JSON object"},
    {"--help", NULL, ENT_OPTION_FLAG, AT(help), .help = "show this"},
};

enum { N_OPTIONS = sizeof options / sizeof *options };

static ent_status parse(arguments *a, int argc, char **argv)
{
    ENT_TRY(ent_options_read(a, options, N_OPTIONS, argc, argv));
    const size_t found = a->paths.count, expected = a->diff ? 2 : 1;
    if (a->help)
        return ENT_OK;
    if (a->diff && a->tensor)
        return ent_fail(ENT_ECONFIG, "--tensor can't be combined with --diff");
    if (found > expected)
        return ent_fail(ENT_ECONFIG, "expected %s, found \"%s\" too",
                        a->diff ? "two files or folders" : "one file or folder", a->paths.items[expected]);
    if (found < expected)
        return ent_fail(ENT_ECONFIG,
                        a->diff ? "--diff: expected two files or folders, found %s"
                                : "expected a file or folder, found %s",
                        found ? "one" : "none");
    return ENT_OK;
}

static ent_status inspect(bool *differ, const arguments *a)
{
    ent_json *root = NULL;
    char *text = NULL;
    ent_status st;
    *differ = false;
    if (a->diff)
        ENT_GO(ent_inspect_diff(&root, differ, a->paths.items[0], a->paths.items[1]));
    else if (a->tensor)
        ENT_GO(ent_inspect_tensor(&root, a->paths.items[0], a->tensor));
    else
        ENT_GO(ent_inspect(&root, a->paths.items[0]));
    if (a->json) {
        st = ent_report_json(root);
        root = NULL;
        goto done;
    }
    if (a->diff)
        ENT_GO(ent_inspect_diff_text(&text, root));
    else
        ENT_GO(a->tensor ? ent_inspect_tensor_text(&text, root) : ent_inspect_text(&text, root));
    if (fputs(text, stdout) == EOF || fflush(stdout) != 0)
        st = ent_fail(ENT_EIO, "standard output: %s", strerror(errno));
done:
    free(text);
    ent_json_free(root);
    return st;
}

int ent_cmd_inspect(int argc, char **argv)
{
    arguments a = {0};
    bool differ = false;
    int code = ENT_EXIT_DONE;
    if (parse(&a, argc, argv) != ENT_OK) {
        code = ent_options_complain("inspect");
    } else if (a.help) {
        fputs(usage, stdout);
        ent_options_help(options, N_OPTIONS);
        fputs(codes, stdout);
    } else if (inspect(&differ, &a) != ENT_OK) {
        fprintf(stderr, "entrenar: %s\n", ent_message());
        code = a.diff ? ENT_EXIT_USAGE : ENT_EXIT_FAILED;
    } else if (differ) {
        code = ENT_EXIT_FAILED;
    }
    free(a.paths.items);
    return code;
}
