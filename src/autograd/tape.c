#include "src/autograd/tape.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "src/autograd/op.h"
#include "src/base/arena.h"
#include "src/base/mem.h"

/* Gradients of intermediate results live from the first use of a result (in reverse) to its making, and the values of
 * some only until they are released. Their memory is used again through a list of free pieces. */
typedef struct piece {
    struct piece *next;
    ent_real *memory;
    size_t count;
} piece;

/* A tensor of the tape. It brings the pieces that its values and its gradient may become. */
typedef struct result {
    ent_tensor tensor;
    piece pieces[2];
} result;

struct ent_tape {
    bool planning, recording;
    bool differentiable; /* in this segment, something was computed from what requires a gradient */
    ent_arena *records;  /* nodes and tensors: real also when planning */
    ent_arena *values;
    ent_node **nodes;
    size_t n_nodes, capacity;
    piece *free_pieces, *blank_pieces; /* blank: of no memory */
    void *scratch;
    size_t scratch_size, scratch_peak;
};

ent_status ent_tape_new(ent_tape **out, bool planning)
{
    ent_status st;
    ENT_TRY(ent_calloc(out, 1, sizeof **out, "a tape"));
    (*out)->planning = planning;
    (*out)->recording = true;
    ENT_GO(ent_arena_new(&(*out)->records, "tape records", false));
    ENT_GO(ent_arena_new(&(*out)->values, "activations", planning));
done:
    if (st != ENT_OK) {
        ent_tape_free(*out);
        *out = NULL;
    }
    return st;
}

void ent_tape_free(ent_tape *tape)
{
    if (tape == NULL)
        return;
    free(tape->scratch);
    free(tape->nodes);
    ent_arena_free(tape->values);
    ent_arena_free(tape->records);
    free(tape);
}

/* Makes sure of `bytes` of scratch. */
static ent_status need_scratch(ent_tape *tape, size_t bytes)
{
    if (bytes > tape->scratch_peak)
        tape->scratch_peak = bytes;
    if (tape->planning || bytes <= tape->scratch_size)
        return ENT_OK;
    bytes = (bytes + 63) / 64 * 64;
    void *p = aligned_alloc(64, bytes);
    if (p == NULL)
        return ent_fail(ENT_ENOMEM, "out of memory: %zu bytes of scratch", bytes);
    free(tape->scratch);
    tape->scratch = p;
    tape->scratch_size = bytes;
    return ENT_OK;
}

ent_status ent_tape_reserve(ent_tape *tape, const ent_tape *plan)
{
    ent_tape_rewind(tape);
    ENT_TRY(ent_grow(&tape->nodes, &tape->capacity, plan->capacity, sizeof *tape->nodes, "tape records"));
    ENT_TRY(ent_arena_reserve(tape->records, ent_arena_peak(plan->records)));
    ENT_TRY(ent_arena_reserve(tape->values, ent_arena_peak(plan->values)));
    return need_scratch(tape, plan->scratch_peak);
}

size_t ent_tape_peak(const ent_tape *tape)
{
    return ent_arena_peak(tape->values) + ent_arena_peak(tape->records) + tape->scratch_peak;
}

size_t ent_tape_scratch(const ent_tape *tape)
{
    return tape->scratch_peak;
}

void ent_tape_rewind(ent_tape *tape)
{
    ent_arena_rewind(tape->records);
    ent_arena_rewind(tape->values);
    tape->n_nodes = 0;
    tape->free_pieces = tape->blank_pieces = NULL;
}

void ent_tape_record(ent_tape *tape, bool on)
{
    tape->recording = on;
}

bool ent_tape_recording(const ent_tape *tape)
{
    return tape->recording;
}

bool ent_tape_planning(const ent_tape *tape)
{
    return tape->planning;
}

ent_status ent_tape_buffer(void *out, ent_tape *tape, size_t bytes)
{
    return ent_arena_alloc(out, tape->values, bytes);
}

static void push_blank(ent_tape *tape, piece *p)
{
    *p = (piece){.next = tape->blank_pieces};
    tape->blank_pieces = p;
}

/* Memory of `count` numbers: a free piece of just that size, or fresh. */
static ent_status take_numbers(ent_real **out, ent_tape *tape, size_t count)
{
    for (piece **link = &tape->free_pieces; *link; link = &(*link)->next) {
        piece *p = *link;
        if (p->count == count) {
            *out = p->memory;
            *link = p->next;
            push_blank(tape, p);
            return ENT_OK;
        }
    }
    return ent_tape_buffer(out, tape, count * sizeof **out);
}

/* There is a blank piece: each tensor brought as many as it can hold memories. */
static void give_back(ent_tape *tape, ent_real *memory, size_t count)
{
    piece *p = tape->blank_pieces;
    assert(p != NULL);
    tape->blank_pieces = p->next;
    *p = (piece){tape->free_pieces, memory, count};
    tape->free_pieces = p;
}

static ent_status take_gradient(ent_tensor *t, ent_tape *tape)
{
    const size_t count = ent_tensor_count(t);
    ENT_TRY(take_numbers(&t->grad, tape, count));
    if (!tape->planning)
        memset(t->grad, 0, count * sizeof *t->grad);
    return ENT_OK;
}

static void give_gradient_back(ent_tape *tape, ent_tensor *t)
{
    give_back(tape, t->grad, ent_tensor_count(t));
    t->grad = NULL;
}

void ent_tape_release(ent_tape *tape, ent_tensor *t)
{
    if (!t->spare)
        return;
    give_back(tape, ent_values(t), ent_tensor_count(t));
    t->spare = false;
    t->data = NULL;
}

static ent_status new_tensor(ent_tensor **out, ent_tape *tape, size_t n_dims, const size_t *shape)
{
    if (n_dims > ENT_MAX_DIMS)
        return ent_fail(ENT_EINVAL, "a tensor of %zu dimensions, at most %d are supported", n_dims, ENT_MAX_DIMS);
    result *r;
    ENT_TRY(ent_arena_alloc(&r, tape->records, sizeof *r));
    r->tensor = ent_tensor_view(NULL, n_dims, shape);
    for (int i = 0; i < 2; i++)
        push_blank(tape, &r->pieces[i]);
    *out = &r->tensor;
    return ENT_OK;
}

/* A tensor whose values are memory of the tape. */
static ent_status new_result(ent_tensor **out, ent_tape *tape, size_t n_dims, const size_t *shape)
{
    ent_real *values;
    ENT_TRY(new_tensor(out, tape, n_dims, shape));
    ENT_TRY(take_numbers(&values, tape, ent_tensor_count(*out)));
    (*out)->data = values;
    (*out)->spare = true;
    return ENT_OK;
}

ent_status ent_tape_input(ent_tensor **out, ent_tape *tape, const ent_real *data, size_t n_dims, const size_t *shape,
                          bool requires_grad)
{
    ENT_TRY(new_tensor(out, tape, n_dims, shape));
    (*out)->data = data;
    (*out)->requires_grad = requires_grad;
    if (requires_grad)
        ENT_TRY(take_gradient(*out, tape));
    return ENT_OK;
}

ent_status ent_node_new(ent_node **out, ent_tape *tape, const ent_op *op, ent_tensor *const *in, size_t n_in,
                        size_t ctx_bytes)
{
    ENT_TRY(ent_arena_alloc(out, tape->records, sizeof **out));
    memset(*out, 0, sizeof **out);
    (*out)->op = op;
    (*out)->n_in = n_in;
    (*out)->unread = op->unread;
    for (size_t i = 0; i < n_in; i++)
        (*out)->in[i] = in[i];
    if (ctx_bytes) {
        ENT_TRY(ent_arena_alloc(&(*out)->ctx, tape->records, ctx_bytes));
        memset((*out)->ctx, 0, ctx_bytes);
    }
    return ENT_OK;
}

static ent_status record(ent_tape *tape, ent_node *node)
{
    for (size_t i = 0; i < node->n_in; i++)
        if (node->in[i] && !(node->unread & ENT_UNREAD_IN(i)))
            node->in[i]->spare = false;
    if (!(node->unread & ENT_UNREAD_OUT))
        node->out->spare = false;
    ENT_TRY(ent_grow(&tape->nodes, &tape->capacity, tape->n_nodes + 1, sizeof *tape->nodes, "tape records"));
    tape->nodes[tape->n_nodes++] = node;
    return ENT_OK;
}

ent_status ent_node_run(ent_tensor **y, ent_tape *tape, ent_node *node, size_t n_dims, const size_t *shape)
{
    ENT_TRY(new_result(&node->out, tape, n_dims, shape));
    bool differentiable = false;
    for (size_t i = 0; i < node->n_in; i++)
        differentiable |= node->in[i] && node->in[i]->requires_grad;
    tape->differentiable |= differentiable;
    node->out->requires_grad = tape->recording && differentiable;
    ENT_TRY(need_scratch(tape, node->scratch_bytes));
    node->scratch = tape->scratch;
    if (!tape->planning)
        ent_op_run(node, node->op->forward);
    if (node->out->requires_grad)
        ENT_TRY(record(tape, node));
    *y = node->out;
    return ENT_OK;
}

/* Gradients for the inputs of a node that want one and have none yet. */
static ent_status give_inputs_gradients(ent_tape *tape, ent_node *node)
{
    for (size_t i = 0; i < node->n_in; i++) {
        ent_tensor *in = node->in[i];
        if (in && in->requires_grad && in->grad == NULL)
            ENT_TRY(take_gradient(in, tape));
    }
    return ENT_OK;
}

typedef struct segment_ctx {
    ent_segment run;
    char context[];
} segment_ctx;

/* Where the tape stands when a segment begins. */
typedef struct place {
    ent_arena_place records, values;
    size_t n_nodes;
    piece *free_pieces, *blank_pieces;
    bool recording, differentiable;
} place;

/* Free pieces from before stay as they are: what a segment takes is its own. */
static place begin_segment(ent_tape *tape, bool recording)
{
    const place p = {.records = ent_arena_here(tape->records),
                     .values = ent_arena_here(tape->values),
                     .n_nodes = tape->n_nodes,
                     .free_pieces = tape->free_pieces,
                     .blank_pieces = tape->blank_pieces,
                     .recording = tape->recording,
                     .differentiable = tape->differentiable};
    tape->free_pieces = tape->blank_pieces = NULL;
    tape->recording = recording;
    tape->differentiable = false;
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

static ent_status backward_through(ent_tape *tape, size_t first);

/* Runs it again, recorded, and goes back through it. Gradients of x and of parameters are where they were. */
static ent_status segment_backward(ent_tape *tape, ent_node *node)
{
    const segment_ctx *ctx = node->ctx;
    ent_tensor *y;
    const place p = begin_segment(tape, true);
    ent_status st = ctx->run(&y, tape, node->in[0], ctx->context);
    if (st == ENT_OK) {
        y->grad = node->out->grad;
        st = backward_through(tape, p.n_nodes);
    }
    end_segment(tape, &p);
    return st;
}

static const ent_op segment_op = {.name = "segment", .unread = ENT_UNREAD_OUT};

ent_status ent_tape_recompute(ent_tensor **y, ent_tape *tape, ent_tensor *x, ent_segment segment, const void *context,
                              size_t context_bytes)
{
    ent_node *node;
    ENT_TRY(ent_node_new(&node, tape, &segment_op, &x, 1, sizeof(segment_ctx) + context_bytes));
    segment_ctx *ctx = node->ctx;
    ctx->run = segment;
    if (context_bytes)
        memcpy(ctx->context, context, context_bytes);
    ENT_TRY(new_result(&node->out, tape, x->n_dims, x->shape));
    ENT_TRY(run_segment(node->out, tape, x, ctx));
    if (node->out->requires_grad)
        ENT_TRY(record(tape, node));
    *y = node->out;
    return ENT_OK;
}

/* Back through all nodes from the last to number `first`. */
static ent_status backward_through(ent_tape *tape, size_t first)
{
    for (size_t i = tape->n_nodes; i-- > first;) {
        ent_node *node = tape->nodes[i];
        if (node->out->grad == NULL)
            continue; /* the loss doesn't depend on it */
        ENT_TRY(give_inputs_gradients(tape, node));
        node->scratch = tape->scratch;
        if (node->op == &segment_op)
            ENT_TRY(segment_backward(tape, node));
        else if (!tape->planning)
            ent_op_run(node, node->op->backward);
        give_gradient_back(tape, node->out);
    }
    return ENT_OK;
}

ent_status ent_tape_backward(ent_tape *tape, ent_tensor *loss, ent_real scale)
{
    if (ent_tensor_count(loss) != 1) {
        ent_shape_text text;
        return ent_fail(ENT_EINVAL, "backward: expected a scalar loss, found %s",
                        ent_shape_format(&text, loss->n_dims, loss->shape));
    }
    if (!loss->requires_grad)
        return ENT_OK; /* nothing that it depends on wants a gradient */
    if (loss->grad == NULL)
        ENT_TRY(take_gradient(loss, tape));
    if (!tape->planning)
        loss->grad[0] += scale;
    return backward_through(tape, 0);
}

ent_status ent_op_check_real(const ent_op *op, const ent_tensor *t)
{
    if (t->dtype != ENT_REAL_DTYPE)
        return ent_fail(ENT_EINVAL, "%s: expected values of type %s, found %s", op->name,
                        ent_dtype_name(ENT_REAL_DTYPE), ent_dtype_name(t->dtype));
    return ENT_OK;
}
