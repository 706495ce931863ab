/* The threads and processes of a recording. Part of trace/record.c. */
#ifndef ENT_TRACE_TASK_H
#define ENT_TRACE_TASK_H

#include <stdbool.h>
#include <sys/types.h>

#include "trace/syscalls.h"
#include "trace/trace.h"

typedef struct ent_task {
    pid_t tid;
    size_t process;             /* its place in trace->processes */
    bool within, recorded;      /* within a call; which is recorded as number `call` of the trace */
    const ent_syscall *syscall; /* NULL: one that isn't in the table */
    uint64_t args[6];
    size_t call;
    int64_t begun; /* ns */
} ent_task;

/* What is known of a process beside what its trace says. */
typedef struct ent_task_process {
    uint64_t loader_begin, loader_end; /* where the dynamic loader is mapped; both 0: nowhere, or not looked for */
    bool looked;
} ent_task_process;

typedef struct ent_tasks {
    ent_trace *trace; /* borrowed */
    ent_task *items;
    size_t count, capacity, last;
    ent_task_process *processes; /* as many as the trace's */
    size_t processes_capacity, trace_capacity;
} ent_tasks;

/* *out (borrowed until the next one is made) = the task of a thread, made if it is new, with its process. */
ent_status ent_task_of(ent_task **out, ent_tasks *tasks, pid_t tid);

/* The task of that thread; NULL. */
ent_task *ent_task_find(ent_tasks *tasks, pid_t tid);
void ent_task_end(ent_tasks *tasks, pid_t tid);

/* Notes the processor time and the peak of memory of a process that is about to end, or to run another program. */
void ent_task_measure(ent_tasks *tasks, const ent_task *task);

/* Notes the name of the program a process runs now. */
ent_status ent_task_program(ent_tasks *tasks, const ent_task *task);

/* Whether the instruction at `ip` is the dynamic loader's. */
bool ent_task_in_loader(ent_tasks *tasks, const ent_task *task, uint64_t ip);

void ent_tasks_clear(ent_tasks *tasks);

#endif
