/* An adapter's folder: see launch/verify.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/peft.h"
#include "launch/verify_parts.h"
#include "src/base/mem.h"
#include "src/nn/lora_config.h"

enum { MAX_LAYERS = 10000, SIDES = 2, VECTOR = 2, PARTS = 3 }; /* A and B; with DoRA a vector, of B's side */

/* The sizes that the projections of all layers share; what goes in and comes out of each. */
typedef enum { HIDDEN, HEADS, KV_HEADS, MIDDLE, N_SIZES } size_kind;

static const size_kind sizes[ENT_N_PROJ][SIDES] = {
    [ENT_Q_PROJ] = {HIDDEN, HEADS},     [ENT_K_PROJ] = {HIDDEN, KV_HEADS},  [ENT_V_PROJ] = {HIDDEN, KV_HEADS},
    [ENT_O_PROJ] = {HEADS, HIDDEN},     [ENT_GATE_PROJ] = {HIDDEN, MIDDLE}, [ENT_UP_PROJ] = {HIDDEN, MIDDLE},
    [ENT_DOWN_PROJ] = {MIDDLE, HIDDEN},
};

typedef struct shape_of {
    const ent_contents_tensor *first[N_SIZES]; /* that told a size, */
    size_t size[N_SIZES];                      /* which is this */
    uint8_t (*found)[ENT_N_PROJ + 1][PARTS];   /* of each layer, its two norms behind projections */
    size_t n_layers;                           /* highest + 1 */
    bool outer[3];                             /* those of no layer that are saved whole */
} shape_of;

/* The modules that can be saved whole: of no layer, and of each. The first ones are in every model. */
static const char *const outer[] = {"lm_head", "model.norm", "model.embed_tokens"};
static const char *const inner[] = {"input_layernorm", "post_attention_layernorm", "self_attn.q_norm",
                                    "self_attn.k_norm"};
enum { N_OUTER = sizeof outer / sizeof *outer, N_INNER = sizeof inner / sizeof *inner };

static void name_of_saved(char out[160], size_t layer, size_t number)
{
    if (layer == SIZE_MAX)
        snprintf(out, 160, "base_model.model.%s.weight", outer[number]);
    else
        snprintf(out, 160, "base_model.model.model.layers.%zu.%s.weight", layer, inner[number]);
}

/* Which saved module a name means: of which layer (SIZE_MAX: of none), and its number there. */
static bool read_saved(size_t *layer, size_t *number, const char *name)
{
    char again[160];
    if (sscanf(name, "base_model.model.model.layers.%5zu.", layer) != 1)
        *layer = SIZE_MAX;
    else if (*layer >= MAX_LAYERS)
        return false;
    for (*number = 0; *number < (*layer == SIZE_MAX ? (size_t)N_OUTER : (size_t)N_INNER); ++*number) {
        name_of_saved(again, *layer, *number);
        if (strcmp(again, name) == 0)
            return true;
    }
    return false;
}

static void name_of(char out[160], size_t layer, unsigned proj, int part)
{
    static const char *const parts[PARTS] = {"lora_A.weight", "lora_B.weight", "lora_magnitude_vector"};
    snprintf(out, 160, "base_model.model.model.layers.%zu.%s.%s.%s", layer, ent_proj_block((ent_proj)proj),
             ent_proj_name((ent_proj)proj), parts[part]);
}

/* Which tensor a name means. */
static bool read_name(size_t *layer, unsigned *proj, int *part, const char *name)
{
    char again[160];
    if (sscanf(name, "base_model.model.model.layers.%5zu.", layer) != 1 || *layer >= MAX_LAYERS)
        return false;
    for (*proj = 0; *proj < ENT_N_PROJ; ++*proj)
        for (*part = 0; *part < PARTS; ++*part) {
            name_of(again, *layer, *proj, *part);
            if (strcmp(again, name) == 0)
                return true;
        }
    return false;
}

/* The dimension that isn't r is that of the other layers. */
static ent_status check_size(shape_of *s, const ent_contents_tensor *t, size_kind kind, size_t size)
{
    if (s->first[kind] == NULL) {
        s->first[kind] = t;
        s->size[kind] = size;
    }
    return size == s->size[kind] ? ENT_OK
                                 : ent_fail(ENT_EFORMAT, "%s: %s: expected a dimension of %zu, as %s has, found %zu",
                                            t->file, t->name, s->size[kind], s->first[kind]->name, size);
}

/* A norm (C), or of a head (head_dim); lm_head and embed_tokens: (V, C). */
static ent_status check_saved(shape_of *s, const ent_lora_config *c, const ent_contents_tensor *t, size_t layer,
                              size_t number)
{
    const bool matrix = layer == SIZE_MAX && number != 1, of_heads = layer != SIZE_MAX && number >= SIDES;
    if (!ent_lora_saves(c, t->name + strlen("base_model.model.")))
        return ent_fail(ENT_EFORMAT, "%s: %s: modules_to_save in adapter_config.json doesn't take it", t->file,
                        t->name);
    if (t->n_dims != (matrix ? 2 : 1))
        return ent_fail(ENT_EFORMAT, "%s: %s: expected %d dimensions, found %zu", t->file, t->name, matrix ? 2 : 1,
                        t->n_dims);
    if (layer == SIZE_MAX) {
        s->outer[number] = true;
    } else {
        s->n_layers = layer + 1 > s->n_layers ? layer + 1 : s->n_layers;
        if (!of_heads)
            s->found[layer][ENT_N_PROJ][number] = 1;
    }
    return of_heads ? ENT_OK : check_size(s, t, HIDDEN, t->shape[t->n_dims - 1]);
}

/* A: (r, in); B: (out, r); DoRA's vector: (out). */
static ent_status check_tensor(shape_of *s, const ent_lora_config *c, const ent_contents_tensor *t)
{
    size_t layer;
    unsigned proj;
    int side;
    ent_dtype dtype;
    size_t number;
    if (!ent_st_type_dtype(&dtype, t->type))
        return ent_fail(ENT_EUNSUPPORTED, "%s: %s: expected dtype F32, BF16, F16 or F64, found %s", t->file, t->name,
                        ent_st_type_name(t->type));
    if (read_saved(&layer, &number, t->name))
        return check_saved(s, c, t, layer, number);
    if (!read_name(&layer, &proj, &side, t->name) || (side == VECTOR && !c->use_dora))
        return ent_fail(ENT_EFORMAT, "%s: unexpected tensor %s", t->file, t->name);
    if (!(c->targets >> proj & 1))
        return ent_fail(ENT_EFORMAT, "%s: %s: target_modules in adapter_config.json has no %s", t->file, t->name,
                        ent_proj_name((ent_proj)proj));
    if (c->layers && (layer >= c->n_layers || !c->layers[layer]))
        return ent_fail(ENT_EFORMAT, "%s: %s: layers_to_transform in adapter_config.json has no layer %zu", t->file,
                        t->name, layer);
    const size_t r = ent_lora_rank(c, layer, (ent_proj)proj);
    if (side == VECTOR && t->n_dims != 1)
        return ent_fail(ENT_EFORMAT, "%s: %s: expected 1 dimension, found %zu", t->file, t->name, t->n_dims);
    if (side < SIDES && (t->n_dims != 2 || t->shape[side] != r))
        return ent_fail(ENT_EFORMAT,
                        "%s: %s: expected 2 dimensions, %s of them r, %zu in adapter_config.json, found %zu", t->file,
                        t->name, side ? "the second" : "the first", r, t->n_dims == 2 ? t->shape[side] : 0);
    ENT_TRY(check_size(s, t, sizes[proj][side == VECTOR ? 1 : side], t->shape[side == 0 ? 1 : 0]));
    s->found[layer][proj][side] = 1;
    s->n_layers = layer + 1 > s->n_layers ? layer + 1 : s->n_layers;
    return ENT_OK;
}

/* What every model has of the modules that are saved whole. */
static ent_status check_missing_saved(const shape_of *s, const ent_lora_config *c, const char *file)
{
    char name[160];
    for (size_t i = 0; i < N_OUTER; i++) {
        name_of_saved(name, SIZE_MAX, i);
        if (!s->outer[i] && ent_lora_saves(c, outer[i]))
            return ent_fail(ENT_EFORMAT, "%s: missing tensor %s", file, name);
    }
    for (size_t layer = 0; layer < s->n_layers; layer++)
        for (size_t i = 0; i < SIDES; i++) {
            name_of_saved(name, layer, i);
            if (!s->found[layer][ENT_N_PROJ][i] && ent_lora_saves(c, name + strlen("base_model.model.")))
                return ent_fail(ENT_EFORMAT, "%s: missing tensor %s", file, name);
        }
    return ENT_OK;
}

/* Each layer that is adapted has A and B of each target. */
static ent_status check_missing(const shape_of *s, const ent_lora_config *c, const char *file)
{
    const size_t n_layers = c->layers ? c->n_layers : s->n_layers;
    char name[160];
    if (n_layers == 0)
        return ent_fail(ENT_EFORMAT, "%s: expected tensors, found none", file);
    for (size_t layer = 0; layer < n_layers; layer++)
        for (unsigned proj = 0; proj < ENT_N_PROJ; proj++)
            for (int side = 0; side < (c->use_dora ? PARTS : SIDES); side++) {
                if (!(c->targets >> proj & 1) || (c->layers && !c->layers[layer]) || s->found[layer][proj][side])
                    continue;
                name_of(name, layer, proj, side);
                return ent_fail(ENT_EFORMAT, "%s: missing tensor %s", file, name);
            }
    return ENT_OK;
}

/* The highest layer that a tensor names, + 1. */
static size_t count_layers(const ent_contents *c)
{
    size_t most = 0, layer;
    unsigned proj;
    int side;
    for (size_t i = 0; i < c->count; i++)
        if (read_name(&layer, &proj, &side, c->tensors[i].name) && layer + 1 > most)
            most = layer + 1;
    return most;
}

/* The tensors are those that the settings ask for. Several may be wrong. */
static void check_tensors(ent_verification *v, ent_lora_config *config, const ent_contents *c)
{
    const size_t faults = v->faults;
    shape_of s = {0};
    if (!ent_verify_take(v, ent_calloc(&s.found, MAX_LAYERS, sizeof *s.found, "the layers of an adapter")))
        return;
    if (!ent_verify_take(v, ent_lora_resolve(config, count_layers(c)))) {
        free(s.found);
        return;
    }
    for (size_t i = 0; i < c->count; i++)
        ent_verify_take(v, check_tensor(&s, config, &c->tensors[i]));
    ent_verify_take(v, check_missing(&s, config, c->path));
    ent_verify_take(v, check_missing_saved(&s, config, c->path));
    free(s.found);
    if (v->faults == faults)
        ent_verify_good(v, "%s: names and shapes as adapter_config.json asks: rank %zu, %zu layers", c->path, config->r,
                        s.n_layers);
}

void ent_verify_adapter(ent_verification *v, const char *folder)
{
    ent_lora_config config;
    ent_contents *c;
    if (!ent_verify_take(v, ent_peft_read_config(&config, folder)))
        return;
    ent_verify_good(v, "%s/adapter_config.json: settings", folder);
    if (ent_verify_take(v, ent_contents_open(&c, folder))) {
        ent_verify_good(v, "%s/adapter_model.safetensors: header, types and offsets", folder);
        check_tensors(v, &config, c);
        ent_verify_numbers(v, c);
        ent_contents_close(c);
    }
    ent_lora_config_clear(&config);
}
