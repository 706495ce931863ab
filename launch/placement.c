#include "launch/placement.h"

#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "src/base/tiles.h"

typedef struct seat { /* where a rank sits; told to all */
    char host[64];
    cpu_set_t cores;
} seat;

ent_status ent_place(ent_placement *out, ent_comm *comm, int64_t wanted)
{
    seat mine;
    cpu_set_t both;
    memset(&mine, 0, sizeof mine);
    gethostname(mine.host, sizeof mine.host - 1);
    *out = (ent_placement){.cores = (int)sysconf(_SC_NPROCESSORS_ONLN)};
    if (sched_getaffinity(0, sizeof mine.cores, &mine.cores) != 0)
        for (size_t i = 0; i < (size_t)out->cores && i < CPU_SETSIZE; i++)
            CPU_SET(i, &mine.cores);
    int sharing = 0;
    for (int rank = 0; rank < comm->world_size; rank++) {
        seat theirs = mine;
        ENT_TRY(comm->bcast(comm, &theirs, sizeof theirs, rank));
        if (strcmp(theirs.host, mine.host) != 0)
            continue;
        CPU_AND(&both, &theirs.cores, &mine.cores);
        out->local_size++;
        sharing += CPU_COUNT(&both) > 0;
    }
    const int share = CPU_COUNT(&mine.cores) / (sharing ? sharing : 1);
    out->threads = wanted > 0 ? (int)wanted : share > 1 ? share : 1;
    int64_t used = 0; /* by the ranks of rank 0's host */
    seat first = mine;
    ENT_TRY(comm->bcast(comm, &first, sizeof first, 0));
    if (strcmp(first.host, mine.host) == 0)
        used = out->threads;
    ENT_TRY(comm->sum_i64(comm, &used, 1));
    out->idle = used < out->cores ? out->cores - (int)used : 0;
    return ENT_OK;
}

ent_status ent_use_all_cores(void)
{
    ent_comm *comm = NULL;
    ent_placement place;
    ENT_TRY(ent_comm_self(&comm));
    const ent_status st = ent_place(&place, comm, 0);
    ent_comm_free(comm);
    if (st == ENT_OK)
        ent_set_threads(place.threads);
    return st;
}
