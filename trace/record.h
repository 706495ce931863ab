/* Records the system calls of a program: runs it under ptrace, to its end.
 *
 * The program runs as if nobody looked: it gets its signals, keeps its standard streams, and its exit code is handed
 * on. Signals that other processes send to the tracer are passed to the program.
 */
#ifndef ENT_TRACE_RECORD_H
#define ENT_TRACE_RECORD_H

#include <stdbool.h>

#include "trace/trace.h"

typedef struct ent_record_options {
    bool follow; /* threads and child processes too */
    bool source; /* where in the program's source each call was asked for, by its DWARF */
} ent_record_options;

/* The rank of MPI that launchers give this process; -1: none. */
int ent_trace_mpi_rank(void);

/* Runs argv (argv[0] looked up in PATH, the list ends with NULL) and fills *trace, which needs no initialisation;
 * ent_trace_clear frees what it holds, also after a failure. ENT_EIO naming a program that can't be started, or why
 * this system lets no process be traced. */
ent_status ent_trace_record(ent_trace *trace, char *const *argv, const ent_record_options *options);

#endif
