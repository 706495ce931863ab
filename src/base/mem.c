#include "src/base/mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

ent_status ent_calloc(void *out, size_t count, size_t size, const char *what)
{
    void *p = NULL;
    size_t bytes;
    if (!__builtin_mul_overflow(count, size, &bytes) && bytes <= PTRDIFF_MAX)
        p = calloc(bytes ? bytes : 1, 1);
    memcpy(out, &p, sizeof p);
    if (p == NULL)
        return ent_fail(ENT_ENOMEM, "out of memory: %zu x %zu bytes for %s", count, size, what);
    return ENT_OK;
}

ent_status ent_numbers(void *out, size_t bytes, const char *what)
{
    enum { LINE = 64, PAGE = 2 << 20 };
    const size_t unit = bytes < 2 * PAGE ? LINE : PAGE;
    void *p = bytes <= PTRDIFF_MAX - PAGE ? aligned_alloc(unit, (bytes + unit - 1) / unit * unit) : NULL;
    memcpy(out, &p, sizeof p);
    if (p == NULL)
        return ent_fail(ENT_ENOMEM, "out of memory: %zu bytes for %s", bytes, what);
#ifdef MADV_HUGEPAGE
    if (unit == PAGE)
        madvise(p, bytes, MADV_HUGEPAGE); /* a wish: small pages serve too */
#endif
    return ENT_OK;
}

ent_status ent_grow(void *array, size_t *capacity, size_t needed, size_t size, const char *what)
{
    if (needed <= *capacity)
        return ENT_OK;
    size_t n = *capacity < 8 ? 8 : *capacity;
    while (n < needed && n <= SIZE_MAX / 2)
        n *= 2;
    void *old, *p = NULL;
    size_t bytes;
    memcpy(&old, array, sizeof old);
    if (n >= needed && !__builtin_mul_overflow(n, size, &bytes) && bytes <= PTRDIFF_MAX)
        p = realloc(old, bytes);
    if (p == NULL)
        return ent_fail(ENT_ENOMEM, "out of memory: %zu x %zu bytes for %s", needed, size, what);
    memcpy(array, &p, sizeof p);
    *capacity = n;
    return ENT_OK;
}

ent_status ent_strndup(char **out, const char *s, size_t n)
{
    ENT_TRY(ent_calloc(out, n + 1, 1, "a string"));
    memcpy(*out, s, n);
    return ENT_OK;
}

ent_status ent_strdup(char **out, const char *s)
{
    return ent_strndup(out, s, strlen(s));
}

ent_status ent_format(char **out, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0)
        return ent_fail(ENT_EINVAL, "cannot format \"%s\"", format);
    ENT_TRY(ent_calloc(out, (size_t)n + 1, 1, "a string"));
    va_start(args, format);
    vsnprintf(*out, (size_t)n + 1, format, args);
    va_end(args);
    return ENT_OK;
}
