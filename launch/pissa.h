/* The adapter of a PiSSA run as plain LoRA, which other programs read: PEFT's path_initial_model_for_weight_conversion.
 */
#ifndef ENT_LAUNCH_PISSA_H
#define ENT_LAUNCH_PISSA_H

#include <math.h>
#include <stdbool.h>

#include "launch/model.h"

/* Writes FOLDER as ent_peft_write does: s (B A - B0 A0) as one adapter of twice the rank, [B, -B0] [A; A0], with an
 * alpha that leaves the scale as it is. */
ent_status ent_pissa_write(const char *folder, const ent_model *model, const char *base_model);

/* What alphas are multiplied by: 2, or sqrt(2) with use_rslora. */
static inline double ent_pissa_alphas(bool use_rslora)
{
    return use_rslora ? sqrt(2) : 2;
}

#endif
