/* entrenar generate: continues a prompt. Every token is computed from the whole text before it. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/tokenizer_config.h"
#include "launch/cmd.h"
#include "launch/model.h"
#include "launch/placement.h"
#include "src/base/mem.h"
#include "src/base/tiles.h"
#include "src/nn/sample.h"

typedef struct arguments {
    const char *model, *adapter, *prompt;
    double max_tokens, temperature, seed;
    bool help;
} arguments;

static const char usage[] =
    "usage: entrenar generate --model DIR --prompt TEXT [--adapter DIR|CKPT.h5] [--max-tokens N] [--temperature T] "
    "[--seed S]\n\n"
    "Prints the prompt and what the model makes of it, up to the end of the text or N tokens.\n\n"
    "  --model DIR        a Hugging Face model folder\n"
    "  --adapter A        its adapter (LoRA): a PEFT folder, or a checkpoint (.h5)\n"
    "  --prompt TEXT      what to continue\n"
    "  --max-tokens N     at most so many new tokens (default 64)\n"
    "  --temperature T    0: always the likeliest token (default); higher: more varied\n"
    "  --seed S           of the draws (default 42): the same seed gives the same text\n";

/* A number, all of the text; whole, if it is to be. False otherwise. */
static bool number(double *out, const char *text, bool whole)
{
    char *end;
    errno = 0;
    *out = strtod(text, &end);
    return errno == 0 && end != text && *end == '\0' && *out >= 0 && *out < 0x1p53 && !(whole && *out != trunc(*out));
}

static bool parse(arguments *a, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *key = argv[i];
        const char **text = strcmp(key, "--model") == 0     ? &a->model
                            : strcmp(key, "--adapter") == 0 ? &a->adapter
                            : strcmp(key, "--prompt") == 0  ? &a->prompt
                                                            : NULL;
        double *value = strcmp(key, "--max-tokens") == 0    ? &a->max_tokens
                        : strcmp(key, "--temperature") == 0 ? &a->temperature
                        : strcmp(key, "--seed") == 0        ? &a->seed
                                                            : NULL;
        if (strcmp(key, "--help") == 0 || strcmp(key, "-h") == 0) {
            a->help = true;
        } else if ((text == NULL && value == NULL) || i + 1 == argc) {
            fprintf(stderr, "entrenar: generate: %s %s\n", text || value ? "expected a value after" : "unknown option",
                    key);
            return false;
        } else if (text) {
            *text = argv[++i];
        } else if (!number(value, argv[++i], value != &a->temperature)) {
            fprintf(stderr, "entrenar: generate: %s: expected a %s of at least 0, found \"%s\"\n", key,
                    value == &a->temperature ? "number" : "whole number", argv[i]);
            return false;
        }
    }
    if (!a->help && (a->model == NULL || a->prompt == NULL)) {
        fprintf(stderr, "entrenar: generate: expected --model and --prompt; --help says more\n");
        return false;
    }
    return true;
}

/* The text of the ids, printed from byte *printed on. A character that isn't whole yet waits for the `last` call. */
static ent_status print_new(size_t *printed, const ent_tokenizer *tokenizer, const ent_ids *ids, bool last)
{
    char *text;
    size_t n;
    ENT_TRY(ent_tokenizer_decode(&text, &n, tokenizer, ids->ids, ids->count, true));
    static const char broken[] = "\xEF\xBF\xBD";
    if (n >= *printed && !(!last && n >= 3 && memcmp(text + n - 3, broken, 3) == 0)) {
        fwrite(text + *printed, 1, n - *printed, stdout);
        fflush(stdout);
        *printed = n;
    }
    free(text);
    return ENT_OK;
}

static ent_status next_token(int32_t *out, ent_tape *tape, ent_model *m, const ent_ids *ids, const int32_t *doc_start,
                             const arguments *a)
{
    const ent_tokens tokens = {ids->count, ids->ids, doc_start};
    const ent_rng rng = {.seed = (uint64_t)a->seed, .stream = ENT_STREAM_SAMPLE};
    ent_tensor *logits;
    ent_tape_rewind(tape);
    ENT_TRY(ent_decoder_next(&logits, tape, m->decoder, &tokens));
    const size_t known = ent_tokenizer_vocab_size(m->tokenizer); /* models pad their vocabulary: no text for the rest */
    *out = ent_sample(ent_values(logits), known < m->config.vocab_size ? known : m->config.vocab_size, a->temperature,
                      &rng, (uint64_t)ids->count);
    return ENT_OK;
}

static ent_status generate(const arguments *a)
{
    enum { LONGEST = 4096 };
    static int32_t doc_start[LONGEST]; /* one document: all zero */
    ent_status st;
    ent_model model = {0};
    ent_tape *tape = NULL;
    ent_ids ids = {0};
    ent_comm *comm = NULL;
    ent_placement place;
    int32_t eos, next = -1;
    size_t printed = 0;
    const ent_model_options options = {.path = a->model, .adapter = a->adapter, .max_positions = LONGEST};
    ENT_GO(ent_model_open(&model, &options));
    if (model.tokenizer == NULL)
        ENT_GO(ent_fail(ENT_EFORMAT, "%s: has no tokenizer.json", a->model));
    ENT_GO(ent_model_eos(&eos, a->model, model.tokenizer));
    ENT_GO(ent_comm_self(&comm));
    ENT_GO(ent_place(&place, comm, 0));
    ent_set_threads(place.threads);
    ENT_GO(ent_tape_new(&tape, false));
    ent_tape_record(tape, false);
    ENT_GO(ent_tokenizer_encode(&ids, model.tokenizer, a->prompt, strlen(a->prompt), true));
    if (ids.count >= LONGEST)
        ENT_GO(ent_fail(ENT_EINVAL, "--prompt: %zu tokens, at most %d are supported", ids.count, LONGEST - 1));
    ENT_GO(print_new(&printed, model.tokenizer, &ids, false));
    for (double n = 0; n < a->max_tokens && ids.count < LONGEST; n++) {
        ENT_GO(next_token(&next, tape, &model, &ids, doc_start, a));
        if (next == eos)
            break;
        ENT_GO(ent_ids_push(&ids, next));
        ENT_GO(print_new(&printed, model.tokenizer, &ids, false));
    }
    ENT_GO(print_new(&printed, model.tokenizer, &ids, true));
    putchar('\n');
done:
    ent_comm_free(comm);
    ent_ids_free(&ids);
    ent_tape_free(tape);
    ent_model_close(&model);
    return st;
}

int ent_cmd_generate(int argc, char **argv)
{
    arguments a = {.max_tokens = 64, .seed = 42};
    if (!parse(&a, argc, argv))
        return ENT_EXIT_USAGE;
    if (a.help) {
        fputs(usage, stdout);
        return ENT_EXIT_DONE;
    }
    if (generate(&a) == ENT_OK)
        return ENT_EXIT_DONE;
    fprintf(stderr, "entrenar: %s\n", ent_message());
    return ENT_EXIT_FAILED;
}
