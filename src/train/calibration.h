/* Which products with frozen weights are computed in int8, and how: decided at the start of a run on its first units,
 * with the weights and adapters as the run begins with them. The same units decide the same, on any number of ranks, so
 * every rank decides for itself, and a run that is resumed decides again. */
#ifndef ENT_TRAIN_CALIBRATION_H
#define ENT_TRAIN_CALIBRATION_H

#include "src/nn/decoder.h"
#include "src/quant/int8_choice.h"
#include "src/tensor/gemm_int8.h"
#include "src/train/trainer.h"

/* Units that are looked at, and tokens of each. */
enum { ENT_CALIBRATION_UNITS = 4, ENT_CALIBRATION_TOKENS = 128 };

typedef struct ent_calibrated {
    ent_tensor *weight;
    ent_int8_choice choice;
    float *factors;             /* its column_factors */
    ent_int8_rounding rounding; /* of a weight that stays as it is stored, quantised; else it holds nothing */
} ent_calibrated;

typedef struct ent_calibration {
    ent_calibrated *items; /* every frozen projection, in the order of the layers */
    size_t count;
    size_t ways[3]; /* how many were chosen to go each way (ent_int8_way) */
} ent_calibration;

/* Runs up to ENT_CALIBRATION_UNITS of `count` units forward and backward in fp32, every token with the next as its
 * target, and sets `compute` and `column_factors` of the weights: INT8 or BF16; lm_head is always BF16. Weights that
 * are stored as NF4 stay so, as do those of I8, and are rounded to int8 anew where products take them; I8 that needn't
 * be smoothed is int8 already. The calibration must stay as long as the weights are used. ENT_ENOMEM, ENT_ENUMERIC,
 * what `source` fails with. */
ent_status ent_calibration_new(ent_calibration **out, ent_decoder *decoder, size_t count, ent_unit_source source,
                               void *context);
void ent_calibration_free(ent_calibration *calibration);

#endif
