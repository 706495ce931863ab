/* The contract between a program and a communicator module, a shared object that is loaded when a launcher asks for it.
 *
 * A module carries no code of the core: it would have a second thread-local message, and nobody would read it. What it
 * needs of the program comes with the call that opens it.
 */
#ifndef ENT_COMM_MODULE_H
#define ENT_COMM_MODULE_H

#include <stdint.h>

#include "src/base/status.h"
#include "src/comm/comm.h"

/* Raised when ent_comm, ent_comm_host or the meaning of either changes; `version` and `fail` stay where they are. */
enum { ENT_COMM_MODULE_VERSION = 2 };

typedef struct ent_comm_host {
    int version; /* ENT_COMM_MODULE_VERSION of the program; a module of another version refuses, by `fail` */
    ent_status (*fail)(ent_status code, const char *format, ...) __attribute__((format(printf, 2, 3))); /* ent_fail */
    int64_t timeout_s; /* a collective that waits longer fails with ENT_ECOMM and names who has not come; 0: waits for
                          ever */
} ent_comm_host;

/* Opens the communicator of all ranks the launcher started; collective. The module copies what it needs of `host`. Main
 * thread only, as every call of the communicator. The module stays loaded until the process ends. */
typedef ent_status ent_comm_module_open(ent_comm **out, const ent_comm_host *host);

/* The MPI module: its file and the name of its ent_comm_module_open. */
#define ENT_COMM_MPI_FILE "entrenar_mpi.so"
#define ENT_COMM_MPI_OPEN "ent_comm_mpi_open"

#endif
