/* Where in its source a stopped thread is: unwinds its stack and reads the program's DWARF, by libdw. */
#ifndef ENT_TRACE_SOURCE_H
#define ENT_TRACE_SOURCE_H

#include <sys/types.h>

#include "trace/trace.h"

typedef struct ent_sources ent_sources;

ent_status ent_sources_new(ent_sources **out);
void ent_sources_free(ent_sources *sources);

/* A process has other code mapped than before, or is gone. */
void ent_sources_changed(ent_sources *sources, pid_t pid);

/* Gives `call` file, line and function of the innermost frame of thread `tid` of process `pid` that lies in the program
 * itself and has line information; without one, of the innermost in a library that has. Left NULL if there is neither.
 * A file is named as it was given to the compiler. ENT_ENOMEM. */
ent_status ent_sources_find(ent_trace_call *call, ent_trace *trace, ent_sources *sources, pid_t pid, pid_t tid);

#endif
