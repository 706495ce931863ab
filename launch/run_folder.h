/* The run folder: what rank 0 writes there, and reads when a run resumes. */
#ifndef ENT_LAUNCH_RUN_FOLDER_H
#define ENT_LAUNCH_RUN_FOLDER_H

#include "launch/run.h"

/* ENT_ECONFIG if the folder holds a run and neither --resume nor --overwrite was given. */
ent_status ent_run_folder_check(const ent_run *run);

/* Makes the folder, empties it of an old run (--overwrite), or takes the state of the newest checkpoint (--resume);
 * writes config.yaml. For rank 0. */
ent_status ent_run_folder_begin(ent_run *run);

/* Writes a checkpoint of the state after run->done steps. For rank 0. */
ent_status ent_run_folder_checkpoint(const ent_run *run, const ent_step_result *last);

/* Writes the adapter (or with full training the model) into folder `name` of the run folder. For rank 0. */
ent_status ent_run_folder_save(const ent_run *run, const char *name);

#endif
