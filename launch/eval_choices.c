#include "launch/eval_choices.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/json.h"
#include "io/text.h"
#include "src/base/mem.h"
#include "src/nn/generate.h"
#include "src/text/dataset.h"
#include "src/text/masked.h"
#include "src/train/trainer.h"

enum { WHERE_BYTES = 512 };

void ent_choices_free(ent_choices *c)
{
    free(c->rows);
    free(c->items);
    ent_ids_free(&c->ids);
    ent_ids_free(&c->labels);
    *c = (ent_choices){0};
}

double ent_choice_per_token(const ent_choice *choice)
{
    return choice->log_likelihood / (double)(choice->n - choice->first);
}

/* The tokenizer knows no lines. */
static ent_status name_place(ent_status st, const char *where)
{
    return st == ENT_EINVAL ? ent_fail_at(ENT_EFORMAT, where) : st;
}

/* Where a choice's completion begins among its tokens, which must be some of the model's. */
static ent_status check_choice(ent_choice *choice, const ent_choices *c, const ent_model *model, const char *where)
{
    const int32_t *ids = c->ids.ids + choice->begin, *labels = c->labels.ids + choice->begin;
    while (choice->first < choice->n && labels[choice->first] == ENT_NO_TARGET)
        choice->first++;
    if (choice->first == choice->n)
        return ent_fail(ENT_EFORMAT, "%s: has no tokens", where);
    if (choice->first == 0)
        return ent_fail(ENT_EFORMAT, "%s: no token stands before it: expected a prompt", where);
    for (size_t i = 0; i < choice->n; i++)
        if ((size_t)ids[i] >= model->config.vocab_size)
            return ent_fail(ENT_EFORMAT,
                            "%s: the tokenizer makes id %d, which is outside the model's vocabulary of %zu", where,
                            (int)ids[i], model->config.vocab_size);
    return ENT_OK;
}

static ent_status add_choice(ent_choices *c, const ent_model *model, const char *prompt, const char *completion,
                             const char *where)
{
    ent_status st;
    ent_masked_text text = {0};
    ent_choice choice = {.begin = c->ids.count, .bytes = strlen(completion)};
    ENT_GO(ent_masked_text_put(&text, prompt, strlen(prompt), false));
    ENT_GO(ent_masked_text_put(&text, completion, strlen(completion), true));
    ENT_GO(name_place(ent_masked_text_encode(&c->ids, &c->labels, model->tokenizer, &text, true, true), where));
    choice.n = c->ids.count - choice.begin;
    ENT_GO(check_choice(&choice, c, model, where));
    ENT_GO(ent_grow(&c->items, &c->items_capacity, c->n_items + 1, sizeof *c->items, "choices"));
    c->items[c->n_items++] = choice;
    c->longest = choice.n > c->longest ? choice.n : c->longest;
done:
    ent_masked_text_free(&text);
    return st;
}

static ent_status add_row(ent_choices *c, const ent_model *model, const ent_json *json, size_t line, const char *where)
{
    const char *prompt;
    int64_t answer;
    const ent_json *list = ent_json_member(json, "choices");
    ent_choice_row row = {
        .line = line, .first = c->n_items, .count = ent_json_is_array(list) ? ent_json_count(list) : 0};
    ENT_TRY(ent_json_get_string(&prompt, json, "prompt", where));
    if (row.count < 2)
        return ent_fail(ENT_EFORMAT, "%s: choices: expected a list of two texts or more", where);
    ENT_TRY(ent_json_get_int(&answer, json, "answer", where));
    if ((uint64_t)answer >= row.count)
        return ent_fail(ENT_EFORMAT, "%s: answer: expected an index from 0 to %zu, found %lld", where, row.count - 1,
                        (long long)answer);
    row.answer = (size_t)answer;
    size_t i = 0;
    for (const ent_json *item = ent_json_first(list); item; item = ent_json_next(item), i++) {
        char place[WHERE_BYTES + 40];
        snprintf(place, sizeof place, "%s: choices[%zu]", where, i);
        if (!ent_json_is_string(item))
            return ent_fail(ENT_EFORMAT, "%s: expected a text", place);
        ENT_TRY(add_choice(c, model, prompt, ent_json_string(item), place));
    }
    ENT_TRY(ent_grow(&c->rows, &c->rows_capacity, c->n_rows + 1, sizeof *c->rows, "rows"));
    c->rows[c->n_rows++] = row;
    return ENT_OK;
}

ent_status ent_choices_read(ent_choices *out, const char *path, const ent_model *model)
{
    ent_status st;
    char *text;
    size_t n, line = 1;
    ENT_TRY(ent_text_read_file(&text, &n, path));
    for (size_t begin = 0; begin < n; line++) {
        const char *newline = memchr(text + begin, '\n', n - begin);
        const size_t length = newline ? (size_t)(newline - text) - begin : n - begin;
        char where[WHERE_BYTES];
        ent_json *json;
        snprintf(where, sizeof where, "%s:%zu", path, line);
        ENT_GO(ent_json_parse(&json, text + begin, length, where));
        st = add_row(out, model, json, line, where);
        ent_json_free(json);
        if (st != ENT_OK)
            goto done;
        begin += length + 1;
    }
    st = out->n_rows ? ENT_OK : ent_fail(ENT_EFORMAT, "%s: no rows", path);
done:
    free(text);
    return st;
}

/* Tokens that are computed once for all choices of a row: those they begin with alike, but for the last one before a
 * completion, which says what comes next. A completion may change the tokens of its prompt. */
static size_t shared_tokens(const ent_choices *c, const ent_choice_row *row)
{
    const ent_choice *item = &c->items[row->first];
    size_t n = item->first - 1;
    for (size_t i = 1; i < row->count; i++) {
        size_t same = 0;
        while (same < n && same < item[i].first - 1 &&
               c->ids.ids[item->begin + same] == c->ids.ids[item[i].begin + same])
            same++;
        n = same;
    }
    return n;
}

static ent_status score_row(ent_choices *c, const ent_choice_row *row, ent_generator *g, const char *path)
{
    const ent_real *logits;
    const size_t before = shared_tokens(c, row);
    ent_generator_cut(g, 0);
    if (before)
        ENT_TRY(ent_generator_next(&logits, g, c->ids.ids + c->items[row->first].begin, before));
    for (size_t i = 0; i < row->count; i++) {
        ent_choice *choice = &c->items[row->first + i];
        const size_t at = choice->begin + before;
        double loss;
        ENT_TRY(ent_generator_loss(&loss, g, c->ids.ids + at, c->labels.ids + at + 1, choice->n - 1 - before));
        if (!isfinite(loss))
            return ent_fail(ENT_ENUMERIC, "%s:%zu: choices[%zu]: the loss is %g", path, row->line, i, loss);
        choice->log_likelihood = -loss;
        ent_generator_cut(g, before);
    }
    return ENT_OK;
}

/* Every number is one rank's; the others add zeros to its bits. */
static ent_status gather(ent_choices *c, ent_comm *comm)
{
    ent_status st;
    int64_t *bits = NULL;
    ENT_GO(ent_comm_agree(comm, ent_calloc(&bits, c->n_items, sizeof *bits, "log-likelihoods")));
    for (size_t i = 0; i < c->n_items; i++)
        memcpy(&bits[i], &c->items[i].log_likelihood, sizeof *bits);
    ENT_GO(comm->sum_i64(comm, bits, c->n_items));
    for (size_t i = 0; i < c->n_items; i++)
        memcpy(&c->items[i].log_likelihood, &bits[i], sizeof *bits);
done:
    free(bits);
    return st;
}

static void choose(ent_choices *c)
{
    for (size_t r = 0; r < c->n_rows; r++) {
        ent_choice_row *row = &c->rows[r];
        const ent_choice *item = &c->items[row->first];
        for (size_t i = 1; i < row->count; i++) {
            if (item[i].log_likelihood > item[row->chosen].log_likelihood)
                row->chosen = i;
            if (ent_choice_per_token(&item[i]) > ent_choice_per_token(&item[row->chosen_normalised]))
                row->chosen_normalised = i;
        }
        c->right += row->chosen == row->answer;
        c->right_normalised += row->chosen_normalised == row->answer;
    }
}

ent_status ent_choices_score(ent_choices *c, ent_model *model, ent_comm *comm, const char *path)
{
    ent_generator *g = NULL;
    ent_status st = ent_decoder_set_positions(model->decoder, c->longest);
    if (st == ENT_OK)
        st = ent_generator_new(&g, model->decoder, c->longest);
    const size_t end = ent_first_unit(c->n_rows, comm->rank + 1, comm->world_size);
    for (size_t r = ent_first_unit(c->n_rows, comm->rank, comm->world_size); r < end && st == ENT_OK; r++)
        st = score_row(c, &c->rows[r], g, path);
    ENT_GO(ent_comm_agree(comm, st));
    ENT_GO(gather(c, comm));
    choose(c);
done:
    ent_generator_free(g);
    return st;
}
