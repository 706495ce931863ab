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

#include "src/comm/module.h"

/* Bytes of one MPI call. Counts are of type int there, and the library takes memory as large as a message: a piece that
 * stays in the cache is summed twice as fast as one that does not (measured, two ranks on one machine). */
enum { CHUNK = 4 << 20 };

enum { FAULT = 64 + MPI_MAX_PROCESSOR_NAME + MPI_MAX_ERROR_STRING }; /* bytes of the longest message */

typedef struct mpi_comm {
    ent_comm base; /* first: an ent_comm * is an mpi_comm * */
    ent_comm_host host;
    MPI_Comm comm;
    bool finalize; /* we started MPI, we end it */
    bool broken;
    char fault[FAULT]; /* of the collective that failed; those after it fail alike */
    char name[MPI_MAX_PROCESSOR_NAME];
} mpi_comm;

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
static ent_status check(mpi_comm *c, int code, const char *operation)
{
    if (code == MPI_SUCCESS)
        return ENT_OK;
    char text[MPI_MAX_ERROR_STRING] = "unknown error";
    int n;
    MPI_Error_string(code, text, &n);
    snprintf(c->fault, sizeof c->fault, "rank %d on %s: MPI failed in %s: %s", c->base.rank, c->name, operation, text);
    c->broken = true;
    return broken(c);
}

static ent_status timed_out(mpi_comm *c, double waited, const char *operation)
{
    snprintf(c->fault, sizeof c->fault, "rank %d on %s: waited %.0f s in %s", c->base.rank, c->name, waited, operation);
    c->broken = true;
    return broken(c);
}

/* Waits for a request that moves `bytes`. Data moves only while we poll, so polling is busy for as long as a slow
 * network (100 MB/s) would need for them, and a millisecond; then it sleeps in between, longer and longer. */
static ent_status wait_for(mpi_comm *c, MPI_Request *request, size_t bytes, const char *operation)
{
    const double begin = seconds(), busy = 1e-3 + 1e-8 * (double)bytes;
    struct timespec nap = {.tv_nsec = 50000};
    for (;;) {
        int arrived = 0;
        ENT_TRY(check(c, MPI_Test(request, &arrived, MPI_STATUS_IGNORE), operation));
        if (arrived)
            return ENT_OK;
        const double waited = seconds() - begin;
        if (c->host.timeout_s > 0 && waited > (double)c->host.timeout_s)
            return timed_out(c, waited, operation);
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
    ENT_TRY(check(c, MPI_Ibarrier(c->comm, &request), "barrier"));
    return wait_for(c, &request, 0, "barrier");
}

/* Ranks meet before they exchange much: so the sleeps of a long wait are never in the middle of a transfer. */
static ent_status meet(mpi_comm *c, size_t bytes, const char *operation)
{
    if (c->broken)
        return broken(c);
    if (bytes <= 65536)
        return ENT_OK;
    MPI_Request request;
    ENT_TRY(check(c, MPI_Ibarrier(c->comm, &request), operation));
    return wait_for(c, &request, 0, operation);
}

static ent_status reduce(mpi_comm *c, int64_t *x, size_t n, MPI_Op op, const char *operation)
{
    const size_t chunk = CHUNK / sizeof *x;
    ENT_TRY(meet(c, n > chunk ? CHUNK : n * sizeof *x, operation));
    for (size_t i = 0; i < n; i += chunk) {
        const size_t count = n - i < chunk ? n - i : chunk;
        MPI_Request request;
        ENT_TRY(
            check(c, MPI_Iallreduce(MPI_IN_PLACE, x + i, (int)count, MPI_INT64_T, op, c->comm, &request), operation));
        ENT_TRY(wait_for(c, &request, count * sizeof *x, operation));
    }
    return ENT_OK;
}

static ent_status mpi_sum(ent_comm *comm, int64_t *x, size_t n)
{
    return reduce((mpi_comm *)comm, x, n, MPI_SUM, "sum");
}

static ent_status mpi_max(ent_comm *comm, int64_t *x, size_t n)
{
    return reduce((mpi_comm *)comm, x, n, MPI_MAX, "maximum");
}

static ent_status mpi_bcast(ent_comm *comm, void *x, size_t n, int root)
{
    mpi_comm *c = (mpi_comm *)comm;
    if (root < 0 || root >= comm->world_size)
        return c->host.fail(ENT_EINVAL, "broadcast: expected a root in [0, %d), found %d", comm->world_size, root);
    ENT_TRY(meet(c, n, "broadcast"));
    for (size_t i = 0; i < n; i += CHUNK) {
        const size_t count = n - i < CHUNK ? n - i : CHUNK;
        MPI_Request request;
        ENT_TRY(check(c, MPI_Ibcast((char *)x + i, (int)count, MPI_BYTE, root, c->comm, &request), "broadcast"));
        ENT_TRY(wait_for(c, &request, count, "broadcast"));
    }
    return ENT_OK;
}

static void mpi_abort(ent_comm *comm, int exit_code)
{
    fflush(NULL); /* MPI ends the process without */
    MPI_Abort(((mpi_comm *)comm)->comm, exit_code);
    _Exit(exit_code);
}

static void mpi_free(ent_comm *comm)
{
    mpi_comm *c = (mpi_comm *)comm;
    /* MPI_Finalize waits for all ranks without a limit: the barrier makes sure that they come. */
    if (mpi_barrier(comm) == ENT_OK) {
        MPI_Comm_free(&c->comm);
        if (c->finalize)
            MPI_Finalize();
    }
    free(c);
}

/* Starts MPI unless the program did. On failure nothing is left to free but what MPI keeps. */
static ent_status start(mpi_comm *c)
{
    int running = 0, over = 0, level = MPI_THREAD_SINGLE, n;
    MPI_Initialized(&running);
    MPI_Finalized(&over);
    if (over)
        return c->host.fail(ENT_ECOMM, "MPI was ended before: it starts once in a process");
    if (running)
        ENT_TRY(check(c, MPI_Query_thread(&level), "start"));
    else
        ENT_TRY(check(c, MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &level), "start"));
    c->finalize = !running;
    if (level < MPI_THREAD_FUNNELED)
        return c->host.fail(ENT_ECOMM, "MPI: expected support for threads (MPI_THREAD_FUNNELED), found none");
    MPI_Get_processor_name(c->name, &n);
    ENT_TRY(check(c, MPI_Comm_dup(MPI_COMM_WORLD, &c->comm), "start"));
    ENT_TRY(check(c, MPI_Comm_set_errhandler(c->comm, MPI_ERRORS_RETURN), "start"));
    /* MPI_Test has no communicator to report to: its errors go to the world's handler */
    ENT_TRY(check(c, MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN), "start"));
    ENT_TRY(check(c, MPI_Comm_rank(c->comm, &c->base.rank), "start"));
    return check(c, MPI_Comm_size(c->comm, &c->base.world_size), "start");
}

__attribute__((visibility("default"))) ent_comm_module_open ent_comm_mpi_open;

ent_status ent_comm_mpi_open(ent_comm **out, const ent_comm_host *host)
{
    *out = NULL;
    if (host->version != ENT_COMM_MODULE_VERSION)
        return host->fail(ENT_ECOMM, ENT_COMM_MPI_FILE ": expected a program with module version %d, found %d",
                          ENT_COMM_MODULE_VERSION, host->version);
    mpi_comm *c = calloc(1, sizeof *c);
    if (!c)
        return host->fail(ENT_ENOMEM, "no memory for the communicator (%zu bytes)", sizeof *c);
    c->host = *host;
    c->base.sum_i64 = mpi_sum;
    c->base.max_i64 = mpi_max;
    c->base.bcast = mpi_bcast;
    c->base.barrier = mpi_barrier;
    c->base.abort = mpi_abort;
    c->base.free = mpi_free;
    const ent_status st = start(c);
    if (st != ENT_OK) {
        free(c);
        return st;
    }
    *out = &c->base;
    return ENT_OK;
}
