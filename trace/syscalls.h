/* The system calls of this architecture: their names, what their arguments are, and what kind of thing they do. */
#ifndef ENT_TRACE_SYSCALLS_H
#define ENT_TRACE_SYSCALLS_H

#include <stdint.h>

/* How an argument is shown, and which part of it differs from run to run. */
typedef enum {
    ENT_ARG_INT,        /* decimal, signed 32 bits */
    ENT_ARG_LONG,       /* decimal, signed 64 bits: offsets */
    ENT_ARG_SIZE,       /* decimal, unsigned: counts and lengths */
    ENT_ARG_HEX,        /* a value that has no names */
    ENT_ARG_ADDRESS,    /* "NULL" or 0x...: differs from run to run */
    ENT_ARG_FD,         /* a descriptor */
    ENT_ARG_DIRFD,      /* a descriptor or AT_FDCWD */
    ENT_ARG_PATH,       /* a path the program gives */
    ENT_ARG_STRING,     /* another text it gives */
    ENT_ARG_STRINGS,    /* argv: ["a", "b"] */
    ENT_ARG_IN,         /* bytes that the program gives; as many as the next ENT_ARG_SIZE says */
    ENT_ARG_OUT,        /* bytes that the kernel gives; as many as the result says */
    ENT_ARG_IN_VECTOR,  /* struct iovec: the same, in pieces; as many as the next argument says */
    ENT_ARG_OUT_VECTOR, /* the same, for what the kernel gives */
    ENT_ARG_FLAGS,      /* names of `names`, joined by |, and the rest in hexadecimal */
    ENT_ARG_ENUM,       /* one name of `names` */
    ENT_ARG_MODE,       /* octal */
    ENT_ARG_PID,        /* of a process or thread: differs from run to run */
    ENT_ARG_SIGNAL,     /* SIGUSR1 */
    ENT_ARG_FDS,        /* int[2] that the kernel gives: pipe, socketpair: [3, 4] */
} ent_arg_kind;

/* Names of bits or values, ended by one without a name. */
typedef struct ent_bit_name {
    const char *name;
    uint64_t value;
} ent_bit_name;

typedef struct ent_syscall_arg {
    const char *name; /* as in the manual page; NULL: there is none */
    ent_arg_kind kind;
    const ent_bit_name *names; /* of FLAGS and ENUM */
} ent_syscall_arg;

enum {
    ENT_CALL_IO = 1,         /* input or output of the program: files, descriptors, sockets (not stat and the like) */
    ENT_CALL_READS = 2,      /* the result is the number of bytes that came in */
    ENT_CALL_WRITES = 4,     /* ... that went out */
    ENT_CALL_OPENS = 8,      /* the result is a new descriptor */
    ENT_CALL_MEMORY = 16,    /* asks for or gives back memory: mmap, munmap, mremap, brk, madvise */
    ENT_CALL_NO_RETURN = 32, /* exit, exit_group */
    ENT_CALL_ADDRESS = 64,   /* the result is an address */
    ENT_CALL_PID = 128,      /* the result is a process or thread */
};

typedef struct ent_syscall {
    int number;
    const char *name;
    unsigned traits;
    ent_syscall_arg args[6];
} ent_syscall;

/* NULL if there is none. */
const ent_syscall *ent_syscall_of_number(uint64_t number);
const ent_syscall *ent_syscall_of_name(const char *name);

#endif
