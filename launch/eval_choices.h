/* Choosing among given completions: the log-likelihood of each after its prompt. */
#ifndef ENT_LAUNCH_EVAL_CHOICES_H
#define ENT_LAUNCH_EVAL_CHOICES_H

#include <stddef.h>
#include <stdint.h>

#include "launch/model.h"
#include "src/comm/comm.h"

typedef struct ent_choice {
    size_t begin, n;       /* its tokens, prompt and completion, in ent_choices.ids */
    size_t first;          /* of them, the first one of the completion: at least 1 */
    size_t bytes;          /* of the completion's text */
    double log_likelihood; /* sum over the completion's tokens, nats */
} ent_choice;

typedef struct ent_choice_row {
    size_t line;         /* in the file, from 1 */
    size_t first, count; /* its choices */
    size_t answer;       /* the right one */
    size_t chosen,
        chosen_normalised; /* largest log-likelihood, largest log-likelihood per token; the first of equals */
} ent_choice_row;

typedef struct ent_choices { /* starts as {0}; free with ent_choices_free */
    ent_choice_row *rows;
    ent_choice *items;
    size_t n_rows, n_items, rows_capacity, items_capacity;
    ent_ids ids, labels; /* labels: the id, -100 where it belongs to the prompt */
    size_t longest;      /* tokens of a choice with its prompt */
    size_t right, right_normalised;
} ent_choices;

/* Reads lines of {"prompt", "choices": [...], "answer": index}; other members are not read. The texts are tokenised as
 * one, as in training: a token of both belongs to the completion; no EOS is put behind. ENT_EFORMAT "FILE:LINE: ...",
 * ENT_EIO. */
ent_status ent_choices_read(ent_choices *out, const char *path, const ent_model *model);
void ent_choices_free(ent_choices *choices);

/* Log-likelihoods and what is chosen by them; every rank computes its share of the rows, and has all at the end. The
 * same bits on any number of ranks and threads. Collective. */
ent_status ent_choices_score(ent_choices *choices, ent_model *model, ent_comm *comm, const char *path);

/* Log-likelihood per token. */
double ent_choice_per_token(const ent_choice *choice);

#endif
