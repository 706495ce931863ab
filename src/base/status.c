#include "src/base/status.h"

#include <stdarg.h>
#include <stdio.h>

static _Thread_local char message[1024];

ent_status ent_fail(ent_status code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    for (char *c = message; *c; c++) /* names from files may hold anything: the message stays one line */
        if ((unsigned char)*c < ' ')
            *c = ' ';
    return code;
}

ent_status ent_fail_at(ent_status code, const char *where)
{
    char what[sizeof message];
    snprintf(what, sizeof what, "%s", message);
    return ent_fail(code, "%s: %s", where, what);
}

const char *ent_message(void)
{
    return message;
}
