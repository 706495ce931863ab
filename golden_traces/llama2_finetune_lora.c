/* LoRA on a Llama of 162 million parameters, made from a seed: really trained, saved, merged and compared.
 *
 * usage: llama2_finetune_lora [--rank R] [--alpha A] [--epochs N] [--trace FILE]
 *
 * The text is made too: documents of four tokens, each token deciding the next but for some noise, from a few of the
 * vocabulary's words. A step is eight documents, packed into one unit. The adapter is left in ./llama2-lora-adapter.
 */
#include <malloc.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/entrenar.h"

enum { SEED = 42, DOCUMENTS = 8, LENGTH = 4, TOKENS = DOCUMENTS * LENGTH, STEPS = 100, WORDS = 16 };

static const char folder[] = "llama2-lora-adapter";

/* Largest difference between a logit of the merged model and of the adapted one, relative to the largest logit: both
 * compute the same in fp32, in another order. */
static const double merge_bound = 1e-4;

static const ent_model_config llama = {.model_type = "llama",
                                       .vocab_size = 32000,
                                       .hidden_size = 768,
                                       .intermediate_size = 3072,
                                       .n_layers = 12,
                                       .n_heads = 12,
                                       .n_kv_heads = 12,
                                       .head_dim = 64,
                                       .max_position_embeddings = 2048,
                                       .rms_norm_eps = 1e-5,
                                       .rope_theta = 10000};

typedef struct options {
    long rank, alpha, epochs;
    const char *trace;
} options;

/* Frozen weights: normal with deviation 0.02; norms 1. Each tensor has its own stream of draws. */
static ent_status make_base(float **out, ent_params *params, size_t *count, size_t *norms)
{
    *count = *norms = 0;
    for (size_t i = 0; i < params->count; i++)
        if (!params->items[i]->trainable)
            *(params->items[i]->tensor.n_dims == 1 ? norms : count) += ent_tensor_count(&params->items[i]->tensor);
    float *next = *out = malloc((*count + *norms) * sizeof **out);
    if (next == NULL)
        return ent_fail(ENT_ENOMEM, "out of memory: the base model");
    for (size_t i = 0; i < params->count; i++) {
        ent_param *p = params->items[i];
        const size_t n = ent_tensor_count(&p->tensor);
        const ent_rng rng = {.seed = SEED, .stream = ENT_STREAM_INIT | (uint32_t)(i + 1) << 8};
        if (p->trainable)
            continue;
        for (size_t j = 0; j < n; j++)
            next[j] = p->tensor.n_dims == 1 ? 1 : 0.02f * ent_random_normal(&rng, j);
        ENT_TRY(ent_params_bind(params, p, p->tensor.n_dims, p->tensor.shape, ENT_DTYPE_F32, next, "base"));
        next += n;
    }
    return ENT_OK;
}

/* The text of a step, packed: the same in every epoch. */
typedef struct batch {
    int32_t ids[TOKENS], targets[TOKENS], doc_start[TOKENS];
    int64_t number; /* within its epoch */
} batch;

static ent_status next_unit(ent_unit *out, void *context, size_t i)
{
    batch *b = context;
    const ent_rng rng = {.seed = SEED, .stream = ENT_STREAM_SAMPLE, .step = (uint32_t)b->number, .unit = (uint32_t)i};
    uint32_t word = 0;
    for (uint32_t t = 0; t < TOKENS; t++) {
        const uint32_t draw = ent_random_below(&rng, t, WORDS * 8);
        word = t % LENGTH == 0 || draw < WORDS ? draw % WORDS : (word * 5 + 3) % WORDS;
        b->ids[t] = (int32_t)(1000 + 17 * word);
        b->doc_start[t] = (int32_t)(t / LENGTH * LENGTH);
    }
    for (uint32_t t = 0; t < TOKENS; t++)
        b->targets[t] = t % LENGTH == LENGTH - 1 ? -100 : b->ids[t + 1];
    *out = (ent_unit){.n = TOKENS, .ids = b->ids, .targets = b->targets, .doc_start = b->doc_start};
    return ENT_OK;
}

static ent_status train(ent_trainer *trainer, const ent_params *params, const options *o, ent_numeric_trace *trace)
{
    static batch b;
    double sum = 0; /* of the losses since the last printed line */
    for (int64_t step = 0; step < o->epochs * STEPS; step++) {
        ent_step_result r;
        b.number = step % STEPS;
        if (b.number == 0)
            printf("\nEpoch %lld/%ld\n", (long long)(step / STEPS + 1), o->epochs);
        ENT_TRY(ent_trainer_step(&r, trainer, step, 1, next_unit, &b));
        if (trace)
            ENT_TRY(ent_numeric_trace_step(trace, &(ent_numeric_step){step + 1, r.loss, r.grad_norm, r.lr},
                                           params->value, params->n_trainable));
        sum += r.loss;
        if (step % 10 == 9) {
            printf("  Step %lld: loss=%.4f, lr=%.3e\n", (long long)b.number + 1, sum / 10, r.lr);
            fflush(stdout);
            sum = 0;
        }
    }
    return ENT_OK;
}

static ent_status save(const ent_params *params, const ent_lora_config *lora)
{
    ent_st_tensor *tensors;
    size_t n;
    ENT_TRY(ent_trainable_tensors(&tensors, &n, params));
    unlink("llama2-lora-adapter/adapter_config.json"); /* what a former run has left */
    unlink("llama2-lora-adapter/adapter_model.safetensors");
    rmdir(folder);
    const ent_status st = ent_peft_write(folder, lora, "made from a seed", tensors, n);
    free(tensors);
    return st;
}

/* W += scale B A for every adapted projection: W (out, in), B (out, r), A (r, in). */
static ent_status merge(ent_params *params, const ent_lora_config *lora)
{
    static const char prefix[] = "base_model.model.", end[] = ".lora_A.weight";
    char name[256];
    for (size_t i = 0; i < params->count; i++) {
        const ent_tensor *a = &params->items[i]->tensor;
        const size_t n = strlen(a->name);
        if (n < sizeof end || strcmp(a->name + n - strlen(end), end) != 0)
            continue;
        const int body = (int)(n - strlen(prefix) - strlen(end));
        snprintf(name, sizeof name, "%.*s.weight", body, a->name + strlen(prefix));
        ent_param *w = ent_params_find(params, name);
        snprintf(name, sizeof name, "%.*s.lora_B.weight", (int)(n - strlen(end)), a->name);
        ent_param *b = ent_params_find(params, name);
        if (w == NULL || b == NULL)
            return ent_fail(ENT_EINVAL, "%s: no weight to merge into", a->name);
        const size_t out = w->tensor.shape[0], in = w->tensor.shape[1], r = a->shape[0];
        ent_gemm(ent_values(&w->tensor), in, out, in, r, (float)(lora->alpha / (double)r),
                 ent_matrix_of(ent_values(&b->tensor), r, false), ent_matrix_of(ent_values(a), in, false), 1);
    }
    return ENT_OK;
}

/* Logits (TOKENS, V) of the first document batch, kept by the tape. */
static ent_status logits_of(ent_tensor **out, ent_tape *tape, ent_decoder *decoder)
{
    static batch b;
    ent_unit unit;
    ent_tape_record(tape, false);
    ENT_TRY(next_unit(&unit, &b, 0));
    return ent_decoder_logits(out, tape, decoder, &(ent_tokens){unit.n, unit.ids, unit.doc_start});
}

/* Merges, and compares what the two models say. */
static ent_status merge_and_compare(ent_decoder *adapted, const ent_lora_config *lora)
{
    ent_status st;
    ent_params *from = ent_decoder_params(adapted);
    ent_decoder *merged = NULL;
    ent_tape *tapes[2] = {NULL, NULL};
    ent_tensor *before, *after;
    ENT_GO(ent_tape_new(&tapes[0], false));
    ENT_GO(ent_tape_new(&tapes[1], false));
    ENT_GO(logits_of(&before, tapes[0], adapted));
    ENT_GO(merge(from, lora));
    ENT_GO(ent_decoder_new(&merged, &llama, NULL, false, LENGTH));
    ent_params *to = ent_decoder_params(merged);
    for (size_t i = 0; i < to->count; i++) {
        const ent_tensor *t = &ent_params_find(from, to->items[i]->tensor.name)->tensor;
        ENT_GO(ent_params_bind(to, to->items[i], t->n_dims, t->shape, t->dtype, t->data, "merged"));
    }
    ENT_GO(logits_of(&after, tapes[1], merged));
    double largest = 0, difference = 0;
    for (size_t i = 0; i < ent_tensor_count(before); i++) {
        largest = fmax(largest, fabs((double)ent_values(before)[i]));
        difference = fmax(difference, fabs((double)ent_values(before)[i] - (double)ent_values(after)[i]));
    }
    if (!(difference <= merge_bound * largest))
        ENT_GO(ent_fail(ENT_ENUMERIC, "the merged model's logits differ by %g of %g, at most %g is expected",
                        difference, largest, merge_bound * largest));
    printf("\nMerged into the base: logits are those of the adapted model, within %g of the largest\n", merge_bound);
done:
    ent_decoder_free(merged);
    ent_tape_free(tapes[0]);
    ent_tape_free(tapes[1]);
    return st;
}

static void print_plan(const options *o, size_t base, size_t norms, size_t trainable)
{
    printf("=== LoRA fine-tuning of a Llama ===\n\n");
    printf("  LoRA rank: %ld, alpha: %ld, on q, k, v, o\n", o->rank, o->alpha);
    printf("  AdamW: lr 1e-4 to 1e-5 (cosine), betas 0.9, 0.95, weight decay 0.01\n");
    printf("  Base parameters: %zu, and %zu of norms\n", base, norms);
    printf("  Trainable parameters: %zu (%.2f %%)\n", trainable, 100 * (double)trainable / (double)(base + norms));
    printf("  %ld epochs of %d steps of %d x %d tokens\n", o->epochs, STEPS, DOCUMENTS, LENGTH);
    fflush(stdout);
}

static ent_status run(const options *o)
{
    const ent_lora_config lora = {.r = (size_t)o->rank,
                                  .alpha = (double)o->alpha,
                                  .targets = 1U << ENT_Q_PROJ | 1U << ENT_K_PROJ | 1U << ENT_V_PROJ | 1U << ENT_O_PROJ};
    const ent_trainer_options training = {
        .optimizer = {.kind = ENT_OPTIMIZER_ADAMW, .beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .weight_decay = 0.01},
        .schedule = {.kind = ENT_SCHEDULE_COSINE, .lr = 1e-4, .min_lr = 1e-5, .steps = o->epochs * STEPS},
        .batch_size = 1,
        .seq_len = TOKENS,
        .seed = SEED};
    ent_status st;
    float *base = NULL;
    size_t count, norms;
    ent_comm *comm = NULL;
    ent_decoder *decoder = NULL;
    ent_trainer *trainer = NULL;
    ent_numeric_trace *trace = NULL;
    ent_set_threads(1); /* the trace is then the same each time */
    ENT_GO(ent_comm_self(&comm));
    ENT_GO(ent_decoder_new(&decoder, &llama, &lora, true, LENGTH));
    ent_params *params = ent_decoder_params(decoder);
    ENT_GO(make_base(&base, params, &count, &norms));
    ent_decoder_init_adapters(decoder, SEED);
    ENT_GO(ent_trainer_new(&trainer, decoder, comm, &training));
    print_plan(o, count, norms, params->n_trainable);
    if (o->trace)
        ENT_GO(ent_numeric_trace_new(&trace, o->trace, ent_gemm_kernel(), params->n_trainable));
    ENT_GO(train(trainer, params, o, trace));
    if (trace)
        ENT_GO(ent_numeric_trace_commit(trace));
    ENT_GO(save(params, &lora));
    printf("\nAdapter saved to %s/\n", folder);
    ENT_GO(merge_and_compare(decoder, &lora));
done:
    ent_numeric_trace_free(trace);
    ent_trainer_free(trainer);
    ent_decoder_free(decoder);
    ent_comm_free(comm);
    free(base);
    return st;
}

static int usage(void)
{
    fprintf(stderr, "usage: llama2_finetune_lora [--rank R] [--alpha A] [--epochs N] [--trace FILE]; 1 to 768\n");
    return 2;
}

int main(int argc, char **argv)
{
    options o = {.rank = 16, .alpha = 32, .epochs = 3};
    for (int i = 1; i < argc; i += 2) {
        static const char *const names[] = {"--rank", "--alpha", "--epochs"};
        long *const values[] = {&o.rank, &o.alpha, &o.epochs};
        int k = 0;
        char *end;
        if (i + 1 == argc)
            return usage();
        if (strcmp(argv[i], "--trace") == 0) {
            o.trace = argv[i + 1];
            continue;
        }
        while (k < 3 && strcmp(argv[i], names[k]) != 0)
            k++;
        if (k == 3)
            return usage();
        *values[k] = strtol(argv[i + 1], &end, 10);
        if (*end || *values[k] < 1 || *values[k] > 768)
            return usage();
    }
    mallopt(M_TOP_PAD, 64 << 20); /* the heap grows in large steps, and stays */
    mallopt(M_MMAP_THRESHOLD, 32 << 20);
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
    if (run(&o) != ENT_OK || (fflush(stdout) != 0 && ent_fail(ENT_EIO, "standard output: %m") != ENT_OK)) {
        fprintf(stderr, "llama2_finetune_lora: %s\n", ent_message());
        return 1;
    }
    return 0;
}
