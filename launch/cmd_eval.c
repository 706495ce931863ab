/* entrenar eval: the loss of a data set, or the accuracy of choosing among completions. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "launch/cmd.h"
#include "launch/comm_open.h"
#include "launch/eval_choices.h"
#include "launch/eval_data.h"
#include "launch/model.h"
#include "launch/options.h"
#include "launch/placement.h"
#include "launch/report.h"
#include "src/base/elementary.h"
#include "src/base/tiles.h"
#include "src/tensor/gemm.h"

typedef struct arguments {
    const char *model, *adapter, *choices;
    ent_eval_options eval;
    int64_t threads;
    int precision; /* as `precisions` has them */
    bool json, help;
} arguments;

static const char *const precisions[] = {"fp32", "bf16"};
static const ent_compute computes[] = {ENT_COMPUTE_FP32, ENT_COMPUTE_BF16};

#define AT(member) .offset = offsetof(arguments, member)

static const ent_option options[] = {
    {"--model", "DIR", ENT_OPTION_TEXT, AT(model), .help = "a Hugging Face model folder"},
    {"--adapter", "DIR", ENT_OPTION_TEXT, AT(adapter),
     .help = "its adapter (LoRA): a PEFT folder, or a checkpoint (.h5)"},
    ENT_EVAL_DATA_OPTIONS(arguments, eval, "JSONL as for training: mean loss of all target tokens, and its perplexity"),
    {"--choices", "FILE", ENT_OPTION_TEXT, AT(choices),
     .help = "lines of {\"prompt\", \"choices\": [...], \"answer\": index}: how often the right\n"
             "completion is the likeliest, by log-likelihood and by log-likelihood per token"},
    {"--precision", "P", ENT_OPTION_CHOICE, AT(precision), .words = "fp32 bf16",
     .help = "arithmetic of products, as compute.precision (default fp32); weights that are\n"
             "stored otherwise are converted in the memory of each rank"},
    {"--threads", "N", ENT_OPTION_INT, AT(threads), .low = 1, .high = 1024, .words = "auto",
     .help = "of a rank; auto: the cores it may use (default auto)"},
    {"--json", NULL, ENT_OPTION_FLAG, AT(json), .help = "all numbers, as JSON; of choices each row"},
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
    if ((a->eval.data == NULL) == (a->choices == NULL))
        return ent_fail(ENT_ECONFIG, "expected --data FILE or --choices FILE, found %s",
                        a->eval.data ? "both" : "neither");
    const char *only = ent_eval_only_with_data(&a->eval);
    if (a->choices && only)
        return ent_fail(ENT_ECONFIG, "%s acts only with --data", only);
    return ENT_OK;
}

typedef struct evaluation {
    const arguments *arguments;
    ent_comm *comm;
    ent_model model;
    const char *kernel;
    size_t positions; /* of the model; 0: not said */
} evaluation;

static ent_status open_model(evaluation *e)
{
    const arguments *a = e->arguments;
    const ent_model_options how = {
        .path = a->model, .adapter = a->adapter, .compute = computes[a->precision], .max_positions = 1};
    ENT_TRY(ent_model_open(&e->model, &how));
    ENT_TRY(ent_model_convert(&e->model, NULL, true, NULL));
    e->positions = ent_model_positions(&e->model.config);
    return ENT_OK;
}

static ent_status open_all(evaluation *e)
{
    ent_placement place;
    ENT_TRY(ent_place(&place, e->comm, e->arguments->threads));
    ent_set_threads(place.threads);
    e->kernel = ent_gemm_kernel_for(computes[e->arguments->precision]);
    ENT_TRY(ent_comm_same(e->comm, e->kernel, "the kernel of this CPU"));
    return ent_comm_agree(e->comm, open_model(e));
}

static ent_json *begin_json(const evaluation *e)
{
    const arguments *a = e->arguments;
    ent_json *root = ent_json_new_object();
    ent_json_add_string(root, "model", a->model);
    if (a->adapter)
        ent_json_add_string(root, "adapter", a->adapter);
    ent_json_add_string(root, "precision", precisions[a->precision]);
    ent_json_add_string(root, "kernel", e->kernel);
    return root;
}

static void print_model(const evaluation *e)
{
    const arguments *a = e->arguments;
    printf("model       %s%s%s; %s, %s\n", a->model, a->adapter ? " with " : "", a->adapter ? a->adapter : "",
           precisions[a->precision], e->kernel);
}

static ent_status tell_data(const evaluation *e, const ent_eval_data *r)
{
    const arguments *a = e->arguments;
    const ent_dataset_counts *counts = ent_dataset_counts_of(r->dataset);
    if (!a->json) {
        print_model(e);
        printf("data        %s: %zu documents, %zu tokens in %zu rows of at most %zu\n", a->eval.data,
               (size_t)counts->documents, (size_t)counts->tokens, (size_t)counts->units, r->seq_len);
        if (counts->truncated_documents)
            printf("            %zu documents are longer and were cut: %zu tokens are not counted\n",
                   (size_t)counts->truncated_documents, (size_t)counts->truncated_tokens);
        if (counts->dropped_units)
            printf("            %zu documents or pieces of one have no target and are left out\n",
                   (size_t)counts->dropped_units);
        printf("loss        %.6f, the mean over %lld target tokens\nperplexity  %.4f\n", r->loss, (long long)r->targets,
               ent_exp(r->loss));
        return ENT_OK;
    }
    ent_json *root = begin_json(e);
    ent_json_add_string(root, "data", a->eval.data);
    ent_json_add_int(root, "seq_len", (int64_t)r->seq_len);
    ent_json_add_bool(root, "packing", !a->eval.no_packing);
    ent_json_add_bool(root, "mask_prompt", !a->eval.no_mask);
    ent_json_add_int(root, "documents", (int64_t)counts->documents);
    ent_json_add_int(root, "rows", (int64_t)counts->units);
    ent_json_add_int(root, "tokens", (int64_t)counts->tokens);
    ent_json_add_int(root, "truncated_tokens", (int64_t)counts->truncated_tokens);
    ent_json_add_int(root, "without_target", (int64_t)counts->dropped_units);
    ent_json_add_int(root, "targets", r->targets);
    ent_json_add_double(root, "loss", r->loss);
    ent_json_add_double(root, "perplexity", ent_exp(r->loss));
    return ent_report_json(root);
}

static ent_status evaluate_data(evaluation *e)
{
    ent_status st;
    ent_eval_data data = {0};
    ENT_GO(ent_comm_agree(e->comm, ent_eval_data_open(&data, &e->arguments->eval, &e->model, e->arguments->model)));
    ENT_GO(ent_eval_data_run(&data, e->model.decoder, e->comm, 0));
    if (e->comm->rank == 0)
        ENT_GO(tell_data(e, &data));
done:
    ent_eval_data_close(&data);
    return st;
}

static void add_row(ent_json *to, const ent_choices *c, const ent_choice_row *row)
{
    ent_json *object = ent_json_add_object(to, NULL);
    ent_json_add_int(object, "line", (int64_t)row->line);
    ent_json_add_int(object, "answer", (int64_t)row->answer);
    ent_json_add_int(object, "chosen", (int64_t)row->chosen);
    ent_json_add_int(object, "chosen_normalised", (int64_t)row->chosen_normalised);
    ent_json *list = ent_json_add_array(object, "choices");
    for (size_t i = 0; i < row->count; i++) {
        const ent_choice *choice = &c->items[row->first + i];
        ent_json *item = ent_json_add_object(list, NULL);
        ent_json_add_double(item, "log_likelihood", choice->log_likelihood);
        ent_json_add_double(item, "per_token", ent_choice_per_token(choice));
        ent_json_add_int(item, "tokens", (int64_t)(choice->n - choice->first));
        ent_json_add_int(item, "bytes", (int64_t)choice->bytes);
    }
}

static ent_status tell_choices(const evaluation *e, const ent_choices *c)
{
    const double by_sum = (double)c->right / (double)c->n_rows;
    const double by_mean = (double)c->right_normalised / (double)c->n_rows;
    if (!e->arguments->json) {
        print_model(e);
        printf("choices     %s: %zu rows, %zu completions\n", e->arguments->choices, c->n_rows, c->n_items);
        printf("accuracy    %.4f by log-likelihood, %.4f by log-likelihood per token\n", by_sum, by_mean);
        return ENT_OK;
    }
    ent_json *root = begin_json(e);
    ent_json_add_string(root, "choices", e->arguments->choices);
    ent_json_add_double(root, "accuracy", by_sum);
    ent_json_add_double(root, "accuracy_normalised", by_mean);
    ent_json *rows = ent_json_add_array(root, "rows");
    for (size_t r = 0; r < c->n_rows; r++)
        add_row(rows, c, &c->rows[r]);
    return ent_report_json(root);
}

static ent_status read_choices(ent_choices *out, const evaluation *e)
{
    const arguments *a = e->arguments;
    if (e->model.tokenizer == NULL)
        return ent_fail(ENT_EFORMAT, "%s: has no tokenizer.json", a->model);
    ENT_TRY(ent_choices_read(out, a->choices, &e->model));
    if (e->positions && out->longest > e->positions)
        return ent_fail(ENT_EFORMAT, "%s: a prompt and completion of %zu tokens: %s has %zu positions", a->choices,
                        out->longest, a->model, e->positions);
    return ENT_OK;
}

static ent_status evaluate_choices(evaluation *e)
{
    ent_status st;
    ent_choices c = {0};
    ENT_GO(ent_comm_agree(e->comm, read_choices(&c, e)));
    ENT_GO(ent_choices_score(&c, &e->model, e->comm, e->arguments->choices));
    if (e->comm->rank == 0)
        ENT_GO(tell_choices(e, &c));
done:
    ent_choices_free(&c);
    return st;
}

static int run(const arguments *a)
{
    evaluation e = {.arguments = a};
    ent_status st = ent_comm_open(&e.comm, "auto", 600);
    if (st == ENT_OK)
        st = open_all(&e);
    if (st == ENT_OK)
        st = a->eval.data ? evaluate_data(&e) : evaluate_choices(&e);
    if (st == ENT_ECOMM && e.comm) { /* the others can't be reached: say why and end them */
        fprintf(stderr, "entrenar: %s\n", ent_message());
        e.comm->abort(e.comm, ENT_EXIT_FAILED);
    }
    if (st != ENT_OK && (e.comm == NULL || e.comm->rank == 0))
        fprintf(stderr, "entrenar: %s\n", ent_message());
    ent_model_close(&e.model);
    ent_comm_free(e.comm);
    return st == ENT_OK ? ENT_EXIT_DONE : ENT_EXIT_FAILED;
}

int ent_cmd_eval(int argc, char **argv)
{
    arguments a = {0};
    if (parse(&a, argc, argv) != ENT_OK) {
        return ent_options_complain("eval");
    }
    if (!a.help)
        return run(&a);
    fputs("usage: entrenar eval --model DIR (--data FILE | --choices FILE) [OPTIONS]\n\n"
          "Tells how well a model predicts a text, or which of several completions it holds for the likeliest. Under\n"
          "mpirun the ranks share the work; all numbers are the same bits for any number of ranks and threads.\n\n",
          stdout);
    ent_options_help(options, N_OPTIONS);
    return ENT_EXIT_DONE;
}
