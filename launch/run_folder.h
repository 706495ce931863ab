/* The run folder: what rank 0 writes there, and reads when a run resumes. */
#ifndef ENT_LAUNCH_RUN_FOLDER_H
#define ENT_LAUNCH_RUN_FOLDER_H

#include "launch/run.h"

/* Makes the folder if need be, takes its lock and removes what a killed run has left half written. ENT_ECONFIG if it
 * holds a run and neither --resume nor --overwrite was given; ENT_EIO if another run works in it. For rank 0. */
ent_status ent_run_folder_claim(ent_run *run);

/* Gives the lock back; removes the folder if it was made for a run that has not begun. */
void ent_run_folder_release(ent_run *run);

/* Empties the folder of an old run (--overwrite), or takes the state of the newest checkpoint (--resume); writes
 * config.yaml, opens the log. For rank 0. */
ent_status ent_run_folder_begin(ent_run *run);

/* Writes a checkpoint of the state after run->at.done steps, when the log up to there will last; then removes old ones.
 * For rank 0. */
ent_status ent_run_folder_checkpoint(const ent_run *run);

/* Writes the adapter (or with full training the model) into folder `name` of the run folder. For rank 0. */
ent_status ent_run_folder_save(const ent_run *run, const char *name);

#endif
