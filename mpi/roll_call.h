/* The roll call: which ranks have come to a collective that waits too long.
 *
 * A rank whose wait is over its time asks all others where they are. Ranks that wait, in this collective or in another
 * one, answer while they poll; the others are those that have not come: stopped, dead, or still at work. Messages have
 * a communicator of their own, nothing here blocks, and nothing is allocated after the start.
 */
#ifndef ENT_MPI_ROLL_CALL_H
#define ENT_MPI_ROLL_CALL_H

#include <mpi.h>
#include <stddef.h>
#include <stdint.h>

#include "src/comm/comm.h"

typedef enum operation { OP_START, OP_BARRIER, OP_SUM, OP_MAX, OP_BCAST, N_OPERATIONS } operation;

/* "barrier", "sum", ...; of a number that came from another rank too. */
const char *operation_name(int64_t op);

/* Where a rank waits. Every rank makes the same calls, so equal numbers are the same call. */
typedef struct place {
    int64_t number; /* of the calls this rank has waited in, from 1 */
    int64_t op;     /* an operation */
    int64_t step;   /* steps done */
} place;

typedef struct roll_call roll_call;

/* Collective over `comm`; the code of MPI. *out is NULL where there is no memory. */
int roll_call_open(roll_call **out, MPI_Comm comm);

/* Asks all others, who answer in time or not at all. */
void roll_call_ask(roll_call *r, const place *here);

/* Answers what others ask, takes what they answer. */
void roll_call_listen(roll_call *r, const place *here);

/* How many ranks lower than this one have answered: of those who wait, the lowest tells. */
int roll_call_lower(const roll_call *r);

/* text = who has not come, by what was answered since roll_call_ask: one line, the same on every rank that has the same
 * answers. Hosts are `comm`'s. */
void roll_call_tell(char *text, size_t size, roll_call *r, const place *here, ent_comm *comm, int64_t timeout_s);

/* All ranks are at the same point and send nothing more: takes what nobody listened to, ends the communicator. */
void roll_call_end(roll_call *r);

/* Frees the memory; says nothing to MPI. NULL is fine. */
void roll_call_free(roll_call *r);

#endif
