/* What a look at data has found, for people and as JSON. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/text.h"
#include "launch/data_look.h"

enum { WIDTH = 100, MOST_OF_RUN = 64, SHOWN_AT_END = 24 };

/* Characters, as most terminals count them. */
static size_t width_of(const char *s)
{
    size_t n = 0;
    for (; *s; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

/* Tokens [from, to) of a row, all targets or none, in lines that begin with a mark; the middle of many is left out. */
static ent_status print_run(const ent_data_look *look, size_t begin, size_t from, size_t to, bool bold)
{
    const bool target = ent_data_look_is_target(look, begin, from);
    const char *mark = target ? "  LEARN |" : "  given |";
    const char *on = target && bold ? "\033[1m" : "", *off = target && bold ? "\033[0m" : "";
    size_t column = 0;
    for (size_t i = from; i < to; i++) {
        char *piece;
        const bool skips = to - from > MOST_OF_RUN && i - from == SHOWN_AT_END;
        const size_t left_out = to - from - 2 * SHOWN_AT_END;
        if (skips) {
            printf("%s\n          ... %zu more ...\n", off, left_out);
            i += left_out;
            column = 0;
        }
        ENT_TRY(ent_data_piece(&piece, look, begin, i, true));
        const size_t width = width_of(piece) + 1;
        if (column && column + width > WIDTH) {
            printf("%s\n", off);
            column = 0;
        }
        if (column == 0)
            printf("%s%s", on, mark);
        printf("%s|", piece);
        column += width;
        free(piece);
    }
    printf("%s\n", off);
    return ENT_OK;
}

static ent_status print_row(const ent_data_look *look, size_t r, bool bold)
{
    size_t begin, n, targets = 0, from = 0;
    ent_data_look_row(look, r, &begin, &n);
    for (size_t i = 0; i < n; i++)
        targets += ent_data_look_is_target(look, begin, i);
    printf("line %zu: %zu tokens, %zu of them learned\n", r + 1, n, targets);
    for (size_t i = 1; i <= n; i++) {
        const bool same =
            i < n && ent_data_look_is_target(look, begin, i) == ent_data_look_is_target(look, begin, from);
        if (same)
            continue;
        ENT_TRY(print_run(look, begin, from, i, bold));
        from = i;
    }
    return ENT_OK;
}

static double percent(size_t part, size_t whole)
{
    return whole ? 100.0 * (double)part / (double)whole : 0;
}

ent_status ent_data_look_print(const ent_data_look *look, size_t rows, bool bold)
{
    const ent_dataset_counts *c = &look->counts;
    const size_t seq_len = look->options.seq_len;
    printf("data    %s: %zu rows, %zu tokens\n\n", look->path, look->rows, look->tokens);
    for (size_t r = 0; r < rows && r < look->rows; r++)
        ENT_TRY(print_row(look, r, bold));
    printf("%slengths %zu to %zu tokens a row, half of them up to %zu; seq_len is %zu\n",
           rows && look->rows ? "\n" : "", look->shortest, look->longest, look->median, seq_len);
    printf("learned %zu of %zu tokens (%.1f %%)\n", look->targets, look->tokens, percent(look->targets, look->tokens));
    printf("packing %s: %zu units", look->options.packing ? "on" : "off", (size_t)c->units);
    if (c->units)
        printf(", %.1f %% full, %.1f documents a unit (%zu to %zu)", percent(c->tokens, c->units * seq_len),
               (double)look->documents / (double)c->units, look->fewest, look->most);
    printf("\n        %zu tokens, %zu learned are in them", (size_t)c->tokens, (size_t)c->targets);
    printf(c->dropped_units ? "; %zu rows or pieces without a target are left out\n" : "\n", (size_t)c->dropped_units);
    return ENT_OK;
}

static void add_lines(ent_json *to, const char *key, const ent_line_list *list)
{
    ent_json *item = ent_json_add_object(to, key);
    ent_json_add_int(item, "count", (int64_t)list->count);
    ent_json *lines = ent_json_add_array(item, "first_lines");
    for (size_t i = 0; i < list->count && i < ENT_LOOK_LINES; i++)
        ent_json_add_int(lines, NULL, (int64_t)list->lines[i]);
}

static ent_status add_row(ent_json *to, const ent_data_look *look, size_t r)
{
    size_t begin, n;
    ent_data_look_row(look, r, &begin, &n);
    ent_json_add_int(to, "line", (int64_t)r + 1);
    ent_json *ids = ent_json_add_array(to, "ids"), *learned = ent_json_add_array(to, "learned");
    ent_json *pieces = ent_json_add_array(to, "pieces");
    for (size_t i = 0; i < n; i++) {
        char *piece;
        ENT_TRY(ent_data_piece(&piece, look, begin, i, false));
        ent_json_add_int(ids, NULL, look->corpus.ids.ids[begin + i]);
        ent_json_add_bool(learned, NULL, ent_data_look_is_target(look, begin, i));
        ent_json_add_string(pieces, NULL, piece);
        free(piece);
    }
    return ENT_OK;
}

ent_status ent_data_look_add(ent_json *to, const ent_data_look *look, size_t rows)
{
    const struct {
        const char *key;
        size_t value;
    } numbers[] = {{"rows", look->rows},
                   {"tokens", look->tokens},
                   {"learned", look->targets},
                   {"shortest", look->shortest},
                   {"median", look->median},
                   {"longest", look->longest},
                   {"seq_len", look->options.seq_len},
                   {"units", look->counts.units},
                   {"unit_tokens", look->counts.tokens},
                   {"unit_learned", look->counts.targets},
                   {"unit_documents", look->documents},
                   {"fewest_documents", look->fewest},
                   {"most_documents", look->most},
                   {"left_out", look->counts.dropped_units}};
    ent_json_add_string(to, "file", look->path);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        ent_json_add_int(to, numbers[i].key, (int64_t)numbers[i].value);
    ent_json_add_bool(to, "packing", look->options.packing);
    add_lines(to, "double_bos", &look->double_bos);
    add_lines(to, "no_target", &look->no_target);
    add_lines(to, "cut", &look->cut);
    ent_json *list = ent_json_add_array(to, "first_rows");
    for (size_t r = 0; r < rows && r < look->rows; r++)
        ENT_TRY(add_row(ent_json_add_object(list, NULL), look, r));
    return ENT_OK;
}

/* "entrenar: FILE:3: WHAT" or "entrenar: FILE:3: WHAT; so are 2 other rows: lines 5, 9". */
static int complain(const ent_data_look *look, const ent_line_list *list, const char *what)
{
    if (list->count == 0)
        return 0;
    fprintf(stderr, "entrenar: %s:%zu: %s", look->path, list->lines[0], what);
    if (list->count > 1)
        fprintf(stderr, "; %zu rows in all, lines", list->count);
    for (size_t i = 0; list->count > 1 && i < list->count && i < ENT_LOOK_LINES; i++)
        fprintf(stderr, "%s %zu", i ? "," : "", list->lines[i]);
    fprintf(stderr, list->count > ENT_LOOK_LINES ? ", ...\n" : "\n");
    return 1;
}

int ent_data_look_complain(const ent_data_look *look)
{
    char what[200];
    int faults =
        complain(look, &look->double_bos,
                 "begins with the BOS token twice: expected once; is it in the text, and the tokenizer adds it?");
    faults += complain(look, &look->no_target, "no token is learned: expected an answer or a completion in each row");
    size_t begin, n = 0;
    if (look->cut.count)
        ent_data_look_row(look, look->cut.lines[0] - 1, &begin, &n);
    snprintf(what, sizeof what, "%zu tokens, more than data.seq_len %zu: %s", n, look->options.seq_len,
             look->options.packing ? "cut into pieces that don't see each other" : "the rest is cut off");
    return faults + complain(look, &look->cut, what);
}
