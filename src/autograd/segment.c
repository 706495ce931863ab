/* Pieces of a computation that are done again in backward, instead of being kept. */
#include <string.h>

#include "src/autograd/tape_parts.h"

typedef struct segment_ctx {
    ent_segment run;
    char context[];
} segment_ctx;

/* Where the tape stands when a segment begins. */
typedef struct place {
    ent_arena_place records, values;
    size_t n_nodes;
    piece *free_pieces, *blank_pieces;
    bool recording, again, tail, differentiable;
} place;

/* Free pieces from before stay as they are: what a segment takes is its own. */
static place begin_segment(ent_tape *tape, bool again)
{
    const place p = {.records = ent_arena_here(tape->records),
                     .values = ent_arena_here(tape->values),
                     .n_nodes = tape->n_nodes,
                     .free_pieces = tape->free_pieces,
                     .blank_pieces = tape->blank_pieces,
                     .recording = tape->recording,
                     .again = tape->again,
                     .tail = tape->tail,
                     .differentiable = tape->differentiable};
    tape->free_pieces = tape->blank_pieces = NULL;
    tape->recording = tape->again = again;
    tape->tail = tape->differentiable = false;
    return p;
}

/* Whether anything in it was computed from what requires a gradient. */
static bool end_segment(ent_tape *tape, const place *p)
{
    const bool differentiable = tape->differentiable;
    ent_arena_return(tape->records, p->records);
    ent_arena_return(tape->values, p->values);
    tape->n_nodes = p->n_nodes;
    tape->free_pieces = p->free_pieces;
    tape->blank_pieces = p->blank_pieces;
    tape->recording = p->recording;
    tape->again = p->again;
    tape->tail = p->tail;
    tape->differentiable |= p->differentiable;
    return differentiable;
}

/* Runs the segment, unrecorded, into out. */
static ent_status run_segment(ent_tensor *out, ent_tape *tape, ent_tensor *x, const segment_ctx *ctx)
{
    ent_tensor *y;
    ent_shape_text t[2];
    const bool spare = x->spare;
    x->spare = false; /* it is not the segment's to release */
    const place p = begin_segment(tape, false);
    ent_status st = ctx->run(&y, tape, x, ctx->context);
    if (st == ENT_OK && y == x)
        st = ent_fail(ENT_EINVAL, "a segment: its result is its input");
    if (st == ENT_OK && !ent_tensor_same_shape(x, y))
        st = ent_fail(ENT_EINVAL, "a segment: expected a result of the shape of its input, %s, found %s",
                      ent_shape_format(&t[0], x->n_dims, x->shape), ent_shape_format(&t[1], y->n_dims, y->shape));
    if (st == ENT_OK && !tape->planning)
        memcpy(ent_values(out), y->data, ent_tensor_count(y) * sizeof(ent_real));
    out->requires_grad = end_segment(tape, &p) && tape->recording;
    x->spare = spare;
    return st;
}

/* Runs it again, recorded, and goes back through it. Gradients of x and of parameters are where they were. */
ent_status ent_segment_backward(ent_tape *tape, ent_node *node)
{
    const segment_ctx *ctx = node->ctx;
    ent_tensor *y;
    const place p = begin_segment(tape, true);
    ent_status st = ctx->run(&y, tape, node->in[0], ctx->context);
    if (st == ENT_OK) {
        y->grad = node->out->grad;
        st = ent_tape_back_to(tape, p.n_nodes);
    }
    end_segment(tape, &p);
    return st;
}

void ent_tape_tail(ent_tape *tape)
{
    tape->tail = tape->again;
}

const ent_op ent_segment_op = {.name = "segment", .traits = ENT_UNREAD_OUT};

ent_status ent_tape_recompute(ent_tensor **y, ent_tape *tape, ent_tensor *x, ent_segment segment, const void *context,
                              size_t context_bytes)
{
    ent_node *node;
    if (tape->tail)
        return ent_fail(ENT_EINVAL, "a segment in the tail of another");
    ENT_TRY(ent_node_new(&node, tape, &ent_segment_op, &x, 1, sizeof(segment_ctx) + context_bytes));
    segment_ctx *ctx = node->ctx;
    ctx->run = segment;
    if (context_bytes)
        memcpy(ctx->context, context, context_bytes);
    ENT_TRY(ent_tape_result(&node->out, tape, x->n_dims, x->shape));
    ENT_TRY(run_segment(node->out, tape, x, ctx));
    if (node->out->requires_grad)
        ENT_TRY(ent_tape_append(tape, node));
    *y = node->out;
    return ENT_OK;
}
