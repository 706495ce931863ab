#include "src/nn/lora_config.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name, *block;
} projections[ENT_N_PROJ] = {
    [ENT_Q_PROJ] = {"q_proj", "self_attn"}, [ENT_K_PROJ] = {"k_proj", "self_attn"},
    [ENT_V_PROJ] = {"v_proj", "self_attn"}, [ENT_O_PROJ] = {"o_proj", "self_attn"},
    [ENT_GATE_PROJ] = {"gate_proj", "mlp"}, [ENT_UP_PROJ] = {"up_proj", "mlp"},
    [ENT_DOWN_PROJ] = {"down_proj", "mlp"},
};

const char *ent_proj_name(ent_proj proj)
{
    assert(proj < ENT_N_PROJ);
    return projections[proj].name;
}

const char *ent_proj_block(ent_proj proj)
{
    assert(proj < ENT_N_PROJ);
    return projections[proj].block;
}

bool ent_lora_module_of(size_t *layer, ent_proj *proj, const char *name)
{
    char module[96];
    if (sscanf(name, "model.layers.%5zu.", layer) != 1)
        return false;
    for (*proj = 0; *proj < ENT_N_PROJ; ++*proj) {
        const int n = snprintf(module, sizeof module, "model.layers.%zu.%s.%s", *layer, ent_proj_block(*proj),
                               ent_proj_name(*proj));
        if (strncmp(name, module, (size_t)n) == 0 && (name[n] == '\0' || name[n] == '.'))
            return true;
    }
    return false;
}

bool ent_lora_adapts(const ent_lora_config *c, size_t layer, ent_proj proj)
{
    return (c->layers == NULL || (layer < c->n_layers && c->layers[layer])) && (c->targets >> proj & 1);
}

static ent_lora_module own(const ent_lora_config *c, size_t layer, ent_proj proj)
{
    const size_t i = layer * ENT_N_PROJ + (size_t)proj;
    return i < c->n_modules ? c->modules[i] : (ent_lora_module){0};
}

size_t ent_lora_rank(const ent_lora_config *c, size_t layer, ent_proj proj)
{
    const size_t r = own(c, layer, proj).r;
    return r ? r : c->r;
}

double ent_lora_scale(const ent_lora_config *c, size_t layer, ent_proj proj)
{
    const double r = (double)ent_lora_rank(c, layer, proj), alpha = own(c, layer, proj).alpha;
    return (alpha > 0 ? alpha : c->alpha) / (c->use_rslora ? sqrt(r) : r);
}

bool ent_lora_key_takes(const char *key, const char *name)
{
    static const char weight[] = ".weight";
    char module[256];
    size_t n = (size_t)snprintf(module, sizeof module, "base_model.model.%s", name);
    const size_t k = strlen(key), w = sizeof weight - 1;
    n = n < sizeof module ? n : sizeof module - 1;
    if (n >= w && strcmp(module + n - w, weight) == 0)
        n -= w;
    return k <= n && memcmp(module + n - k, key, k) == 0;
}

bool ent_lora_saves(const ent_lora_config *c, const char *name)
{
    for (size_t i = 0; i < c->saved.count; i++)
        if (ent_lora_key_takes(c->saved.items[i], name))
            return true;
    return false;
}
