/* The communicator: all that ranks say to each other. Six operations over integers and bytes, so that the result of a
 * sum can't depend on an order. `self` is a world of one; MPI is a module (mpi/comm_mpi.c) with the same face.
 *
 * Every rank makes the same calls in the same order. A collective that fails has failed for the job: end it.
 */
#ifndef ENT_COMM_COMM_H
#define ENT_COMM_COMM_H

#include <stddef.h>
#include <stdint.h>

#include "src/base/status.h"

typedef struct ent_comm ent_comm;

struct ent_comm {
    int rank, world_size; /* 0 <= rank < world_size */
    int64_t step;         /* steps done: the caller sets it, a message about ranks that don't come names it */
    ent_status (*sum_i64)(ent_comm *comm, int64_t *x, size_t n);      /* x = sum over ranks of x, on every rank */
    ent_status (*max_i64)(ent_comm *comm, int64_t *x, size_t n);      /* x = elementwise maximum over ranks */
    ent_status (*bcast)(ent_comm *comm, void *x, size_t n, int root); /* the n bytes of rank `root`, on every rank */
    ent_status (*barrier)(ent_comm *comm);
    const char *(*host)(ent_comm *comm, int rank); /* the name of that rank's machine; "" if unknown. Not collective */
    void (*abort)(ent_comm *comm, int exit_code);  /* ends all ranks; does not return */
    void (*free)(ent_comm *comm);                  /* collective; comm is gone afterwards */
};

/* A world of one rank. */
ent_status ent_comm_self(ent_comm **out);

/* Frees; NULL is fine. */
void ent_comm_free(ent_comm *comm);

/* Agreement after rank-local work: every rank passes its own status, and all return the same one: that of the lowest
 * rank that failed, with that rank's message (prefixed "rank N: " where world_size > 1 and not every rank failed), or
 * ENT_OK. */
ent_status ent_comm_agree(ent_comm *comm, ent_status local);

/* ENT_ECONFIG unless all ranks hold the same `n` bytes; the message names the first rank that differs, `what` it is and
 * both values (as text). */
ent_status ent_comm_same(ent_comm *comm, const char *value, const char *what);

/* ENT_ENUMERIC unless all ranks pass the same digest of `what` ("step 300: the trained parameters"); the message names
 * the ranks, with their hosts, that differ from what more than half of them have, or all where there is no such
 * majority. One sum of 4 numbers a rank, over `scratch`: int64_t[4 * world_size]. */
ent_status ent_comm_odd_one(ent_comm *comm, const void *digest32, int64_t *scratch, const char *what);

#endif
