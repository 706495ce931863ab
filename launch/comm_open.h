/* Chooses and opens the communicator of a program. */
#ifndef ENT_LAUNCH_COMM_OPEN_H
#define ENT_LAUNCH_COMM_OPEN_H

#include <stdint.h>

#include "src/comm/comm.h"

/* Opens the communicator `which` names; the caller frees it with ent_comm_free.
 *   "self"  a world of one rank; ENT_ECONFIG under a launcher that started more
 *   "mpi"   the MPI module, which is searched in ../lib/entrenar next to the program, then in the folders of the
 *           installation; ENT_ECOMM if it is nowhere, can't be loaded or sees another world than the launcher made
 *   "auto"  "mpi" if a launcher's variables are set (OMPI_COMM_WORLD_SIZE, PMIX_RANK, PMI_RANK), otherwise "self"
 * A collective that waits longer than `timeout_s` seconds fails (0: never). ENT_ECONFIG for another name. */
ent_status ent_comm_open(ent_comm **out, const char *which, int64_t timeout_s);

#endif
