/* What losses of logits z = w h share, with h (T, C) and w (V, C) the first two inputs of their node: tokens with a
 * target are gathered a chunk at a time, 256 or 512 of them, so that no more logits exist. Forward goes on to the
 * gradient of h at once, while the logits are there; the gradient of w, wanted only in full training, computes them
 * again in backward.
 */
#ifndef ENT_AUTOGRAD_OPS_HEAD_LOSS_H
#define ENT_AUTOGRAD_OPS_HEAD_LOSS_H

#include <stddef.h>
#include <stdint.h>

#include "src/autograd/op.h"

enum { ENT_HEAD_H, ENT_HEAD_W };

typedef struct ent_head_loss { /* how the operator's ctx begins */
    const int32_t *targets;
    size_t *rows; /* tokens that have a target, in order */
    size_t n_rows;
    size_t chunk;         /* rows at a time, or all tokens */
    ent_real *dh;         /* d(loss)/dh of those rows: (n_rows, C); NULL if not wanted */
    size_t row_bytes;     /* of what the operator knows of a row, which begins with its loss, a double */
    size_t product_bytes; /* of scratch, for products */
} ent_head_loss;

/* A chunk of rows, in scratch: what the products take, what is known of each row, z and h; then the operator's own. */
typedef struct ent_head_chunk {
    const ent_node *node;
    size_t first, rows;
    void *scratch;   /* for products */
    void *known;     /* of each row, row_bytes */
    ent_real *z, *h; /* (chunk, V), (chunk, C) */
} ent_head_chunk;

/* The losses of a chunk whose logits are there, and the gradients of the logits in their place. */
typedef void ent_head_losses(const ent_head_chunk *chunk);

/* Begins a node of `op` on in[0 ... n_in), which are h, w and others. ENT_EINVAL for shapes of h and w, and targets
 * that are neither -100 nor below V. */
ent_status ent_head_loss_begin(ent_node **out, ent_tape *tape, const ent_op *op, ent_tensor *const *in, size_t n_in,
                               size_t ctx_bytes, size_t row_bytes, const int32_t *targets);

/* Ends it; product_bytes may have been raised. `own`: numbers of a row that the operator has in scratch. */
ent_status ent_head_loss_run(ent_tensor **loss, ent_tape *tape, ent_node *node, size_t own);

void ent_head_loss_forward(ent_node *node, ent_head_losses *losses);
void ent_head_loss_backward(ent_node *node, ent_head_losses *losses);

/* to = the chunk's rows of h (T, c). */
void ent_head_gather(ent_real *to, const ent_head_chunk *chunk, const ent_tensor *h, size_t c);

#endif
