#include "src/autograd/tape.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "src/autograd/op.h"
#include "src/autograd/tape_parts.h"
#include "src/base/mem.h"

/* A tensor of the tape. It brings the pieces that its values and its gradient may become. */
typedef struct result {
    ent_tensor tensor;
    piece pieces[2];
} result;

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
    void *p;
    ENT_TRY(ent_numbers(&p, bytes, "scratch"));
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

static ent_status take_gradient(ent_tensor *t, ent_tape *tape, bool clear)
{
    const size_t count = ent_tensor_count(t);
    ENT_TRY(take_numbers(&t->grad, tape, count));
    if (clear && !tape->planning)
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

void ent_tape_keep(ent_tensor *t)
{
    t->spare = false;
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

/* Memory of the tape for the values of a tensor of it. */
static ent_status new_values(ent_tensor *t, ent_tape *tape)
{
    ent_real *values;
    ENT_TRY(take_numbers(&values, tape, ent_tensor_count(t)));
    t->data = values;
    t->spare = true;
    return ENT_OK;
}

ent_status ent_tape_result(ent_tensor **out, ent_tape *tape, size_t n_dims, const size_t *shape)
{
    ENT_TRY(new_tensor(out, tape, n_dims, shape));
    return new_values(*out, tape);
}

ent_status ent_tape_input(ent_tensor **out, ent_tape *tape, const ent_real *data, size_t n_dims, const size_t *shape,
                          bool requires_grad)
{
    ENT_TRY(new_tensor(out, tape, n_dims, shape));
    (*out)->data = data;
    (*out)->requires_grad = requires_grad;
    if (requires_grad)
        ENT_TRY(take_gradient(*out, tape, true));
    return ENT_OK;
}

ent_status ent_node_new(ent_node **out, ent_tape *tape, const ent_op *op, ent_tensor *const *in, size_t n_in,
                        size_t ctx_bytes)
{
    ENT_TRY(ent_arena_alloc(out, tape->records, sizeof **out));
    memset(*out, 0, sizeof **out);
    (*out)->op = op;
    (*out)->n_in = n_in;
    (*out)->traits = op->traits;
    for (size_t i = 0; i < n_in; i++)
        (*out)->in[i] = in[i];
    if (ctx_bytes) {
        ENT_TRY(ent_arena_alloc(&(*out)->ctx, tape->records, ctx_bytes));
        memset((*out)->ctx, 0, ctx_bytes);
    }
    return ENT_OK;
}

ent_status ent_tape_append(ent_tape *tape, ent_node *node)
{
    for (size_t i = 0; i < node->n_in; i++)
        if (node->in[i] && !(node->traits & ENT_UNREAD_IN(i)))
            node->in[i]->spare = false;
    if (!(node->traits & ENT_UNREAD_OUT))
        node->out->spare = false;
    if (node->also)
        node->also->spare = false;
    ENT_TRY(ent_grow(&tape->nodes, &tape->capacity, tape->n_nodes + 1, sizeof *tape->nodes, "tape records"));
    tape->nodes[tape->n_nodes++] = node;
    return ENT_OK;
}

/* A node whose forward leaves nothing that backward reads, where its result is not wanted. */
static bool is_idle(const ent_tape *tape, const ent_node *node)
{
    const unsigned none = ENT_UNREAD_OUT | ENT_UNREAD_SAVED;
    return tape->tail && (node->traits & none) == none;
}

static ent_status run_forward(ent_tape *tape, ent_node *node)
{
    ENT_TRY(new_values(node->out, tape));
    if (node->also)
        ENT_TRY(new_values(node->also, tape));
    ENT_TRY(need_scratch(tape, node->scratch_bytes));
    node->scratch = tape->scratch;
    node->out_unwanted = tape->tail && (node->traits & ENT_UNREAD_OUT);
    for (size_t i = 0; i < node->n_in && !tape->planning; i++)
        if (node->in[i] && node->in[i]->data == NULL)
            return ent_fail(ENT_EINVAL, "%s: input %zu has no values, released or not computed again", node->op->name,
                            i);
    if (!tape->planning)
        ent_op_run(node, node->op->forward);
    if (node->out_unwanted)
        ent_tape_release(tape, node->out);
    return ENT_OK;
}

ent_status ent_node_also(ent_tape *tape, ent_node *node, size_t n_dims, const size_t *shape)
{
    return new_tensor(&node->also, tape, n_dims, shape);
}

ent_status ent_node_run(ent_tensor **y, ent_tape *tape, ent_node *node, size_t n_dims, const size_t *shape)
{
    ENT_TRY(new_tensor(&node->out, tape, n_dims, shape));
    bool differentiable = false;
    for (size_t i = 0; i < node->n_in; i++)
        differentiable |= node->in[i] && node->in[i]->requires_grad;
    tape->differentiable |= differentiable;
    node->out->requires_grad = tape->recording && differentiable;
    if (node->also)
        node->also->requires_grad = node->out->requires_grad;
    if (is_idle(tape, node))
        ENT_TRY(need_scratch(tape, node->scratch_bytes));
    else
        ENT_TRY(run_forward(tape, node));
    if (node->out->requires_grad)
        ENT_TRY(ent_tape_append(tape, node));
    *y = node->out;
    return ENT_OK;
}

/* Of two results one may be what the loss doesn't depend on. */
static ent_status give_results_gradients(ent_tape *tape, ent_node *node)
{
    if (node->out->grad == NULL)
        ENT_TRY(take_gradient(node->out, tape, true));
    if (node->also && node->also->grad == NULL)
        ENT_TRY(take_gradient(node->also, tape, true));
    return ENT_OK;
}

/* Gradients for the inputs of a node that want one and have none yet. */
static ent_status give_inputs_gradients(ent_tape *tape, ent_node *node)
{
    node->fresh = 0;
    for (size_t i = 0; i < node->n_in; i++) {
        ent_tensor *in = node->in[i];
        if (in == NULL || !in->requires_grad || in->grad)
            continue;
        const bool sets = node->traits & ENT_SETS_IN(i);
        ENT_TRY(take_gradient(in, tape, !sets));
        if (sets)
            node->fresh |= 1u << i;
    }
    return ENT_OK;
}

ent_status ent_tape_back_to(ent_tape *tape, size_t first)
{
    for (size_t i = tape->n_nodes; i-- > first;) {
        ent_node *node = tape->nodes[i];
        if (node->out->grad == NULL && (node->also == NULL || node->also->grad == NULL))
            continue; /* the loss doesn't depend on it */
        ENT_TRY(give_results_gradients(tape, node));
        ENT_TRY(give_inputs_gradients(tape, node));
        node->scratch = tape->scratch;
        if (node->op == &ent_segment_op)
            ENT_TRY(ent_segment_backward(tape, node));
        else if (!tape->planning)
            ent_op_run(node, node->op->backward);
        give_gradient_back(tape, node->out);
        if (node->also)
            give_gradient_back(tape, node->also);
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
        ENT_TRY(take_gradient(loss, tape, true));
    if (!tape->planning)
        loss->grad[0] += scale;
    return ent_tape_back_to(tape, 0);
}

ent_status ent_op_check_real(const ent_op *op, const ent_tensor *t)
{
    if (t->dtype != ENT_REAL_DTYPE)
        return ent_fail(ENT_EINVAL, "%s: expected values of type %s, found %s", op->name,
                        ent_dtype_name(ENT_REAL_DTYPE), ent_dtype_name(t->dtype));
    return ENT_OK;
}
