/* Only in sanitized builds: no module is unloaded, for the leak checker names a leak's module when the process ends,
 * and tests/lsan.supp tells those of Open MPI's components by their names. */
#include <dlfcn.h>

int dlclose(void *module)
{
    (void)module;
    return 0;
}
