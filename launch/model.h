/* A model folder, loaded: config, tokenizer if there is one, mapped weights, decoder with values. */
#ifndef ENT_LAUNCH_MODEL_H
#define ENT_LAUNCH_MODEL_H

#include "io/config.h"
#include "io/quantized_read.h"
#include "io/safetensors.h"
#include "io/weights_cache.h"
#include "launch/checkpoint_adapter.h"
#include "src/nn/decoder.h"
#include "src/text/tokenizer.h"
#include "src/train/calibration.h"

typedef struct ent_model {
    ent_model_config config;
    ent_lora_config lora;     /* r 0: no adapter */
    bool fresh;               /* the adapter begins here: its magnitudes, with DoRA, are those of the weights in use */
    ent_tokenizer *tokenizer; /* NULL: the folder has no tokenizer.json */
    char *tokenizer_path;
    ent_safetensors *weights, *adapter; /* mapped; NULL where there is none */
    ent_quantized_scheme quantized;     /* of the folder; kind NOT: it holds numbers */
    ent_quantized *dequantized;         /* what had to be made of such weights; NULL: nothing */
    ent_checkpoint_adapter checkpoint;  /* empty, or the adapter's numbers */
    ent_calibration *calibration;       /* of int8; NULL: other precisions */
    ent_quantize_base base;             /* storage of frozen matrices; NONE: as products with them need it */
    ent_weights_cache *converted;       /* NULL: all is used as it is stored */
    ent_decoder *decoder;
} ent_model;

typedef struct ent_model_options {
    const char *path;            /* the model folder */
    const char *adapter;         /* a PEFT folder to go on from, or a checkpoint (.h5) with an adapter; NULL: none */
    const ent_lora_config *lora; /* a new adapter; NULL: none. Not with `adapter` */
    double dropout;              /* of the adapter of `adapter` */
    bool train;                  /* the adapter, or without one all weights, are trainable */
    ent_quantize_base base;      /* storage of frozen matrices; NONE where all train */
    ent_quantize_qat qat;        /* what weights that train are rounded to in forward */
    ent_compute compute;         /* of products with frozen weights; FP32 where all train. INT8: after calibration */
    bool numbers;                /* quantised weights become F32, in memory */
    bool random;                 /* weights from the seed, not from files */
    uint64_t seed;
    size_t max_positions;
} ent_model_options;

/* What the config's compute.precision means for products with frozen weights. */
ent_compute ent_model_compute(const ent_config *config);

/* What decides the bits of a run that the config describes (src/tensor/gemm.h). */
const char *ent_model_kernel(const ent_config *config);

/* Loads what `options` says into *out, which ent_model_close frees also after a failure. */
ent_status ent_model_open(ent_model *out, const ent_model_options *options);

/* Where the compute type is INT8: decides on the first of `count` units which products are (src/train/calibration.h).
 * Others: nothing. */
ent_status ent_model_calibrate(ent_model *model, ent_compute compute, size_t count, ent_unit_source source,
                               void *context);

/* The parts of it before calibration, and after it: weights that aren't stored as `base` says, or as products with them
 * need them, are converted, into a file in cache_dir that all ranks map (io/weights_cache.h); only one of the two calls
 * finds any. cache_dir NULL: in memory. The rank that `verify`s comes before the others. `stop` is
 * asked every now and then (NULL: never); yes: ENT_ESTOPPED. */
ent_status ent_model_convert(ent_model *model, const char *cache_dir, bool verify, bool (*stop)(void));
void ent_model_close(ent_model *model);

#endif
