/* Who is told to be missing, for ranks that are where a case puts them: the last rank asks, the others answer or don't.
 * Run under mpirun with 4 ranks (the cases) or with 12 (lists that are cut).
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "mpi/roll_call.h"

enum { MAX_RANKS = 16 };

typedef struct roll_case {
    const char *what;
    const char *expected;
    const char *where; /* a letter a rank: '-' doesn't answer, 's' waits in the sum, 'b' in the barrier after it */
    int64_t step;
} roll_case;

static const roll_case cases_of_4[] = {
    {"one", "rank 0 on node0 has not come to the sum within 600 s; its last step done is 17 (ranks 1, 2 and 3 wait)",
     "-sss", 17},
    {"two",
     "ranks 0 on node0 and 2 on node2 have not come to the sum within 600 s; their last step done is 17 (ranks 1 and 3 "
     "wait)",
     "-s-s", 17},
    {"all others, before a step",
     "ranks 0 on node0, 1 on node1 and 2 on node2 have not come to the sum within 600 s "
     "(rank 3 waits)",
     "---s", 0},
    {"none", "all 4 ranks have come to the sum, but it has not ended within 600 s; the last step done is 17", "ssss",
     17},
    {"one, and one is ahead",
     "rank 0 on node0 has not come to the sum within 600 s; its last step done is 5 (ranks 2 and 3 wait, rank 1 "
     "further on in the barrier, call 106)",
     "-bss", 5},
    {"the asking one is ahead",
     "rank 1 on node1 has not come to the sum within 600 s; its last step done is 5 (ranks 0 and 2 wait, rank 3 "
     "further on in the barrier, call 107)",
     "s-sb", 5},
    {"out of step",
     "ranks are out of step after step 5: ranks 0 on node0 and 3 on node3 wait in the sum, call 107, ranks 1 on node1 "
     "and 2 on node2 elsewhere, rank 1 in the barrier, call 108",
     "sbbs", 5},
};
static const roll_case cases_of_12[] = {
    {"eleven of twelve",
     "ranks 0 on node0, 1 on node1, 2 on node2, 3 on node3, 4 on node4, 5 on node5, 6 on node6, 7 on node7 and 3 more "
     "have not come to the sum within 600 s; their last step done is 9 (rank 11 waits)",
     "-----------s", 9},
    {"one of twelve",
     "rank 11 on node11 has not come to the sum within 600 s; its last step done is 9 (ranks 0, 1, 2, 3, 4, 5, 6, 7 "
     "and "
     "3 more wait)",
     "sssssssssss-", 9},
};

static const char *host(ent_comm *comm, int rank)
{
    static char names[MAX_RANKS][16];
    (void)comm;
    snprintf(names[rank], sizeof names[rank], "node%d", rank);
    return names[rank];
}

/* Polls; the others get the core in between. */
static void listen_a_while(roll_call *r, const place *here)
{
    const struct timespec nap = {.tv_nsec = 100000};
    if (here)
        roll_call_listen(r, here);
    nanosleep(&nap, NULL);
}

/* Answers (or only waits) until all ranks have come here. */
static void meet(roll_call *r, const place *here)
{
    MPI_Request request;
    int all = 0;
    MPI_Ibarrier(MPI_COMM_WORLD, &request);
    while (!all) {
        listen_a_while(r, here);
        MPI_Test(&request, &all, MPI_STATUS_IGNORE);
    }
}

/* Asks, and waits for as many answers as the case has. */
static bool told(roll_call *r, const roll_case *k, const place *here, int asker, int size)
{
    char text[1024];
    ent_comm comm = {.rank = asker, .world_size = size, .host = host};
    int expected = 0;
    for (int i = 0; i < asker; i++)
        expected += k->where[i] != '-';
    roll_call_ask(r, here);
    const double begin = MPI_Wtime();
    while (MPI_Wtime() - begin < 20 && roll_call_lower(r) < expected)
        listen_a_while(r, here);
    for (int i = 0; i < 100; i++) /* one that must not be taken for an answer may be under way */
        listen_a_while(r, here);
    roll_call_tell(text, sizeof text, r, here, &comm, 600);
    const bool right = strcmp(text, k->expected) == 0;
    printf("[ %s ] %s%s%s\n", right ? "      OK" : "FAILED", k->what, right ? "" : ": ", right ? "" : text);
    return right;
}

int main(int argc, char **argv)
{
    int rank, size, failed = 0;
    roll_call *r;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    if ((size != 4 && size != 12) || roll_call_open(&r, MPI_COMM_WORLD) != MPI_SUCCESS || !r)
        MPI_Abort(MPI_COMM_WORLD, 2);
    const roll_case *cases = size == 4 ? cases_of_4 : cases_of_12;
    const size_t n = size == 4 ? sizeof cases_of_4 / sizeof *cases_of_4 : sizeof cases_of_12 / sizeof *cases_of_12;
    for (size_t i = 0; i < n; i++) {
        const roll_case *k = &cases[i];
        const char *last = strrchr(k->where, k->where[size - 1] == '-' ? 's' : k->where[size - 1]);
        const int asker = (int)(last - k->where);
        const bool ahead = k->where[rank] == 'b';
        const place here = {.number = 101 + (int64_t)i + ahead, .op = ahead ? OP_BARRIER : OP_SUM, .step = k->step};
        /* An old question is answered now: the answer belongs to no question of this case. */
        meet(r, rank != asker ? &here : NULL);
        meet(r, NULL);
        if (rank == asker)
            failed += !told(r, k, &here, asker, size);
        meet(r, k->where[rank] == '-' ? NULL : &here);
    }
    MPI_Allreduce(MPI_IN_PLACE, &failed, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    roll_call_end(r);
    roll_call_free(r);
    MPI_Finalize();
    return failed != 0;
}
