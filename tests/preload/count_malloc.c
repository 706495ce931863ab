/* Preloaded into entrenar-train: counts heap allocations between the log lines of steps, from the second one on, and
 * writes the count into the file that COUNT_MALLOC_FILE names. */
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);
extern void *__libc_memalign(size_t alignment, size_t n);

static atomic_long allocations;
static long at_first, at_last;
static int steps;

void *malloc(size_t n)
{
    allocations++;
    return __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
    allocations++;
    return __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
    allocations++;
    return __libc_realloc(p, n);
}

void *aligned_alloc(size_t alignment, size_t n)
{
    allocations++;
    return __libc_memalign(alignment, n);
}

int posix_memalign(void **out, size_t alignment, size_t n)
{
    allocations++;
    *out = __libc_memalign(alignment, n);
    return *out == NULL;
}

/* Every line of the log ends a step: that of the first one opens the count, each later one moves its end. */
ssize_t write(int fd, const void *data, size_t n)
{
    static ssize_t (*real)(int, const void *, size_t);
    static const char start[] = "{\"step\": ";
    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "write");
    if (n > sizeof start && memcmp(data, start, sizeof start - 1) == 0) {
        at_last = allocations;
        if (steps++ == 0)
            at_first = allocations;
    }
    return real(fd, data, n);
}

__attribute__((destructor)) static void report(void)
{
    const char *path = getenv("COUNT_MALLOC_FILE");
    FILE *out = path ? fopen(path, "w") : NULL;
    if (out) {
        fprintf(out, "%d steps %ld allocations, %ld before\n", steps, at_last - at_first, at_first);
        fclose(out);
    }
}
