/* The configuration of a training run: defaults < the YAML file < `--set section.key=value`.
 *
 * Every key acts or is an error: an unknown key, a value out of range, or a key that acts only with another setting
 * stops the load with one line that names it, where it stands and what was expected. The keys are the rows of the table
 * in io/config_fields.c; ent_config_help prints it.
 */
#ifndef ENT_IO_CONFIG_H
#define ENT_IO_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/json.h"
#include "src/base/status.h"
#include "src/nn/lora_config.h"

/* Choices: the values of an enum stand in the order of the names in the table. */
typedef enum { ENT_INIT_PRETRAINED, ENT_INIT_RANDOM } ent_model_init;
typedef enum { ENT_LORA_DEFAULT, ENT_LORA_PISSA } ent_lora_init;
typedef enum { ENT_BASE_NONE, ENT_BASE_INT8, ENT_BASE_NF4 } ent_quantize_base;
typedef enum { ENT_QAT_NONE, ENT_QAT_INT8 } ent_quantize_qat;
typedef enum { ENT_PRECISION_FP32, ENT_PRECISION_BF16, ENT_PRECISION_INT8 } ent_precision;
typedef enum { ENT_RECOMPUTE_NONE, ENT_RECOMPUTE_LAYER } ent_recompute;
typedef enum { ENT_NAME_SGD, ENT_NAME_ADAM, ENT_NAME_ADAMW } ent_optimizer_name;
typedef enum { ENT_NAME_CONSTANT, ENT_NAME_LINEAR, ENT_NAME_COSINE, ENT_NAME_STEP } ent_scheduler_name;
typedef enum { ENT_METADATA_JSON, ENT_METADATA_YAML } ent_metadata_format;
typedef enum { ENT_COMM_AUTO, ENT_COMM_SELF, ENT_COMM_MPI } ent_comm_choice;

/* All strings are owned by the config. Paths are absolute; NULL where an optional one is not set. */
typedef struct ent_config {
    struct {
        char *path;
        ent_model_init init;
    } model;
    struct {
        char *train, *val;   /* val may be NULL */
        char *chat_template; /* a file; NULL: the model's own */
        int64_t seq_len;
        bool mask_prompt, packing, shuffle;
    } data;
    bool has_lora; /* false: all weights train, and `lora` holds nothing */
    struct {
        char *path; /* go on from this adapter, which sets all but dropout and plus_ratio; NULL: a new one */
        int64_t rank;
        double alpha, dropout;
        double plus_ratio; /* learning rate of B by that of A */
        unsigned targets;  /* bit 1 << ent_proj */
        bool use_rslora, use_dora;
        ent_lora_init init;
        size_t *layers; /* n_layers indices, rising; NULL: all layers. Not yet compared with a model */
        size_t n_layers;
        ent_lora_patterns ranks, alphas; /* rank_pattern, alpha_pattern */
        ent_lora_names saved;            /* modules_to_save */
    } lora;
    bool has_distill; /* false: `distill` holds nothing */
    struct {
        char *teacher;   /* a model folder; NULL: `teachers` */
        char **teachers; /* n_teachers folders; NULL: `teacher` */
        size_t n_teachers;
        double *weights; /* n_weights = n_teachers numbers above 0; NULL: equal ones */
        size_t n_weights;
        double temperature, alpha;
        double hidden;                   /* beta; 0: hidden states aren't compared */
        ent_lora_patterns hidden_layers; /* {student layer: teacher layer}, as "0" and 4.0; empty: spread evenly */
    } distill;
    struct {
        ent_quantize_base base;
        ent_quantize_qat qat;
    } quantize;
    struct {
        ent_precision precision;
        int64_t threads; /* 0: auto */
        ent_recompute recompute;
    } compute;
    struct {
        ent_optimizer_name name;
        double lr, beta1, beta2, eps, weight_decay, momentum;
    } optimizer;
    struct {
        ent_scheduler_name name;
        int64_t warmup_steps;
        double min_lr;
        int64_t step_size; /* 0 unless name is step */
        double gamma;
    } scheduler;
    struct {
        int64_t epochs, max_steps; /* max_steps 0: from epochs */
        int64_t batch_size;
        double grad_clip; /* 0: off */
        int64_t seed;
        char *output_dir;
        int64_t log_every;
    } training;
    struct {
        int64_t every, patience; /* 0: off */
    } eval;
    struct {
        int64_t every, keep; /* every 0: only at the end */
        ent_metadata_format metadata;
    } checkpoint;
    struct {
        ent_comm_choice comm;
        int64_t timeout;     /* seconds */
        int64_t check_every; /* steps; 0: off */
        bool allow_mixed_cpus;
    } distributed;
} ent_config;

/* Reads `path` and then the n_sets assignments "section.key=value" (lists: "a,b" or "[a, b]"; "section.key=" takes a
 * key back, "section=" a section). Relative paths are relative to the file's folder, in `sets` to the working folder,
 * and need not exist. ENT_ECONFIG; ENT_ENOMEM. */
ent_status ent_config_load(ent_config **out, const char *path, const char *const *sets, size_t n_sets);
void ent_config_free(ent_config *config);

/* *out = the config as YAML (caller frees with free()): every key with its value. Keys that don't act with the others
 * are left to comments, so that loading the text gives an equal config. */
ent_status ent_config_print(char **out, const ent_config *config);

/* *out = the table of keys for people (caller frees): key, what it takes, default, meaning. */
ent_status ent_config_help(char **out);

/* Adds the sections as objects to `to`: the same keys that ent_config_print writes. */
ent_status ent_config_to_json(ent_json *to, const ent_config *config);

#endif
