/* entrenar data: what the tokens of the data are, which are learned, and what packing makes of them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/config.h"
#include "io/model_config.h"
#include "io/tokenizer_config.h"
#include "io/tokenizer_json.h"
#include "launch/cmd.h"
#include "launch/data_look.h"
#include "launch/options.h"
#include "launch/report.h"
#include "src/base/mem.h"

typedef struct arguments {
    const char *config;
    ent_option_texts sets;
    int64_t rows;
    bool json, help;
} arguments;

static const char usage[] =
    "usage: entrenar data CONFIG [--set KEY=VALUE]... [--rows N] [--json]\n\n"
    "Shows the first rows of data.train and data.val as the tokens that a run would get, which of them are learned\n"
    "(LEARN) and which are given (given), lengths, and what packing does. Weights are not read, nothing is written.\n"
    "Between two bars stands a token; \\n, \\t, \\| and \\\\ are characters of it.\n\n";

static const char codes[] =
    "\nexit codes: 0 all is well; 1 rows are wrong, and stderr names them by line: two BOS tokens at the start, no\n"
    "token that is learned, more tokens than data.seq_len, or not what is expected of a row; 2 command line, config\n"
    "or model\n";

#define AT(member) .offset = offsetof(arguments, member)

static const ent_option options[] = {
    {"CONFIG", NULL, ENT_OPTION_TEXT, AT(config)},
    {"--set", "KEY=VALUE", ENT_OPTION_TEXTS, AT(sets), .help = "sets a key of the config; KEY= takes it back"},
    {"--rows", "N", ENT_OPTION_INT, AT(rows), .high = 1000000, .help = "rows to show (default 3)"},
    {"--json", NULL, ENT_OPTION_FLAG, AT(json), .help = "the same as JSON"},
    {"--help", NULL, ENT_OPTION_FLAG, AT(help), .help = "show this"},
};

enum { N_OPTIONS = sizeof options / sizeof *options };

static ent_status parse(arguments *a, int argc, char **argv)
{
    ENT_TRY(ent_options_read(a, options, N_OPTIONS, argc, argv));
    return a->help || a->config ? ENT_OK : ent_fail(ENT_ECONFIG, "expected a config");
}

/* What a run's data needs of a model: no weights. */
typedef struct source {
    ent_config *config;
    ent_model_config model;
    ent_tokenizer *tokenizer; /* NULL: the folder has none */
    int32_t bos;
    ent_dataset_options options;
} source;

/* *bos = what the tokenizer puts before a text, else tokenizer_config.json's bos_token; -1: neither. */
static ent_status find_bos(int32_t *bos, const ent_tokenizer *tokenizer, const char *folder)
{
    ent_ids ids = {0};
    ent_tokenizer_config config;
    *bos = -1;
    if (tokenizer == NULL)
        return ENT_OK;
    ENT_TRY(ent_tokenizer_config_read(&config, folder));
    if (config.bos_token)
        *bos = ent_tokenizer_id(tokenizer, config.bos_token);
    ent_tokenizer_config_free(&config);
    const ent_status st = ent_tokenizer_encode(&ids, tokenizer, "", 0, true);
    if (st == ENT_OK && ids.count && *bos < 0)
        *bos = ids.ids[0];
    ent_ids_free(&ids);
    return st;
}

static ent_status open_source(source *s, const arguments *a)
{
    char *path = NULL;
    ent_status st;
    ENT_GO(ent_config_load(&s->config, a->config, a->sets.items, a->sets.count));
    const ent_config *c = s->config;
    ENT_GO(ent_model_config_load(&s->model, c->model.path));
    ENT_GO(ent_format(&path, "%s/tokenizer.json", c->model.path));
    if (access(path, F_OK) == 0)
        ENT_GO(ent_tokenizer_load(&s->tokenizer, path));
    ENT_GO(find_bos(&s->bos, s->tokenizer, c->model.path));
    s->options = (ent_dataset_options){.seq_len = (size_t)c->data.seq_len,
                                       .vocab_size = s->model.vocab_size,
                                       .mask_prompt = c->data.mask_prompt,
                                       .packing = c->data.packing,
                                       .tokenizer = s->tokenizer,
                                       .model_folder = c->model.path,
                                       .chat_template = c->data.chat_template};
done:
    free(path);
    return st;
}

static void close_source(source *s)
{
    ent_tokenizer_free(s->tokenizer);
    ent_config_free(s->config);
}

static ent_status look_at(const source *s, const arguments *a, const char *path, ent_json *list, int *faults)
{
    ent_status st;
    ent_data_look look = {0};
    ENT_GO(ent_data_look_make(&look, path, &s->options, s->bos));
    ENT_GO(list ? ent_data_look_add(ent_json_add_object(list, NULL), &look, (size_t)a->rows)
                : ent_data_look_print(&look, (size_t)a->rows, isatty(STDOUT_FILENO) && getenv("NO_COLOR") == NULL));
    fflush(stdout);
    *faults += ent_data_look_complain(&look);
done:
    ent_data_look_free(&look);
    return st;
}

static ent_status look_at_all(const source *s, const arguments *a, int *faults)
{
    ent_status st = ENT_OK;
    const char *const paths[] = {s->config->data.train, s->config->data.val};
    ent_json *root = a->json ? ent_json_new_object() : NULL;
    ent_json *list = root ? ent_json_add_array(root, "files") : NULL;
    for (int i = 0; i < 2 && paths[i] && st == ENT_OK; i++) {
        if (i && !a->json)
            puts("");
        st = look_at(s, a, paths[i], list, faults);
    }
    if (st == ENT_OK && a->json)
        return ent_report_json(root);
    ent_json_free(root);
    return st;
}

static int run(const arguments *a)
{
    source s = {0};
    int faults = 0, code = ENT_EXIT_USAGE;
    ent_status st = open_source(&s, a);
    if (st == ENT_OK) {
        st = look_at_all(&s, a, &faults);
        code = ENT_EXIT_FAILED;
    }
    if (st != ENT_OK)
        fprintf(stderr, "entrenar: %s\n", ent_message());
    else if (fflush(stdout) == EOF || ferror(stdout))
        fprintf(stderr, "entrenar: standard output: %s\n", strerror(errno));
    else
        code = faults ? ENT_EXIT_FAILED : ENT_EXIT_DONE;
    close_source(&s);
    return code;
}

int ent_cmd_data(int argc, char **argv)
{
    arguments a = {.rows = 3};
    int code = ENT_EXIT_DONE;
    if (parse(&a, argc, argv) != ENT_OK) {
        code = ent_options_complain("data");
    } else if (a.help) {
        fputs(usage, stdout);
        ent_options_help(options, N_OPTIONS);
        fputs(codes, stdout);
    } else {
        code = run(&a);
    }
    free(a.sets.items);
    return code;
}
