/* What to adapt and how: the settings of LoRA (Hu et al. 2021, arXiv:2106.09685), as PEFT names them. */
#ifndef ENT_NN_LORA_CONFIG_H
#define ENT_NN_LORA_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The seven projections of a decoder layer, in the order of their work. */
typedef enum {
    ENT_Q_PROJ,
    ENT_K_PROJ,
    ENT_V_PROJ,
    ENT_O_PROJ,
    ENT_GATE_PROJ,
    ENT_UP_PROJ,
    ENT_DOWN_PROJ,
    ENT_N_PROJ
} ent_proj;

/* "q_proj" ... "down_proj"; where it stands in a layer: "self_attn" or "mlp". */
const char *ent_proj_name(ent_proj proj);
const char *ent_proj_block(ent_proj proj);

/* The projection of "model.layers.3.self_attn.q_proj" or what stands in it, ".weight"; false for anything else. */
bool ent_lora_module_of(size_t *layer, ent_proj *proj, const char *name);

/* PEFT's rank_pattern or alpha_pattern: the first whose key takes a module (src/text/module_pattern.h) sets its value.
 */
typedef struct ent_lora_pattern {
    char *key;
    double value;
} ent_lora_pattern;

typedef struct ent_lora_patterns {
    ent_lora_pattern *items; /* owned, as their keys are; NULL where there are none */
    size_t count;
} ent_lora_patterns;

/* What a module has of its own; 0: what the config says. */
typedef struct ent_lora_module {
    size_t r;
    double alpha;
} ent_lora_module;

/* PEFT's modules_to_save: keys of modules that train whole, as copies beside those of the model. A key takes each
 * module whose path ends with its text: "norm" takes "input_layernorm", too. */
typedef struct ent_lora_names {
    char **items; /* owned, as the texts are; NULL where there are none */
    size_t count;
} ent_lora_names;

typedef struct ent_lora_config {
    size_t r;         /* the adapter's rank; 0: no adapter */
    double alpha;     /* y += alpha / r * B A x, or alpha / sqrt(r) with use_rslora */
    bool use_rslora;  /* Kalajdzievski 2023, arXiv:2312.03732 */
    bool use_dora;    /* Liu et al. 2024, arXiv:2402.09353: rows have a trained length; not with dropout */
    bool pissa;       /* a new adapter begins with the largest singular values of its weight: ent_decoder_init_pissa */
    double dropout;   /* of the adapter's input, in [0, 1) */
    unsigned targets; /* bit 1 << proj: projection is adapted */
    uint8_t *layers;  /* NULL: all layers; else n_layers flags, 1: adapted. Owned by who made the struct */
    size_t n_layers;  /* length of `layers` */
    ent_lora_patterns ranks, alphas;
    ent_lora_names saved;
    ent_lora_module *modules; /* (n_modules): of layer l's projection p, number l ENT_N_PROJ + p, as the patterns set
                               * it; NULL: all are as above. Owned; ent_lora_resolve (io/lora_modules.h) makes it */
    size_t n_modules;
} ent_lora_config;

/* Whether a projection is adapted; the rank of its adapter; what the adapter's part is multiplied by: alpha / r, or
 * alpha / sqrt(r). */
bool ent_lora_adapts(const ent_lora_config *config, size_t layer, ent_proj proj);
size_t ent_lora_rank(const ent_lora_config *config, size_t layer, ent_proj proj);
double ent_lora_scale(const ent_lora_config *config, size_t layer, ent_proj proj);

/* Whether modules_to_save takes the module of a weight, "model.norm.weight" or "model.norm"; whether one key takes it.
 */
bool ent_lora_saves(const ent_lora_config *config, const char *name);
bool ent_lora_key_takes(const char *key, const char *name);

#endif
