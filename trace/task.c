#include "trace/task.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "io/path.h"
#include "src/base/mem.h"

/* The number behind `key` in /proc/ID/status; `otherwise` if there is none. */
static long status_number(pid_t id, const char *key, long otherwise)
{
    char line[256];
    snprintf(line, sizeof line, "/proc/%d/status", (int)id);
    FILE *file = fopen(line, "re");
    const size_t n = strlen(key);
    long value = otherwise;
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, key, n) == 0 && line[n] == ':') {
            value = strtol(line + n + 1, NULL, 10);
            break;
        }
    if (file)
        fclose(file);
    return value;
}

ent_task *ent_task_find(ent_tasks *tasks, pid_t tid)
{
    if (tasks->last < tasks->count && tasks->items[tasks->last].tid == tid)
        return &tasks->items[tasks->last];
    for (size_t i = 0; i < tasks->count; i++)
        if (tasks->items[i].tid == tid) {
            tasks->last = i;
            return &tasks->items[i];
        }
    return NULL;
}

static ent_status process_of(size_t *out, ent_tasks *tasks, pid_t pid)
{
    ent_trace *trace = tasks->trace;
    for (*out = trace->n_processes; *out > 0;) /* the newest of that number: they are used again */
        if (trace->processes[--*out].pid == pid)
            return ENT_OK;
    const size_t n = trace->n_processes;
    ENT_TRY(ent_grow(&trace->processes, &tasks->trace_capacity, n + 1, sizeof *trace->processes, "processes"));
    ENT_TRY(ent_grow(&tasks->processes, &tasks->processes_capacity, n + 1, sizeof *tasks->processes, "processes"));
    trace->processes[n] = (ent_trace_process){.pid = pid, .program = ""};
    tasks->processes[n] = (ent_task_process){0};
    *out = trace->n_processes++;
    return ENT_OK;
}

ent_status ent_task_of(ent_task **out, ent_tasks *tasks, pid_t tid)
{
    *out = ent_task_find(tasks, tid);
    if (*out)
        return ENT_OK;
    size_t process;
    ENT_TRY(ent_grow(&tasks->items, &tasks->capacity, tasks->count + 1, sizeof *tasks->items, "threads"));
    ENT_TRY(process_of(&process, tasks, (pid_t)status_number(tid, "Tgid", tid)));
    *out = &tasks->items[tasks->count++];
    **out = (ent_task){.tid = tid, .process = process};
    const ent_trace_process *p = &tasks->trace->processes[process];
    return *p->program ? ENT_OK : ent_task_program(tasks, *out);
}

void ent_task_end(ent_tasks *tasks, pid_t tid)
{
    ent_task *task = ent_task_find(tasks, tid);
    if (task)
        *task = tasks->items[--tasks->count];
}

void ent_task_measure(ent_tasks *tasks, const ent_task *task)
{
    ent_trace_process *p = &tasks->trace->processes[task->process];
    clockid_t clock;
    struct timespec used;
    const long peak = status_number(p->pid, "VmHWM", 0);
    if (peak > p->max_rss_kb)
        p->max_rss_kb = peak;
    if (clock_getcpuclockid(p->pid, &clock) != 0 || clock_gettime(clock, &used) != 0)
        return;
    const int64_t us = (int64_t)used.tv_sec * 1000000 + used.tv_nsec / 1000;
    if (us > p->cpu_us)
        p->cpu_us = us;
}

ent_status ent_task_program(ent_tasks *tasks, const ent_task *task)
{
    ent_trace_process *p = &tasks->trace->processes[task->process];
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/%d/exe", p->pid);
    const ssize_t n = readlink(link, path, sizeof path - 1);
    path[n < 0 ? 0 : n] = '\0';
    const char *name = ent_path_name(path);
    tasks->processes[task->process] = (ent_task_process){0};
    return ent_trace_keep(&p->program, tasks->trace, name, strlen(name));
}

/* Finds the dynamic loader among the mappings of a process. */
static void look_for_loader(ent_task_process *out, pid_t pid)
{
    char line[PATH_MAX + 128];
    snprintf(line, sizeof line, "/proc/%d/maps", (int)pid);
    FILE *file = fopen(line, "re");
    *out = (ent_task_process){.looked = true};
    while (file && fgets(line, sizeof line, file)) {
        uint64_t begin, end;
        const char *path = strchr(line, '/');
        const char *name = path ? ent_path_name(path) : "";
        if (strncmp(name, "ld-", 3) != 0 && strncmp(name, "ld.so", 5) != 0)
            continue;
        if (sscanf(line, "%" SCNx64 "-%" SCNx64, &begin, &end) != 2)
            continue;
        out->loader_begin = out->loader_end ? out->loader_begin : begin;
        out->loader_end = end;
    }
    if (file)
        fclose(file);
}

bool ent_task_in_loader(ent_tasks *tasks, const ent_task *task, uint64_t ip)
{
    ent_task_process *p = &tasks->processes[task->process];
    if (!p->looked)
        look_for_loader(p, tasks->trace->processes[task->process].pid);
    return ip >= p->loader_begin && ip < p->loader_end;
}

void ent_tasks_clear(ent_tasks *tasks)
{
    free(tasks->items);
    free(tasks->processes);
    *tasks = (ent_tasks){0};
}
