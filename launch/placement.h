/* Which cores a rank may use, and how many threads follow from that. */
#ifndef ENT_LAUNCH_PLACEMENT_H
#define ENT_LAUNCH_PLACEMENT_H

#include <stdint.h>

#include "src/comm/comm.h"

typedef struct ent_placement {
    int threads;    /* of this rank */
    int cores;      /* of this host */
    int idle;       /* cores of this host that no rank's threads use; on rank 0's host only */
    int local_size; /* ranks on this host */
} ent_placement;

/* `wanted` threads, or with 0: the cores this process may use, divided by the ranks of the same host that share them,
 * at least one. Collective. */
ent_status ent_place(ent_placement *out, ent_comm *comm, int64_t wanted);

/* Sets the threads of a process that is alone: as many as cores it may use. */
ent_status ent_use_all_cores(void);

#endif
