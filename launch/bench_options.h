/* The options of `entrenar bench`. Those that a training run has too are keys of its config, and are read, checked and
 * refused as there. */
#ifndef ENT_LAUNCH_BENCH_OPTIONS_H
#define ENT_LAUNCH_BENCH_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "io/config.h"

typedef struct ent_bench_options {
    const char *shape, *model; /* one of them: a named shape, or a model folder. Borrowed from the command line */
    ent_config *config;        /* lora, compute, data.seq_len, training.batch_size (units of a step) and its defaults */
    long repeat;
    bool json, help;
    const char *compare; /* options of the other configuration; NULL: none */
} ent_bench_options;

/* Reads argv[0 ... argc); ENT_ECONFIG naming the option. Freed by ent_bench_options_clear also after a failure. */
ent_status ent_bench_options_parse(ent_bench_options *out, int argc, char *const *argv);
void ent_bench_options_clear(ent_bench_options *options);

/* *out = the options with the words of options->compare behind the argc arguments that made it. */
typedef struct ent_bench_words {
    char *text;  /* a copy of the words, cut into strings */
    char **argv; /* borrows from there and from the first arguments */
    int argc;
} ent_bench_words;
ent_status ent_bench_words_of(ent_bench_words *out, const ent_bench_options *options, int argc, char *const *argv);
void ent_bench_words_free(ent_bench_words *words);

#endif
