/* Work at the start of a run that rank 0 does before the others, who find what it has made. It may take longer than a
 * rank waits for another (distributed.timeout): so rank 0 is heard of in between. */
#ifndef ENT_LAUNCH_TURN_H
#define ENT_LAUNCH_TURN_H

#include <stdbool.h>

#include "src/comm/comm.h"

/* work(context) on rank 0, then on the others; the same status on all. `timeout`: of comm, in seconds. Collective. */
ent_status ent_turn(ent_comm *comm, double timeout, ent_status (*work)(void *context), void *context);

/* For the work to ask every now and then, and to end with ENT_ESTOPPED if so: whether a signal has come. Asked more
 * often than `timeout`, it tells the others that rank 0 is at work. */
bool ent_turn_stop(void);

#endif
