/* An eager tape: operators run as they are called, and those whose inputs need a gradient are recorded. The order of
 * recording is topological, so backward is one loop in reverse.
 *
 * All memory of a tape comes from its arenas and lasts until ent_tape_rewind or ent_tape_release: outputs, saved values
 * and gradients. A planning tape runs no kernel and takes no memory; it measures what the same calls on a real tape
 * would take.
 */
#ifndef ENT_AUTOGRAD_TAPE_H
#define ENT_AUTOGRAD_TAPE_H

#include <stdbool.h>
#include <stddef.h>

#include "src/base/philox.h"
#include "src/base/status.h"
#include "src/tensor/tensor.h"

typedef struct ent_tape ent_tape;

/* A tape; `planning`: measure only. ENT_ENOMEM. */
ent_status ent_tape_new(ent_tape **out, bool planning);
void ent_tape_free(ent_tape *tape);

/* Takes at once the memory that a planning tape measured, so that computations up to that size allocate nothing. */
ent_status ent_tape_reserve(ent_tape *tape, const ent_tape *plan);

/* Bytes that the largest computation since ent_tape_new took: activations, gradients and scratch. */
size_t ent_tape_peak(const ent_tape *tape);

/* How much of that is scratch. */
size_t ent_tape_scratch(const ent_tape *tape);

/* Forgets all nodes and tensors. */
void ent_tape_rewind(ent_tape *tape);

/* With recording off, nothing is recorded and nothing saved for backward (evaluation, generation). On at first. */
void ent_tape_record(ent_tape *tape, bool on);
bool ent_tape_recording(const ent_tape *tape);
bool ent_tape_planning(const ent_tape *tape);

/* A tensor on the tape that describes the caller's memory (borrowed), n_dims and shape as given. With requires_grad it
 * gets a zeroed gradient, which lasts until the tape is rewound. */
ent_status ent_tape_input(ent_tensor **out, ent_tape *tape, const ent_real *data, size_t n_dims, const size_t *shape,
                          bool requires_grad);

/* Nothing more is computed from the values of t, a result of this tape: their memory is used again, if no backward
 * reads them. Nothing happens otherwise, nor for tensors of other memory. Gradients still flow through it. */
void ent_tape_release(ent_tape *tape, ent_tensor *t);

/* The values of t stay until the tape is rewound, whoever releases it. */
void ent_tape_keep(ent_tensor *t);

/* Memory of the tape for values an operator saves (*out: `bytes`, 64-byte aligned); not to be touched when planning. */
ent_status ent_tape_buffer(void *out, ent_tape *tape, size_t bytes);

/* A piece of a computation, *y = f(x). It uses no other tensor of the tape than x, but any parameter. It is run twice,
 * and computes the same both times. */
typedef ent_status (*ent_segment)(ent_tensor **y, ent_tape *tape, ent_tensor *x, const void *context);

/* *y = what `segment` makes of x, without keeping what it computes in between: backward runs it again, recorded, then
 * backward through it, in memory that the next one uses again. Bits are those of a direct call. y has the shape of x;
 * `context` (context_bytes) is copied. Segments may hold segments. ENT_EINVAL for a y of another shape. */
ent_status ent_tape_recompute(ent_tensor **y, ent_tape *tape, ent_tensor *x, ent_segment segment, const void *context,
                              size_t context_bytes);

/* Called in a segment: what is computed from here to its end serves its result alone, or backward. When the segment is
 * run again, only what backward reads of it is computed. No segment may stand there. */
void ent_tape_tail(ent_tape *tape);

/* Backward from `loss`, a scalar: adds d(scale * loss)/dx to the gradient of every recorded tensor x that requires one.
 * Gradients of parameters add to what is there; zeroing them is the caller's. ENT_EINVAL if loss is no scalar. */
ent_status ent_tape_backward(ent_tape *tape, ent_tensor *loss, ent_real scale);

#endif
