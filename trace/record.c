#include "trace/record.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "io/path.h"
#include "src/base/mem.h"
#include "trace/decode.h"
#include "trace/source.h"
#include "trace/task.h"

typedef struct recorder {
    ent_trace *trace;
    ent_sources *sources; /* NULL: not wanted */
    ent_tasks tasks;
    pid_t main;
    bool running;   /* the program has replaced the process that was made for it */
    uint32_t arch;  /* the tracer's own: of calls from another (32-bit programs) the table knows nothing */
    int exec_error; /* why it could not */
    int64_t start;  /* ns */
} recorder;

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Signals that are sent to the tracer are meant for the program; a terminal has sent its own to both. */
static volatile sig_atomic_t forward_to;

static void forward(int signal, siginfo_t *info, void *context)
{
    (void)context;
    if (forward_to && info->si_code <= 0)
        kill(forward_to, signal);
}

static const int forwarded[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2};
enum { N_FORWARDED = sizeof forwarded / sizeof *forwarded };

static void catch_signals(struct sigaction old[N_FORWARDED])
{
    const struct sigaction action = {.sa_sigaction = forward, .sa_flags = SA_SIGINFO | SA_RESTART};
    for (int i = 0; i < N_FORWARDED; i++)
        sigaction(forwarded[i], &action, &old[i]);
}

static void restore_signals(const struct sigaction old[N_FORWARDED])
{
    forward_to = 0;
    for (int i = 0; i < N_FORWARDED; i++)
        sigaction(forwarded[i], &old[i], NULL);
}

/* What execvp would run. */
static ent_status find_program(char **out, const char *name)
{
    const char *path = getenv("PATH");
    if (*name == '\0')
        return ent_fail(ENT_EIO, "expected a program, found \"\"");
    if (strchr(name, '/'))
        return access(name, X_OK) == 0 ? ent_strdup(out, name) : ent_fail(ENT_EIO, "%s: %s", name, strerror(errno));
    for (path = path ? path : "/bin:/usr/bin"; *path; path += *path == ':') {
        const size_t n = strcspn(path, ":");
        ENT_TRY(ent_format(out, "%.*s%s%s", (int)n, path, n ? "/" : "./", name));
        if (ent_path_is_file(*out) && access(*out, X_OK) == 0)
            return ENT_OK;
        free(*out);
        *out = NULL;
        path += n;
    }
    return ent_fail(ENT_EIO, "%s: no such program in PATH", name);
}

/* Starts a process that waits to be seized, and will then run the program. */
static ent_status start(pid_t *out, int *go, const char *path, char *const *argv)
{
    int ends[2];
    if (pipe(ends) != 0)
        return ent_fail(ENT_EIO, "%s: %s", path, strerror(errno));
    *out = fork();
    if (*out == 0) {
        char byte;
        close(ends[1]);
        if (read(ends[0], &byte, 1) == 1) {
            close(ends[0]);
            execv(path, argv);
        }
        _exit(127);
    }
    close(ends[0]);
    *go = ends[1];
    return *out > 0 ? ENT_OK : ent_fail(ENT_EIO, "%s: %s", path, strerror(errno));
}

static ent_status seize(pid_t pid, bool follow)
{
    int status;
    long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC | PTRACE_O_TRACEEXIT | PTRACE_O_EXITKILL;
    if (follow)
        options |= PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK;
    if (ptrace(PTRACE_SEIZE, pid, NULL, (void *)options) != 0 || ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) != 0)
        return ent_fail(ENT_EIO,
                        "this system lets no process be traced: %s (see ptrace(2) and yama; a container needs "
                        "CAP_SYS_PTRACE)",
                        strerror(errno));
    if (waitpid(pid, &status, __WALL) != pid || !WIFSTOPPED(status))
        return ent_fail(ENT_EIO, "the process to be traced has ended before it was");
    if (ptrace(PTRACE_SYSCALL, pid, NULL, NULL) != 0)
        return ent_fail(ENT_EIO, "this system lets no process be traced: %s", strerror(errno));
    return ENT_OK;
}

/* What is known of a call that a thread begins. */
static void begin(recorder *r, ent_task *task, const struct __ptrace_syscall_info *info)
{
    task->within = true;
    task->recorded = false;
    task->begun = now();
    r->arch = r->running ? r->arch : info->arch;
    task->syscall = info->arch == r->arch ? ent_syscall_of_number(info->entry.nr) : NULL;
    for (int i = 0; i < 6; i++)
        task->args[i] = info->entry.args[i];
}

static bool replaces_program(const ent_syscall *s)
{
    return s && strncmp(s->name, "execve", 6) == 0;
}

static ent_status enter(recorder *r, ent_task *task, const struct __ptrace_syscall_info *info)
{
    ent_trace_call *call;
    begin(r, task, info);
    const int64_t begun = task->begun;
    if (!r->running) { /* the process's own preparations */
        if (!replaces_program(task->syscall))
            return ENT_OK;
        r->start = begun;
    } else if (replaces_program(task->syscall)) {
        ent_task_measure(&r->tasks, task); /* the next program begins with other memory */
    }
    if (task->syscall && (task->syscall->traits & ENT_CALL_NO_RETURN))
        return ENT_OK;
    task->call = r->trace->count;
    task->recorded = true;
    ent_trace_process *process = &r->trace->processes[task->process];
    process->calls++;
    ENT_TRY(ent_trace_add_call(&call, r->trace));
    call->pid = process->pid;
    call->tid = task->tid;
    call->time_ns = begun - r->start;
    for (int i = 0; i < 3; i++)
        call->raw[i] = task->args[i];
    ENT_TRY(ent_decode_entry(call, r->trace, task->tid, task->syscall, info->entry.nr, task->args));
    call->loader = r->running && ent_task_in_loader(&r->tasks, task, info->instruction_pointer);
    if (r->sources && r->running)
        ENT_TRY(ent_sources_find(call, r->trace, r->sources, call->pid, task->tid));
    task->begun = now(); /* the time of looking is ours */
    return ENT_OK;
}

/* Calls after which other code may be mapped. */
static bool maps_code(const ent_task *task)
{
    enum { PROTECTION = 2, EXECUTE = 4 };
    const char *name = task->syscall ? task->syscall->name : "";
    if (strcmp(name, "mmap") == 0 || strcmp(name, "mprotect") == 0)
        return task->args[PROTECTION] & EXECUTE;
    return strcmp(name, "munmap") == 0;
}

static ent_status leave(recorder *r, ent_task *task, const struct __ptrace_syscall_info *info)
{
    const int64_t ended = now(), result = info->exit.rval;
    task->within = false;
    if (!task->recorded)
        return ENT_OK;
    ent_trace_call *call = &r->trace->calls[task->call];
    call->duration_ns = ended - task->begun;
    r->trace->syscall_time_us += call->duration_ns; /* ns until the end */
    if (!r->running) {
        r->running = result == 0;
        r->exec_error = r->running ? 0 : (int)-result;
    }
    if (r->sources && result >= 0 && maps_code(task))
        ent_sources_changed(r->sources, call->pid);
    return ent_decode_exit(call, r->trace, task->tid, task->syscall, task->args, result);
}

static ent_status at_syscall(recorder *r, ent_task *task)
{
    struct __ptrace_syscall_info info = {0};
    if (ptrace(PTRACE_GET_SYSCALL_INFO, task->tid, (void *)sizeof info, &info) <= 0)
        return errno == ESRCH ? ENT_OK : ent_fail(ENT_EIO, "PTRACE_GET_SYSCALL_INFO: %s", strerror(errno));
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY)
        return enter(r, task, &info);
    if (info.op == PTRACE_SYSCALL_INFO_EXIT && task->within)
        return leave(r, task, &info);
    return ENT_OK;
}

/* Another program runs in the process: a thread that asked for it goes on as the process's first. */
static ent_status at_exec(recorder *r, pid_t tid)
{
    unsigned long former = (unsigned long)tid;
    ent_task *task;
    ptrace(PTRACE_GETEVENTMSG, tid, NULL, &former);
    ENT_TRY(ent_task_of(&task, &r->tasks, (pid_t)former));
    if ((pid_t)former != tid) {
        ent_task_end(&r->tasks, tid);
        task = ent_task_find(&r->tasks, (pid_t)former);
        task->tid = tid;
    }
    if (r->sources)
        ent_sources_changed(r->sources, r->trace->processes[task->process].pid);
    return ent_task_program(&r->tasks, task);
}

static void ended(recorder *r, pid_t tid, int status)
{
    const ent_task *task = ent_task_find(&r->tasks, tid);
    const int code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    if (task == NULL)
        return;
    ent_trace_process *process = &r->trace->processes[task->process];
    if (process->pid == tid) {
        process->exit_code = code;
        process->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
        if (r->sources)
            ent_sources_changed(r->sources, tid);
    }
    if (tid == r->main) {
        r->trace->exit_code = code;
        r->trace->total_time_us = (now() - r->start) / 1000;
    }
    ent_task_end(&r->tasks, tid);
}

/* What a stop of thread `tid` asks for; lets it go on. */
static ent_status stopped(recorder *r, pid_t tid, int status)
{
    const int signal = WSTOPSIG(status), event = status >> 16;
    ent_task *task;
    int deliver = 0;
    ENT_TRY(ent_task_of(&task, &r->tasks, tid));
    if (signal == (SIGTRAP | 0x80)) {
        ENT_TRY(at_syscall(r, task));
    } else if (event == PTRACE_EVENT_EXEC) {
        ENT_TRY(at_exec(r, tid));
    } else if (event == PTRACE_EVENT_EXIT) {
        ent_task_measure(&r->tasks, task);
    } else if (event == PTRACE_EVENT_STOP) {
        if (signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU) {
            ptrace(PTRACE_LISTEN, tid, NULL, NULL); /* stopped as a group: stays so until SIGCONT */
            return ENT_OK;
        }
    } else if (event == 0) {
        deliver = signal;
    }
    ptrace(PTRACE_SYSCALL, tid, NULL, (void *)(long)deliver); /* ESRCH: it has been killed, and wait will tell */
    return ENT_OK;
}

static ent_status run(recorder *r)
{
    ent_task *first;
    ENT_TRY(ent_task_of(&first, &r->tasks, r->main));
    while (r->tasks.count) {
        int status;
        const pid_t tid = waitpid(-1, &status, __WALL);
        if (tid < 0 && errno == EINTR)
            continue;
        if (tid < 0 && errno == ECHILD)
            break;
        if (tid < 0)
            return ent_fail(ENT_EIO, "waiting for the program: %s", strerror(errno));
        if (WIFSTOPPED(status))
            ENT_TRY(stopped(r, tid, status));
        else
            ended(r, tid, status);
    }
    return ENT_OK;
}

int ent_trace_mpi_rank(void)
{
    static const char *const ranks[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"};
    int rank = -1;
    for (int i = 0; i < 3 && rank < 0; i++)
        rank = getenv(ranks[i]) ? atoi(getenv(ranks[i])) : -1;
    return rank;
}

static ent_status describe(ent_trace *trace, char *const *argv)
{
    char cwd[PATH_MAX];
    size_t n = 0;
    *trace = (ent_trace){.rank = ent_trace_mpi_rank()};
    while (argv[n])
        n++;
    ENT_TRY(ent_calloc(&trace->program, n, sizeof *trace->program, "the program"));
    for (; trace->n_program < n; trace->n_program++)
        ENT_TRY(ent_trace_keep(&trace->program[trace->n_program], trace, argv[trace->n_program],
                               strlen(argv[trace->n_program])));
    if (getcwd(cwd, sizeof cwd) == NULL)
        return ent_fail(ENT_EIO, "the working folder: %s", strerror(errno));
    return ent_trace_keep(&trace->cwd, trace, cwd, strlen(cwd));
}

ent_status ent_trace_record(ent_trace *trace, char *const *argv, const ent_record_options *options)
{
    recorder r = {.trace = trace, .tasks.trace = trace};
    struct sigaction old[N_FORWARDED];
    char *path = NULL;
    int go = -1;
    ent_status st;
    catch_signals(old);
    ENT_GO(describe(trace, argv));
    ENT_GO(find_program(&path, argv[0]));
    if (options->source)
        ENT_GO(ent_sources_new(&r.sources));
    ENT_GO(start(&r.main, &go, path, argv));
    forward_to = r.main;
    ENT_GO(seize(r.main, options->follow));
    if (write(go, "", 1) != 1)
        ENT_GO(ent_fail(ENT_EIO, "%s: %s", path, strerror(errno)));
    ENT_GO(run(&r));
    trace->syscall_time_us /= 1000;
    if (!r.running)
        st = ent_fail(ENT_EIO, "%s: %s", path, r.exec_error ? strerror(r.exec_error) : "it was not started");
done:
    restore_signals(old);
    if (st != ENT_OK && r.main > 0 && r.tasks.count)
        kill(r.main, SIGKILL);
    if (go >= 0)
        close(go);
    ent_sources_free(r.sources);
    ent_tasks_clear(&r.tasks);
    free(path);
    return st;
}
