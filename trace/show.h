/* Values of system calls as text. Nothing here reads the traced thread. */
#ifndef ENT_TRACE_SHOW_H
#define ENT_TRACE_SHOW_H

#include "io/text.h"
#include "trace/syscalls.h"

/* n bytes with C escapes: \n \t \r \v \f \" \\ as such, printable ASCII as it is, all else as three octal digits, which
 * no following digit can change: \000, \303\251. */
void ent_show_bytes(ent_text *to, const char *bytes, size_t n);

/* "NULL" or 0x... */
void ent_show_address(ent_text *to, uint64_t address);

/* Names joined by |, then the rest in hexadecimal; of one name; of a signal. The lower 32 bits count: no flags and
 * values have more, and a program may leave anything above an int. */
void ent_show_flags(ent_text *to, uint64_t value, const ent_bit_name *names);
void ent_show_enum(ent_text *to, uint64_t value, const ent_bit_name *names);
void ent_show_signal(ent_text *to, uint64_t number);

/* An argument of any kind; what stands in the thread's memory as its address. */
void ent_show_value(ent_text *to, const ent_syscall_arg *arg, uint64_t value);

/* The name of an error number, or NULL: EINTR, and the kernel's own that only a tracer sees, ERESTARTSYS. */
const char *ent_show_error(int number);

#endif
