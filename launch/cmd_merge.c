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
#include "src/base/tiles.h"

static const char usage[] =
    "usage: entrenar merge --model DIR --adapter DIR --out DIR [OPTIONS]\n"
    "       entrenar merge --method METHOD --model DIR[:WEIGHT] --model DIR[:WEIGHT]... --out DIR [OPTIONS]\n\n"
    "Folds a LoRA adapter into its model, W + alpha/r B A, or merges models of one shape. Numbers are computed in\n"
    "double, rounded to fp32 and then to the type that is written. Models are read and written a piece at a time, so\n"
    "that they need not fit into memory; config.json and tokenizer are those of --base, or of the first model, and\n"
    "tokenizers are not compared. DIR appears when all of it is written.\n\n"
    "  --model DIR[:WEIGHT]  a Hugging Face model folder, and its weight w (default 1)\n"
    "  --adapter DIR|CKPT.h5 the one --model's adapter (LoRA): a PEFT folder, or a checkpoint\n"
    "  --method METHOD       of x, the numbers of a model's tensor, and delta = x - base, its task vector:\n"
    "      average             sum of w x / sum of w\n"
    "      slerp               two models, along the arc between their tensors; straight where they are nearly "
    "parallel\n"
    "      task                base + sum of w delta\n"
    "      ties                base + the mean of the deltas that have the elected sign, the sign of the sum of w "
    "delta;\n"
    "                          of each delta only the share D of largest magnitude counts, tensor by tensor\n"
    "      dare                as task; of each delta the share 1 - D, drawn at random, becomes 0, the rest delta / D\n"
    "      dare-ties           the same, then the mean of those that have the elected sign\n"
    "  --base DIR            the model that the others were fine-tuned from: task, ties, dare, dare-ties\n"
    "  --density D           above 0, at most 1: ties, dare, dare-ties\n"
    "  --t T                 slerp: 0 is the first model, 1 the second\n"
    "  --seed N              dare, dare-ties: of the draws (default 42)\n"
    "  --out DIR             the model folder to be written\n"
    "  --overwrite           replaces the model that is in --out\n"
    "  --dtype TYPE          f32, bf16 or f16: of the weights (default: as in --base, or in the first model)\n"
    "  --shard-size SIZE     largest file of weights, such as 2GB, 500MB or bytes (default 5GB); more go into "
    "several\n\n"
    "exit codes: 0 done; 1 failed, or stopped by a signal, nothing was written; 2 command line or models are not as\n"
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

typedef struct arguments {
    ent_merge_options options;
    double *weights;       /* of how.models; NaN: none was given */
    char **folders;        /* owned: --model without its weight */
    const char *method;    /* as given */
    bool density, seed, t; /* given */
    bool help;
} arguments;

static ent_status read_number(double *out, const char *key, const char *text)
{
    if (!ent_number_read_double(out, text))
        return ent_fail(ENT_ECONFIG, "%s: expected a number, found \"%s\"", key, text);
    return ENT_OK;
}

/* DIR or DIR:WEIGHT: what stands behind the last colon is a weight if it reads as a number. */
static ent_status add_model(arguments *a, const char *text)
{
    const size_t i = a->options.how.models++;
    const char *colon = strrchr(text, ':');
    const bool weighted = colon && ent_number_read_double(&a->weights[i], colon + 1);
    if (!weighted)
        a->weights[i] = NAN;
    ENT_TRY(ent_strndup(&a->folders[i], text, weighted ? (size_t)(colon - text) : strlen(text)));
    a->options.models[i] = a->folders[i];
    return ENT_OK;
}

static ent_status read_dtype(ent_merge_options *o, const char *text)
{
    static const struct {
        const char *name;
        ent_dtype dtype;
    } dtypes[] = {{"f32", ENT_DTYPE_F32}, {"bf16", ENT_DTYPE_BF16}, {"f16", ENT_DTYPE_F16}};
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++) {
        if (strcmp(text, dtypes[i].name) != 0)
            continue;
        o->dtype = dtypes[i].dtype;
        o->has_dtype = true;
        return ENT_OK;
    }
    return ent_fail(ENT_ECONFIG, "--dtype: expected f32, bf16 or f16, found \"%s\"", text);
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

static ent_status read_seed(uint64_t *out, const char *text)
{
    int64_t seed;
    if (!ent_number_read_int(&seed, text) || seed < 0)
        return ent_fail(ENT_ECONFIG, "--seed: expected a whole number of at least 0, found \"%s\"", text);
    *out = (uint64_t)seed;
    return ENT_OK;
}

/* An option with a value. */
static ent_status set_option(arguments *a, const char *key, const char *value)
{
    ent_merge_options *o = &a->options;
    const char **text = strcmp(key, "--adapter") == 0  ? &o->adapter
                        : strcmp(key, "--base") == 0   ? &o->base
                        : strcmp(key, "--out") == 0    ? &o->out
                        : strcmp(key, "--method") == 0 ? &a->method
                                                       : NULL;
    if (text && *text)
        return ent_fail(ENT_ECONFIG, "%s: expected once, found %s and %s", key, *text, value);
    if (text) {
        *text = value;
        return ENT_OK;
    }
    if (strcmp(key, "--model") == 0)
        return add_model(a, value);
    if (strcmp(key, "--dtype") == 0)
        return read_dtype(o, value);
    if (strcmp(key, "--shard-size") == 0)
        return read_size(&o->file_bytes, value);
    if (strcmp(key, "--seed") == 0) {
        a->seed = true;
        return read_seed(&o->how.seed, value);
    }
    const bool density = strcmp(key, "--density") == 0;
    *(density ? &a->density : &a->t) = true;
    return read_number(density ? &o->how.density : &o->how.t, key, value);
}

static bool takes_value(const char *key)
{
    static const char *const keys[] = {"--model", "--adapter", "--method", "--base",  "--density",
                                       "--t",     "--seed",    "--out",    "--dtype", "--shard-size"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (strcmp(key, keys[i]) == 0)
            return true;
    return false;
}

/* Without --method: one model and its adapter, and nothing of the methods. */
static ent_status check_fold(const arguments *a)
{
    const ent_merge_options *o = &a->options;
    if (o->adapter == NULL)
        return ent_fail(ENT_ECONFIG, "expected --method, or --adapter to be folded into the model");
    if (o->how.models != 1)
        return ent_fail(ENT_ECONFIG, "--adapter: expected one --model, found %zu", o->how.models);
    const char *extra = o->base                 ? "--base"
                        : a->density            ? "--density"
                        : a->t                  ? "--t"
                        : a->seed               ? "--seed"
                        : !isnan(a->weights[0]) ? "a weight"
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
static ent_status check_weights(arguments *a, int i)
{
    for (size_t m = 0; m < a->options.how.models; m++) {
        double *w = &a->weights[m];
        const bool given = !isnan(*w);
        if (given && !methods[i].weights)
            return check_option(i, "a weight", false, true);
        *w = given ? *w : 1;
        if (*w == 0 || (*w < 0 && !methods[i].negative) || !(fabs(*w) <= 1e6))
            return ent_fail(ENT_ECONFIG, "--model %s:%g: expected a weight %s 0, at most 1e6", a->options.models[m], *w,
                            methods[i].negative ? "other than" : "above");
    }
    return ENT_OK;
}

static ent_status check_method(arguments *a)
{
    ent_merge_options *o = &a->options;
    const size_t least = o->base ? 1 : 2;
    int i = 0;
    while (i < N_METHODS && strcmp(a->method, methods[i].name) != 0)
        i++;
    if (i == N_METHODS)
        return ent_fail(ENT_ECONFIG, "--method: expected average, slerp, task, ties, dare or dare-ties, found \"%s\"",
                        a->method);
    o->how.method = methods[i].method;
    ENT_TRY(check_option(i, "--adapter", false, o->adapter != NULL));
    ENT_TRY(check_option(i, "--base", methods[i].base, o->base != NULL));
    ENT_TRY(check_option(i, "--density", methods[i].density, a->density));
    ENT_TRY(check_option(i, "--t", methods[i].t, a->t));
    ENT_TRY(check_option(i, "--seed", methods[i].seed, a->seed || methods[i].seed));
    if (methods[i].t ? o->how.models != 2 : o->how.models < least)
        return ent_fail(ENT_ECONFIG, "--method %s: expected %s --model, found %zu", methods[i].name,
                        methods[i].t ? "two"
                        : least == 1 ? "at least one"
                                     : "at least two",
                        o->how.models);
    if (a->density && !(o->how.density > 0 && o->how.density <= 1))
        return ent_fail(ENT_ECONFIG, "--density: expected above 0, at most 1, found %g", o->how.density);
    if (a->t && !(o->how.t >= 0 && o->how.t <= 1))
        return ent_fail(ENT_ECONFIG, "--t: expected from 0 to 1, found %g", o->how.t);
    return check_weights(a, i);
}

static ent_status parse(arguments *a, int argc, char **argv)
{
    ENT_TRY(ent_calloc(&a->options.models, (size_t)argc, sizeof *a->options.models, "options"));
    ENT_TRY(ent_calloc(&a->weights, (size_t)argc, sizeof *a->weights, "options"));
    ENT_TRY(ent_calloc(&a->folders, (size_t)argc, sizeof *a->folders, "options"));
    a->options.how.weights = a->weights;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            a->help = true;
        else if (strcmp(argv[i], "--overwrite") == 0)
            a->options.overwrite = true;
        else if (!takes_value(argv[i]))
            return ent_fail(ENT_ECONFIG, "unknown option %s", argv[i]);
        else if (i + 1 == argc)
            return ent_fail(ENT_ECONFIG, "%s: expected a value after it", argv[i]);
        else {
            ENT_TRY(set_option(a, argv[i], argv[i + 1]));
            i++;
        }
    }
    if (a->help)
        return ENT_OK;
    if (a->options.out == NULL || a->options.how.models == 0)
        return ent_fail(ENT_ECONFIG, "expected --model and --out");
    return a->method ? check_method(a) : check_fold(a);
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

static int merge(const ent_merge_options *options)
{
    ent_merge_job *job = NULL;
    size_t tensors, numbers, bytes;
    ent_status st = use_all_cores();
    if (st == ENT_OK)
        st = ent_merge_job_open(&job, options);
    int code = st == ENT_OK || st == ENT_ENOMEM ? ENT_EXIT_FAILED : ENT_EXIT_USAGE;
    if (st == ENT_OK) {
        ent_signals_catch();
        st = ent_merge_job_run(job);
    }
    if (st != ENT_OK) {
        fprintf(stderr, "entrenar: %s\n", ent_message());
    } else {
        ent_merge_job_size(&tensors, &numbers, &bytes, job);
        printf("%s: %zu tensors, %zu numbers, %zu bytes\n", options->out, tensors, numbers, bytes);
        code = ENT_EXIT_DONE;
    }
    ent_merge_job_free(job);
    return code;
}

int ent_cmd_merge(int argc, char **argv)
{
    arguments a = {.options = {.how = {.seed = 42}}};
    int code = ENT_EXIT_USAGE;
    if (parse(&a, argc, argv) != ENT_OK) {
        ent_options_complain("merge");
    } else if (a.help) {
        fputs(usage, stdout);
        code = ENT_EXIT_DONE;
    } else {
        code = merge(&a.options);
    }
    for (size_t i = 0; a.folders && i < a.options.how.models; i++)
        free(a.folders[i]);
    free(a.folders);
    free(a.weights);
    free(a.options.models);
    return code;
}
