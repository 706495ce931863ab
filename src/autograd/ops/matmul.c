/* y = a b: (..., m, n) = (..., m, k) (..., k, n) */
#include "src/autograd/op.h"
#include "src/autograd/ops.h"
#include "src/tensor/gemm.h"

typedef struct matmul_ctx {
    size_t batch, m, k, n;
} matmul_ctx;

static void forward(ent_node *node)
{
    const matmul_ctx *s = node->ctx;
    for (size_t i = 0; i < s->batch; i++)
        ent_gemm(ent_values(node->out) + i * s->m * s->n, s->n, s->m, s->n, s->k, 1,
                 ent_matrix_of(ent_values(node->in[0]) + i * s->m * s->k, s->k, false),
                 ent_matrix_of(ent_values(node->in[1]) + i * s->k * s->n, s->n, false), 0);
}

/* da = dy b^T, db = a^T dy */
static void backward(ent_node *node)
{
    const matmul_ctx *s = node->ctx;
    for (size_t i = 0; i < s->batch; i++) {
        const ent_real *dy = node->out->grad + i * s->m * s->n;
        if (node->in[0]->grad)
            ent_gemm(node->in[0]->grad + i * s->m * s->k, s->k, s->m, s->k, s->n, 1, ent_matrix_of(dy, s->n, false),
                     ent_matrix_of(ent_values(node->in[1]) + i * s->k * s->n, s->n, true), 1);
        if (node->in[1]->grad)
            ent_gemm(node->in[1]->grad + i * s->k * s->n, s->n, s->k, s->n, s->m, 1,
                     ent_matrix_of(ent_values(node->in[0]) + i * s->m * s->k, s->k, true),
                     ent_matrix_of(dy, s->n, false), 1);
    }
}

static ent_status apply_case(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    return ent_matmul(y, tape, in[0], in[1]);
}

static ent_status apply_twice(ent_tensor **y, ent_tape *tape, ent_tensor *const *in)
{
    return ent_matmul(y, tape, in[0], in[0]);
}

static const ent_op_case cases[] = {
    {.name = "matrices",
     .apply = apply_case,
     .in = {{.n_dims = 2, .shape = {3, 4}}, {.n_dims = 2, .shape = {4, 5}}},
     .n_in = 2},
    {.name = "batch",
     .apply = apply_case,
     .in = {{.n_dims = 3, .shape = {2, 3, 4}}, {.n_dims = 3, .shape = {2, 4, 2}}},
     .n_in = 2},
    {.name = "two batch dimensions",
     .apply = apply_case,
     .in = {{.n_dims = 4, .shape = {2, 3, 2, 4}}, {.n_dims = 4, .shape = {2, 3, 4, 1}, .constant = true}},
     .n_in = 2},
    {.name = "square", .apply = apply_twice, .in = {{.n_dims = 2, .shape = {3, 3}}}, .n_in = 1},
    {.name = "inner sizes differ",
     .apply = apply_case,
     .in = {{.n_dims = 2, .shape = {3, 4}}, {.n_dims = 2, .shape = {5, 4}}},
     .n_in = 2,
     .must_fail = true},
    {.name = "batches differ",
     .apply = apply_case,
     .in = {{.n_dims = 3, .shape = {2, 3, 4}}, {.n_dims = 3, .shape = {1, 4, 2}}},
     .n_in = 2,
     .must_fail = true},
    {.name = "vector",
     .apply = apply_case,
     .in = {{.n_dims = 2, .shape = {3, 4}}, {.n_dims = 1, .shape = {4}}},
     .n_in = 2,
     .must_fail = true},
};

const ent_op ent_op_matmul = {"matmul", forward, backward, cases, sizeof cases / sizeof *cases, 0};

static bool fit(const ent_tensor *a, const ent_tensor *b)
{
    if (a->n_dims < 2 || a->n_dims != b->n_dims || a->shape[a->n_dims - 1] != b->shape[a->n_dims - 2])
        return false;
    for (size_t i = 0; i + 2 < a->n_dims; i++)
        if (a->shape[i] != b->shape[i])
            return false;
    return ent_tensor_count(a) > 0 && ent_tensor_count(b) > 0;
}

ent_status ent_matmul(ent_tensor **y, ent_tape *tape, ent_tensor *a, ent_tensor *b)
{
    ENT_TRY(ent_op_check_real(&ent_op_matmul, a));
    ENT_TRY(ent_op_check_real(&ent_op_matmul, b));
    if (!fit(a, b)) {
        ent_shape_text t[2];
        return ent_fail(ENT_EINVAL, "matmul: expected shapes [...,m,k] and [...,k,n], found %s and %s",
                        ent_shape_format(&t[0], a->n_dims, a->shape), ent_shape_format(&t[1], b->n_dims, b->shape));
    }
    const size_t last = a->n_dims - 1;
    matmul_ctx ctx = {.batch = 1, .m = a->shape[last - 1], .k = a->shape[last], .n = b->shape[last]};
    for (size_t i = 0; i + 1 < last; i++)
        ctx.batch *= a->shape[i];
    ent_tensor result = *a;
    result.shape[last] = ctx.n;
    ent_node *node;
    ENT_TRY(ent_node_new(&node, tape, &ent_op_matmul, (ent_tensor *[]){a, b}, 2, sizeof ctx));
    *(matmul_ctx *)node->ctx = ctx;
    return ent_node_run(y, tape, node, a->n_dims, result.shape);
}
