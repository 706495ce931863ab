/* A program for tracers to follow: threads, children, signals and exec, by name. usage: busy MODE */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void handler(int signal)
{
    (void)signal;
}

static void rest(long ms)
{
    const struct timespec time = {0, ms * 1000000};
    nanosleep(&time, NULL);
}

static void *speak(void *text)
{
    for (int i = 0; i < 5; i++)
        if (write(1, text, strlen(text)) < 0)
            abort();
    rest(5);
    return NULL;
}

static int threads(void)
{
    pthread_t t[4];
    for (int i = 0; i < 4; i++)
        pthread_create(&t[i], NULL, speak, "thread\n");
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    return 0;
}

/* fork, vfork with exec, a shell with a pipe, a grandchild. */
static int children(void)
{
    int status, sum = 0;
    pid_t pid = fork();
    if (pid == 0) {
        if (fork() == 0)
            _exit(write(1, "grandchild\n", 11) == 11 ? 4 : 1);
        wait(&status);
        _exit(WEXITSTATUS(status) + 1);
    }
    waitpid(pid, &status, 0);
    sum += WEXITSTATUS(status);
    pid = vfork();
    if (pid == 0) {
        execl("/bin/echo", "echo", "from", "vfork", (char *)NULL);
        _exit(1);
    }
    waitpid(pid, &status, 0);
    sum += WEXITSTATUS(status) + WEXITSTATUS(system("echo shell | cat; exit 3"));
    return sum;
}

/* Handlers, calls that are interrupted and go on, a child that is stopped, goes on and is killed. */
static int signals(void)
{
    int status, ends[2];
    char byte;
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    sigaction(SIGUSR1, &action, NULL);
    action.sa_flags = 0;
    sigaction(SIGALRM, &action, NULL);
    raise(SIGUSR1);
    const struct itimerspec soon = {.it_value = {0, 30000000}};
    timer_t timer;
    timer_create(CLOCK_MONOTONIC, &(struct sigevent){.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM}, &timer);
    timer_settime(timer, 0, &soon, NULL);
    pause(); /* EINTR */
    if (pipe(ends) != 0)
        return 1;
    const pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        rest(20);
        kill(parent, SIGUSR1); /* its read goes on */
        rest(20);
        _exit(write(ends[1], "x", 1) != 1);
    }
    if (read(ends[0], &byte, 1) != 1)
        return 1;
    waitpid(pid, &status, 0);
    const pid_t stopped = fork();
    if (stopped == 0)
        for (;;)
            pause();
    rest(50);
    kill(stopped, SIGSTOP);
    waitpid(stopped, &status, WUNTRACED);
    const int was_stopped = WIFSTOPPED(status);
    kill(stopped, SIGCONT);
    waitpid(stopped, &status, WCONTINUED);
    kill(stopped, SIGKILL);
    waitpid(stopped, &status, 0);
    return was_stopped && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL ? 0 : 1;
}

static void *exec_echo(void *unused)
{
    rest(300);
    execl("/bin/echo", "echo", "from a thread", (char *)NULL);
    return unused;
}

/* Another thread than the first replaces the process. */
static int exec_of_thread(void)
{
    pthread_t a, b;
    pthread_create(&a, NULL, speak, "still here\n");
    pthread_create(&b, NULL, exec_echo, NULL);
    return pause();
}

/* Output through stdio, asked for by print_line, which is likely to be inlined. */
static inline void print_line(const char *text)
{
    fputs(text, stdout);
    fflush(stdout);
}

static int sources(void)
{
    print_line("through stdio\n");
    return 0;
}

/* A process that is large, and then small in another program. */
static int shrinking(void)
{
    enum { LARGE = 48 << 20 };
    char *memory = malloc(LARGE);
    if (memory == NULL)
        return 1;
    memset(memory, 1, LARGE);
    __asm__ volatile("" ::"r"(memory) : "memory");
    return execl("/bin/true", "true", (char *)NULL);
}

/* getpid by the door of 32-bit programs, where it is number 20; that is writev for others. */
static int foreign(void)
{
#ifdef __x86_64__
    long pid;
    __asm__ volatile("int $0x80" : "=a"(pid) : "a"(20) : "memory");
    return pid != getpid();
#else
    return 0;
#endif
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(void);
    } modes[] = {{"threads", threads}, {"children", children},   {"signals", signals}, {"exec", exec_of_thread},
                 {"sources", sources}, {"shrinking", shrinking}, {"foreign", foreign}};
    for (size_t i = 0; argc == 2 && i < sizeof modes / sizeof *modes; i++)
        if (strcmp(argv[1], modes[i].name) == 0)
            return modes[i].run();
    if (argc == 2 && strcmp(argv[1], "killed") == 0)
        raise(SIGTERM);
    if (argc == 2 && strcmp(argv[1], "wait") == 0) {
        struct sigaction action = {.sa_handler = handler};
        sigaction(SIGUSR1, &action, NULL);
        (void)!write(1, "ready\n", 6);
        pause();
        return 9;
    }
    return 2;
}
