#include "io/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/base/mem.h"

enum { UNKNOWN = 4096 }; /* room to begin with for a file whose size isn't known */

/* Room for n more bytes and the terminating zero. */
static bool reserve(ent_text *text, size_t n)
{
    size_t needed;
    if (!text->failed && (__builtin_add_overflow(text->n, n, &needed) || needed == SIZE_MAX ||
                          ent_grow(&text->data, &text->capacity, needed + 1, 1, "a text") != ENT_OK))
        text->failed = true;
    return !text->failed;
}

void ent_text_put_n(ent_text *text, const char *s, size_t n)
{
    if (!reserve(text, n))
        return;
    memcpy(text->data + text->n, s, n);
    text->n += n;
    text->data[text->n] = 0;
}

void ent_text_put(ent_text *text, const char *s)
{
    ent_text_put_n(text, s, strlen(s));
}

void ent_text_printf(ent_text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0) {
        text->failed = true;
        return;
    }
    if (!reserve(text, (size_t)n))
        return;
    va_start(args, format);
    vsnprintf(text->data + text->n, (size_t)n + 1, format, args);
    va_end(args);
    text->n += (size_t)n;
}

ent_status ent_text_finish(char **out, ent_text *text)
{
    const bool ready = reserve(text, 0);
    if (ready) {
        text->data[text->n] = 0;
        *out = text->data;
    } else {
        free(text->data);
        *out = NULL;
    }
    *text = (ent_text){0};
    return ready ? ENT_OK : ent_fail(ENT_ENOMEM, "out of memory: a text");
}

ent_status ent_text_read_file(char **out, size_t *n, const char *path)
{
    ent_status st = ENT_OK;
    char *data = NULL;
    size_t capacity = 0, size = 0, told = 0;
    struct stat info;
    *out = NULL;
    *n = 0;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return ent_fail(ENT_EIO, "%s: %s", path, strerror(errno));
    if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_size > 0)
        told = (size_t)info.st_size; /* what isn't a file, or is one of the system's, tells none */
    ENT_GO(ent_grow(&data, &capacity, told ? told + 2 : UNKNOWN, 1, path));
    for (;;) { /* the size is a hint: what counts is where reading ends */
        ENT_GO(ent_grow(&data, &capacity, size + 2, 1, path));
        const ssize_t got = read(fd, data + size, capacity - size - 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            st = ent_fail(ENT_EIO, "%s: %s", path, strerror(errno));
            goto done;
        }
        size += (size_t)got;
        if (got == 0 || size == told) /* more than `told` was asked for: there is no more */
            break;
    }
    data[size] = 0;
    *out = data;
    *n = size;
    data = NULL;
done:
    free(data);
    close(fd);
    return st;
}

size_t ent_utf8_length(const char *s, size_t n)
{
    const unsigned char *u = (const unsigned char *)s;
    const size_t length = u[0] < 0x80 ? 1 : u[0] < 0xc2 ? 0 : u[0] < 0xe0 ? 2 : u[0] < 0xf0 ? 3 : u[0] < 0xf5 ? 4 : 0;
    if (length > n)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((u[i] & 0xc0) != 0x80)
            return 0;
    /* what a shorter sequence could say, surrogates, and what lies beyond U+10FFFF */
    if (length > 2 && ((u[0] == 0xe0 && u[1] < 0xa0) || (u[0] == 0xed && u[1] > 0x9f) ||
                       (u[0] == 0xf0 && u[1] < 0x90) || (u[0] == 0xf4 && u[1] > 0x8f)))
        return 0;
    return length;
}

bool ent_utf8_is_valid(const char *s)
{
    for (size_t n = strlen(s); n > 0;) {
        const size_t length = ent_utf8_length(s, n);
        if (length == 0)
            return false;
        s += length;
        n -= length;
    }
    return true;
}
