/* Whether another process of this machine is still there: a rank that was killed is told from one that is slow. */
#ifndef ENT_MPI_PROCESS_H
#define ENT_MPI_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct process {
    int64_t pid;
    uint64_t begun; /* by the system's clock: a process id is used again */
    uint64_t space; /* of process ids; 0: unknown. Those of another space can't be looked for here */
} process;

/* This process. */
void process_self(process *out);

/* Whether it has ended, as far as `self` can see: false if it can't. */
bool process_is_gone(const process *p, const process *self);

#endif
