#include "trace/syscalls.h"

#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>

#include "trace/flag_names.h"

enum {
    IO = ENT_CALL_IO,
    READS = ENT_CALL_READS,
    WRITES = ENT_CALL_WRITES,
    OPENS = ENT_CALL_OPENS,
    MEMORY = ENT_CALL_MEMORY,
    NO_RETURN = ENT_CALL_NO_RETURN,
    RESULT_ADDRESS = ENT_CALL_ADDRESS,
    RESULT_PID = ENT_CALL_PID,
};

/* An argument's name is the text between the parentheses. */
#define ARG(...)    \
    {               \
        __VA_ARGS__ \
    }
#define INT(name) ARG(#name, ENT_ARG_INT, NULL)
#define LONG(name) ARG(#name, ENT_ARG_LONG, NULL)
#define SIZE(name) ARG(#name, ENT_ARG_SIZE, NULL)
#define HEX(name) ARG(#name, ENT_ARG_HEX, NULL)
#define ADDR(name) ARG(#name, ENT_ARG_ADDRESS, NULL)
#define FD(name) ARG(#name, ENT_ARG_FD, NULL)
#define DIRFD(name) ARG(#name, ENT_ARG_DIRFD, NULL)
#define PATH(name) ARG(#name, ENT_ARG_PATH, NULL)
#define STRING(name) ARG(#name, ENT_ARG_STRING, NULL)
#define STRINGS(name) ARG(#name, ENT_ARG_STRINGS, NULL)
#define IN(name) ARG(#name, ENT_ARG_IN, NULL)
#define OUT(name) ARG(#name, ENT_ARG_OUT, NULL)
#define IN_VECTOR(name) ARG(#name, ENT_ARG_IN_VECTOR, NULL)
#define OUT_VECTOR(name) ARG(#name, ENT_ARG_OUT_VECTOR, NULL)
#define MODE(name) ARG(#name, ENT_ARG_MODE, NULL)
#define PID(name) ARG(#name, ENT_ARG_PID, NULL)
#define SIGNAL(name) ARG(#name, ENT_ARG_SIGNAL, NULL)
#define FDS(name) ARG(#name, ENT_ARG_FDS, NULL)
#define FLAGS(name, names) ARG(#name, ENT_ARG_FLAGS, names)
#define ENUM(name, names) ARG(#name, ENT_ARG_ENUM, names)

/* By number; some numbers have no call, and so no name. */
#define CALL(name, traits, ...) [SYS_##name] = {SYS_##name, #name, traits, {__VA_ARGS__}},
static const ent_syscall table[] = {
#include "trace/syscalls.def"
};
enum { N_TABLE = sizeof table / sizeof *table };

const ent_syscall *ent_syscall_of_number(uint64_t number)
{
    return number < N_TABLE && table[number].name ? &table[number] : NULL;
}

const ent_syscall *ent_syscall_of_name(const char *name)
{
    for (size_t i = 0; i < N_TABLE; i++)
        if (table[i].name && strcmp(table[i].name, name) == 0)
            return &table[i];
    return NULL;
}
