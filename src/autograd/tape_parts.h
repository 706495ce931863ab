/* What tape.c and segment.c share; no one else's. */
#ifndef ENT_AUTOGRAD_TAPE_PARTS_H
#define ENT_AUTOGRAD_TAPE_PARTS_H

#include <stdbool.h>
#include <stddef.h>

#include "src/autograd/op.h"
#include "src/autograd/tape.h"
#include "src/base/arena.h"

/* Gradients of intermediate results live from the first use of a result (in reverse) to its making, and the values of
 * some only until they are released. Their memory is used again through a list of free pieces. */
typedef struct piece {
    struct piece *next;
    ent_real *memory;
    size_t count;
} piece;

struct ent_tape {
    bool planning, recording;
    bool again, tail;    /* in a segment that is run again; after its ent_tape_tail */
    bool differentiable; /* in this segment, something was computed from what requires a gradient */
    ent_arena *records;  /* nodes and tensors: real also when planning */
    ent_arena *values;
    ent_node **nodes;
    size_t n_nodes, capacity;
    piece *free_pieces, *blank_pieces; /* blank: of no memory */
    void *scratch;
    size_t scratch_size, scratch_peak;
};

/* A tensor of the tape, with memory for its values. */
ent_status ent_tape_result(ent_tensor **out, ent_tape *tape, size_t n_dims, const size_t *shape);

/* Appends the node to those that backward goes through. */
ent_status ent_tape_append(ent_tape *tape, ent_node *node);

/* Back through all nodes from the last to number `first`. */
ent_status ent_tape_back_to(ent_tape *tape, size_t first);

/* The node of a segment, whose backward is another than an operator's: it allocates, and may fail. */
extern const ent_op ent_segment_op;
ent_status ent_segment_backward(ent_tape *tape, ent_node *node);

#endif
