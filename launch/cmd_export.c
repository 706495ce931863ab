/* entrenar export: a model or an adapter for other programs. */
#include <stdio.h>
#include <stdlib.h>

#include "launch/cmd.h"
#include "launch/export.h"
#include "launch/options.h"
#include "launch/placement.h"
#include "launch/signals.h"
#include "src/base/tiles.h"

static const char usage[] =
    "usage: entrenar export --model DIR --adapter DIR|CKPT.h5 --to FORMAT --out PATH [--type TYPE]\n\n"
    "Writes what was trained for other programs. Every export is read back: its logits on 32 fixed tokens are\n"
    "compared with those of model and adapter, and the largest difference is written beside it, with SHA-256 of all\n"
    "files: PATH.proof.json, in a folder proof.json. If they differ by more than the type explains, nothing is\n"
    "written.\n\n";

static const char codes[] = "\nexit codes: 0 done; 1 failed, or stopped by a signal, nothing was written; 2 command "
                            "line, model or adapter are\n"
                            "not as needed\n";

/* As options have them. */
static const char *const formats[] = {[ENT_EXPORT_PEFT] = "peft",
                                      [ENT_EXPORT_SAFETENSORS] = "safetensors",
                                      [ENT_EXPORT_GGUF] = "gguf",
                                      [ENT_EXPORT_GGUF_ADAPTER] = "gguf-adapter"};
static const char *const types[] = {"F32", "F16", "BF16", "Q8_0", "Q5_0", "Q4_1", "Q4_0"};
enum { BF16 = 2 }; /* the last that is no block */

typedef struct arguments {
    ent_export_options options;
    int to, type; /* -1: not said */
    bool help;
} arguments;

#define AT(member) .offset = offsetof(arguments, member)

static const ent_option options[] = {
    {"--model", "DIR", ENT_OPTION_TEXT, AT(options.model), .help = "a Hugging Face model folder"},
    {"--adapter", "A", ENT_OPTION_TEXT, AT(options.adapter),
     .help = "its adapter: a PEFT folder, or a checkpoint, whose metadata stands beside it. With --to gguf\n"
             "it may be left out: the model as it is"},
    {"--to", "FORMAT", ENT_OPTION_CHOICE, AT(to), .words = "peft safetensors gguf gguf-adapter",
     .help = "peft: the adapter as PEFT's folder\n"
             "safetensors: the model with the adapter folded in, as a Hugging Face folder\n"
             "gguf: the same as one GGUF file with its tokenizer, for llama.cpp\n"
             "gguf-adapter: the adapter as a GGUF file, for llama.cpp's --lora"},
    {"--type", "TYPE", ENT_OPTION_CHOICE, AT(type), .words = "f32 f16 bf16 q8_0 q5_0 q4_1 q4_0",
     .help = "gguf, gguf-adapter: f32, f16, bf16, q8_0, q5_0, q4_1 or q4_0; safetensors: f32, f16 or bf16\n"
             "(default: as the model is stored; gguf-adapter: f32). Norms and biases are F32 in GGUF, and\n"
             "matrices whose rows aren't multiples of 32 are F16 with q8_0 to q4_0"},
    {"--out", "PATH", ENT_OPTION_TEXT, AT(options.out),
     .help = "the file or folder to be written; it must not be there yet"},
    {"--help", NULL, ENT_OPTION_FLAG, AT(help), .help = "show this"},
};

enum { N_OPTIONS = sizeof options / sizeof *options };

static ent_status parse(arguments *a, int argc, char **argv)
{
    ent_export_options *o = &a->options;
    ENT_TRY(ent_options_read(a, options, N_OPTIONS, argc, argv));
    if (a->help)
        return ENT_OK;
    if (o->model == NULL || o->out == NULL || a->to < 0)
        return ent_fail(ENT_ECONFIG, "expected --model, --to and --out");
    o->format = (ent_export_format)a->to;
    if (o->adapter == NULL && o->format != ENT_EXPORT_GGUF)
        return ent_fail(ENT_ECONFIG, "--to %s: expected --adapter", formats[a->to]);
    if (a->type < 0)
        return ENT_OK;
    if (o->format == ENT_EXPORT_PEFT)
        return ent_fail(ENT_ECONFIG, "--type: does not act with --to peft, which keeps the adapter's");
    o->type = types[a->type];
    if (o->format == ENT_EXPORT_SAFETENSORS && a->type > BF16)
        return ent_fail(ENT_ECONFIG, "--type: expected f32, f16 or bf16 with --to safetensors, found %s", o->type);
    return ENT_OK;
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
    arguments a = {.to = -1, .type = -1};
    ent_text report = {0};
    char *text = NULL;
    if (parse(&a, argc, argv) != ENT_OK)
        return ent_options_complain("export");
    if (a.help) {
        fputs(usage, stdout);
        ent_options_help(options, N_OPTIONS);
        fputs(codes, stdout);
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
