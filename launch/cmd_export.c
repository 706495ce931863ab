/* entrenar export: a model or an adapter for other programs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "launch/cmd.h"
#include "launch/export.h"
#include "launch/placement.h"
#include "launch/signals.h"
#include "src/base/tiles.h"

static const char usage[] =
    "usage: entrenar export --model DIR --adapter DIR|CKPT.h5 --to FORMAT --out PATH [--type TYPE]\n\n"
    "Writes what was trained for other programs. Every export is read back: its logits on 32 fixed tokens are "
    "compared\n"
    "with those of model and adapter, and the largest difference is written beside it, with SHA-256 of all files:\n"
    "PATH.proof.json, in a folder proof.json. If they differ by more than the type explains, nothing is written.\n\n"
    "  --model DIR     a Hugging Face model folder\n"
    "  --adapter A     its adapter: a PEFT folder, or a checkpoint, whose metadata stands beside it. With --to gguf "
    "it\n"
    "                  may be left out: the model as it is\n"
    "  --to FORMAT\n"
    "      peft          the adapter as PEFT's folder\n"
    "      safetensors   the model with the adapter folded in, as a Hugging Face folder\n"
    "      gguf          the same as one GGUF file with its tokenizer, for llama.cpp\n"
    "      gguf-adapter  the adapter as a GGUF file, for llama.cpp's --lora\n"
    "  --type TYPE     gguf, gguf-adapter: f32, f16, bf16, q8_0, q5_0, q4_1 or q4_0; safetensors: f32, f16 or bf16\n"
    "                  (default: as the model is stored; gguf-adapter: f32). Norms and biases are F32 in GGUF, and\n"
    "                  matrices whose rows aren't multiples of 32 are F16 with q8_0 to q4_0\n"
    "  --out PATH      the file or folder to be written; it must not be there yet\n\n"
    "exit codes: 0 done; 1 failed, or stopped by a signal, nothing was written; 2 command line, model or adapter are\n"
    "not as needed\n";

typedef struct arguments {
    ent_export_options options;
    const char *to, *type;
    bool help;
} arguments;

static ent_status choose_type(arguments *a)
{
    static const struct {
        const char *name, *type;
        bool blocks;
    } types[] = {{"f32", "F32", false},  {"f16", "F16", false},  {"bf16", "BF16", false}, {"q8_0", "Q8_0", true},
                 {"q5_0", "Q5_0", true}, {"q4_1", "Q4_1", true}, {"q4_0", "Q4_0", true}};
    ent_export_options *o = &a->options;
    if (a->type == NULL)
        return ENT_OK;
    if (o->format == ENT_EXPORT_PEFT)
        return ent_fail(ENT_ECONFIG, "--type: does not act with --to peft, which keeps the adapter's");
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (strcmp(a->type, types[i].name) != 0)
            continue;
        if (types[i].blocks && o->format == ENT_EXPORT_SAFETENSORS)
            break;
        o->type = types[i].type;
        return ENT_OK;
    }
    return ent_fail(ENT_ECONFIG, "--type: expected f32, f16%s, found \"%s\"",
                    o->format == ENT_EXPORT_SAFETENSORS ? " or bf16" : ", bf16, q8_0, q5_0, q4_1 or q4_0", a->type);
}

static ent_status choose_format(arguments *a)
{
    static const char *const names[] = {[ENT_EXPORT_PEFT] = "peft",
                                        [ENT_EXPORT_SAFETENSORS] = "safetensors",
                                        [ENT_EXPORT_GGUF] = "gguf",
                                        [ENT_EXPORT_GGUF_ADAPTER] = "gguf-adapter"};
    int i = 0;
    while (i < 4 && strcmp(a->to, names[i]) != 0)
        i++;
    if (i == 4)
        return ent_fail(ENT_ECONFIG, "--to: expected peft, safetensors, gguf or gguf-adapter, found \"%s\"", a->to);
    a->options.format = (ent_export_format)i;
    if (a->options.adapter == NULL && a->options.format != ENT_EXPORT_GGUF)
        return ent_fail(ENT_ECONFIG, "--to %s: expected --adapter", names[i]);
    return choose_type(a);
}

static ent_status parse(arguments *a, int argc, char **argv)
{
    ent_export_options *o = &a->options;
    for (int i = 1; i < argc; i++) {
        const char *key = argv[i];
        const char **text = strcmp(key, "--model") == 0     ? &o->model
                            : strcmp(key, "--adapter") == 0 ? &o->adapter
                            : strcmp(key, "--out") == 0     ? &o->out
                            : strcmp(key, "--to") == 0      ? &a->to
                            : strcmp(key, "--type") == 0    ? &a->type
                                                            : NULL;
        if (strcmp(key, "--help") == 0 || strcmp(key, "-h") == 0) {
            a->help = true;
            return ENT_OK;
        }
        if (text == NULL)
            return ent_fail(ENT_ECONFIG, "unknown option %s", key);
        if (i + 1 == argc)
            return ent_fail(ENT_ECONFIG, "%s: expected a value after it", key);
        if (*text)
            return ent_fail(ENT_ECONFIG, "%s: expected once, found %s and %s", key, *text, argv[i + 1]);
        *text = argv[++i];
    }
    if (o->model == NULL || o->out == NULL || a->to == NULL)
        return ent_fail(ENT_ECONFIG, "expected --model, --to and --out");
    return choose_format(a);
}

static ent_status use_all_cores(void)
{
    ent_comm *comm = NULL;
    ent_placement place;
    ENT_TRY(ent_comm_self(&comm));
    const ent_status st = ent_place(&place, comm, 0);
    ent_comm_free(comm);
    if (st == ENT_OK)
        ent_set_threads(place.threads);
    return st;
}

/* What a person can mend before trying again. */
static bool is_input(ent_status st)
{
    return st == ENT_ECONFIG || st == ENT_EFORMAT || st == ENT_EUNSUPPORTED;
}

int ent_cmd_export(int argc, char **argv)
{
    arguments a = {0};
    ent_text report = {0};
    char *text = NULL;
    if (parse(&a, argc, argv) != ENT_OK) {
        fprintf(stderr, "entrenar: export: %s; `entrenar export --help` says more\n", ent_message());
        return ENT_EXIT_USAGE;
    }
    if (a.help) {
        fputs(usage, stdout);
        return ENT_EXIT_DONE;
    }
    ent_signals_catch();
    ent_status st = use_all_cores();
    if (st == ENT_OK)
        st = ent_export_run(&report, &a.options);
    if (st == ENT_OK)
        st = ent_text_finish(&text, &report);
    if (st == ENT_OK)
        fputs(text, stdout);
    else
        fprintf(stderr, "entrenar: %s\n", ent_message());
    free(report.data);
    free(text);
    return st == ENT_OK ? ENT_EXIT_DONE : is_input(st) ? ENT_EXIT_USAGE : ENT_EXIT_FAILED;
}
