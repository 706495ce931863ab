#include "io/dataset_rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/json.h"
#include "src/base/mem.h"

enum { WHERE_BYTES = 512 };

static const char ALPACA_WITH_INPUT[] = "Below is an instruction that describes a task, paired with an input that "
                                        "provides further context. Write a response "
                                        "that appropriately completes the request.\n\n### Instruction:\n";
static const char ALPACA[] = "Below is an instruction that describes a task. Write a response that appropriately "
                             "completes the request.\n\n### Instruction:\n";

typedef struct row { /* a line that is being read */
    const ent_json *json;
    const char *where; /* FILE:LINE */
    const ent_row_reader *reader;
} row;

static ent_status get_string(const char **out, const row *r, const char *key)
{
    return ent_json_get_string(out, r->json, key, r->where);
}

/* Tokenises a text as a new document, ended by EOS unless it has it already. */
static ent_status add_text(ent_corpus *out, const row *r, const ent_masked_text *text, bool special, bool mask,
                           bool end)
{
    const ent_row_reader *reader = r->reader;
    const size_t first = out->ids.count;
    ent_status st = ent_masked_text_encode(&out->ids, &out->labels, reader->options->tokenizer, text, special, mask);
    if (st == ENT_EINVAL) {
        char *message; /* of a tokenizer, which knows no lines */
        ENT_TRY(ent_strdup(&message, ent_message()));
        st = ent_fail(ENT_EFORMAT, "%s: %s", r->where, message);
        free(message);
    }
    ENT_TRY(st);
    const bool ended = out->ids.count > first && out->ids.ids[out->ids.count - 1] == reader->eos;
    if (!end || reader->eos < 0 || ended)
        return ENT_OK;
    ENT_TRY(ent_ids_push(&out->ids, reader->eos));
    return ent_ids_push(&out->labels, reader->eos);
}

static ent_status read_text(ent_corpus *out, const row *r)
{
    const char *text;
    ent_masked_text all = {0};
    ENT_TRY(get_string(&text, r, "text"));
    ent_status st = ent_masked_text_put(&all, text, strlen(text), true);
    if (st == ENT_OK)
        st = add_text(out, r, &all, true, false, true);
    ent_masked_text_free(&all);
    return st;
}

/* A document of what is given and what is to be learned. */
static ent_status add_pair(ent_corpus *out, const row *r, const char *const *prompt, size_t count,
                           const char *completion)
{
    ent_status st = ENT_OK;
    ent_masked_text all = {0};
    for (size_t i = 0; i < count; i++)
        ENT_GO(ent_masked_text_put(&all, prompt[i], strlen(prompt[i]), false));
    ENT_GO(ent_masked_text_put(&all, completion, strlen(completion), true));
    ENT_GO(add_text(out, r, &all, true, r->reader->options->mask_prompt, true));
done:
    ent_masked_text_free(&all);
    return st;
}

static ent_status read_prompt(ent_corpus *out, const row *r)
{
    const char *prompt, *completion;
    ENT_TRY(get_string(&prompt, r, "prompt"));
    ENT_TRY(get_string(&completion, r, "completion"));
    return add_pair(out, r, &prompt, 1, completion);
}

static ent_status read_instruction(ent_corpus *out, const row *r)
{
    const char *instruction, *input, *output;
    ENT_TRY(get_string(&instruction, r, "instruction"));
    ENT_TRY(ent_json_get_string_or(&input, r->json, "input", "", r->where));
    ENT_TRY(get_string(&output, r, "output"));
    if (*input)
        return add_pair(
            out, r, (const char *[]){ALPACA_WITH_INPUT, instruction, "\n\n### Input:\n", input, "\n\n### Response:\n"},
            5, output);
    return add_pair(out, r, (const char *[]){ALPACA, instruction, "\n\n### Response:\n"}, 3, output);
}

static ent_status read_messages(ent_corpus *out, const row *r)
{
    ent_status st;
    ent_chat_message *messages = NULL;
    ent_masked_text text = {0};
    size_t n = 0;
    const ent_json *list = ent_json_member(r->json, "messages");
    if (r->reader->chat_status != ENT_OK)
        return ent_fail(r->reader->chat_status, "%s", r->reader->chat_message);
    if (!ent_json_is_array(list) || ent_json_count(list) == 0)
        return ent_fail(ENT_EFORMAT, "%s: messages: expected a list of messages", r->where);
    ENT_GO(ent_calloc(&messages, ent_json_count(list), sizeof *messages, "messages"));
    for (const ent_json *item = ent_json_first(list); item; item = ent_json_next(item), n++) {
        char where[WHERE_BYTES + 40];
        snprintf(where, sizeof where, "%s: messages[%zu]", r->where, n);
        ENT_GO(ent_json_get_string(&messages[n].role, item, "role", where));
        ENT_GO(ent_json_get_string(&messages[n].content, item, "content", where));
    }
    ENT_GO(ent_chat_render(&text, r->reader->chat, messages, n, r->where));
    ENT_GO(add_text(out, r, &text, ent_chat_wants_special(r->reader->chat), r->reader->options->mask_prompt, false));
done:
    ent_masked_text_free(&text);
    free(messages);
    return st;
}

/* Appends a list of ids; -100 is allowed among labels. */
static ent_status read_ids(ent_ids *out, const row *r, const char *key, bool labels)
{
    const ent_json *list = ent_json_member(r->json, key);
    const size_t vocab_size = r->reader->options->vocab_size;
    size_t i = 0;
    if (!ent_json_is_array(list))
        return ent_fail(ENT_EFORMAT, "%s: %s: expected a list of token ids", r->where, key);
    for (const ent_json *item = ent_json_first(list); item; item = ent_json_next(item), i++) {
        const double id = ent_json_number(item);
        if (!(id >= INT32_MIN && id <= INT32_MAX && id == (double)(int32_t)id))
            return ent_fail(ENT_EFORMAT, "%s: %s[%zu]: expected a token id, found something else", r->where, key, i);
        if (!(labels && id == ENT_NO_TARGET) && !(id >= 0 && id < (double)vocab_size))
            return ent_fail(ENT_EFORMAT, "%s: %s[%zu]: %d is outside the vocabulary of %zu%s", r->where, key, i,
                            (int32_t)id, vocab_size, labels ? " and not -100" : "");
        ENT_TRY(ent_ids_push(out, (int32_t)id));
    }
    return ENT_OK;
}

static ent_status read_input_ids(ent_corpus *out, const row *r)
{
    const size_t first = out->ids.count;
    const bool own_labels = !ent_json_is_null(ent_json_member(r->json, "labels"));
    ENT_TRY(read_ids(&out->ids, r, "input_ids", false));
    ENT_TRY(read_ids(&out->labels, r, own_labels ? "labels" : "input_ids", own_labels));
    if (out->ids.count != out->labels.count)
        return ent_fail(ENT_EFORMAT, "%s: labels: expected %zu, as many as input_ids, found %zu", r->where,
                        out->ids.count - first, out->labels.count - first);
    return ENT_OK;
}

/* In the order in which a line is tried. */
static const struct kind {
    const char *name;
    const char *members[2]; /* that make a line one of this kind */
    ent_status (*read)(ent_corpus *out, const row *r);
    bool needs_tokenizer;
} KINDS[] = {
    {"{\"messages\"}", {"messages"}, read_messages, true},
    {"{\"input_ids\"}", {"input_ids"}, read_input_ids, false},
    {"{\"instruction\", \"output\"}", {"instruction", "output"}, read_instruction, true},
    {"{\"prompt\", \"completion\"}", {"prompt", "completion"}, read_prompt, true},
    {"{\"text\"}", {"text"}, read_text, true},
};

static const struct kind *find_kind(const ent_json *json)
{
    for (size_t i = 0; i < sizeof KINDS / sizeof *KINDS; i++)
        if (ent_json_member(json, KINDS[i].members[0]) &&
            (KINDS[i].members[1] == NULL || ent_json_member(json, KINDS[i].members[1])))
            return &KINDS[i];
    return NULL;
}

/* Every id that a tokenizer made must have a row in the model's embedding. */
static ent_status check_ids(const ent_corpus *corpus, size_t first, const row *r)
{
    for (size_t i = first; i < corpus->ids.count; i++)
        if (corpus->ids.ids[i] < 0 || (size_t)corpus->ids.ids[i] >= r->reader->options->vocab_size)
            return ent_fail(ENT_EFORMAT,
                            "%s: the tokenizer makes id %d, which is outside the model's vocabulary of %zu", r->where,
                            corpus->ids.ids[i], r->reader->options->vocab_size);
    return ENT_OK;
}

static ent_status read_row(ent_corpus *out, const struct kind **kind, const row *r)
{
    const size_t first = out->ids.count;
    const struct kind *found = find_kind(r->json);
    if (found == NULL)
        return ent_fail(
            ENT_EFORMAT,
            "%s: expected an object with messages, input_ids, instruction and output, prompt and completion, "
            "or text, found none of these",
            r->where);
    if (*kind == NULL)
        *kind = found;
    if (found != *kind)
        return ent_fail(ENT_EFORMAT, "%s: expected %s as in the first line, found %s", r->where, (*kind)->name,
                        found->name);
    if (found->needs_tokenizer && r->reader->options->tokenizer == NULL)
        return ent_fail(ENT_EFORMAT, "%s: %s needs a tokenizer: %s has no tokenizer.json", r->where, found->name,
                        r->reader->options->model_folder ? r->reader->options->model_folder : "the model");
    ENT_TRY(found->read(out, r));
    if (out->ids.count == first)
        return ent_fail(ENT_EFORMAT, "%s: has no tokens", r->where);
    ENT_TRY(check_ids(out, first, r));
    return ent_corpus_end_document(out);
}

static bool is_blank(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (s[i] != ' ' && s[i] != '\t' && s[i] != '\r' && s[i] != '\n')
            return false;
    return true;
}

ent_status ent_rows_read(ent_corpus *out, const ent_row_reader *reader, const char *text, size_t n, const char *name)
{
    const struct kind *kind = NULL;
    size_t line = 1;
    for (size_t begin = 0; begin < n && !is_blank(text + begin, n - begin); line++) {
        const char *newline = memchr(text + begin, '\n', n - begin);
        const size_t length = newline ? (size_t)(newline - text) - begin : n - begin;
        char where[WHERE_BYTES];
        ent_json *json;
        if (reader->options->stop && reader->options->stop())
            return ent_fail(ENT_ESTOPPED, "%s: stopped", name);
        snprintf(where, sizeof where, "%s:%zu", name, line);
        if (is_blank(text + begin, length))
            return ent_fail(ENT_EFORMAT, "%s: expected an object, found a blank line before others", where);
        ENT_TRY(ent_json_parse(&json, text + begin, length, where));
        const ent_status st = read_row(out, &kind, &(row){.json = json, .where = where, .reader = reader});
        ent_json_free(json);
        ENT_TRY(st);
        begin += length + 1;
    }
    return kind ? ENT_OK : ent_fail(ENT_EFORMAT, "%s: no rows", name);
}
