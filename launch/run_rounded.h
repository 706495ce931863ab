/* The result of a run that trains with rounded weights (quantize.qat): the model in int8, as forward has seen it. */
#ifndef ENT_LAUNCH_RUN_ROUNDED_H
#define ENT_LAUNCH_RUN_ROUNDED_H

#include "launch/run.h"

/* Writes the folder: projections as I8 with the trained scales, the rest as F32 (io/quantized_write.h). Evaluated, it
 * has the bits that the run computed. */
ent_status ent_run_rounded_write(const char *folder, const ent_run *run);

#endif
