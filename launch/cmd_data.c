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
#include "launch/report.h"
#include "src/base/mem.h"

typedef struct arguments {
    const char *config;
    const char **sets;
    size_t n_sets, rows;
    bool json, help;
} arguments;

static const char usage[] =
    "usage: entrenar data CONFIG [--set KEY=VALUE]... [--rows N] [--json]\n\n"
    "Shows the first rows of data.train and data.val as the tokens that a run would get, which of them are learned\n"
    "(LEARN) and which are given (given), lengths, and what packing does. Weights are not read, nothing is written.\n"
    "Between two bars stands a token; \\n, \\t, \\| and \\\\ are characters of it.\n\n"
    "  --set KEY=VALUE  sets a key of the config; KEY= takes it back\n"
    "  --rows N         rows to show (default 3)\n"
    "  --json           the same as JSON\n\n"
    "exit codes: 0 all is well; 1 rows are wrong, and stderr names them by line: two BOS tokens at the start, no "
    "token\n"
    "that is learned, more tokens than data.seq_len, or not what is expected of a row; 2 command line, config or "
    "model\n";

static bool wrong(const char *what, const char *argument)
{
    ent_fail(ENT_ECONFIG, "%s%s", what, argument);
    return false;
}

static bool parse(arguments *a, int argc, char **argv)
{
    a->rows = 3;
    for (int i = 1; i < argc; i++) {
        const char *key = argv[i];
        const bool takes = strcmp(key, "--set") == 0 || strcmp(key, "--rows") == 0;
        if (takes && i + 1 == argc)
            return wrong(key, ": expected a value after it");
        if (strcmp(key, "--set") == 0) {
            a->sets[a->n_sets++] = argv[++i];
        } else if (takes) {
            char *end;
            const char *text = argv[++i];
            errno = 0;
            const long value = strtol(text, &end, 10);
            if (errno || end == text || *end || value < 0 || value > 1000000)
                return wrong("--rows: expected an integer from 0 to 1000000, found ", text);
            a->rows = (size_t)value;
        } else if (strcmp(key, "--json") == 0) {
            a->json = true;
        } else if (strcmp(key, "--help") == 0 || strcmp(key, "-h") == 0) {
            a->help = true;
        } else if (key[0] == '-') {
            return wrong("unknown option ", key);
        } else if (a->config) {
            return wrong("one config is expected, found also ", key);
        } else {
            a->config = key;
        }
    }
    return a->config || a->help || wrong("expected a config", "");
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
    ENT_GO(ent_config_load(&s->config, a->config, a->sets, a->n_sets));
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
    ENT_GO(list ? ent_data_look_add(ent_json_add_object(list, NULL), &look, a->rows)
                : ent_data_look_print(&look, a->rows, isatty(STDOUT_FILENO) && getenv("NO_COLOR") == NULL));
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
    arguments a = {0};
    int code = ENT_EXIT_USAGE;
    a.sets = calloc((size_t)argc, sizeof *a.sets);
    if (a.sets == NULL)
        return ENT_EXIT_FAILED;
    if (!parse(&a, argc, argv)) {
        fprintf(stderr, "entrenar: data: %s; `entrenar data --help` says more\n", ent_message());
    } else if (a.help) {
        fputs(usage, stdout);
        code = ENT_EXIT_DONE;
    } else {
        code = run(&a);
    }
    free(a.sets);
    return code;
}
