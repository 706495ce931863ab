/* entrenar inspect: what is in a checkpoint, an adapter, a model or a safetensors file. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/text.h"
#include "launch/cmd.h"
#include "launch/inspect.h"

static const char help_text[] =
    "usage: entrenar inspect FILE|DIR [--json]\n"
    "\n"
    "Shows what is in a checkpoint (.h5), a .safetensors file, or the folder of an adapter, a model or a run (its "
    "newest\n"
    "checkpoint): settings, and each tensor with its type, shape, bytes and Euclidean norm. All is read and checked.\n"
    "\n"
    "  --json  write one JSON object\n"
    "  --help  show this\n";

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
            return ent_fail(ENT_EINVAL, "inspect: unknown argument \"%s\"", arg);
        else if (out->path)
            return ent_fail(ENT_EINVAL, "inspect: expected one file or folder, found \"%s\" too", arg);
        else
            out->path = arg;
    }
    if (!out->help && out->path == NULL)
        return ent_fail(ENT_EINVAL, "inspect: expected a file or folder, found none");
    return ENT_OK;
}

/* "1.2 MiB", or whole bytes below a KiB. */
static void put_bytes(ent_text *to, double bytes)
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    size_t unit = 0;
    for (; bytes >= 1024 && unit + 1 < sizeof units / sizeof *units; unit++)
        bytes /= 1024;
    ent_text_printf(to, unit == 0 ? "%.0f %s" : "%.1f %s", bytes, units[unit]);
}

static ent_status put_settings(ent_text *to, const ent_json *settings)
{
    int width = 0;
    for (const ent_json *item = ent_json_first(settings); item; item = ent_json_next(item)) {
        const int n = (int)strlen(ent_json_key(item));
        width = n > width ? n : width;
    }
    for (const ent_json *item = ent_json_first(settings); item; item = ent_json_next(item)) {
        char *value = NULL;
        if (!ent_json_is_string(item))
            ENT_TRY(ent_json_print(&value, item, false));
        ent_text_printf(to, "  %-*s  %s\n", width, ent_json_key(item), value ? value : ent_json_string(item));
        free(value);
    }
    return ENT_OK;
}

static ent_status put_tensors(ent_text *to, const ent_json *tensors)
{
    int width = 6;
    for (const ent_json *t = ent_json_first(tensors); t; t = ent_json_next(t)) {
        const int n = (int)strlen(ent_json_string(ent_json_member(t, "name")));
        width = n > width ? n : width;
    }
    if (ent_json_first(tensors))
        ent_text_printf(to, "\n%-*s  type  %-14s  %12s  %12s\n", width, "tensor", "shape", "bytes", "norm");
    for (const ent_json *t = ent_json_first(tensors); t; t = ent_json_next(t)) {
        const ent_json *norm = ent_json_member(t, "norm");
        char *shape;
        ENT_TRY(ent_json_print(&shape, ent_json_member(t, "shape"), false));
        ent_text_printf(to, "%-*s  %-4s  %-14s  %12.0f  ", width, ent_json_string(ent_json_member(t, "name")),
                        ent_json_string(ent_json_member(t, "dtype")), shape,
                        ent_json_number(ent_json_member(t, "bytes")));
        free(shape);
        if (ent_json_is_null(norm))
            ent_text_printf(to, "%12s\n", "not finite");
        else
            ent_text_printf(to, "%12.6g\n", ent_json_number(norm));
    }
    return ENT_OK;
}

/* *out = the tree as a table for people (caller frees). */
static ent_status make_table(char **out, const ent_json *root)
{
    ent_text text = {0};
    const ent_json *total = ent_json_member(root, "total");
    const double tensors = ent_json_number(ent_json_member(total, "tensors"));
    ent_text_printf(&text, "%s: %s\n", ent_json_string(ent_json_member(root, "path")),
                    ent_json_string(ent_json_member(root, "kind")));
    ent_status st;
    ENT_GO(put_settings(&text, ent_json_member(root, "settings")));
    ENT_GO(put_tensors(&text, ent_json_member(root, "tensors")));
    ent_text_printf(&text, "\n%.0f tensor%s, %.0f numbers, ", tensors, tensors == 1 ? "" : "s",
                    ent_json_number(ent_json_member(total, "numbers")));
    put_bytes(&text, ent_json_number(ent_json_member(total, "bytes")));
    ent_text_put(&text, "\n");
    return ent_text_finish(out, &text);
done:
    free(text.data);
    return st;
}

static ent_status inspect(const options *o)
{
    ent_json *root = NULL;
    char *text = NULL;
    ent_status st;
    ENT_GO(ent_inspect(&root, o->path));
    ENT_GO(o->json ? ent_json_print(&text, root, true) : make_table(&text, root));
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
    if (read_options(&o, argc, argv) != ENT_OK) {
        fprintf(stderr, "entrenar: %s; `entrenar inspect --help` says more\n", ent_message());
        return ENT_EXIT_USAGE;
    }
    if (o.help) {
        fputs(help_text, stdout);
        return ENT_EXIT_DONE;
    }
    if (inspect(&o) != ENT_OK) {
        fprintf(stderr, "entrenar: %s\n", ent_message());
        return ENT_EXIT_FAILED;
    }
    return ENT_EXIT_DONE;
}
