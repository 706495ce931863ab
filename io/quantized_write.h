/* Writes a model folder whose projections are quantised, as io/quantized_config.h has its two forms. */
#ifndef ENT_IO_QUANTIZED_WRITE_H
#define ENT_IO_QUANTIZED_WRITE_H

#include "io/model_write.h"
#include "io/quantized_config.h"

/* Of a weight in int8: as many as the scheme asks for (ent_ptq_scales), row by row. */
typedef struct ent_quantized_scales {
    const float *scales;
    const int8_t *zeros; /* NULL where the scheme is symmetric */
    float input_scale;   /* of static activations */
    int8_t input_zero;
} ent_quantized_scales;

typedef struct ent_quantized_write_options {
    ent_quantized_scheme scheme;
    const char *observer;          /* ent_quantized_scheme_put */
    ent_model_write_options model; /* but `configure` */
} ent_quantized_write_options;

/* Writes the folder. tensors: those of the model under their names, with the shapes of the model. Those of dtype I8
 * (scheme INT8; scales[i] are theirs, others' aren't read) or NF4 are quantised: their numbers from `source` are whole
 * codes, -127..127 where the scheme is symmetric, of I8; of NF4 the numbers to be rounded, which are asked for twice.
 * Others are written as their dtype says (F32, BF16, F16). `source` NULL: the numbers stand at each tensor's `data`, as
 * its dtype has them (not of NF4). Errors as ent_model_write; ENT_ENUMERIC naming the tensor. */
ent_status ent_quantized_write(const char *folder, const ent_st_tensor *tensors, const ent_quantized_scales *scales,
                               size_t count, const ent_quantized_write_options *options, ent_model_source *source,
                               void *context);

#endif
