/* entrenar generate: goes on with a prompt or answers in a chat, token by token. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "launch/cmd.h"
#include "launch/comm_open.h"
#include "launch/generate_prompt.h"
#include "launch/generate_text.h"
#include "launch/model.h"
#include "launch/options.h"
#include "launch/placement.h"
#include "launch/report.h"
#include "src/base/mem.h"
#include "src/base/tiles.h"
#include "src/nn/generate.h"
#include "src/nn/sample.h"

typedef struct arguments {
    const char *model, *adapter, *prompt, *messages;
    ent_option_texts stops;
    double temperature, top_p;
    int64_t top_k, seed, max_tokens, threads;
    bool chat, stats, help;
} arguments;

#define AT(member) .offset = offsetof(arguments, member)

static const ent_option options[] = {
    {"--model", "DIR", ENT_OPTION_TEXT, AT(model), .help = "a Hugging Face model folder"},
    {"--adapter", "DIR", ENT_OPTION_TEXT, AT(adapter),
     .help = "its adapter (LoRA): a PEFT folder, or a checkpoint (.h5)"},
    {"--prompt", "TEXT", ENT_OPTION_TEXT, AT(prompt),
     .help = "what to go on with; without it, standard input but for a last newline"},
    {"--chat", NULL, ENT_OPTION_FLAG, AT(chat), .help = "the prompt is a user's message: the model's chat template"},
    {"--messages", "FILE", ENT_OPTION_TEXT, AT(messages),
     .help = "a chat, JSON: a list of {\"role\", \"content\"}, or an object with it as \"messages\""},
    {"--max-tokens", "N", ENT_OPTION_INT, AT(max_tokens), .high = 1 << 30,
     .help = "at most so many new tokens (default 64)"},
    {"--stop", "TEXT", ENT_OPTION_TEXTS, AT(stops),
     .help = "ends before this text, beside the model's own end; may be given again"},
    {"--temperature", "T", ENT_OPTION_NUMBER, AT(temperature),
     .help = "0: always the likeliest token (default); higher: more varied"},
    {"--top-k", "K", ENT_OPTION_INT, AT(top_k), .low = 1, .high = 1 << 30,
     .help = "draws from the K likeliest tokens only"},
    {"--top-p", "P", ENT_OPTION_NUMBER, AT(top_p), .low_open = true, .high = 1,
     .help = "and from the likeliest of these only, until their probabilities add up to P"},
    {"--seed", "S", ENT_OPTION_INT, AT(seed),
     .help = "of the draws (default 42): the same seed gives the same text, with any number of threads"},
    {"--threads", "N", ENT_OPTION_INT, AT(threads), .low = 1, .high = 1024, .words = "auto",
     .help = "auto: the cores it may use (default auto)"},
    {"--stats", NULL, ENT_OPTION_FLAG, AT(stats),
     .help = "tokens/s of the prompt and of the new tokens, and memory, on standard error at the end"},
    {"--help", NULL, ENT_OPTION_FLAG, AT(help), .help = "show this"},
};

enum { N_OPTIONS = sizeof options / sizeof *options };

static ent_status parse(arguments *a, int argc, char **argv)
{
    ENT_TRY(ent_options_read(a, options, N_OPTIONS, argc, argv));
    if (a->help)
        return ENT_OK;
    if (a->model == NULL)
        return ent_fail(ENT_ECONFIG, "expected --model DIR");
    if (a->messages && (a->prompt || a->chat))
        return ent_fail(ENT_ECONFIG, "%s and --messages exclude each other", a->prompt ? "--prompt" : "--chat");
    if (a->temperature == 0 && (a->top_k || a->top_p < 1))
        return ent_fail(ENT_ECONFIG, "%s acts only with --temperature above 0", a->top_k ? "--top-k" : "--top-p");
    for (size_t i = 0; i < a->stops.count; i++)
        if (*a->stops.items[i] == '\0')
            return ent_fail(ENT_ECONFIG, "--stop: expected a text, found an empty one");
    return ENT_OK;
}

/* All that a text is made with. */
typedef struct session {
    const arguments *arguments;
    ent_model model;
    ent_prompt prompt;
    ent_reply reply;
    ent_generator *generator;
    uint32_t *order; /* room for ent_sample */
    double prompt_seconds, seconds;
    size_t computed; /* new tokens that went through the model, in `seconds` */
    bool cut;        /* there was no room for what comes next */
} session;

static void close_session(session *s)
{
    free(s->order);
    ent_generator_free(s->generator);
    ent_reply_free(&s->reply);
    ent_prompt_free(&s->prompt);
    ent_model_close(&s->model);
}

static ent_status print(void *context, const char *text, size_t n)
{
    (void)context;
    if (fwrite(text, 1, n, stdout) != n || fflush(stdout) != 0)
        return ent_fail(ENT_EIO, "standard output: %s", strerror(errno));
    return ENT_OK;
}

/* *out = new tokens there is room for. */
static ent_status room(size_t *out, const session *s)
{
    const arguments *a = s->arguments;
    const size_t positions = ent_model_positions(&s->model.config), given = s->prompt.ids.count;
    *out = (size_t)a->max_tokens;
    if (positions == 0)
        return ENT_OK;
    if (given >= positions)
        return ent_fail(ENT_EINVAL, "the prompt: %zu tokens, %s has %zu positions", given, a->model, positions);
    if (*out > positions - given)
        *out = positions - given;
    return ENT_OK;
}

/* Model, prompt, and all memory for n new tokens. */
static ent_status open_session(session *s, size_t *n)
{
    const arguments *a = s->arguments;
    const ent_model_options how = {.path = a->model, .adapter = a->adapter, .max_positions = 1};
    const ent_prompt_source source = {.text = a->prompt,
                                      .messages = a->messages,
                                      .chat = a->chat,
                                      .stops = a->stops.items,
                                      .n_stops = a->stops.count};
    ENT_TRY(ent_model_open(&s->model, &how));
    if (s->model.tokenizer == NULL)
        return ent_fail(ENT_EFORMAT, "%s: has no tokenizer.json", a->model);
    ENT_TRY(ent_prompt_read(&s->prompt, &source, &s->model, a->model));
    ENT_TRY(room(n, s));
    s->reply = (ent_reply){.tokenizer = s->model.tokenizer,
                           .stops = a->stops.items,
                           .n_stops = a->stops.count,
                           .drop_space = s->prompt.drop_space,
                           .put = print};
    ENT_TRY(ent_reply_begin(&s->reply, &s->prompt.ids));
    if (*n == 0)
        return ENT_OK;
    const size_t capacity = s->prompt.ids.count + *n - 1; /* the last one is not gone on with */
    ENT_TRY(ent_decoder_set_positions(s->model.decoder, capacity));
    ENT_TRY(ent_generator_new(&s->generator, s->model.decoder, capacity));
    return ent_calloc(&s->order, s->model.config.vocab_size, sizeof *s->order, "the order of tokens");
}

static ent_status choose(int32_t *out, session *s, const ent_real *logits)
{
    const arguments *a = s->arguments;
    const size_t known = ent_tokenizer_vocab_size(s->model.tokenizer); /* models pad their vocabulary: the rest has */
    const size_t n = known < s->model.config.vocab_size ? known : s->model.config.vocab_size; /* no text */
    const ent_sampling how = {.temperature = a->temperature, .top_k = (size_t)a->top_k, .top_p = a->top_p};
    const ent_rng rng = {.seed = (uint64_t)a->seed, .stream = ENT_STREAM_SAMPLE};
    for (size_t i = 0; i < n; i++)
        if (!isfinite(logits[i]))
            return ent_fail(ENT_ENUMERIC, "token %zu: the logit of id %zu is %g", s->reply.ids.count, i,
                            (double)logits[i]);
    *out = ent_sample(logits, n, &how, &rng, (uint64_t)s->reply.ids.count, s->order);
    return ENT_OK;
}

static bool is_end(const session *s, int32_t id)
{
    for (size_t i = 0; i < s->prompt.ends.count; i++)
        if (s->prompt.ends.ids[i] == id)
            return true;
    return false;
}

/* At most n new tokens. */
static ent_status go_on(session *s, size_t n)
{
    const ent_real *logits;
    int32_t next;
    double begin = ent_now();
    ENT_TRY(ent_generator_next(&logits, s->generator, s->prompt.ids.ids, s->prompt.ids.count));
    s->prompt_seconds = ent_now() - begin;
    begin = ent_now();
    for (size_t i = 0;; i++) {
        ENT_TRY(choose(&next, s, logits));
        if (is_end(s, next))
            break;
        ENT_TRY(ent_reply_add(&s->reply, next));
        s->cut = i + 1 == n && !s->reply.stopped;
        if (s->cut || s->reply.stopped)
            break;
        ENT_TRY(ent_generator_next(&logits, s->generator, &next, 1));
        s->computed++;
    }
    s->seconds = ent_now() - begin;
    return ENT_OK;
}

/* The first new token comes with the prompt. */
static void print_stats(const session *s)
{
    const size_t given = s->prompt.ids.count;
    fprintf(stderr, "prompt  %zu tokens in %.3f s: %.1f tokens/s\n", given, s->prompt_seconds,
            s->prompt_seconds > 0 ? (double)given / s->prompt_seconds : 0);
    fprintf(stderr, "new     %zu tokens, all but the first in %.3f s: %.1f tokens/s\n", s->reply.ids.count - given,
            s->seconds, s->seconds > 0 ? (double)s->computed / s->seconds : 0);
    fprintf(stderr, "memory  %.1f MiB beside the model; %d thread%s\n",
            s->generator ? (double)ent_generator_memory(s->generator) / 0x1p20 : 0, ent_threads(),
            ent_threads() > 1 ? "s" : "");
}

static ent_status generate(const arguments *a)
{
    ent_status st;
    session s = {.arguments = a};
    ent_comm *comm = NULL;
    ent_placement place;
    size_t n = 0;
    ENT_GO(ent_comm_open(&comm, "self", 0));
    ENT_GO(ent_place(&place, comm, a->threads));
    ent_set_threads(place.threads);
    ENT_GO(open_session(&s, &n));
    if (!a->chat && a->messages == NULL)
        ENT_GO(print(NULL, s.prompt.text, s.prompt.n));
    if (n)
        ENT_GO(go_on(&s, n));
    ENT_GO(ent_reply_end(&s.reply));
    ENT_GO(print(NULL, "\n", 1));
    if (s.cut && n < (size_t)a->max_tokens)
        fprintf(stderr, "entrenar: generate: %s has no more positions: %zu new tokens, --max-tokens says %lld\n",
                a->model, n, (long long)a->max_tokens);
    if (a->stats)
        print_stats(&s);
done:
    close_session(&s);
    ent_comm_free(comm);
    return st;
}

int ent_cmd_generate(int argc, char **argv)
{
    arguments a = {.max_tokens = 64, .seed = 42, .top_p = 1};
    int code = ENT_EXIT_DONE;
    if (parse(&a, argc, argv) != ENT_OK) {
        code = ent_options_complain("generate");
    } else if (a.help) {
        fputs("usage: entrenar generate --model DIR [[--chat] --prompt TEXT | --messages FILE] [OPTIONS]\n\n"
              "Prints the prompt and what the model makes of it, as it comes, up to the end of the text or N new\n"
              "tokens. Of a chat it prints the answer alone.\n\n",
              stdout);
        ent_options_help(options, N_OPTIONS);
    } else if (generate(&a) != ENT_OK) {
        if (ent_is_first_rank())
            fprintf(stderr, "entrenar: %s\n", ent_message());
        code = ENT_EXIT_FAILED;
    }
    free(a.stops.items);
    return code;
}
