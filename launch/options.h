/* Options of a command as a table: one row each, from which they are read and `--help` is made. */
#ifndef ENT_LAUNCH_OPTIONS_H
#define ENT_LAUNCH_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/status.h"

/* What an option takes, and the member that holds it. */
typedef enum {
    ENT_OPTION_FLAG,   /* nothing; bool */
    ENT_OPTION_TEXT,   /* const char *, borrowed from the command line */
    ENT_OPTION_TEXTS,  /* ent_option_texts: it may be given again */
    ENT_OPTION_INT,    /* int64_t */
    ENT_OPTION_NUMBER, /* double */
    ENT_OPTION_CHOICE  /* int, the place of the word in `words` */
} ent_option_type;

typedef struct ent_option_texts {
    const char **items; /* borrowed; the list is the caller's to free */
    size_t count, capacity;
} ent_option_texts;

typedef struct ent_option {
    const char
        *name; /* "--seed"; of what stands without an option what help calls it: "CONFIG", of type TEXT or TEXTS */
    const char *value; /* how help calls the value: "N"; NULL for a flag */
    ent_option_type type;
    size_t offset;    /* of the member */
    double low, high; /* of a number, low < it <= high with low_open, else low <= it; high 0: without end */
    bool low_open;
    const char *words; /* of a choice: "fp32 bf16". Of an integer: the word that stands for 0 */
    const char *help;  /* lines; NULL: it is told elsewhere */
} ent_option;

/* Reads argv[1 ... argc) into *out, which holds what is if nothing is said; of a TEXT that is NULL. ENT_ECONFIG naming
 * the option. */
ent_status ent_options_read(void *out, const ent_option *options, size_t count, int argc, char *const *argv);

/* Prints a line for each option on standard output. */
void ent_options_help(const ent_option *options, size_t count);

/* Tells this thread's message on standard error as that of a wrong command line, once of all ranks. Returns the exit
 * code. */
int ent_options_complain(const char *command);

/* Whether this process is the rank that says what all ranks would, by a launcher's variables: before there is a
 * communicator. */
bool ent_is_first_rank(void);

#endif
