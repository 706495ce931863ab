#include "launch/quantize.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/gguf_model.h"
#include "io/model_weights.h"
#include "io/path.h"
#include "io/quantized_write.h"
#include "launch/export.h"
#include "launch/signals.h"
#include "src/base/elementary.h"
#include "src/base/mem.h"
#include "src/base/tiles.h"

enum { TILE = 4096 };

typedef struct job {
    const ent_quantize_options *options;
    ent_quantize_result *result;
    ent_comm *comm;

    /* Of the folder that is written: each parameter of the model, and its scales in int8. */
    ent_st_tensor *tensors;
    const ent_tensor **from;
    ent_ptq_scale **scales;
    ent_quantized_scales *stored;
    size_t count;
    ent_ptq_scale *inputs; /* of the input of each projection; NULL: they stay as they are */
} job;

void ent_quantize_free(ent_quantize_result *r)
{
    ent_eval_data_close(&r->data);
    ent_model_close(&r->model);
    free(r->rows);
    free(r->report.data);
    *r = (ent_quantize_result){0};
}

double ent_quantize_change(const ent_quantize_result *r)
{
    return 100 * (ent_exp(r->loss_after - r->loss_before) - 1);
}

/* What is wrong is so in the model. */
static ent_status of_model(const job *j, ent_status st)
{
    return st == ENT_OK || st == ENT_ESTOPPED ? st : ent_fail_at(st, j->options->model);
}

static ent_status measure_before(job *j)
{
    ent_quantize_result *r = j->result;
    if (j->options->eval.data == NULL)
        return ENT_OK;
    ENT_TRY(of_model(j, ent_eval_data_run(&r->data, r->model.decoder, j->comm, 0)));
    r->loss_before = r->data.loss;
    return ENT_OK;
}

/* --- what was written, read back --- */

static ent_status measure(job *j, ent_decoder *decoder)
{
    ent_quantize_result *r = j->result;
    const ent_params *before = ent_decoder_params(r->model.decoder), *after = ent_decoder_params(decoder);
    for (size_t i = 0; i < r->count; i++) {
        const ent_tensor *t = &before->items[i]->tensor;
        r->rows[i].name = t->name;
        ENT_TRY(ent_quantize_compare(&r->rows[i], t, &ent_params_find(after, t->name)->tensor));
    }
    if (j->options->eval.data == NULL)
        return ENT_OK;
    ENT_TRY(ent_eval_data_run(&r->data, decoder, j->comm, 0));
    r->loss_after = r->data.loss;
    return ENT_OK;
}

static double bytes_of(const ent_safetensors *files)
{
    double bytes = 0;
    for (size_t i = 0; i < ent_safetensors_count(files); i++)
        bytes += (double)ent_safetensors_at(files, i)->bytes;
    return bytes;
}

/* --- a model folder --- */

static ent_status stop(void)
{
    return ent_signals_stop() ? ent_fail(ENT_ESTOPPED, "stopped by %s, nothing was written", ent_signals_name())
                              : ENT_OK;
}

/* Numbers of a tensor that are asked for. */
typedef struct piece {
    const job *j;
    size_t tensor, first;
    float *out;
} piece;

/* A tile is numbers of some rows, the first and the last perhaps in part. */
static void read_tile(void *context, size_t begin, size_t end)
{
    const piece *p = context;
    const job *j = p->j;
    const ent_tensor *t = j->from[p->tensor];
    const size_t columns = ent_tensor_columns(t);
    int8_t codes[TILE];
    for (size_t i = begin; i < end;) {
        const size_t at = p->first + i, row = at / columns, column = at % columns;
        const size_t n = columns - column < end - i ? columns - column : end - i;
        if (j->tensors[p->tensor].dtype == ENT_DTYPE_I8) {
            ent_ptq_row(codes, &j->options->how, t, j->scales[p->tensor], row, column, n);
            for (size_t k = 0; k < n; k++)
                p->out[i + k] = codes[k];
        } else {
            ent_tensor_read(p->out + i, t, row, column, n);
        }
        i += n;
    }
}

static ent_status read_piece(float *out, void *context, size_t i, size_t first, size_t n)
{
    const job *j = context;
    piece p = {j, i, first, out};
    ENT_TRY(stop());
    ent_tiles(n, TILE, read_tile, &p);
    ent_safetensors_release(j->result->model.weights);
    return ENT_OK;
}

/* The scales of a projection in int8. */
static ent_status choose_scales(job *j, size_t i)
{
    const ent_ptq *how = &j->options->how;
    const size_t n = ent_ptq_scales(how, j->from[i]);
    float *scales;
    int8_t *zeros;
    ENT_TRY(stop());
    ENT_TRY(ent_calloc(&j->scales[i], n, sizeof **j->scales, j->from[i]->name));
    ENT_TRY(of_model(j, ent_ptq_weight_scales(j->scales[i], how, j->from[i])));
    ENT_TRY(ent_calloc(&scales, n, sizeof *scales, j->from[i]->name));
    j->stored[i].scales = scales;
    ENT_TRY(ent_calloc(&zeros, n, sizeof *zeros, j->from[i]->name));
    j->stored[i].zeros = zeros;
    for (size_t k = 0; k < n; k++) {
        scales[k] = j->scales[i][k].scale;
        zeros[k] = j->scales[i][k].zero;
    }
    return ENT_OK;
}

/* Its number among the projections; their count if it is none. */
static size_t projection_of(ent_decoder *decoder, const ent_tensor *t)
{
    size_t i = 0;
    while (i < ent_decoder_projections(decoder) && ent_decoder_projection(decoder, i) != t)
        i++;
    return i;
}

/* The projections' weights are quantised, everything else stays as it is. */
static ent_status list_tensors(job *j)
{
    const ent_model *m = &j->result->model;
    const ent_params *params = ent_decoder_params(m->decoder);
    const bool int8 = j->options->kind == ENT_QUANTIZED_INT8;
    const size_t n = j->count = params->count;
    ENT_TRY(ent_calloc(&j->tensors, n, sizeof *j->tensors, "tensors"));
    ENT_TRY(ent_calloc(&j->from, n, sizeof *j->from, "tensors"));
    ENT_TRY(ent_calloc(&j->scales, n, sizeof *j->scales, "tensors"));
    ENT_TRY(ent_calloc(&j->stored, n, sizeof *j->stored, "tensors"));
    for (size_t i = 0; i < n; i++) {
        const ent_tensor *t = j->from[i] = &params->items[i]->tensor;
        const bool quantised = projection_of(m->decoder, t) < ent_decoder_projections(m->decoder);
        if (t->dtype == ENT_DTYPE_F64)
            return ent_fail(ENT_EUNSUPPORTED, "%s: %s: expected F32, BF16 or F16, found F64", j->options->model,
                            t->name);
        j->tensors[i] = (ent_st_tensor){.name = t->name,
                                        .dtype = !quantised ? t->dtype
                                                 : int8     ? ENT_DTYPE_I8
                                                            : ENT_DTYPE_NF4,
                                        .type = ent_safetensors_find(m->weights, t->name)->type,
                                        .n_dims = t->n_dims};
        memcpy(j->tensors[i].shape, t->shape, sizeof j->tensors[i].shape);
        j->result->rows[i].type = ent_dtype_name(j->tensors[i].dtype);
        if (quantised && int8)
            ENT_TRY(choose_scales(j, i));
    }
    return ENT_OK;
}

static ent_status read_back(const char *folder, const void *context)
{
    job *j = *(job *const *)context;
    const ent_model_options how = {.path = folder, .max_positions = 1};
    ent_model written = {0};
    ent_status st;
    ENT_GO(ent_model_open(&written, &how));
    j->result->bytes_after = bytes_of(written.weights);
    ENT_GO(measure(j, written.decoder));
done:
    ent_model_close(&written);
    return st;
}

static ent_status watch_inputs(job *j)
{
    const ent_quantize_inputs *how = &j->options->inputs;
    ent_quantize_result *r = j->result;
    ent_decoder *decoder = r->model.decoder;
    const size_t units = ent_dataset_units(r->data.dataset), n = ent_decoder_projections(decoder);
    ENT_TRY(ent_calloc(&j->inputs, n, sizeof *j->inputs, "inputs"));
    r->calibrated = units < (size_t)how->units ? units : (size_t)how->units;
    ENT_TRY(of_model(j, ent_quantize_watch(j->inputs, decoder, how, &r->data, j->comm)));
    for (size_t i = 0; i < j->count; i++) {
        const size_t number = projection_of(decoder, j->from[i]);
        if (number == n)
            continue;
        j->stored[i].input_scale = j->inputs[number].scale;
        j->stored[i].input_zero = j->inputs[number].zero;
    }
    return ENT_OK;
}

static ent_status write_folder(job *j)
{
    const ent_quantize_options *o = j->options;
    const ent_quantized_write_options how = {.scheme = {.kind = o->kind,
                                                        .per = o->how.per,
                                                        .group_size = o->how.group_size,
                                                        .asymmetric = o->how.asymmetric,
                                                        .inputs = o->inputs.on,
                                                        .asymmetric_inputs = o->inputs.asymmetric},
                                             .observer = o->how.observer == ENT_PTQ_MIN_MAX ? "minmax" : NULL,
                                             .model = {.from = o->model, .verify = read_back, .verify_context = &j}};
    ENT_TRY(list_tensors(j)); /* what is refused is so before the data take their time */
    ENT_TRY(measure_before(j));
    if (o->inputs.on)
        ENT_TRY(watch_inputs(j));
    return ent_quantized_write(o->out, j->tensors, j->stored, j->count, &how, read_piece, j);
}

/* --- a GGUF file --- */

static ent_status measure_gguf(job *j)
{
    ent_quantize_result *r = j->result;
    ent_gguf *file = NULL;
    ent_model_config config;
    ent_gguf_weights weights = {0};
    ent_decoder *decoder = NULL;
    char *folder = NULL;
    ent_status st;
    ENT_GO(ent_path_folder(&folder, j->options->out));
    ENT_GO(ent_gguf_open(&file, j->options->out));
    ENT_GO(ent_gguf_read_model(&config, file));
    ENT_GO(ent_gguf_weights_new(&weights, file, &config, folder));
    ENT_GO(ent_decoder_new(&decoder, &config, NULL, false, 1));
    ENT_GO(ent_bind_tensors(ent_decoder_params(decoder), weights.tensors, weights.count, false, j->options->out));
    for (size_t i = 0; i < ent_gguf_count(file); i++)
        r->bytes_after += (double)ent_gguf_at(file, i)->bytes;
    ENT_GO(measure(j, decoder));
    for (size_t i = 0; i < r->count; i++) {
        ent_gguf_name name;
        const ent_gguf_tensor *t = ent_gguf_find(file, ent_gguf_name_from_hf(&name, r->rows[i].name));
        r->rows[i].type = t->format ? t->format->name : "F32";
    }
done:
    ent_decoder_free(decoder);
    ent_gguf_weights_free(&weights);
    ent_gguf_close(file);
    free(folder);
    return st;
}

/* The export stands in its place already when it is measured: if that fails, it is taken back with its proof. */
static ent_status write_gguf(job *j)
{
    const ent_quantize_options *o = j->options;
    const ent_export_options how = {.model = o->model, .out = o->out, .format = ENT_EXPORT_GGUF, .type = o->type};
    char *proof = NULL;
    bool written = false;
    ent_status st;
    ENT_GO(ent_format(&proof, "%s.proof.json", o->out));
    ENT_GO(measure_before(j));
    ENT_GO(ent_export_run(&j->result->report, &how));
    written = true;
    if (j->result->report.failed)
        ENT_GO(ent_fail(ENT_ENOMEM, "out of memory: a report"));
    ENT_GO(measure_gguf(j));
done:
    if (written && st != ENT_OK) {
        unlink(o->out);
        unlink(proof);
    }
    free(proof);
    return st;
}

/* --- */

static ent_status open_model(job *j)
{
    const ent_quantize_options *o = j->options;
    const ent_model_options how = {.path = o->model, .max_positions = 1};
    ent_quantize_result *r = j->result;
    ENT_TRY(ent_export_check_out(o->out));
    ent_sweep_temporaries_of(o->out);
    ENT_TRY(ent_model_open(&r->model, &how));
    if (r->model.quantized.kind != ENT_QUANTIZED_NOT)
        return ent_fail(ENT_EUNSUPPORTED, "--model: %s: is quantised already", o->model);
    r->bytes_before = bytes_of(r->model.weights);
    r->count = ent_decoder_params(r->model.decoder)->count;
    ENT_TRY(ent_calloc(&r->rows, r->count, sizeof *r->rows, "tensors"));
    if (o->eval.data == NULL)
        return ENT_OK;
    return ent_eval_data_open(&r->data, &o->eval, &r->model, o->model);
}

ent_status ent_quantize_run(ent_quantize_result *out, const ent_quantize_options *options, ent_comm *comm)
{
    job j = {.options = options, .result = out, .comm = comm};
    ent_status st;
    *out = (ent_quantize_result){0};
    ENT_GO(open_model(&j));
    ENT_GO(options->kind == ENT_QUANTIZED_NOT ? write_gguf(&j) : write_folder(&j));
done:
    for (size_t i = 0; i < j.count; i++) {
        if (j.scales)
            free(j.scales[i]);
        if (j.stored)
            free((float *)j.stored[i].scales), free((int8_t *)j.stored[i].zeros);
    }
    free(j.inputs);
    free(j.tensors);
    free(j.from);
    free(j.scales);
    free(j.stored);
    return st;
}
