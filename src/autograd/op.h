/* What an operator is. One file in src/autograd/ops/ holds an operator's shape check, forward, backward and test cases,
 * and one line in ops.def names it.
 *
 * A node is one application of an operator. Forward reads in[] and writes out, and `also` where there is one; backward
 * reads their gradients and ADDS to in[i]->grad of every input whose grad is not NULL, or sets it if `fresh` says so.
 * Neither allocates nor fails: memory was taken when the node was made. Both may use the node's scratch, whose contents
 * don't last between calls.
 */
#ifndef ENT_AUTOGRAD_OP_H
#define ENT_AUTOGRAD_OP_H

#include <stdbool.h>
#include <stddef.h>

#include "src/autograd/tape.h"
#include "src/tensor/tensor.h"

enum { ENT_MAX_INPUTS = 8 };

/* What backward doesn't read, bits: the values of input i, of the result, and what forward left in ctx. */
#define ENT_UNREAD_IN(i) (1u << (i))
enum { ENT_UNREAD_OUT = 1 << ENT_MAX_INPUTS, ENT_UNREAD_SAVED = 2 << ENT_MAX_INPUTS };

/* What backward does otherwise: a gradient of input i that is fresh, i.e. holds no numbers yet, it sets. */
#define ENT_SETS_IN(i) (1u << (ENT_MAX_INPUTS + 2 + (i)))

typedef struct ent_node ent_node;

/* A way to apply the operator, for the gradient tests: every differentiable input is checked against central
 * differences of sum(y * weights), with random values and weights. */
typedef struct ent_op_case {
    const char *name;
    /* Makes y from the inputs, which have the shapes below (and requires_grad where differentiable). */
    ent_status (*apply)(ent_tensor **y, ent_tape *tape, ent_tensor *const *in);
    struct {
        size_t n_dims, shape[ENT_MAX_DIMS];
        double low, high; /* values are uniform in [low, high]; both 0: [-1, 1] */
        bool constant;    /* not differentiable: gets requires_grad false, and no gradient */
    } in[ENT_MAX_INPUTS];
    size_t n_in;
    bool must_fail; /* apply has to return ENT_EINVAL (shape and argument errors) */
} ent_op_case;

typedef struct ent_op {
    const char *name;
    void (*forward)(ent_node *node);
    void (*backward)(ent_node *node);
    const ent_op_case *cases; /* n_cases of them */
    size_t n_cases;
    unsigned traits; /* ENT_UNREAD_ and ENT_SETS_ bits that hold for every node. 0: backward may read all, and adds */
} ent_op;

struct ent_node {
    const ent_op *op;
    ent_tensor *out;
    ent_tensor *also; /* a second result, which backward may read; NULL: there is none. See ent_node_also */
    ent_tensor *in[ENT_MAX_INPUTS]; /* NULL where an optional input is absent */
    size_t n_in;
    unsigned traits;      /* the operator's, and those that hold for this node */
    unsigned fresh;       /* while backward runs, bits i: in[i]->grad is fresh, for the operator to set */
    bool out_unwanted;    /* forward need only leave in ctx what backward reads */
    void *ctx;            /* the operator's own settings and saved values, from ent_node_ctx and ent_tape_buffer */
    size_t scratch_bytes; /* what forward and backward need of scratch */
    void *scratch;        /* 64-byte aligned; set while forward and backward run */
};

/* Begins a node of `op` on the tape: *out with inputs set and `ctx_bytes` of zeroed ctx (NULL if 0). */
ent_status ent_node_new(ent_node **out, ent_tape *tape, const ent_op *op, ent_tensor *const *in, size_t n_in,
                        size_t ctx_bytes);

/* Gives it a second result of the given shape, before it is run: node->also. Where backward runs, both results have
 * gradients, zeros for one that the loss doesn't depend on. Backward may overwrite them. Not for operators that are
 * left out where their result isn't wanted (ENT_UNREAD_OUT and ENT_UNREAD_SAVED). */
ent_status ent_node_also(ent_tape *tape, ent_node *node, size_t n_dims, const size_t *shape);

/* Ends it: makes the output tensor of the given shape in the tape's memory, runs forward, and records the node if an
 * input requires a gradient. *y borrows from the tape until it is rewound. */
ent_status ent_node_run(ent_tensor **y, ent_tape *tape, ent_node *node, size_t n_dims, const size_t *shape);

/* Runs the node's forward or backward (`kernel`), as time of the operator's phase. */
void ent_op_run(ent_node *node, void (*kernel)(ent_node *node));

/* Every operator: the table that ops.def makes. */
extern const ent_op *const ent_ops[];
extern const size_t ent_n_ops;

/* Whether the node was given a value of the core's own type, for inputs that forward reads as numbers: ENT_EINVAL
 * naming the operator otherwise. */
ent_status ent_op_check_real(const ent_op *op, const ent_tensor *t);

#endif
