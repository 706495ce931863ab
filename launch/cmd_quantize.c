/* entrenar quantize: a model in fewer bits, and what that costs. */
#include <stdio.h>
#include <string.h>

#include "launch/cmd.h"
#include "launch/options.h"
#include "launch/placement.h"
#include "launch/quantize.h"
#include "launch/report.h"
#include "launch/signals.h"
#include "src/base/elementary.h"
#include "src/base/tiles.h"

static const char usage[] =
    "usage: entrenar quantize --model DIR --format FORMAT --out PATH [--data FILE] [OPTIONS]\n\n"
    "Writes a trained model in fewer bits. What was written is read back, and compared with the model: for each "
    "tensor\n"
    "the relative error, root of the mean squares, and that of its worst row; bytes; with --data the perplexity "
    "before\n"
    "and after. int8 and nf4 quantise the weights of the projections, and leave embeddings, norms and lm_head as they\n"
    "are.\n\n";

static const char codes[] = "\nexit codes: 0 done; 1 failed, or stopped by a signal, nothing was written; 2 command "
                            "line, model or data are\n"
                            "not as needed\n";

/* As options have them; those from GGUF_FORMATS on are GGUF's types. */
enum { INT8, NF4, GGUF_FORMATS };
static const char format_words[] = "int8 nf4 q8_0 q5_0 q4_1 q4_0 f16 bf16";
static const char *const format_names[] = {"int8", "nf4", "Q8_0", "Q5_0", "Q4_1", "Q4_0", "F16", "BF16"};
static const char *const observers[] = {
    [ENT_PTQ_MIN_MAX] = "min-max", [ENT_PTQ_PERCENTILE] = "percentile", [ENT_PTQ_MOVING_AVERAGE] = "moving-average"};
static const char *const strategies[] = {
    [ENT_PTQ_TENSOR] = "tensor", [ENT_PTQ_CHANNEL] = "channel", [ENT_PTQ_GROUP] = "group"};

typedef struct arguments {
    ent_quantize_options options;
    int format, observer, per, activations; /* -1: not said */
    double percentile;                      /* 0: not said */
    int64_t group_size, threads;
    bool asymmetric, json, help;
} arguments;

#define AT(member) .offset = offsetof(arguments, member)

static const ent_option options[] = {
    {"--model", "DIR", ENT_OPTION_TEXT, AT(options.model), .help = "a Hugging Face model folder"},
    {"--format", "FORMAT", ENT_OPTION_CHOICE, AT(format), .words = format_words,
     .help = "int8: a model folder as llm-compressor writes it (compressed-tensors, int-quantized)\n"
             "nf4: a model folder as bitsandbytes writes it (4 bits, double quantisation)\n"
             "q8_0, q5_0, q4_1, q4_0, f16, bf16: a GGUF file, as entrenar export --to gguf writes it"},
    {"--out", "PATH", ENT_OPTION_TEXT, AT(options.out),
     .help = "the folder or file to be written; it must not be there yet"},
    {"--observer", "O", ENT_OPTION_CHOICE, AT(observer), .words = "min-max percentile moving-average",
     .help = "int8, how the range of weights is found. min-max: the largest and smallest (default);\n"
             "percentile: most of them, the rest is clipped. moving-average is of --activations alone"},
    {"--percentile", "P", ENT_OPTION_NUMBER, AT(percentile), .low = 50, .high = 100, .low_open = true,
     .help = "of the sizes of numbers, of asymmetric ones from 100 - P on (default 99.9)"},
    {"--per", "PIECE", ENT_OPTION_CHOICE, AT(per), .words = "tensor channel group",
     .help = "int8, what has one scale: the tensor, each of its rows (default), or groups of columns"},
    {"--group-size", "N", ENT_OPTION_INT, AT(group_size), .low = 1, .high = 1 << 20,
     .help = "columns of a group: a divisor of every projection's (default 128)"},
    {"--asymmetric", NULL, ENT_OPTION_FLAG, AT(asymmetric),
     .help = "int8 with zero points: the range need not be symmetric"},
    {"--activations", "O", ENT_OPTION_CHOICE, AT(activations), .words = "min-max percentile moving-average",
     .help = "int8: products get their input in 8 bits, too, with one scale for all of it, from the range that\n"
             "O finds over the first units of the data: their largest and smallest; the mean of their\n"
             "percentiles; or a moving average of their ends"},
    {"--averaging", "C", ENT_OPTION_NUMBER, AT(options.inputs.averaging), .low = 0, .high = 1, .low_open = true,
     .help = "how far a unit moves the average (default 0.01, PyTorch's)"},
    {"--calibration-units", "N", ENT_OPTION_INT, AT(options.inputs.units), .low = 1, .high = 1 << 20,
     .help = "units that are looked at (default 16)"},
    {"--asymmetric-activations", NULL, ENT_OPTION_FLAG, AT(options.inputs.asymmetric), .help = "with zero points"},
    ENT_EVAL_DATA_OPTIONS(arguments, options.eval, "JSONL as for training: its perplexity before and after"),
    {"--threads", "N", ENT_OPTION_INT, AT(threads), .low = 1, .high = 1024, .words = "auto",
     .help = "auto: the cores it may use (default auto)"},
    {"--json", NULL, ENT_OPTION_FLAG, AT(json), .help = "all numbers, as JSON"},
    {"--help", NULL, ENT_OPTION_FLAG, AT(help), .help = "show this"},
};

enum { N_OPTIONS = sizeof options / sizeof *options };

/* What acts on static activations. */
static ent_status parse_inputs(arguments *a)
{
    ent_quantize_inputs *in = &a->options.inputs;
    const char *only = in->averaging > 0 ? "--averaging"
                       : in->units       ? "--calibration-units"
                       : in->asymmetric  ? "--asymmetric-activations"
                                         : NULL;
    in->on = a->activations >= 0;
    if (!in->on)
        return only ? ent_fail(ENT_ECONFIG, "%s acts only with --activations", only) : ENT_OK;
    if (a->options.eval.data == NULL)
        return ent_fail(ENT_ECONFIG, "--activations: expected --data, whose first units tell their ranges");
    in->observer = (ent_ptq_observer)a->activations;
    if (in->averaging > 0 && in->observer != ENT_PTQ_MOVING_AVERAGE)
        return ent_fail(ENT_ECONFIG, "--averaging acts only with --activations moving-average");
    in->averaging = in->averaging > 0 ? in->averaging : 0.01;
    in->percentile = a->percentile > 0 ? a->percentile : 99.9;
    in->units = in->units ? in->units : 16;
    return ENT_OK;
}

/* What acts on the ranges of int8. */
static ent_status parse_int8(arguments *a)
{
    ent_ptq *how = &a->options.how;
    const char *only = a->observer >= 0      ? "--observer"
                       : a->percentile > 0   ? "--percentile"
                       : a->per >= 0         ? "--per"
                       : a->group_size       ? "--group-size"
                       : a->activations >= 0 ? "--activations"
                       : a->asymmetric       ? "--asymmetric"
                                             : NULL;
    if (a->format != INT8)
        return only ? ent_fail(ENT_ECONFIG, "%s acts only with --format int8", only) : ENT_OK;
    *how = (ent_ptq){.observer = a->observer < 0 ? ENT_PTQ_MIN_MAX : (ent_ptq_observer)a->observer,
                     .percentile = a->percentile > 0 ? a->percentile : 99.9,
                     .per = a->per < 0 ? ENT_PTQ_CHANNEL : (ent_ptq_per)a->per,
                     .group_size = a->group_size ? (size_t)a->group_size : 128,
                     .asymmetric = a->asymmetric};
    if (how->observer == ENT_PTQ_MOVING_AVERAGE)
        return ent_fail(ENT_ECONFIG,
                        "--observer moving-average: it is of batches that come one after the other, a "
                        "weight is there as a whole: expected min-max or percentile, or --activations moving-average");
    if (a->percentile > 0 && how->observer != ENT_PTQ_PERCENTILE && a->activations != ENT_PTQ_PERCENTILE)
        return ent_fail(ENT_ECONFIG, "--percentile acts only with --observer or --activations percentile");
    if (a->group_size && how->per != ENT_PTQ_GROUP)
        return ent_fail(ENT_ECONFIG, "--group-size acts only with --per group");
    return parse_inputs(a);
}

static ent_status parse(arguments *a, int argc, char **argv)
{
    ent_quantize_options *o = &a->options;
    ENT_TRY(ent_options_read(a, options, N_OPTIONS, argc, argv));
    if (a->help)
        return ENT_OK;
    if (o->model == NULL || o->out == NULL || a->format < 0)
        return ent_fail(ENT_ECONFIG, "expected --model, --format and --out");
    o->kind = a->format == INT8 ? ENT_QUANTIZED_INT8 : a->format == NF4 ? ENT_QUANTIZED_NF4 : ENT_QUANTIZED_NOT;
    o->type = a->format >= GGUF_FORMATS ? format_names[a->format] : NULL;
    const char *only = ent_eval_only_with_data(&o->eval);
    if (o->eval.data == NULL && only)
        return ent_fail(ENT_ECONFIG, "%s acts only with --data", only);
    return parse_int8(a);
}

static void tell(const arguments *a, const ent_quantize_result *r)
{
    const ent_quantize_options *o = &a->options;
    size_t same = 0, width = 6;
    ent_time_text t[2];
    for (size_t i = 0; i < r->count; i++) {
        const size_t n = r->rows[i].error > 0 ? strlen(r->rows[i].name) : 0;
        same += r->rows[i].error <= 0;
        width = n > width ? n : width;
    }
    if (r->report.data)
        fputs(r->report.data, stdout);
    printf("%-*s  type  relative error  worst row\n", (int)width, "tensor");
    for (size_t i = 0; i < r->count; i++)
        if (!(r->rows[i].error <= 0))
            printf("%-*s  %-4s  %14.6f  %9.6f (%zu)\n", (int)width, r->rows[i].name, r->rows[i].type, r->rows[i].error,
                   r->rows[i].worst_error, r->rows[i].worst);
    if (same)
        printf("%zu others have the numbers they had\n", same);
    printf("bytes       %s, before %s: %.3f of it\n", ent_bytes_format(&t[0], r->bytes_after),
           ent_bytes_format(&t[1], r->bytes_before), r->bytes_after / r->bytes_before);
    if (r->calibrated)
        printf("activations have the range of %zu unit%s of the data, %s\n", r->calibrated,
               r->calibrated > 1 ? "s" : "", observers[o->inputs.observer]);
    if (o->eval.data)
        printf("perplexity  %.4f, before %.4f: %+.3f %%, over %lld target tokens\n", ent_exp(r->loss_after),
               ent_exp(r->loss_before), ent_quantize_change(r), (long long)r->data.targets);
}

static ent_status tell_json(const arguments *a, const ent_quantize_result *r)
{
    const ent_quantize_options *o = &a->options;
    ent_json *root = ent_json_new_object();
    ent_json_add_string(root, "model", o->model);
    ent_json_add_string(root, "out", o->out);
    ent_json_add_string(root, "format", format_names[a->format]);
    if (o->kind == ENT_QUANTIZED_INT8) {
        ent_json_add_string(root, "observer", observers[o->how.observer]);
        if (o->how.observer == ENT_PTQ_PERCENTILE)
            ent_json_add_double(root, "percentile", o->how.percentile);
        ent_json_add_string(root, "per", strategies[o->how.per]);
        if (o->how.per == ENT_PTQ_GROUP)
            ent_json_add_int(root, "group_size", (int64_t)o->how.group_size);
        ent_json_add_bool(root, "symmetric", !o->how.asymmetric);
        if (o->inputs.on) {
            ent_json *inputs = ent_json_add_object(root, "activations");
            ent_json_add_string(inputs, "observer", observers[o->inputs.observer]);
            if (o->inputs.observer == ENT_PTQ_PERCENTILE)
                ent_json_add_double(inputs, "percentile", o->inputs.percentile);
            if (o->inputs.observer == ENT_PTQ_MOVING_AVERAGE)
                ent_json_add_double(inputs, "averaging", o->inputs.averaging);
            ent_json_add_bool(inputs, "symmetric", !o->inputs.asymmetric);
            ent_json_add_int(inputs, "units", (int64_t)r->calibrated);
        }
    }
    ent_json *list = ent_json_add_array(root, "tensors");
    for (size_t i = 0; i < r->count; i++) {
        ent_json *row = ent_json_add_object(list, NULL);
        ent_json_add_string(row, "name", r->rows[i].name);
        ent_json_add_string(row, "type", r->rows[i].type);
        ent_json_add_double(row, "error", r->rows[i].error);
        ent_json_add_int(row, "worst_row", (int64_t)r->rows[i].worst);
        ent_json_add_double(row, "worst_row_error", r->rows[i].worst_error);
    }
    ent_json_add_int(root, "bytes_before", (int64_t)r->bytes_before);
    ent_json_add_int(root, "bytes", (int64_t)r->bytes_after);
    if (o->eval.data) {
        ent_json_add_string(root, "data", o->eval.data);
        ent_json_add_int(root, "seq_len", (int64_t)r->data.seq_len);
        ent_json_add_int(root, "targets", r->data.targets);
        ent_json_add_double(root, "loss_before", r->loss_before);
        ent_json_add_double(root, "loss", r->loss_after);
        ent_json_add_double(root, "perplexity_before", ent_exp(r->loss_before));
        ent_json_add_double(root, "perplexity", ent_exp(r->loss_after));
        ent_json_add_double(root, "change_percent", ent_quantize_change(r));
    }
    return ent_report_json(root);
}

/* What a person can mend before trying again. */
static bool is_input(ent_status st)
{
    return st == ENT_ECONFIG || st == ENT_EFORMAT || st == ENT_EUNSUPPORTED || st == ENT_EINVAL;
}

static ent_status quantize(const arguments *a)
{
    ent_quantize_result r = {0};
    ent_comm *comm = NULL;
    ent_placement place;
    ent_status st;
    ENT_GO(ent_comm_self(&comm));
    ENT_GO(ent_place(&place, comm, a->threads));
    ent_set_threads(place.threads);
    ENT_GO(ent_quantize_run(&r, &a->options, comm));
    if (a->json)
        ENT_GO(tell_json(a, &r));
    else
        tell(a, &r);
done:
    ent_quantize_free(&r);
    ent_comm_free(comm);
    return st;
}

int ent_cmd_quantize(int argc, char **argv)
{
    arguments a = {.format = -1, .observer = -1, .per = -1, .activations = -1};
    if (parse(&a, argc, argv) != ENT_OK)
        return ent_options_complain("quantize");
    if (a.help) {
        fputs(usage, stdout);
        ent_options_help(options, N_OPTIONS);
        fputs(codes, stdout);
        return ENT_EXIT_DONE;
    }
    ent_signals_catch();
    const ent_status st = quantize(&a);
    if (st != ENT_OK)
        fprintf(stderr, "entrenar: %s\n", ent_message());
    return st == ENT_OK ? ENT_EXIT_DONE : is_input(st) ? ENT_EXIT_USAGE : ENT_EXIT_FAILED;
}
