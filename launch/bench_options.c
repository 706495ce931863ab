#include "launch/bench_options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "io/config_fields.h"
#include "src/base/mem.h"

/* Options that are keys of a config, with what they are if nothing is said. */
static const struct {
    const char *option, *path, *otherwise;
} keys[] = {
    {"--seq-len", "data.seq_len", "512"},         {"--units", "training.batch_size", "4"},
    {"--precision", "compute.precision", "fp32"}, {"--base", "quantize.base", "none"},
    {"--threads", "compute.threads", "auto"},     {"--recompute", "compute.recompute", "none"},
    {"--lora-rank", "lora.rank", "16"},           {"--targets", "lora.target_modules", "q_proj,v_proj"},
};

enum { N_KEYS = sizeof keys / sizeof *keys };

void ent_bench_options_clear(ent_bench_options *options)
{
    ent_config_free(options->config);
    options->config = NULL;
}

static ent_status set_key(ent_config *config, const char *path, const char *value, const char *where)
{
    const ent_config_field *field = ent_config_field_find(path);
    const bool list = field->type == ENT_FIELD_TARGETS && strchr(value, ',') != NULL;
    ent_yaml scalar = {.text = (char *)value}, *parsed = NULL;
    char *text = NULL;
    ent_status st;
    if (list) {
        ENT_GO(ent_format(&text, "[%s]", value));
        ENT_GO(ent_yaml_parse(&parsed, text, strlen(text), where));
    }
    st = ent_config_field_set(config, field, list ? parsed : &scalar, "/", where);
done:
    ent_yaml_free(parsed);
    free(text);
    return st == ENT_OK || st == ENT_ENOMEM ? st : ENT_ECONFIG;
}

static ent_status set_defaults(ent_config *config)
{
    config->has_lora = true;
    for (size_t i = 0; i < ent_config_n_fields; i++) {
        const ent_config_field *f = &ent_config_fields[i];
        if (f->otherwise && f->type != ENT_FIELD_PATH && f->type != ENT_FIELD_TARGETS)
            ENT_TRY(set_key(config, f->path, f->otherwise, f->path));
    }
    for (int i = 0; i < N_KEYS; i++)
        ENT_TRY(set_key(config, keys[i].path, keys[i].otherwise, keys[i].option));
    return ENT_OK;
}

static ent_status set_option(ent_bench_options *o, const char *option, const char *value)
{
    for (int i = 0; i < N_KEYS; i++)
        if (strcmp(option, keys[i].option) == 0)
            return set_key(o->config, keys[i].path, value, option);
    if (strcmp(option, "--repeat") == 0) {
        char *end;
        errno = 0;
        o->repeat = strtol(value, &end, 10);
        if (errno || end == value || *end || o->repeat < 1 || o->repeat > 1000)
            return ent_fail(ENT_ECONFIG, "--repeat: expected an integer from 1 to 1000, found \"%s\"", value);
    } else if (strcmp(option, "--shape") == 0) {
        o->shape = value;
        o->model = NULL;
    } else if (strcmp(option, "--model") == 0) {
        o->model = value;
        o->shape = NULL;
    } else {
        o->compare = value;
    }
    return ENT_OK;
}

static bool takes_value(const char *option)
{
    static const char *const others[] = {"--repeat", "--shape", "--model", "--compare"};
    for (int i = 0; i < N_KEYS; i++)
        if (strcmp(option, keys[i].option) == 0)
            return true;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strcmp(option, others[i]) == 0)
            return true;
    return false;
}

ent_status ent_bench_options_parse(ent_bench_options *o, int argc, char *const *argv)
{
    *o = (ent_bench_options){.shape = "llama-162m", .repeat = 3};
    ENT_TRY(ent_calloc(&o->config, 1, sizeof *o->config, "options"));
    ENT_TRY(set_defaults(o->config));
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0)
            o->json = true;
        else if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            o->help = true;
        else if (!takes_value(argv[i]))
            return ent_fail(ENT_ECONFIG, "unknown option %s", argv[i]);
        else if (i + 1 == argc)
            return ent_fail(ENT_ECONFIG, "%s: expected a value after it", argv[i]);
        else {
            ENT_TRY(set_option(o, argv[i], argv[i + 1]));
            i++;
        }
    }
    return ENT_OK;
}

void ent_bench_words_free(ent_bench_words *words)
{
    free(words->argv);
    free(words->text);
    *words = (ent_bench_words){0};
}

ent_status ent_bench_words_of(ent_bench_words *w, const ent_bench_options *o, int argc, char *const *argv)
{
    const size_t most = (size_t)argc + strlen(o->compare) / 2 + 2;
    char *save;
    *w = (ent_bench_words){0};
    ENT_TRY(ent_strdup(&w->text, o->compare));
    ENT_TRY(ent_calloc(&w->argv, most, sizeof *w->argv, "options"));
    for (; w->argc < argc; w->argc++)
        w->argv[w->argc] = argv[w->argc];
    for (char *word = strtok_r(w->text, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
        if (strcmp(word, "--compare") == 0 || strcmp(word, "--json") == 0 || strcmp(word, "--repeat") == 0)
            return ent_fail(ENT_ECONFIG, "--compare: %s is for both configurations", word);
        w->argv[w->argc++] = word;
    }
    return ENT_OK;
}
