/* A look at a file of training data: its rows as tokens, what packing makes of them, and what is wrong. */
#ifndef ENT_LAUNCH_DATA_LOOK_H
#define ENT_LAUNCH_DATA_LOOK_H

#include <stdbool.h>

#include "io/dataset.h"
#include "io/json.h"

enum { ENT_LOOK_LINES = 10 };

typedef struct ent_line_list { /* lines of the file: how many, and the first of them */
    size_t count, lines[ENT_LOOK_LINES];
} ent_line_list;

typedef struct ent_data_look { /* starts as {0}; free with ent_data_look_free */
    const char *path;          /* borrowed, as is the tokenizer */
    const ent_tokenizer *tokenizer;
    ent_dataset_options options;
    int32_t bos; /* -1: not known */
    ent_corpus corpus;
    size_t rows, tokens, targets;
    size_t shortest, median, longest; /* tokens of a row */
    ent_dataset_counts counts;        /* of the units */
    size_t fewest, most, documents;   /* in a unit; and in all of them, where a row cut into pieces is several */
    ent_line_list double_bos, no_target, cut;
} ent_data_look;

/* Reads and counts. `bos`: id of the token that begins documents, -1 if not known. */
ent_status ent_data_look_make(ent_data_look *out, const char *path, const ent_dataset_options *options, int32_t bos);
void ent_data_look_free(ent_data_look *look);

/* Row r < rows: *begin and *n are its tokens in the corpus. */
void ent_data_look_row(const ent_data_look *look, size_t r, size_t *begin, size_t *n);
/* Whether token i of a row that begins at `begin` is a target: the first one is nobody's. */
bool ent_data_look_is_target(const ent_data_look *look, size_t begin, size_t i);

/* *out (caller frees) = what token i of a row adds to its text; with `visible`, on one line and printable. */
ent_status ent_data_piece(char **out, const ent_data_look *look, size_t begin, size_t i, bool visible);

/* The first `rows` rows, lengths, targets and packing, for people; with `bold`, targets are that too. */
ent_status ent_data_look_print(const ent_data_look *look, size_t rows, bool bold);
ent_status ent_data_look_add(ent_json *to, const ent_data_look *look, size_t rows);

/* How many things are wrong; each is a line on stderr. */
int ent_data_look_complain(const ent_data_look *look);

#endif
