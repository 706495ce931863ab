/* Gives a decoder the weights of a model folder that is quantised (io/quantized_config.h). */
#ifndef ENT_IO_QUANTIZED_READ_H
#define ENT_IO_QUANTIZED_READ_H

#include "io/quantized_config.h"
#include "io/safetensors.h"
#include "src/nn/params.h"

typedef struct ent_quantized ent_quantized; /* what had to be made of the files: to be kept as long as the parameters */

typedef enum {
    ENT_QUANTIZED_AS_STORED,  /* I8 where the scheme has one scale for a row, in place; NF4 where rows are whole blocks
                                 of 64, in memory of its own; others as F32, in memory of their own */
    ENT_QUANTIZED_AS_NUMBERS, /* all as F32, in memory of their own */
    ENT_QUANTIZED_UNREAD      /* everything is checked, and stays where it is mapped: not to be computed with */
} ent_quantized_way;

/* Whether AS_STORED leaves every weight where the file is mapped: what several processes share. */
bool ent_quantized_is_in_place(const ent_quantized_scheme *scheme);

/* Binds every tensor of `files`, which were opened with ent_safetensors_open_any, as ent_model_bind does. ENT_EFORMAT
 * naming the tensor whose scales are missing, of another shape or type, not finite or negative, or stand alone. */
ent_status ent_quantized_bind(ent_quantized **out, ent_params *params, const ent_safetensors *files,
                              const ent_quantized_scheme *scheme, ent_quantized_way way, bool tied, const char *folder);
void ent_quantized_free(ent_quantized *quantized);

/* ENT_EUNSUPPORTED naming a weight in I8 with a code of -128, which products in int8 don't take. */
ent_status ent_quantized_check_codes(const ent_params *params, const char *folder);

#endif
