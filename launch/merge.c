#include "launch/merge.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/model_config.h"
#include "io/path.h"
#include "launch/merge_fits.h"
#include "launch/model.h"
#include "launch/signals.h"
#include "src/base/mem.h"
#include "src/base/tiles.h"

enum { TILE = 4096 };

struct ent_merge_job {
    const ent_merge_options *options;
    size_t n_inputs;            /* base, if there is one, and the models */
    ent_model *inputs;          /* base comes first */
    size_t count;               /* tensors */
    ent_st_tensor *tensors;     /* to be written */
    const ent_tensor **sources; /* (n_inputs, count): where they come from */
    const ent_tensor **a, **b;  /* the adapter of each, NULL where it has none */
    double *scales;             /* of each adapter */
    const ent_tensor **m;       /* with DoRA the magnitudes of each, and its norms */
    const float **norms;

    /* Of the tensor that is being written. */
    float *whole_a;               /* A as fp32 */
    ent_merge_select *selections; /* TIES: one a model */
    float *thresholds;
    double (*sums)[3]; /* SLERP: of each tile of a piece */
    ent_merge_tensor now;

    /* Of each thread. */
    float *floats; /* TILE numbers of each input; or a row of B and a tile of W */
    double *deltas;
    size_t n_floats, n_deltas; /* of one thread */
};

void ent_merge_job_free(ent_merge_job *job)
{
    if (job == NULL)
        return;
    for (size_t m = 0; job->inputs && m < job->n_inputs; m++)
        ent_model_close(&job->inputs[m]);
    free(job->inputs);
    free(job->tensors);
    free(job->sources);
    free(job->a);
    free(job->b);
    free(job->scales);
    free(job->m);
    free(job->norms);
    free(job->whole_a);
    free(job->selections);
    free(job->thresholds);
    free(job->sums);
    free(job->floats);
    free(job->deltas);
    free(job);
}

void ent_merge_job_size(size_t *tensors, size_t *numbers, size_t *bytes, const ent_merge_job *job)
{
    *tensors = job->count;
    *numbers = *bytes = 0;
    for (size_t i = 0; i < job->count; i++) {
        const size_t n = ent_tensor_count(job->sources[i]);
        *numbers += n;
        *bytes += n * ent_dtype_size(job->tensors[i].dtype);
    }
}

const ent_st_tensor *ent_merge_job_tensors(size_t *count, const ent_merge_job *job)
{
    *count = job->count;
    return job->tensors;
}

/* --- opening --- */

/* Pages that were read are let go of: a model need not fit into memory. */
static void release(const ent_merge_job *job)
{
    for (size_t m = 0; m < job->n_inputs; m++)
        ent_safetensors_release(job->inputs[m].weights);
}

static const char *input_folder(const ent_merge_job *job, size_t m)
{
    const ent_merge_options *o = job->options;
    return o->base ? (m == 0 ? o->base : o->models[m - 1]) : o->models[m];
}

/* The overwritten folder must not be one of the inputs, nor hold one. */
static ent_status check_apart(const ent_merge_options *o, const char *input)
{
    char *out = realpath(o->out, NULL), *in = realpath(input, NULL);
    const size_t n = out ? strlen(out) : 0;
    const bool inside = out && in && strncmp(in, out, n) == 0 && (in[n] == '\0' || in[n] == '/');
    free(out);
    free(in);
    return inside ? ent_fail(ENT_ECONFIG, "--out: %s: holds %s, which is to be read", o->out, input) : ENT_OK;
}

static ent_status open_input(ent_merge_job *job, size_t m)
{
    ent_model *model = &job->inputs[m];
    const char *folder = input_folder(job, m);
    const ent_model_options options = {
        .path = folder, .adapter = job->options->adapter, .numbers = true, .max_positions = 1};
    ent_model_config config;
    ENT_TRY(check_apart(job->options, folder));
    ENT_TRY(ent_model_config_load(&config, folder)); /* tells more than the shapes that follow from it */
    if (m > 0)
        ENT_TRY(ent_merge_fits(&job->inputs[0].config, input_folder(job, 0), &config, folder));
    ENT_TRY(ent_model_open(model, &options));
    ent_tokenizer_free(model->tokenizer); /* not asked for here */
    model->tokenizer = NULL;
    return ENT_OK;
}

/* F64 would be rounded twice on its way. */
static ent_status check_dtype(const ent_tensor *t, const char *folder)
{
    if (t->dtype == ENT_DTYPE_F64)
        return ent_fail(ENT_EUNSUPPORTED, "%s: %s: expected F32, BF16 or F16, found F64", folder, t->name);
    return ENT_OK;
}

/* Of the adapter of projection i, by the name of its weight. */
static void take_factors(ent_merge_job *job, size_t i, const char *weight)
{
    const ent_model *model = &job->inputs[0];
    size_t layer = 0;
    ent_proj proj = 0;
    const bool known = ent_lora_module_of(&layer, &proj, weight);
    assert(known);
    (void)known;
    job->scales[i] = ent_lora_scale(&model->lora, layer, proj);
    job->norms[i] = ent_decoder_norms(model->decoder, layer, proj);
}

/* Where the adapter saves the module of a weight, its copy; NULL: it doesn't. */
static const ent_tensor *saved_of(const ent_params *params, const ent_param *w)
{
    char name[300];
    if (!w->replaced)
        return NULL;
    snprintf(name, sizeof name, "base_model.model.%s", w->tensor.name);
    return &ent_params_find(params, name)->tensor;
}

/* Weight i of the job, its adapter, and where the other inputs have it: their parameters are the same ones. */
static ent_status add_weight(ent_merge_job *job, const ent_params *params, const ent_param *param)
{
    const ent_merge_options *o = job->options;
    const ent_tensor *w = &param->tensor, *saved = saved_of(params, param);
    const size_t i = job->count++;
    const char *const kinds[] = {"lora_A.weight", "lora_B.weight", "lora_magnitude_vector"};
    const ent_tensor **const parts[] = {job->a, job->b, job->m};
    ent_st_tensor *t = &job->tensors[i];
    *t = (ent_st_tensor){.name = w->name, .dtype = o->has_dtype ? o->dtype : w->dtype, .n_dims = w->n_dims};
    memcpy(t->shape, w->shape, sizeof t->shape);
    for (size_t m = 0; m < job->n_inputs; m++) {
        const ent_params *p = ent_decoder_params(job->inputs[m].decoder);
        const ent_tensor *source = saved ? saved : m == 0 ? w : &ent_params_find(p, w->name)->tensor;
        ENT_TRY(check_dtype(source, input_folder(job, m)));
        job->sources[m * params->count + i] = source;
    }
    for (size_t k = 0; o->adapter && k < 3; k++) {
        const size_t module = strlen(w->name) - strlen(".weight");
        char *name;
        if (!ent_path_ends_with(w->name, ".weight"))
            break;
        ENT_TRY(ent_format(&name, "base_model.model.%.*s.%s", (int)module, w->name, kinds[k]));
        const ent_param *p = ent_params_find(params, name);
        free(name);
        if (p == NULL)
            continue;
        ENT_TRY(check_dtype(&p->tensor, o->adapter));
        parts[k][i] = &p->tensor;
        take_factors(job, i, w->name);
    }
    return ENT_OK;
}

static ent_status list_weights(ent_merge_job *job)
{
    const ent_params *params = ent_decoder_params(job->inputs[0].decoder);
    const size_t most = params->count;
    ENT_TRY(ent_calloc(&job->tensors, most, sizeof *job->tensors, "tensors"));
    ENT_TRY(ent_calloc(&job->sources, job->n_inputs * most, sizeof *job->sources, "tensors"));
    ENT_TRY(ent_calloc(&job->a, most, sizeof *job->a, "adapters"));
    ENT_TRY(ent_calloc(&job->b, most, sizeof *job->b, "adapters"));
    ENT_TRY(ent_calloc(&job->scales, most, sizeof *job->scales, "adapters"));
    ENT_TRY(ent_calloc(&job->m, most, sizeof *job->m, "adapters"));
    ENT_TRY(ent_calloc(&job->norms, most, sizeof *job->norms, "adapters"));
    for (size_t i = 0; i < most; i++)
        if (strncmp(params->items[i]->tensor.name, "base_model.", strlen("base_model.")) != 0)
            ENT_TRY(add_weight(job, params, params->items[i]));
    return ENT_OK;
}

static ent_status take_memory(ent_merge_job *job)
{
    const ent_merge_method method = job->options->how.method;
    const size_t models = job->options->how.models, threads = (size_t)ent_threads();
    size_t most_a = 0, most_r = 0;
    for (size_t i = 0; i < job->count; i++) {
        if (job->a[i] == NULL)
            continue;
        const size_t n = ent_tensor_count(job->a[i]), r = job->a[i]->shape[0];
        most_a = n > most_a ? n : most_a;
        most_r = r > most_r ? r : most_r;
    }
    job->n_floats = job->options->adapter ? most_r + TILE : job->n_inputs * TILE;
    job->n_deltas = job->options->base ? models * TILE : 0;
    ENT_TRY(ent_calloc(&job->whole_a, most_a, sizeof *job->whole_a, "an adapter"));
    ENT_TRY(ent_calloc(&job->floats, threads * job->n_floats, sizeof *job->floats, "pieces"));
    ENT_TRY(ent_calloc(&job->deltas, threads * job->n_deltas, sizeof *job->deltas, "task vectors"));
    ENT_TRY(ent_calloc(&job->selections, method == ENT_MERGE_TIES ? models : 0, sizeof *job->selections, "counts"));
    ENT_TRY(ent_calloc(&job->thresholds, models, sizeof *job->thresholds, "thresholds"));
    return ent_calloc(&job->sums, ENT_MODEL_PIECE / TILE, sizeof *job->sums, "sums");
}

ent_status ent_merge_job_open(ent_merge_job **out, const ent_merge_options *options)
{
    ent_merge_job *job = *out = NULL;
    ENT_TRY(ent_model_write_check(options->out, options->overwrite));
    ent_sweep_temporaries_of(options->out);
    ENT_TRY(ent_calloc(out, 1, sizeof **out, "a merge"));
    job = *out;
    job->options = options;
    job->n_inputs = options->how.models + (options->base != NULL);
    ENT_TRY(ent_calloc(&job->inputs, job->n_inputs, sizeof *job->inputs, "models"));
    if (options->adapter)
        ENT_TRY(check_apart(options, options->adapter));
    for (size_t m = 0; m < job->n_inputs; m++)
        ENT_TRY(open_input(job, m));
    release(job); /* DoRA's norms have read all of them */
    ENT_TRY(list_weights(job));
    return take_memory(job);
}

/* --- writing --- */

/* Numbers of one tensor. */
typedef struct piece {
    ent_merge_job *job;
    size_t tensor, first, n;
    float *out;
} piece;

static void read_numbers(float *to, const ent_tensor *t, size_t first, size_t n)
{
    ent_convert(to, (const char *)t->data + first * ent_dtype_size(t->dtype), t->dtype, n);
}

/* Numbers of input m of the tensor of the piece, `first` of the tensor on. */
static void read_input(float *to, const piece *p, size_t m, size_t first, size_t n)
{
    const ent_merge_job *job = p->job;
    const size_t stride = ent_decoder_params(job->inputs[0].decoder)->count;
    read_numbers(to, job->sources[m * stride + p->tensor], first, n);
}

static float *floats_of_thread(const ent_merge_job *job)
{
    return job->floats + (size_t)ent_thread() * job->n_floats;
}

static double gain_of(const ent_merge_job *job, size_t tensor, size_t row)
{
    float m;
    if (job->m[tensor] == NULL)
        return 1;
    read_numbers(&m, job->m[tensor], row, 1);
    return (double)m / (double)job->norms[tensor][row];
}

/* W + scale B A, its rows perhaps at other lengths: a tile is numbers of some rows, the first and the last perhaps in
 * part. */
static void fold_tile(void *context, size_t begin, size_t end)
{
    const piece *p = context;
    const ent_merge_job *job = p->job;
    const ent_tensor *a = job->a[p->tensor], *b = job->b[p->tensor];
    float *w = floats_of_thread(job), *row = w + TILE;
    read_input(w, p, 0, p->first + begin, end - begin);
    if (a == NULL) {
        memcpy(p->out + begin, w, (end - begin) * sizeof *w);
        return;
    }
    const size_t r = a->shape[0], in = a->shape[1];
    for (size_t i = begin; i < end;) {
        const size_t column = (p->first + i) % in, n = in - column < end - i ? in - column : end - i;
        const size_t out = (p->first + i) / in;
        read_numbers(row, b, out * r, r);
        ent_merge_fold(p->out + i, w + (i - begin), row, job->whole_a + column, in, r, job->scales[p->tensor],
                       gain_of(job, p->tensor, out), n);
        i += n;
    }
}

static void merge_tile(void *context, size_t begin, size_t end)
{
    const piece *p = context;
    const ent_merge_job *job = p->job;
    const ent_merge *how = &job->options->how;
    const bool based = job->options->base != NULL;
    float *floats = floats_of_thread(job);
    for (size_t m = 0; m < job->n_inputs; m++)
        read_input(floats + m * TILE, p, m, p->first + begin, end - begin);
    ent_merge_piece(p->out + begin, how, &job->now, based ? floats : NULL, floats + based * TILE, TILE,
                    job->deltas + (size_t)ent_thread() * job->n_deltas, p->first + begin, end - begin);
}

/* TIES, a pass: model m's deltas of the piece are counted. */
static void count_model(void *context, size_t m, size_t end)
{
    const piece *p = context;
    const ent_merge_job *job = p->job;
    float *floats = floats_of_thread(job);
    double *delta = job->deltas + (size_t)ent_thread() * job->n_deltas;
    (void)end;
    for (size_t i = 0; i < p->n; i += TILE) {
        const size_t n = p->n - i < TILE ? p->n - i : TILE;
        read_input(floats, p, 0, p->first + i, n);
        read_input(floats + TILE, p, m + 1, p->first + i, n);
        ent_merge_delta(delta, floats + TILE, floats, n);
        ent_merge_select_count(&job->selections[m], delta, n);
    }
}

/* SLERP: the sums of a tile. */
static void sum_tile(void *context, size_t begin, size_t end)
{
    const piece *p = context;
    float *floats = floats_of_thread(p->job);
    for (size_t m = 0; m < 2; m++)
        read_input(floats + m * TILE, p, m, p->first + begin, end - begin);
    ent_merge_slerp_sums(p->job->sums[begin / TILE], floats, floats + TILE, end - begin);
}

/* What a pass over the whole of a tensor does with a piece. */
static void look_at(piece *p, double total[3])
{
    ent_merge_job *job = p->job;
    if (job->options->how.method == ENT_MERGE_TIES) {
        ent_tiles(job->options->how.models, 1, count_model, p);
    } else {
        ent_tiles(p->n, TILE, sum_tile, p);
        for (size_t i = 0; i < p->n; i += TILE)
            for (size_t k = 0; k < 3; k++)
                total[k] += job->sums[i / TILE][k];
    }
    release(job);
}

static ent_status stop(void)
{
    return ent_signals_stop() ? ent_fail(ENT_ESTOPPED, "stopped by %s, nothing was written", ent_signals_name())
                              : ENT_OK;
}

/* Passes over tensor i for what has to be known of it as a whole. */
static ent_status begin_tensor(ent_merge_job *job, size_t i)
{
    const ent_merge *how = &job->options->how;
    const size_t count = ent_tensor_count(job->sources[i]);
    const bool ties = how->method == ENT_MERGE_TIES;
    double total[3] = {0};
    if (job->options->adapter) {
        if (job->a[i])
            read_numbers(job->whole_a, job->a[i], 0, ent_tensor_count(job->a[i]));
        return ENT_OK;
    }
    job->now = (ent_merge_tensor){.number = (uint32_t)i, .thresholds = job->thresholds};
    if (!ties && how->method != ENT_MERGE_SLERP)
        return ENT_OK;
    for (size_t m = 0; ties && m < how->models; m++)
        ent_merge_select_begin(&job->selections[m], count, how->density);
    for (bool done = false; !done;) {
        piece p = {.job = job, .tensor = i};
        for (; p.first < count; p.first += p.n) {
            p.n = count - p.first < ENT_MODEL_PIECE ? count - p.first : ENT_MODEL_PIECE;
            ENT_TRY(stop());
            look_at(&p, total);
        }
        done = true;
        for (size_t m = 0; ties && m < how->models; m++)
            done = ent_merge_select_end(&job->thresholds[m], &job->selections[m]);
    }
    if (!ties)
        ent_merge_slerp_factors(job->now.factors, total, how->t);
    return ENT_OK;
}

ent_status ent_merge_job_read(float *out, void *context, size_t i, size_t first, size_t n)
{
    ent_merge_job *job = context;
    piece p = {.job = job, .tensor = i, .first = first, .n = n, .out = out};
    ENT_TRY(stop());
    if (first == 0)
        ENT_TRY(begin_tensor(job, i));
    ent_tiles(n, TILE, job->options->adapter ? fold_tile : merge_tile, &p);
    release(job);
    return ENT_OK;
}

ent_status ent_merge_job_run(ent_merge_job *job)
{
    const ent_merge_options *o = job->options;
    const ent_model_write_options options = {.from = input_folder(job, 0),
                                             .dtype = o->has_dtype ? &o->dtype : NULL,
                                             .file_bytes = o->file_bytes,
                                             .overwrite = o->overwrite,
                                             .verify = o->verify,
                                             .verify_context = o->verify_context};
    return ent_model_write(o->out, job->tensors, job->count, &options, ent_merge_job_read, job);
}
