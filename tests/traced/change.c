/* Small changes to a golden example, for tests to see that its golden trace tells them: linked with
 * --wrap=ent_tape_rewind and --wrap=ent_optimizer_step, which an example calls once a step. CHANGE in the environment
 * says which: file (another file is opened), byte (one byte more is written), call (each step asks the system for
 * something), memory (each step takes memory), loss (the learning rate is a thousandth larger). */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "src/autograd/tape.h"
#include "src/optim/optimizer.h"

void __real_ent_tape_rewind(ent_tape *tape);
void __wrap_ent_tape_rewind(ent_tape *tape);
void __real_ent_optimizer_step(const ent_optimizer *optimizer, ent_real *x, ent_real *m, ent_real *v, const ent_real *g,
                               size_t n, int64_t step, double lr, bool decay);
void __wrap_ent_optimizer_step(const ent_optimizer *optimizer, ent_real *x, ent_real *m, ent_real *v, const ent_real *g,
                               size_t n, int64_t step, double lr, bool decay);

static bool change_is(const char *name)
{
    const char *change = getenv("CHANGE");
    return change && strcmp(change, name) == 0;
}

void __wrap_ent_tape_rewind(ent_tape *tape)
{
    static bool done;
    if (!done && change_is("file"))
        close(open("/etc/hostname", O_RDONLY));
    if (!done && change_is("byte"))
        (void)!write(1, "\n", 1);
    if (change_is("call"))
        syscall(SYS_getppid);
    if (change_is("memory") && mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
        abort();
    done = true;
    __real_ent_tape_rewind(tape);
}

void __wrap_ent_optimizer_step(const ent_optimizer *optimizer, ent_real *x, ent_real *m, ent_real *v, const ent_real *g,
                               size_t n, int64_t step, double lr, bool decay)
{
    __real_ent_optimizer_step(optimizer, x, m, v, g, n, step, change_is("loss") ? lr * 1.001 : lr, decay);
}
