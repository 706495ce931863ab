#include "launch/signals.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <unistd.h>

static volatile sig_atomic_t caught; /* the first signal, 0: none */

static const struct {
    int number;
    const char *name;
} signals[] = {{SIGUSR1, "SIGUSR1"}, {SIGTERM, "SIGTERM"}, {SIGINT, "SIGINT"}};

enum { N_SIGNALS = sizeof signals / sizeof *signals };

static void remember(int number)
{
    static const char told[] = "entrenar: stopping after this unit; Ctrl-C again ends at once, unsaved\n";
    const int error = errno;
    if (caught == 0)
        caught = number;
    if (number == SIGINT && isatty(STDERR_FILENO)) {
        const ssize_t wrote = write(STDERR_FILENO, told, sizeof told - 1);
        (void)wrote; /* perhaps nobody is there to read it */
    }
    errno = error;
}

void ent_signals_catch(void)
{
    for (size_t i = 0; i < N_SIGNALS; i++) {
        struct sigaction action = {.sa_handler = remember, .sa_flags = SA_RESTART};
        if (signals[i].number == SIGINT)
            action.sa_flags |= (int)SA_RESETHAND;
        sigaction(signals[i].number, &action, NULL);
    }
}

bool ent_signals_stop(void)
{
    return caught != 0;
}

const char *ent_signals_name(void)
{
    for (size_t i = 0; i < N_SIGNALS; i++)
        if (signals[i].number == caught)
            return signals[i].name;
    return "a signal to another rank";
}
