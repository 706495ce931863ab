#include "src/nn/lora_config.h"

#include <assert.h>

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
