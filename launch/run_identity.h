/* What decides the numbers of a run: a checkpoint goes on only under the same. */
#ifndef ENT_LAUNCH_RUN_IDENTITY_H
#define ENT_LAUNCH_RUN_IDENTITY_H

#include "launch/run.h"

/* *out = an object (the caller frees) of texts by key: each key of the config that bears on the numbers, and digests of
 * the model's weights and of the data. Left out is what may change between stop and resume: ranks, threads, places,
 * intervals, the length of the run. */
ent_status ent_run_identity(ent_json **out, const ent_run *run);

#endif
