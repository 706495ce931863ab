/* The communicator of a launcher: run under mpirun. Rank 0 tells; any rank's failure is the exit code of all.
 *
 *   test_comm_mpi           the conformance suite
 *   test_comm_mpi absent    the last rank never comes: the others stop waiting, and end the job with exit code 42
 *   test_comm_mpi missing   no module beside the program: the error names the folders
 */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "launch/comm_open.h"
#include "tests/comm_conformance.h"

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int conform(void)
{
    ent_comm *comm;
    int failed = 0;
    if (ent_comm_open(&comm, "auto", 30) != ENT_OK) {
        fprintf(stderr, "open: %s\n", ent_message());
        return 1;
    }
    for (size_t i = 0; i < n_comm_cases; i++) {
        const char *wrong = comm_cases[i].run(comm);
        if (wrong)
            fprintf(stderr, "rank %d: %s: %s (%s)\n", comm->rank, comm_cases[i].name, wrong, ent_message());
        int64_t any = wrong != NULL;
        if (comm->max_i64(comm, &any, 1) != ENT_OK)
            comm->abort(comm, 1);
        failed += any != 0;
        if (comm->rank == 0)
            printf("[ %s ] %s\n", any ? "FAILED" : "      OK", comm_cases[i].name);
    }
    if (comm->rank == 0)
        printf("%zu cases on %d ranks, %d failed\n", n_comm_cases, comm->world_size, failed);
    ent_comm_free(comm);
    return failed != 0;
}

/* A rank that waits alone: it says so in time, says it again at once, and its abort reaches the absent one. */
static int miss_a_rank(void)
{
    ent_comm *comm;
    int64_t x = 1;
    if (ent_comm_open(&comm, "mpi", 1) != ENT_OK) {
        fprintf(stderr, "open: %s\n", ent_message());
        return 1;
    }
    if (comm->rank == comm->world_size - 1) {
        sleep(60);
        return 1;
    }
    char begin[32], host[256] = "";
    gethostname(host, sizeof host - 1);
    snprintf(begin, sizeof begin, "rank %d on ", comm->rank);
    const double start = seconds();
    int wrong = comm->sum_i64(comm, &x, 1) != ENT_ECOMM;
    const double waited = seconds() - start;
    wrong += waited < 0.9 || waited > 5;
    wrong += strncmp(ent_message(), begin, strlen(begin)) != 0 || !strstr(ent_message(), host) ||
             !strstr(ent_message(), ": waited 1 s in sum");
    ent_fail(ENT_EIO, "another fault");
    wrong += comm->barrier(comm) != ENT_ECOMM || !strstr(ent_message(), ": waited 1 s in sum");
    wrong += seconds() - start - waited > 0.5;
    if (wrong)
        fprintf(stderr, "rank %d: %d expectations failed, after %.2f s: %s\n", comm->rank, wrong, waited,
                ent_message());
    comm->abort(comm, wrong ? 1 : 42);
    return 1;
}

static int miss_the_module(void)
{
    ent_comm *comm;
    const ent_status st = ent_comm_open(&comm, "mpi", 1);
    if (st == ENT_ECOMM && strstr(ent_message(), "entrenar_mpi.so") && strstr(ent_message(), "/../lib/entrenar"))
        return 0;
    fprintf(stderr, "expected ENT_ECOMM, found %d: %s\n", st, ent_message());
    return 1;
}

int main(int argc, char **argv)
{
    if (argc == 1)
        return conform();
    if (argc == 2 && strcmp(argv[1], "absent") == 0)
        return miss_a_rank();
    if (argc == 2 && strcmp(argv[1], "missing") == 0)
        return miss_the_module();
    fprintf(stderr, "usage: test_comm_mpi [absent | missing]\n");
    return 2;
}
