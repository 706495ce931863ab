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

typedef struct ent_lora_config {
    size_t r;         /* the adapter's rank; 0: no adapter */
    double alpha;     /* y += alpha / r * B A x, or alpha / sqrt(r) with use_rslora */
    bool use_rslora;  /* Kalajdzievski 2023, arXiv:2312.03732 */
    double dropout;   /* of the adapter's input, in [0, 1) */
    unsigned targets; /* bit 1 << proj: projection is adapted */
    uint8_t *layers;  /* NULL: all layers; else n_layers flags, 1: adapted. Owned by who made the struct */
    size_t n_layers;  /* length of `layers` */
} ent_lora_config;

#endif
