/* Whether models can be merged. */
#ifndef ENT_LAUNCH_MERGE_FITS_H
#define ENT_LAUNCH_MERGE_FITS_H

#include "src/base/status.h"
#include "src/nn/model_config.h"

/* ENT_ECONFIG naming the first setting in which the model of folder `b` computes something else than that of `a`.
 * max_position_embeddings may differ: what a model computes doesn't depend on it. */
ent_status ent_merge_fits(const ent_model_config *a, const char *a_folder, const ent_model_config *b,
                          const char *b_folder);

#endif
