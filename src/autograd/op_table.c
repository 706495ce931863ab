#include "src/autograd/op.h"

#define ENT_OP(name) extern const ent_op ent_op_##name;
#include "src/autograd/ops.def"
#undef ENT_OP

const ent_op *const ent_ops[] = {
#define ENT_OP(name) &ent_op_##name,
#include "src/autograd/ops.def"
#undef ENT_OP
};

const size_t ent_n_ops = sizeof ent_ops / sizeof *ent_ops;
