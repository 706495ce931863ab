/* A training loop from its parts: y = w * x + b on a tape, mean squared error, gradient clipping, Adam, and a learning
 * rate that falls by ten after epoch 6. usage: training_loop [--trace FILE]
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/entrenar.h"

enum { N = 3, BATCHES = 3, EPOCHS = 10, SLOW_AFTER = 6 };

static const float inputs[BATCHES][N] = {{1, 2, 3}, {2, 3, 4}, {3, 4, 5}};
static const float targets[BATCHES][N] = {{2, 3, 4}, {3, 4, 5}, {4, 5, 6}};

static const double max_norm = 1.0;
static const ent_optimizer adam = {.kind = ENT_OPTIMIZER_ADAM, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8};
static const ent_schedule schedule = {
    .kind = ENT_SCHEDULE_STEP, .lr = 0.01, .step_size = SLOW_AFTER * BATCHES, .gamma = 0.1, .steps = EPOCHS * BATCHES};

typedef struct model {
    ent_params params;
    ent_tensor *w, *b;
} model;

static ent_status model_init(model *m)
{
    static const float w[N] = {0.1f, 0.2f, 0.3f}, b[N] = {0};
    const size_t shape[] = {N};
    ent_params *p = &m->params;
    ENT_TRY(ent_params_declare(&m->w, p, "w", 1, shape, true));
    ENT_TRY(ent_params_declare(&m->b, p, "b", 1, shape, true));
    ENT_TRY(ent_params_seal(p));
    ENT_TRY(ent_params_bind(p, ent_params_find(p, "w"), 1, shape, ENT_DTYPE_F32, w, "start"));
    return ent_params_bind(p, ent_params_find(p, "b"), 1, shape, ENT_DTYPE_F32, b, "start");
}

/* loss = mean((w * x + b - target)^2) */
static ent_status forward(ent_tensor **loss, ent_tape *tape, model *m, int batch)
{
    const size_t shape[] = {N};
    ent_tensor *x, *target, *wx, *y;
    ENT_TRY(ent_tape_input(&x, tape, inputs[batch], 1, shape, false));
    ENT_TRY(ent_tape_input(&target, tape, targets[batch], 1, shape, false));
    ENT_TRY(ent_mul(&wx, tape, m->w, x));
    ENT_TRY(ent_add(&y, tape, wx, m->b));
    return ent_mse(loss, tape, y, target);
}

static ent_status step(ent_numeric_step *result, ent_tape *tape, model *m, int batch, int64_t number)
{
    ent_params *p = &m->params;
    ent_tensor *loss;
    ent_tape_rewind(tape);
    memset(p->grad, 0, p->n_trainable * sizeof *p->grad);
    ENT_TRY(forward(&loss, tape, m, batch));
    ENT_TRY(ent_tape_backward(tape, loss, 1));
    const double norm = ent_global_norm(p->grad, p->n_trainable);
    const double clip = ent_clip_factor(norm, max_norm);
    for (size_t i = 0; i < p->n_trainable; i++)
        p->grad[i] *= (float)clip;
    *result = (ent_numeric_step){number, ent_values(loss)[0], norm, ent_schedule_lr(&schedule, number - 1)};
    ent_optimizer_step(&adam, p->value, p->m, p->v, p->grad, p->n_trainable, number, result->lr, false);
    return ENT_OK;
}

static void print_parameter(const ent_tensor *t)
{
    printf("  %s: [", t->name);
    for (int i = 0; i < N; i++)
        printf("%s%.6f", i ? ", " : "", (double)ent_values(t)[i]);
    puts("]");
}

static ent_status train(model *m, ent_tape *tape, ent_numeric_trace *trace)
{
    double losses[EPOCHS], best = INFINITY, largest_norm = 0;
    int64_t number = 0;
    for (int epoch = 0; epoch < EPOCHS; epoch++) {
        ent_numeric_step result;
        double sum = 0;
        for (int batch = 0; batch < BATCHES; batch++) {
            ENT_TRY(step(&result, tape, m, batch, ++number));
            if (trace)
                ENT_TRY(ent_numeric_trace_step(trace, &result, m->params.value, m->params.n_trainable));
            sum += result.loss;
            largest_norm = fmax(largest_norm, result.grad_norm);
        }
        losses[epoch] = sum / BATCHES;
        best = fmin(best, losses[epoch]);
        printf("Epoch %d: loss=%.6f, lr=%.6f\n", epoch + 1, losses[epoch], result.lr);
        if (epoch + 1 == SLOW_AFTER)
            puts("  learning rate x 0.1");
    }
    printf("\nMetrics:\n  epochs: %d\n  steps: %lld\n  best loss: %.6f\n  mean loss of the last 3 epochs: %.6f\n",
           EPOCHS, (long long)number, best, (losses[EPOCHS - 1] + losses[EPOCHS - 2] + losses[EPOCHS - 3]) / 3);
    printf("  largest gradient norm, before clipping: %.6f\n\nFinal parameters:\n", largest_norm);
    print_parameter(m->w);
    print_parameter(m->b);
    return ENT_OK;
}

static ent_status run(const char *trace_path)
{
    ent_status st;
    model m = {0};
    ent_tape *tape = NULL;
    ent_numeric_trace *trace = NULL;
    ent_set_threads(1);
    ENT_GO(model_init(&m));
    ENT_GO(ent_tape_new(&tape, false));
    if (trace_path)
        ENT_GO(ent_numeric_trace_new(&trace, trace_path, ent_gemm_kernel(), m.params.n_trainable));
    printf("=== Training loop ===\n\ny = w * x + b, %d batches of %d, Adam, gradients clipped at norm %g\n\n", BATCHES,
           N, max_norm);
    ENT_GO(train(&m, tape, trace));
    if (trace)
        ENT_GO(ent_numeric_trace_commit(trace));
done:
    ent_numeric_trace_free(trace);
    ent_tape_free(tape);
    ent_params_clear(&m.params);
    return st;
}

int main(int argc, char **argv)
{
    const char *trace = argc == 3 && strcmp(argv[1], "--trace") == 0 ? argv[2] : NULL;
    if (argc != 1 && trace == NULL) {
        fprintf(stderr, "usage: training_loop [--trace FILE]\n");
        return 2;
    }
    if (run(trace) != ENT_OK || (fflush(stdout) != 0 && ent_fail(ENT_EIO, "standard output: %m") != ENT_OK)) {
        fprintf(stderr, "training_loop: %s\n", ent_message());
        return 1;
    }
    return 0;
}
