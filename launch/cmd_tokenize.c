/* entrenar tokenize: texts to token ids and back, one a line. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/json.h"
#include "io/jsonstring.h"
#include "io/tokenizer_json.h"
#include "launch/cmd.h"
#include "launch/options.h"

typedef struct arguments {
    const char *tokenizer;
    bool special, decode, help;
} arguments;

static const char usage[] = "usage: entrenar tokenize --tokenizer FILE|DIR [--special] [--decode]\n\n"
                            "Reads one JSON string a line from standard input, and writes one array of token ids a "
                            "line.\n\n";

#define AT(member) .offset = offsetof(arguments, member)

static const ent_option options[] = {
    {"--tokenizer", "FILE|DIR", ENT_OPTION_TEXT, AT(tokenizer), .help = "a tokenizer.json, or a folder that holds one"},
    {"--special", NULL, ENT_OPTION_FLAG, AT(special),
     .help = "put the template's tokens around each text; with --decode, keep special tokens"},
    {"--decode", NULL, ENT_OPTION_FLAG, AT(decode),
     .help = "read one array of token ids a line, and write one JSON string a line"},
    {"--help", NULL, ENT_OPTION_FLAG, AT(help), .help = "show this"},
};

enum { N_OPTIONS = sizeof options / sizeof *options };

static ent_status parse(arguments *a, int argc, char **argv)
{
    ENT_TRY(ent_options_read(a, options, N_OPTIONS, argc, argv));
    return a->help || (a->tokenizer && *a->tokenizer) ? ENT_OK : ent_fail(ENT_ECONFIG, "expected --tokenizer");
}

/* The tokenizer knows no lines. */
static ent_status name_line(ent_status st, const char *where)
{
    return st == ENT_OK ? st : ent_fail_at(st, where);
}

static ent_status encode_line(ent_text *out, const ent_tokenizer *t, const char *line, size_t n, bool special,
                              const char *where)
{
    ent_ids ids = {0};
    char *text = NULL;
    size_t n_text;
    ent_status st = ENT_OK;
    ENT_GO(ent_jsonstring_read(&text, &n_text, line, n, where));
    ENT_GO(name_line(ent_tokenizer_encode(&ids, t, text, n_text, special), where));
    ent_text_put(out, "[");
    for (size_t i = 0; i < ids.count; i++)
        ent_text_printf(out, "%s%d", i ? ", " : "", ids.ids[i]);
    ent_text_put(out, "]\n");
done:
    free(text);
    ent_ids_free(&ids);
    return st;
}

static ent_status read_ids(ent_ids *out, const char *line, size_t n, const char *where)
{
    ent_json *json;
    ent_status st = ENT_OK;
    ENT_TRY(ent_json_parse(&json, line, n, where));
    if (!ent_json_is_array(json))
        ENT_GO(ent_fail(ENT_EFORMAT, "%s: expected an array of token ids", where));
    for (const ent_json *item = ent_json_first(json); item; item = ent_json_next(item)) {
        const double id = ent_json_number(item);
        if (!(id >= 0 && id <= INT32_MAX) || id != (double)(int32_t)id)
            ENT_GO(ent_fail(ENT_EFORMAT, "%s: expected an array of token ids", where));
        ENT_GO(ent_ids_push(out, (int32_t)id));
    }
done:
    ent_json_free(json);
    return st;
}

static ent_status decode_line(ent_text *out, const ent_tokenizer *t, const char *line, size_t n, bool special,
                              const char *where)
{
    ent_ids ids = {0};
    char *text = NULL;
    size_t n_text;
    ent_status st = ENT_OK;
    ENT_GO(read_ids(&ids, line, n, where));
    ENT_GO(name_line(ent_tokenizer_decode(&text, &n_text, t, ids.ids, ids.count, !special), where));
    ent_jsonstring_put(out, text, n_text);
    ent_text_put(out, "\n");
done:
    free(text);
    ent_ids_free(&ids);
    return st;
}

static ent_status run_line(const ent_tokenizer *t, const arguments *o, const char *line, size_t n, size_t number)
{
    char where[32];
    char *answer = NULL;
    ent_text out = {0};
    snprintf(where, sizeof where, "line %zu", number);
    ent_status st = (o->decode ? decode_line : encode_line)(&out, t, line, n, o->special, where);
    if (st == ENT_OK)
        st = ent_text_finish(&answer, &out);
    if (st == ENT_OK && fputs(answer, stdout) == EOF)
        st = ent_fail(ENT_EIO, "standard output: %s", strerror(errno));
    free(answer);
    free(out.data);
    return st;
}

static ent_status run(const arguments *o)
{
    ent_tokenizer *t = NULL;
    char *line = NULL;
    size_t capacity = 0;
    ent_status st = ENT_OK;
    ENT_GO(ent_tokenizer_load(&t, o->tokenizer));
    for (size_t number = 1;; number++) {
        errno = 0;
        ssize_t n = getline(&line, &capacity, stdin);
        if (n < 0)
            break;
        if (n > 0 && line[n - 1] == '\n')
            n--;
        ENT_GO(run_line(t, o, line, (size_t)n, number));
    }
    if (!feof(stdin))
        st = ent_fail(ENT_EIO, "standard input: %s", strerror(errno));
done:
    if (fflush(stdout) == EOF && st == ENT_OK)
        st = ent_fail(ENT_EIO, "standard output: %s", strerror(errno));
    free(line);
    ent_tokenizer_free(t);
    return st;
}

int ent_cmd_tokenize(int argc, char **argv)
{
    arguments a = {0};
    if (parse(&a, argc, argv) != ENT_OK)
        return ent_options_complain("tokenize");
    if (a.help) {
        fputs(usage, stdout);
        ent_options_help(options, N_OPTIONS);
        return ENT_EXIT_DONE;
    }
    if (run(&a) != ENT_OK) {
        fprintf(stderr, "entrenar: %s\n", ent_message());
        return ENT_EXIT_FAILED;
    }
    return ENT_EXIT_DONE;
}
