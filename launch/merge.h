/* Merges the weights of model folders, or folds an adapter into its model, and writes the result as a model folder. */
#ifndef ENT_LAUNCH_MERGE_H
#define ENT_LAUNCH_MERGE_H

#include "io/model_write.h"
#include "src/merge/merge.h"

typedef struct ent_merge_options {
    const char *adapter; /* folded into models[0]; NULL: the models are merged as `how` says */
    ent_merge how;       /* .models, .weights of `models` */
    const char **models; /* folders */
    const char *base;    /* NULL where the method has none */
    const char *out;
    bool has_dtype; /* false: each tensor has the type it has in base, or in the first model */
    ent_dtype dtype;
    size_t file_bytes;
    bool overwrite;
    ent_folder_writer *verify; /* as ent_model_write_options has it */
    const void *verify_context;
} ent_merge_options;

typedef struct ent_merge_job ent_merge_job;

/* Opens what is to be merged and checks that it fits together: settings of config.json that decide what a model
 * computes are equal, every tensor is there once with its shape. Nothing is written. ent_merge_job_free also after a
 * failure. */
ent_status ent_merge_job_open(ent_merge_job **out, const ent_merge_options *options);
void ent_merge_job_free(ent_merge_job *job);

/* Writes options->out. ENT_ESTOPPED if a signal has come (launch/signals.h); then nothing is left. */
ent_status ent_merge_job_run(ent_merge_job *job);

/* What is written: numbers, and the bytes they take. */
void ent_merge_job_size(size_t *tensors, size_t *numbers, size_t *bytes, const ent_merge_job *job);

/* For those who write it otherwise: its tensors, and their numbers (an ent_model_source, whose context is the job). */
const ent_st_tensor *ent_merge_job_tensors(size_t *count, const ent_merge_job *job);
ent_status ent_merge_job_read(float *out, void *job, size_t i, size_t first, size_t n);

#endif
