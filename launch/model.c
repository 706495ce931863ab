#include "launch/model.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/lora_modules.h"
#include "io/lora_saved.h"
#include "io/model_config.h"
#include "io/model_weights.h"
#include "io/peft.h"
#include "io/tokenizer_json.h"
#include "launch/pissa.h"
#include "src/base/mem.h"
#include "src/tensor/gemm.h"

void ent_model_close(ent_model *m)
{
    ent_calibration_free(m->calibration);
    ent_decoder_free(m->decoder);
    ent_weights_cache_close(m->converted);
    ent_checkpoint_adapter_close(&m->checkpoint);
    ent_safetensors_close(m->adapter);
    ent_quantized_free(m->dequantized);
    ent_safetensors_close(m->weights);
    ent_tokenizer_free(m->tokenizer);
    free(m->tokenizer_path);
    ent_lora_config_clear(&m->lora);
    *m = (ent_model){0};
}

static ent_status open_tokenizer(ent_model *m, const char *folder)
{
    ENT_TRY(ent_format(&m->tokenizer_path, "%s/tokenizer.json", folder));
    if (access(m->tokenizer_path, F_OK) == 0)
        return ent_tokenizer_load(&m->tokenizer, m->tokenizer_path);
    free(m->tokenizer_path);
    m->tokenizer_path = NULL;
    return ENT_OK;
}

/* Of a checkpoint that adapts all layers, as a PEFT folder says it. */
static ent_status copy_checkpoint_lora(ent_model *m)
{
    const ent_lora_config *l = &m->checkpoint.lora;
    size_t chosen = 0;
    ENT_TRY(ent_lora_config_copy(&m->lora, l));
    for (size_t i = 0; i < l->n_layers; i++)
        chosen += l->layers[i];
    if (chosen == m->config.n_layers && l->n_layers == chosen) {
        free(m->lora.layers);
        m->lora.layers = NULL;
        m->lora.n_layers = 0;
    }
    return ENT_OK;
}

/* A PEFT config may have keys that take nothing. */
static ent_status choose_saved(const ent_model *m, const ent_model_options *o)
{
    char *where;
    ENT_TRY(ent_format(&where, "%s%s", o->adapter ? o->adapter : "lora",
                       o->adapter ? ": modules_to_save" : ".modules_to_save"));
    const ent_status st = ent_lora_saved_act(&m->lora, &m->config, o->lora != NULL, where);
    free(where);
    return st;
}

/* The adapter that PiSSA leaves has larger alphas, which must be ones that are read again. */
static ent_status check_pissa(const ent_lora_config *c)
{
    const double most = ENT_LORA_MOST_ALPHA / ent_pissa_alphas(c->use_rslora);
    if (c->pissa && c->use_dora)
        return ent_fail(ENT_ECONFIG, "lora.init: pissa can't be combined with lora.use_dora");
    if (c->pissa && c->alpha > most)
        return ent_fail(ENT_ECONFIG, "lora.alpha: expected at most %g with lora.init: pissa, found %g", most, c->alpha);
    for (size_t i = 0; c->pissa && i < c->alphas.count; i++)
        if (c->alphas.items[i].value > most)
            return ent_fail(ENT_ECONFIG,
                            "lora.alpha_pattern: \"%.100s\": expected at most %g with lora.init: pissa, found %g",
                            c->alphas.items[i].key, most, c->alphas.items[i].value);
    return ENT_OK;
}

static ent_status choose_adapter(ent_model *m, const ent_model_options *o)
{
    if (o->adapter) {
        if (ent_is_checkpoint(o->adapter)) {
            ENT_TRY(ent_checkpoint_adapter_open(&m->checkpoint, o->adapter));
            ENT_TRY(copy_checkpoint_lora(m));
        } else {
            ENT_TRY(ent_peft_read_config(&m->lora, o->adapter));
        }
        m->lora.dropout = o->dropout;
    } else if (o->lora) {
        ENT_TRY(ent_lora_config_copy(&m->lora, o->lora));
    }
    if (m->lora.use_dora && m->lora.dropout > 0)
        return ent_fail(ENT_ECONFIG, "lora.dropout: expected 0 with DoRA%s%s, found %g", o->adapter ? ", as in " : "",
                        o->adapter ? o->adapter : "", m->lora.dropout);
    ENT_TRY(check_pissa(&m->lora));
    size_t chosen = 0;
    for (size_t l = 0; m->lora.layers && l < m->lora.n_layers; l++) {
        if (m->lora.layers[l] && l >= m->config.n_layers)
            return ent_fail(ENT_ECONFIG, "%s: layer %zu is to be adapted, the model has layers 0 to %zu",
                            o->adapter ? o->adapter : "lora.layers", l, m->config.n_layers - 1);
        chosen += m->lora.layers[l];
    }
    if (m->lora.layers && chosen == 0)
        return ent_fail(ENT_ECONFIG, "%s: no layer is to be adapted", o->adapter ? o->adapter : "lora.layers");
    if (o->lora) /* a PEFT config may have patterns that take nothing */
        ENT_TRY(ent_lora_patterns_act(&m->lora, m->config.n_layers, "lora"));
    ENT_TRY(choose_saved(m, o));
    return m->lora.modules ? ENT_OK : ent_lora_resolve(&m->lora, m->config.n_layers);
}

static ent_status open_adapter(ent_model *m, const ent_model_options *o)
{
    ent_status st;
    char *path = NULL;
    if (ent_is_checkpoint(o->adapter))
        return ent_bind_tensors(ent_decoder_params(m->decoder), m->checkpoint.tensors, m->checkpoint.listing.count,
                                true, o->adapter);
    ENT_GO(ent_format(&path, "%s/adapter_model.safetensors", o->adapter));
    ENT_GO(ent_safetensors_open(&m->adapter, path));
    ENT_GO(ent_adapter_bind(ent_decoder_params(m->decoder), m->adapter, o->adapter));
done:
    free(path);
    return st;
}

ent_compute ent_model_compute(const ent_config *config)
{
    static const ent_compute computes[] = {ENT_COMPUTE_FP32, ENT_COMPUTE_BF16, ENT_COMPUTE_INT8};
    return computes[config->compute.precision];
}

const char *ent_model_kernel(const ent_config *config)
{
    return ent_gemm_kernel_for(ent_model_compute(config));
}

/* Weights that are quantised in the folder: for a run they stay where they are mapped, for all ranks. */
static ent_status check_quantized(const ent_model *m, const ent_model_options *o, const ent_lora_config *lora)
{
    const ent_quantized_scheme *q = &m->quantized;
    if (q->kind == ENT_QUANTIZED_NOT)
        return ENT_OK;
    if (o->random)
        return ent_fail(ENT_ECONFIG, "model.init: random: %s has quantised weights, which aren't trained", o->path);
    if (o->train && lora == NULL)
        return ent_fail(ENT_ECONFIG, "%s: its weights are quantised, and can't be trained: expected a lora section",
                        o->path);
    if (q->inputs && (o->train || o->numbers || o->compute != ENT_COMPUTE_FP32))
        return ent_fail(ENT_EUNSUPPORTED,
                        "%s: its activations are quantised (input_activations): it can be generated from and evaluated "
                        "in fp32 alone",
                        o->path);
    if (o->base == ENT_BASE_NF4)
        return ent_fail(ENT_ECONFIG, "quantize.base: nf4: %s: its weights are quantised already: expected none or int8",
                        o->path);
    if (o->train && !o->numbers && !ent_quantized_is_in_place(q))
        return ent_fail(ENT_EUNSUPPORTED,
                        "%s: its weights are %s: adapters are trained on int8 with a scale for each row or tensor; "
                        "train on the model it was made of, with quantize.base",
                        o->path,
                        q->kind == ENT_QUANTIZED_NF4 ? "nf4"
                        : q->asymmetric              ? "asymmetric int8"
                                                     : "int8 in groups");
    return ENT_OK;
}

static ent_status bind_weights(ent_model *m, const ent_model_options *o)
{
    ent_params *params = ent_decoder_params(m->decoder);
    const bool tied = m->config.tie_word_embeddings;
    if (m->quantized.kind == ENT_QUANTIZED_NOT) {
        ENT_TRY(ent_safetensors_open_model(&m->weights, o->path));
        return ent_model_bind(params, m->weights, tied, o->path);
    }
    ENT_TRY(ent_safetensors_open_any(&m->weights, o->path, true));
    ENT_TRY(ent_quantized_bind(&m->dequantized, params, m->weights, &m->quantized,
                               o->numbers ? ENT_QUANTIZED_AS_NUMBERS : ENT_QUANTIZED_AS_STORED, tied, o->path));
    return o->compute == ENT_COMPUTE_INT8 ? ent_quantized_check_codes(params, o->path) : ENT_OK;
}

/* DoRA's norms follow from the weights, as these are stored now. */
static ent_status set_norms(ent_model *m)
{
    return m->fresh ? ent_decoder_init_magnitudes(m->decoder) : ent_decoder_refresh(m->decoder);
}

ent_status ent_model_open(ent_model *m, const ent_model_options *o)
{
    *m = (ent_model){.base = o->base, .fresh = o->adapter == NULL && o->lora};
    ENT_TRY(ent_model_config_load(&m->config, o->path));
    ENT_TRY(ent_quantized_scheme_load(&m->quantized, o->path));
    ENT_TRY(open_tokenizer(m, o->path));
    ENT_TRY(choose_adapter(m, o));
    const ent_lora_config *lora = m->lora.r ? &m->lora : NULL;
    if (o->random && lora)
        return ent_fail(ENT_ECONFIG, "model.init: random trains all weights, it can't be combined with lora");
    if (o->compute != ENT_COMPUTE_FP32 && o->train && lora == NULL)
        return ent_fail(ENT_ECONFIG, "compute.precision: %s needs frozen weights: expected a lora section",
                        o->compute == ENT_COMPUTE_INT8 ? "int8" : "bf16");
    if (o->base != ENT_BASE_NONE && o->train && lora == NULL)
        return ent_fail(ENT_ECONFIG, "quantize.base: %s needs frozen weights: expected a lora section",
                        o->base == ENT_BASE_NF4 ? "nf4" : "int8");
    ENT_TRY(check_quantized(m, o, lora));
    if (o->qat == ENT_QAT_INT8)
        ENT_TRY(ent_decoder_new_rounded(&m->decoder, &m->config, o->max_positions));
    else
        ENT_TRY(ent_decoder_new(&m->decoder, &m->config, lora, o->train, o->max_positions));
    if (o->random) {
        ent_decoder_init_weights(m->decoder, o->seed);
        ent_decoder_init_scales(m->decoder);
        return ENT_OK;
    }
    ENT_TRY(bind_weights(m, o));
    ent_decoder_init_scales(m->decoder);
    ent_decoder_set_compute(m->decoder, o->compute == ENT_COMPUTE_INT8 ? ENT_COMPUTE_FP32 : o->compute);
    if (o->adapter)
        ENT_TRY(open_adapter(m, o));
    else
        ent_decoder_init_adapters(m->decoder, o->seed);
    if (m->lora.saved.count) /* nothing reads what their copies began with any more */
        ent_safetensors_release(m->weights);
    return set_norms(m);
}

ent_status ent_model_calibrate(ent_model *m, ent_compute compute, size_t count, ent_unit_source source, void *context)
{
    if (compute != ENT_COMPUTE_INT8)
        return ENT_OK;
    return ent_calibration_new(&m->calibration, m->decoder, count, source, context);
}

ent_status ent_model_convert(ent_model *m, const char *cache_dir, bool verify, bool (*stop)(void))
{
    ent_params *params = ent_decoder_params(m->decoder);
    if (m->converted)
        return ENT_OK;
    if (m->base == ENT_BASE_NONE)
        ENT_TRY(ent_weights_cache_open(&m->converted, params, cache_dir, verify, stop));
    else
        ENT_TRY(ent_weights_cache_quantize(
            &m->converted, params, m->base == ENT_BASE_NF4 ? ENT_DTYPE_NF4 : ENT_DTYPE_I8, cache_dir, verify, stop));
    if (m->converted && m->weights)
        ent_safetensors_release(m->weights);
    return set_norms(m);
}
