/* entrenar merge: model folders into one, or an adapter into its model. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/number.h"
#include "io/path.h"
#include "launch/cmd.h"
#include "launch/options.h"
#include "launch/merge.h"
#include "launch/placement.h"
#include "launch/signals.h"
#include "src/base/mem.h"

static const char usage[] =
    "usage: entrenar merge --model DIR --adapter DIR --out DIR [OPTIONS]\n"
    "       entrenar merge --method METHOD --model DIR[:WEIGHT] --model DIR[:WEIGHT]... --out DIR [OPTIONS]\n\n"
    "Folds a LoRA adapter into its model, W + alpha/r B A, or merges models of one shape. Numbers are computed in\n"
    "double, rounded to fp32 and then to the type that is written. Models are read and written a piece at a time, so\n"
    "that they need not fit into memory; config.json and tokenizer are those of --base, or of the first model, and\n"
    "tokenizers are not compared. DIR appears when all of it is written.\n\n"
    "METHOD, of x, the numbers of a model's tensor, and delta = x - base, its task vector:\n"
    "  average    sum of w x / sum of w\n"
    "  slerp      two models, along the arc between their tensors; straight where they are nearly parallel\n"
    "  task       base + sum of w delta\n"
    "  ties       base + the mean of the deltas that have the elected sign, the sign of the sum of w delta;\n"
    "             of each delta only the share D of largest magnitude counts, tensor by tensor\n"
    "  dare       as task; of each delta the share 1 - D, drawn at random, becomes 0, the rest delta / D\n"
    "  dare-ties  the same, then the mean of those that have the elected sign\n\n";

static const char codes[] =
    "\nexit codes: 0 done; 1 failed, or stopped by a signal, nothing was written; 2 command line or models are not as\n"
    "needed\n";

/* What each method takes. */
static const struct {
    const char *name;
    ent_merge_method method;
    bool base, density, seed, t, weights, negative; /* negative: weights may be */
} methods[] = {
    {"average", ENT_MERGE_AVERAGE, .weights = true},
    {"slerp", ENT_MERGE_SLERP, .t = true},
    {"task", ENT_MERGE_TASK, .base = true, .weights = true, .negative = true},
    {"ties", ENT_MERGE_TIES, .base = true, .density = true, .weights = true},
    {"dare", ENT_MERGE_DARE, .base = true, .density = true, .seed = true, .weights = true, .negative = true},
    {"dare-ties", ENT_MERGE_DARE_TIES, .base = true, .density = true, .seed = true, .weights = true},
};

enum { N_METHODS = sizeof methods / sizeof *methods };

/* As given; what is not: NULL, NaN, -1. */
typedef struct arguments {
    ent_option_texts models; /* with their weights */
    const char *adapter, *method, *base, *out, *shard_size;
    double density, t;
    int64_t seed;
    int dtype; /* place in `dtypes` */
    bool overwrite, help;
} arguments;

static const ent_dtype dtypes[] = {ENT_DTYPE_F32, ENT_DTYPE_BF16, ENT_DTYPE_F16};

#define AT(member) .offset = offsetof(arguments, member)

static const ent_option options[] = {
    {"--model", "DIR[:WEIGHT]", ENT_OPTION_TEXTS, AT(models),
     .help = "a Hugging Face model folder, and its weight w (default 1)"},
    {"--adapter", "DIR|CKPT.h5", ENT_OPTION_TEXT, AT(adapter),
     .help = "the one --model's adapter (LoRA): a PEFT folder, or a checkpoint"},
    {"--method", "METHOD", ENT_OPTION_TEXT, AT(method), .help = "how models become one: see above"},
    {"--base", "DIR", ENT_OPTION_TEXT, AT(base),
     .help = "the model that the others were fine-tuned from: task, ties, dare, dare-ties"},
    {"--density", "D", ENT_OPTION_NUMBER, AT(density), .high = 1, .low_open = true, .help = "ties, dare, dare-ties"},
    {"--t", "T", ENT_OPTION_NUMBER, AT(t), .high = 1, .help = "slerp: 0 is the first model, 1 the second"},
    {"--seed", "N", ENT_OPTION_INT, AT(seed), .help = "dare, dare-ties: of the draws (default 42)"},
    {"--out", "DIR", ENT_OPTION_TEXT, AT(out), .help = "the model folder to be written"},
    {"--overwrite", NULL, ENT_OPTION_FLAG, AT(overwrite), .help = "replaces the model that is in --out"},
    {"--dtype", "TYPE", ENT_OPTION_CHOICE, AT(dtype), .words = "f32 bf16 f16",
     .help = "f32, bf16 or f16: of the weights (default: as in --base, or in the first model)"},
    {"--shard-size", "SIZE", ENT_OPTION_TEXT, AT(shard_size),
     .help = "largest file of weights, such as 2GB, 500MB or bytes (default 5GB); more go into several"},
    {"--help", NULL, ENT_OPTION_FLAG, AT(help), .help = "show this"},
};

enum { N_OPTIONS = sizeof options / sizeof *options };

/* What the options make. */
typedef struct request {
    ent_merge_options options;
    double *weights; /* of how.models; NaN: none was given */
    char **folders;  /* owned: --model without its weight */
} request;

/* DIR or DIR:WEIGHT: what stands behind the last colon is a weight if it reads as a number. */
static ent_status add_model(request *r, const char *text)
{
    const size_t i = r->options.how.models++;
    const char *colon = strrchr(text, ':');
    const bool weighted = colon && ent_number_read_double(&r->weights[i], colon + 1);
    if (!weighted)
        r->weights[i] = NAN;
    ENT_TRY(ent_strndup(&r->folders[i], text, weighted ? (size_t)(colon - text) : strlen(text)));
    r->options.models[i] = r->folders[i];
    return ENT_OK;
}

/* Decimal units, as transformers has them. */
static ent_status read_size(size_t *out, const char *text)
{
    static const struct {
        const char *unit;
        double bytes;
    } units[] = {{"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"", 1}};
    char digits[32] = "";
    double value;
    size_t i = 0;
    while (!ent_path_ends_with(text, units[i].unit))
        i++;
    const size_t n = strlen(text) - strlen(units[i].unit);
    if (n < sizeof digits)
        memcpy(digits, text, n);
    if (!ent_number_read_double(&value, digits) || !(value * units[i].bytes >= 1 && value * units[i].bytes <= 1e18))
        return ent_fail(ENT_ECONFIG, "--shard-size: expected a size such as 2GB, 500MB or bytes, found \"%s\"", text);
    *out = (size_t)(value * units[i].bytes);
    return ENT_OK;
}

/* Without --method: one model and its adapter, and nothing of the methods. */
static ent_status check_fold(const arguments *a, const request *r)
{
    if (a->adapter == NULL)
        return ent_fail(ENT_ECONFIG, "expected --method, or --adapter to be folded into the model");
    if (a->models.count != 1)
        return ent_fail(ENT_ECONFIG, "--adapter: expected one --model, found %zu", a->models.count);
    const char *extra = a->base                 ? "--base"
                        : !isnan(a->density)    ? "--density"
                        : !isnan(a->t)          ? "--t"
                        : a->seed >= 0          ? "--seed"
                        : !isnan(r->weights[0]) ? "a weight"
                                                : NULL;
    return extra ? ent_fail(ENT_ECONFIG, "%s acts only with --method", extra) : ENT_OK;
}

/* An option that method i takes and that is missing, or the other way round. */
static ent_status check_option(int i, const char *option, bool takes, bool given)
{
    if (takes && !given)
        return ent_fail(ENT_ECONFIG, "--method %s: expected %s", methods[i].name, option);
    if (!takes && given)
        return ent_fail(ENT_ECONFIG, "--method %s: %s does not act", methods[i].name, option);
    return ENT_OK;
}

/* A weight that wasn't given is 1. */
static ent_status check_weights(request *r, int i)
{
    for (size_t m = 0; m < r->options.how.models; m++) {
        double *w = &r->weights[m];
        const bool given = !isnan(*w);
        if (given && !methods[i].weights)
            return check_option(i, "a weight", false, true);
        *w = given ? *w : 1;
        if (*w == 0 || (*w < 0 && !methods[i].negative) || !(fabs(*w) <= 1e6))
            return ent_fail(ENT_ECONFIG, "--model %s:%g: expected a weight %s 0, at most 1e6", r->options.models[m], *w,
                            methods[i].negative ? "other than" : "above");
    }
    return ENT_OK;
}

static ent_status check_method(request *r, const arguments *a)
{
    const size_t least = a->base ? 1 : 2;
    int i = 0;
    while (i < N_METHODS && strcmp(a->method, methods[i].name) != 0)
        i++;
    if (i == N_METHODS)
        return ent_fail(ENT_ECONFIG, "--method: expected average, slerp, task, ties, dare or dare-ties, found \"%s\"",
                        a->method);
    ENT_TRY(check_option(i, "--adapter", false, a->adapter != NULL));
    ENT_TRY(check_option(i, "--base", methods[i].base, a->base != NULL));
    ENT_TRY(check_option(i, "--density", methods[i].density, !isnan(a->density)));
    ENT_TRY(check_option(i, "--t", methods[i].t, !isnan(a->t)));
    ENT_TRY(check_option(i, "--seed", methods[i].seed, a->seed >= 0 || methods[i].seed));
    if (methods[i].t ? a->models.count != 2 : a->models.count < least)
        return ent_fail(ENT_ECONFIG, "--method %s: expected %s --model, found %zu", methods[i].name,
                        methods[i].t ? "two"
                        : least == 1 ? "at least one"
                                     : "at least two",
                        a->models.count);
    r->options.how.method = methods[i].method;
    return check_weights(r, i);
}

static ent_status request_of(request *r, const arguments *a)
{
    if (a->out == NULL || a->models.count == 0)
        return ent_fail(ENT_ECONFIG, "expected --model and --out");
    ENT_TRY(ent_calloc(&r->options.models, a->models.count, sizeof *r->options.models, "options"));
    ENT_TRY(ent_calloc(&r->weights, a->models.count, sizeof *r->weights, "options"));
    ENT_TRY(ent_calloc(&r->folders, a->models.count, sizeof *r->folders, "options"));
    for (size_t i = 0; i < a->models.count; i++)
        ENT_TRY(add_model(r, a->models.items[i]));
    ent_merge_options *o = &r->options;
    o->adapter = a->adapter;
    o->base = a->base;
    o->out = a->out;
    o->overwrite = a->overwrite;
    o->how.weights = r->weights;
    o->how.density = isnan(a->density) ? 0 : a->density;
    o->how.t = isnan(a->t) ? 0 : a->t;
    o->how.seed = a->seed < 0 ? 42 : (uint64_t)a->seed;
    o->has_dtype = a->dtype >= 0;
    o->dtype = a->dtype >= 0 ? dtypes[a->dtype] : ENT_DTYPE_F32;
    if (a->shard_size)
        ENT_TRY(read_size(&o->file_bytes, a->shard_size));
    return a->method ? check_method(r, a) : check_fold(a, r);
}

static int merge(const ent_merge_options *how)
{
    ent_merge_job *job = NULL;
    size_t tensors, numbers, bytes;
    ent_status st = ent_use_all_cores();
    if (st == ENT_OK)
        st = ent_merge_job_open(&job, how);
    int code = st == ENT_OK || st == ENT_ENOMEM ? ENT_EXIT_FAILED : ENT_EXIT_USAGE;
    if (st == ENT_OK) {
        ent_signals_catch();
        st = ent_merge_job_run(job);
    }
    if (st != ENT_OK) {
        fprintf(stderr, "entrenar: %s\n", ent_message());
    } else {
        ent_merge_job_size(&tensors, &numbers, &bytes, job);
        printf("%s: %zu tensors, %zu numbers, %zu bytes\n", how->out, tensors, numbers, bytes);
        code = ENT_EXIT_DONE;
    }
    ent_merge_job_free(job);
    return code;
}

int ent_cmd_merge(int argc, char **argv)
{
    arguments a = {.density = NAN, .t = NAN, .seed = -1, .dtype = -1};
    request r = {0};
    int code = ENT_EXIT_USAGE;
    ent_status st = ent_options_read(&a, options, N_OPTIONS, argc, argv);
    if (st == ENT_OK && !a.help)
        st = request_of(&r, &a);
    if (st != ENT_OK) {
        ent_options_complain("merge");
    } else if (a.help) {
        fputs(usage, stdout);
        ent_options_help(options, N_OPTIONS);
        fputs(codes, stdout);
        code = ENT_EXIT_DONE;
    } else {
        code = merge(&r.options);
    }
    for (size_t i = 0; r.folders && i < r.options.how.models; i++)
        free(r.folders[i]);
    free(r.folders);
    free(r.weights);
    free(r.options.models);
    free(a.models.items);
    return code;
}
