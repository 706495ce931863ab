/* The communicator over MPI, as a module (src/comm/module.h).
 *
 * Collectives are the nonblocking ones, polled: so a wait can end. A rank that waits gives its core away, for ranks may
 * outnumber cores. After a fault nothing more is said to MPI: its state is unknown, and the job is to be ended.
 */
#include <mpi.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "mpi/process.h"
#include "mpi/roll_call.h"
#include "src/comm/module.h"

/* Bytes of one MPI call. Counts are of type int there, and the library takes memory as large as a message: a piece that
 * stays in the cache is summed twice as fast as one that does not (measured, two ranks on one machine). */
enum { CHUNK = 4 << 20 };

enum { FAULT = 1024, HOST = 80 }; /* bytes of the longest message; of a host's name */

/* Seconds of a wait: from when on a rank hears what others ask (one that comes just before their time is over must
 * answer within GRACE); from its question to its end; between the questions of one group of ranks and the next; between
 * the end of one rank and the next, so that the first one's abort comes before others say the same. */
#define LISTEN 0.25
#define GRACE 2.0
#define TURN 5.0
#define NEXT 1.5
/* Seconds from one look at the other processes of this machine to the next, in a long wait. */
#define LOOK 0.5
/* Seconds that one has to be gone before it is told: after an abort the launcher ends the others in less. */
#define GONE 3.0

typedef struct seat { /* of a rank; told to all */
    char host[HOST];
    process process;
} seat;

typedef struct mpi_comm {
    ent_comm base; /* first: an ent_comm * is an mpi_comm * */
    ent_comm_host host;
    MPI_Comm comm;
    roll_call *roll;
    int64_t n_waits; /* waits begun: the number of the one that we are in */
    int64_t asked;   /* the number of the wait in which we asked last */
    seat *seats;     /* [world_size]; a host is "" where unknown */
    double looked;   /* waited until the last look at the others' processes */
    double gone;     /* and until one of them was first found gone; 0: none is */
    bool finalize;   /* we started MPI, we end it */
    bool broken;
    char fault[FAULT]; /* of the collective that failed; those after it fail alike */
} mpi_comm;

/* A call of MPI failed or was left: its state is unknown, and it can't be opened again in this process. */
static bool lost;

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static ent_status broken(const mpi_comm *c)
{
    return c->host.fail(ENT_ECOMM, "%s", c->fault);
}

/* What MPI returned, as a status. */
static ent_status check(mpi_comm *c, int code, operation op)
{
    if (code == MPI_SUCCESS)
        return ENT_OK;
    char text[MPI_MAX_ERROR_STRING] = "unknown error";
    int n;
    MPI_Error_string(code, text, &n);
    const char *host = c->base.host(&c->base, c->base.rank);
    snprintf(c->fault, sizeof c->fault, "rank %d%s%s: MPI failed in %s: %s", c->base.rank, *host ? " on " : "", host,
             operation_name(op), text);
    c->broken = lost = true;
    return broken(c);
}

/* Seconds after the time is over until rank r asks who has come. The first eight ask at once, and as a rule their job
 * ends before a later one asks; then as many again, and so on: a thousand ranks don't all call each other. */
static double turn(int rank)
{
    double s = 0;
    for (int group = rank / 8; group; group /= 2)
        s += TURN;
    return s;
}

/* A rank of this machine that was killed is told soon, whether the launcher notices it or not. */
static ent_status look_for_the_dead(mpi_comm *c, double waited, operation op)
{
    const seat *mine = &c->seats[c->base.rank];
    if (waited < c->looked + LOOK)
        return ENT_OK;
    c->looked = waited;
    for (int r = 0; r < c->base.world_size; r++) {
        const seat *other = &c->seats[r];
        if (strcmp(other->host, mine->host) != 0 || !process_is_gone(&other->process, &mine->process))
            continue;
        c->gone = c->gone > 0 ? c->gone : waited;
        if (waited < c->gone + GONE + NEXT * (c->base.rank < 4 ? c->base.rank : 4))
            return ENT_OK;
        snprintf(c->fault, sizeof c->fault,
                 "rank %d on %s has ended (process %lld), while rank %d waited in the %s; the last step done is %lld",
                 r, other->host, (long long)other->process.pid, c->base.rank, operation_name(op),
                 (long long)c->base.step);
        c->broken = lost = true;
        return broken(c);
    }
    return ENT_OK;
}

/* What a rank does in a long wait, at each poll: answers, and asks when its time is over. */
static ent_status long_wait(mpi_comm *c, double waited, operation op)
{
    const place here = {c->n_waits, op, c->base.step};
    const double asks = (double)c->host.timeout_s + turn(c->base.rank);
    roll_call_listen(c->roll, &here);
    ENT_TRY(look_for_the_dead(c, waited, op));
    if (c->host.timeout_s == 0 || waited < asks)
        return ENT_OK;
    if (c->asked != here.number) {
        c->asked = here.number;
        roll_call_ask(c->roll, &here);
    }
    const int before = roll_call_lower(c->roll);
    if (waited < asks + GRACE + NEXT * (before < 4 ? before : 4))
        return ENT_OK;
    roll_call_tell(c->fault, sizeof c->fault, c->roll, &here, &c->base, c->host.timeout_s);
    c->broken = lost = true;
    return broken(c);
}

/* Waits for a request that moves `bytes`. Data moves only while we poll, so polling is busy for as long as a slow
 * network (100 MB/s) would need for them, and a millisecond; then it sleeps in between, longer and longer. */
static ent_status wait_for(mpi_comm *c, MPI_Request *request, size_t bytes, operation op)
{
    const double busy = 1e-3 + 1e-8 * (double)bytes;
    double waited = 0, last = seconds();
    struct timespec nap = {.tv_nsec = 50000};
    c->n_waits++;
    c->looked = c->gone = 0;
    for (;;) {
        int arrived = 0;
        ENT_TRY(check(c, MPI_Test(request, &arrived, MPI_STATUS_IGNORE), op));
        if (arrived)
            return ENT_OK;
        /* A job that was suspended as a whole goes on: time in which we did not run is not waited. */
        const double now = seconds();
        waited += now - last < 1 ? now - last : 1;
        last = now;
        if (waited > LISTEN)
            ENT_TRY(long_wait(c, waited, op));
        if (waited > busy) {
            nanosleep(&nap, NULL);
            nap.tv_nsec = nap.tv_nsec < 500000 ? nap.tv_nsec * 2 : 1000000;
        } else if (waited > 1e-4) {
            sched_yield();
        }
    }
}

static ent_status mpi_barrier(ent_comm *comm)
{
    mpi_comm *c = (mpi_comm *)comm;
    if (c->broken)
        return broken(c);
    MPI_Request request;
    ENT_TRY(check(c, MPI_Ibarrier(c->comm, &request), OP_BARRIER));
    return wait_for(c, &request, 0, OP_BARRIER);
}

/* Ranks meet before they exchange much: so the sleeps of a long wait are never in the middle of a transfer. */
static ent_status meet(mpi_comm *c, size_t bytes, operation op)
{
    if (c->broken)
        return broken(c);
    if (bytes <= 65536)
        return ENT_OK;
    MPI_Request request;
    ENT_TRY(check(c, MPI_Ibarrier(c->comm, &request), op));
    return wait_for(c, &request, 0, op);
}

static ent_status reduce(mpi_comm *c, int64_t *x, size_t n, MPI_Op how, operation op)
{
    const size_t chunk = CHUNK / sizeof *x;
    ENT_TRY(meet(c, n > chunk ? CHUNK : n * sizeof *x, op));
    for (size_t i = 0; i < n; i += chunk) {
        const size_t count = n - i < chunk ? n - i : chunk;
        MPI_Request request;
        ENT_TRY(check(c, MPI_Iallreduce(MPI_IN_PLACE, x + i, (int)count, MPI_INT64_T, how, c->comm, &request), op));
        ENT_TRY(wait_for(c, &request, count * sizeof *x, op));
    }
    return ENT_OK;
}

static ent_status mpi_sum(ent_comm *comm, int64_t *x, size_t n)
{
    return reduce((mpi_comm *)comm, x, n, MPI_SUM, OP_SUM);
}

static ent_status mpi_max(ent_comm *comm, int64_t *x, size_t n)
{
    return reduce((mpi_comm *)comm, x, n, MPI_MAX, OP_MAX);
}

static ent_status mpi_bcast(ent_comm *comm, void *x, size_t n, int root)
{
    mpi_comm *c = (mpi_comm *)comm;
    if (root < 0 || root >= comm->world_size)
        return c->host.fail(ENT_EINVAL, "broadcast: expected a root in [0, %d), found %d", comm->world_size, root);
    ENT_TRY(meet(c, n, OP_BCAST));
    for (size_t i = 0; i < n; i += CHUNK) {
        const size_t count = n - i < CHUNK ? n - i : CHUNK;
        MPI_Request request;
        ENT_TRY(check(c, MPI_Ibcast((char *)x + i, (int)count, MPI_BYTE, root, c->comm, &request), OP_BCAST));
        ENT_TRY(wait_for(c, &request, count, OP_BCAST));
    }
    return ENT_OK;
}

static const char *mpi_host(ent_comm *comm, int rank)
{
    const mpi_comm *c = (const mpi_comm *)comm;
    return c->seats && rank >= 0 && rank < comm->world_size ? c->seats[rank].host : "";
}

static void mpi_abort(ent_comm *comm, int exit_code)
{
    fflush(NULL); /* MPI ends the process without */
    MPI_Abort(((mpi_comm *)comm)->comm, exit_code);
    _Exit(exit_code);
}

/* What MPI may still use after a fault stays. */
static void release(mpi_comm *c)
{
    if (!c->broken) {
        roll_call_free(c->roll);
        free(c->seats);
    }
    free(c);
}

static void mpi_free(ent_comm *comm)
{
    mpi_comm *c = (mpi_comm *)comm;
    /* MPI_Finalize waits for all ranks without a limit: the barrier makes sure that they come. */
    if (mpi_barrier(comm) == ENT_OK) {
        roll_call_end(c->roll);
        MPI_Comm_free(&c->comm);
        if (c->finalize)
            MPI_Finalize();
    }
    release(c);
}

/* Every rank's host on every rank. A rank that is missing here already has none yet. */
static ent_status learn_seats(mpi_comm *c)
{
    char name[MPI_MAX_PROCESSOR_NAME];
    int n;
    c->seats = calloc((size_t)c->base.world_size, sizeof *c->seats);
    if (!c->seats)
        return c->host.fail(ENT_ENOMEM, "no memory for the names of %d hosts", c->base.world_size);
    ENT_TRY(check(c, MPI_Get_processor_name(name, &n), OP_START));
    seat *mine = &c->seats[c->base.rank];
    snprintf(mine->host, HOST, "%.*s", HOST - 1, name);
    process_self(&mine->process);
    MPI_Request request;
    ENT_TRY(check(
        c, MPI_Iallgather(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, c->seats, sizeof *c->seats, MPI_BYTE, c->comm, &request),
        OP_START));
    return wait_for(c, &request, 0, OP_START);
}

/* Starts MPI unless the program did. On failure nothing is left to free but what MPI keeps. */
static ent_status start(mpi_comm *c)
{
    int running = 0, over = 0, level = MPI_THREAD_SINGLE;
    MPI_Initialized(&running);
    MPI_Finalized(&over);
    if (over)
        return c->host.fail(ENT_ECOMM, "MPI was ended before: it starts once in a process");
    if (running)
        ENT_TRY(check(c, MPI_Query_thread(&level), OP_START));
    else
        ENT_TRY(check(c, MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &level), OP_START));
    c->finalize = !running;
    if (level < MPI_THREAD_FUNNELED)
        return c->host.fail(ENT_ECOMM, "MPI: expected support for threads (MPI_THREAD_FUNNELED), found none");
    ENT_TRY(check(c, MPI_Comm_dup(MPI_COMM_WORLD, &c->comm), OP_START));
    ENT_TRY(check(c, MPI_Comm_set_errhandler(c->comm, MPI_ERRORS_RETURN), OP_START));
    /* MPI_Test has no communicator to report to: its errors go to the world's handler */
    ENT_TRY(check(c, MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN), OP_START));
    ENT_TRY(check(c, MPI_Comm_rank(c->comm, &c->base.rank), OP_START));
    ENT_TRY(check(c, MPI_Comm_size(c->comm, &c->base.world_size), OP_START));
    ENT_TRY(check(c, roll_call_open(&c->roll, c->comm), OP_START));
    if (!c->roll)
        return c->host.fail(ENT_ENOMEM, "no memory to ask %d ranks where they are", c->base.world_size);
    return learn_seats(c);
}

__attribute__((visibility("default"))) ent_comm_module_open ent_comm_mpi_open;

ent_status ent_comm_mpi_open(ent_comm **out, const ent_comm_host *host)
{
    *out = NULL;
    if (host->version != ENT_COMM_MODULE_VERSION)
        return host->fail(ENT_ECOMM, ENT_COMM_MPI_FILE ": expected a program with module version %d, found %d",
                          ENT_COMM_MODULE_VERSION, host->version);
    if (lost)
        return host->fail(ENT_ECOMM, "MPI failed before: it starts once in a process");
    mpi_comm *c = calloc(1, sizeof *c);
    if (!c)
        return host->fail(ENT_ENOMEM, "no memory for the communicator (%zu bytes)", sizeof *c);
    c->host = *host;
    c->base.sum_i64 = mpi_sum;
    c->base.max_i64 = mpi_max;
    c->base.bcast = mpi_bcast;
    c->base.barrier = mpi_barrier;
    c->base.host = mpi_host;
    c->base.abort = mpi_abort;
    c->base.free = mpi_free;
    const ent_status st = start(c);
    if (st != ENT_OK) {
        release(c);
        return st;
    }
    *out = &c->base;
    return ENT_OK;
}
