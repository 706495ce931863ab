/* The communicator of a launcher: run under mpirun. Rank 0 tells; any rank's failure is the exit code of all.
 *
 *   test_comm_mpi           the conformance suite
 *   test_comm_mpi absent    the last rank never comes: the other stops waiting, names it, and ends the job with exit
 * code 42 test_comm_mpi missing   no module beside the program: the error names the folders
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
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

/* A rank that waits alone of two: it says who is absent, says it again, and its abort reaches the absent one. */
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
    char expected[512], host[256] = "";
    gethostname(host, sizeof host - 1);
    snprintf(expected, sizeof expected,
             "rank 1 on %.79s has not come to the sum within 1 s; its last step done is 7 (rank 0 waits)", host);
    comm->step = 7;
    const double start = seconds();
    int wrong = comm->sum_i64(comm, &x, 1) != ENT_ECOMM;
    const double waited = seconds() - start;
    wrong += waited < 0.9;
    wrong += strcmp(ent_message(), expected) != 0;
    ent_fail(ENT_EIO, "another fault");
    wrong += comm->barrier(comm) != ENT_ECOMM || strcmp(ent_message(), expected) != 0;
    ent_comm *again;
    wrong += ent_comm_open(&again, "mpi", 1) != ENT_ECOMM || !strstr(ent_message(), "MPI failed before");
    if (wrong)
        fprintf(stderr, "rank %d: %d expectations failed, after %.2f s: %s\n", comm->rank, wrong, waited,
                ent_message());
    comm->abort(comm, wrong ? 1 : 42);
    return 1;
}

/* Stops its parent for 7 s, once a byte comes. */
static void stop_parent(int begin)
{
    char byte;
    const pid_t parent = getppid();
    if (read(begin, &byte, 1) == 1) {
        usleep(100000);
        kill(parent, SIGSTOP);
        sleep(7);
        kill(parent, SIGCONT);
    }
    _exit(0);
}

/* Rank 0 waits 3 s and is stopped for 7 s, the time is over after 6: it doesn't run when it is stopped, so it doesn't
 * wait, and rank 1 comes 3 s after it goes on. */
static int wait_suspended(void)
{
    ent_comm *comm;
    int pipes[2];
    if (pipe(pipes) != 0)
        return 1;
    const pid_t child = fork();
    if (child == 0) {
        close(pipes[1]);
        stop_parent(pipes[0]);
    }
    if (child < 0 || ent_comm_open(&comm, "mpi", 6) != ENT_OK) {
        fprintf(stderr, "open: %s\n", ent_message());
        return 1;
    }
    int64_t x = 1;
    if (comm->barrier(comm) != ENT_OK || (comm->rank == 0 && write(pipes[1], "", 1) != 1))
        comm->abort(comm, 1);
    close(pipes[1]);
    if (comm->rank != 0)
        sleep(10);
    if (comm->sum_i64(comm, &x, 1) != ENT_OK || x != comm->world_size) {
        fprintf(stderr, "rank %d: %s\n", comm->rank, ent_message());
        comm->abort(comm, 1);
    }
    waitpid(child, NULL, 0);
    ent_comm_free(comm);
    return 0;
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
    if (argc == 2 && strcmp(argv[1], "suspended") == 0)
        return wait_suspended();
    if (argc == 2 && strcmp(argv[1], "missing") == 0)
        return miss_the_module();
    fprintf(stderr, "usage: test_comm_mpi [absent | suspended | missing]\n");
    return 2;
}
