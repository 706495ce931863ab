#include "launch/turn.h"

#include "launch/report.h"
#include "launch/signals.h"

/* Seconds from one word of rank 0 to the next. */
#define WORD 5.0

static struct {
    ent_comm *comm; /* NULL: nobody waits */
    double every, next;
    ent_status fault; /* the others can't be reached */
} turn;

/* One word of rank 0, which all hear: whether it goes on. */
static ent_status say(ent_comm *comm, bool works)
{
    int64_t word = works;
    return comm->max_i64(comm, &word, 1);
}

static ent_status wait_for_first(ent_comm *comm)
{
    for (int64_t word = 1; word;) {
        word = 0;
        ENT_TRY(comm->max_i64(comm, &word, 1));
    }
    return ent_comm_agree(comm, ENT_OK);
}

bool ent_turn_stop(void)
{
    if (turn.comm && turn.fault == ENT_OK && ent_now() >= turn.next) {
        turn.fault = say(turn.comm, true);
        turn.next = ent_now() + turn.every;
    }
    return ent_signals_stop() || turn.fault != ENT_OK;
}

/* On rank 0: a fault of the work is told behind the last word. */
static ent_status first(ent_comm *comm, double timeout, ent_status (*work)(void *), void *context)
{
    turn.every = timeout / 4 < WORD ? timeout / 4 : WORD;
    turn.next = ent_now() + turn.every;
    turn.fault = ENT_OK;
    turn.comm = comm->world_size > 1 ? comm : NULL;
    const ent_status st = work(context);
    turn.comm = NULL;
    ENT_TRY(say(comm, false));
    return ent_comm_agree(comm, st);
}

ent_status ent_turn(ent_comm *comm, double timeout, ent_status (*work)(void *), void *context)
{
    const bool leads = comm->rank == 0;
    ENT_TRY(leads ? first(comm, timeout, work, context) : wait_for_first(comm));
    return ent_comm_agree(comm, leads ? ENT_OK : work(context));
}
