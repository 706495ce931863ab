#include "src/autograd/op.h"
#include "src/base/profile.h"

#define ENT_OP(name, phase) extern const ent_op ent_op_##name;
#include "src/autograd/ops.def"
#undef ENT_OP

const ent_op *const ent_ops[] = {
#define ENT_OP(name, phase) &ent_op_##name,
#include "src/autograd/ops.def"
#undef ENT_OP
};

const size_t ent_n_ops = sizeof ent_ops / sizeof *ent_ops;

static const ent_phase phases[] = {
#define ENT_OP(name, phase) ENT_PHASE_##phase,
#include "src/autograd/ops.def"
#undef ENT_OP
};

/* Of an operator that stands in no table: elementwise. */
static ent_phase phase_of(const ent_op *op)
{
    for (size_t i = 0; i < ent_n_ops; i++)
        if (ent_ops[i] == op)
            return phases[i];
    return ENT_PHASE_ELEMENTWISE;
}

void ent_op_run(ent_node *node, void (*kernel)(ent_node *node))
{
    if (!ent_profile_on()) {
        kernel(node);
        return;
    }
    const ent_phase outer = ent_profile_enter(phase_of(node->op));
    kernel(node);
    ent_profile_enter(outer);
}
