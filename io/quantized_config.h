/* What a model folder's config.json says of quantised weights (quantization_config), read and put there.
 *
 * Two forms are known, as the field's tools write them:
 *
 *   int8  quant_method "compressed-tensors", format "int-quantized" (llm-compressor): beside X.weight (I8, (out, in))
 *         stand X.weight_scale, (1) of a tensor, (out, 1) of channels, (out, in / group_size) of groups, and of
 *         asymmetric ones X.weight_zero_point (I8, the same shape); a number is (q - zero point) scale. With static
 *         activations (input_activations) stand there X.input_scale (1), and X.input_zero_point (1) of asymmetric ones:
 *         what the input of the product is rounded to
 *   nf4   quant_method "bitsandbytes", bnb_4bit_quant_type "nf4", bnb_4bit_use_double_quant: X.weight (U8, (n / 2, 1)),
 *         n = out in numbers in blocks of 64 that run on from row to row, with X.weight.absmax, .quant_map,
 *         .nested_absmax, .nested_quant_map and .quant_state.bitsandbytes__nf4 (src/quant/nf4.h has the numbers)
 *
 * Which weights are quantised is told by the tensors' types.
 */
#ifndef ENT_IO_QUANTIZED_CONFIG_H
#define ENT_IO_QUANTIZED_CONFIG_H

#include "io/json.h"
#include "src/quant/ptq.h"

typedef enum { ENT_QUANTIZED_NOT, ENT_QUANTIZED_INT8, ENT_QUANTIZED_NF4 } ent_quantized_kind;

typedef struct ent_quantized_scheme {
    ent_quantized_kind kind;
    ent_ptq_per per; /* of int8 */
    size_t group_size;
    bool asymmetric;
    bool inputs, asymmetric_inputs; /* of int8: products get x in 8 bits, with one scale for all of it */
} ent_quantized_scheme;

/* Of the object of config.json, whose path is for messages; kind NOT if it says nothing. ENT_EUNSUPPORTED naming the
 * key and its value for any other form, activations with scales of their own at run time (dynamic) too; ENT_EFORMAT. */
ent_status ent_quantized_scheme_read(ent_quantized_scheme *out, const ent_json *config, const char *path);

/* The same of FOLDER/config.json. */
ent_status ent_quantized_scheme_load(ent_quantized_scheme *out, const char *folder);

/* Puts it into the object of config.json, instead of what is there; kind NOT takes that out. `observer`: how
 * llm-compressor calls what chose the scales, NULL: it has no name for it. */
void ent_quantized_scheme_put(ent_json *config, const ent_quantized_scheme *scheme, const char *observer);

#endif
