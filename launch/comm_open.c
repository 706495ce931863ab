#include "launch/comm_open.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/comm/module.h"

/* *value = the non-negative number in a variable, or -1 if it isn't set. */
static ent_status read_variable(long *value, const char *name)
{
    const char *text = getenv(name);
    *value = -1;
    if (!text)
        return ENT_OK;
    char *end;
    *value = strtol(text, &end, 10);
    if (end == text || *end != '\0' || *value < 0 || *value > INT_MAX)
        return ent_fail(ENT_ECONFIG, "environment: %s: expected a number of ranks or a rank, found '%s'", name, text);
    return ENT_OK;
}

/* What the launcher's variables say: is there one, and how many ranks did it start. A lower bound where only a rank is
 * told; 1 without a launcher. */
static ent_status read_launcher(bool *launched, long *world_size)
{
    static const char *const ranks[] = {"PMIX_RANK", "PMI_RANK"};
    static const char *const sizes[] = {"PMI_SIZE", "SLURM_STEP_NUM_TASKS"};
    long n;
    *world_size = 1;
    ENT_TRY(read_variable(&n, "OMPI_COMM_WORLD_SIZE"));
    *launched = n >= 0;
    if (n >= 0) {
        *world_size = n;
        return ENT_OK;
    }
    for (size_t i = 0; i < sizeof ranks / sizeof *ranks; i++) {
        ENT_TRY(read_variable(&n, ranks[i]));
        *launched = *launched || n >= 0;
        *world_size = n + 1 > *world_size ? n + 1 : *world_size;
    }
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes && *launched; i++) {
        ENT_TRY(read_variable(&n, sizes[i]));
        *world_size = n > *world_size ? n : *world_size;
    }
    return ENT_OK;
}

/* path = the module's file, the first that is there. The build tree and an installation look the same from the program:
 * bin/PROGRAM beside lib/entrenar/; the installation's own libdir may have another name. */
static ent_status find_module(char path[PATH_MAX])
{
    static const char *const relative[] = {"../lib/entrenar", "../" ENT_LIBDIR "/entrenar"};
    char program[PATH_MAX], searched[3 * PATH_MAX] = "";
    const ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    program[n < 0 ? 0 : n] = '\0';
    char *slash = strrchr(program, '/');
    if (slash)
        *slash = '\0';
    for (size_t i = 0; i < 3; i++) {
        char folder[PATH_MAX];
        int length;
        if (i == 1 && strcmp(relative[0], relative[1]) == 0)
            continue;
        if (i < 2)
            length = snprintf(folder, sizeof folder, "%s/%s", program, relative[i]);
        else
            length = snprintf(folder, sizeof folder, "%s/entrenar", ENT_FULL_LIBDIR);
        if (length >= (int)sizeof folder)
            continue;
        if (snprintf(path, PATH_MAX, "%s/" ENT_COMM_MPI_FILE, folder) < PATH_MAX && access(path, F_OK) == 0)
            return ENT_OK;
        const size_t used = strlen(searched);
        snprintf(searched + used, sizeof searched - used, "%s%s", used ? ", " : "", folder);
    }
    return ent_fail(ENT_ECOMM,
                    "distributed.comm: the MPI module " ENT_COMM_MPI_FILE " of the package entrenar is in none of %s",
                    searched);
}

static ent_status open_mpi(ent_comm **out, int64_t timeout_s)
{
    char path[PATH_MAX];
    ENT_TRY(find_module(path));
    /* Global: the MPI library loads components of its own, which look for its symbols. Never closed: the library leaves
     * handlers behind that run when the process ends. */
    void *module = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
    if (!module)
        return ent_fail(ENT_ECOMM, "distributed.comm: can't load the MPI module (it needs the package libopenmpi3): %s",
                        dlerror());
    ent_comm_module_open *open;
    *(void **)&open = dlsym(module, ENT_COMM_MPI_OPEN);
    if (!open)
        return ent_fail(ENT_ECOMM, "%s: expected the function %s, found none", path, ENT_COMM_MPI_OPEN);
    const ent_comm_host host = {.version = ENT_COMM_MODULE_VERSION, .fail = ent_fail, .timeout_s = timeout_s};
    return open(out, &host);
}

ent_status ent_comm_open(ent_comm **out, const char *which, int64_t timeout_s)
{
    bool launched;
    long world_size;
    *out = NULL;
    const bool automatic = strcmp(which, "auto") == 0, self = strcmp(which, "self") == 0;
    if (!automatic && !self && strcmp(which, "mpi") != 0)
        return ent_fail(ENT_ECONFIG, "distributed.comm: expected auto, self or mpi, found '%s'", which);
    ENT_TRY(read_launcher(&launched, &world_size));
    if (self && world_size > 1)
        return ent_fail(ENT_ECONFIG, "distributed.comm: self is a world of one rank, the launcher started %ld",
                        world_size);
    if (self || (automatic && !launched))
        return ent_comm_self(out);
    ENT_TRY(open_mpi(out, timeout_s));
    if ((*out)->world_size >= world_size)
        return ENT_OK;
    /* Another MPI's launcher: each rank is a world of its own, and the same training would run many times at once. */
    const int found = (*out)->world_size;
    ent_comm_free(*out);
    *out = NULL;
    return ent_fail(ENT_ECOMM,
                    "distributed.comm: the launcher started %ld ranks, MPI knows of %d: is it the launcher of "
                    "another MPI than " ENT_COMM_MPI_FILE " was built with?",
                    world_size, found);
}
