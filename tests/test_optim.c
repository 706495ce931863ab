/* clang-format off */
/* Optimizers, schedules and clipping against PyTorch.
 *
 * Made by PyTorch 1.13.1 (Debian python3-torch):
 *   import torch
 *   def run(make, steps=5):
 *       x = torch.nn.Parameter(torch.tensor([0.5, -1.25, 2.0, 1e-3]))
 *       opt = make([x])
 *       for s in range(steps):
 *           x.grad = torch.tensor([0.3, -0.7, 0.05, 2.0]) * (1 + 0.5 * s) * (-1) ** (s // 2)
 *           opt.step()
 *           print('{' + ', '.join('%.9gf' % v for v in x.tolist()) + '},')
 *   run(lambda p: torch.optim.SGD(p, lr=0.1))
 *   run(lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.05))
 *   run(lambda p: torch.optim.Adam(p, lr=0.02, betas=(0.9, 0.99), eps=1e-6, weight_decay=0.05))
 *   run(lambda p: torch.optim.AdamW(p, lr=0.02, betas=(0.9, 0.99), eps=1e-6, weight_decay=0.05))
 *   run(lambda p: torch.optim.AdamW(p, lr=0.02, betas=(0.9, 0.99), eps=1e-6, weight_decay=0))
 *   g = torch.nn.Parameter(torch.zeros(6)); g.grad = torch.tensor([3.0, -4.0, 12.0, 0.5, -0.25, 1.0])
 *   print('norm', '%.9g' % torch.nn.utils.clip_grad_norm_([g], 2.5).item(), g.grad.tolist())
 *   def sched(f, n=8):
 *       p = torch.nn.Parameter(torch.zeros(1)); o = torch.optim.SGD([p], lr=0.3); s = f(o); r = []
 *       for _ in range(n):
 *           r.append(o.param_groups[0]['lr']); o.step(); s.step()
 *       print(', '.join('%.12g' % v for v in r))
 *   from torch.optim.lr_scheduler import *
 *   W, N = 3, 8
 *   first = lambda o: LambdaLR(o, lambda s: (s + 1) / W)
 *   warm = lambda f: sched(lambda o: SequentialLR(o, [first(o), f(o)], [W]))
 *   warm(lambda o: ConstantLR(o, 1.0, 1))
 *   warm(lambda o: LinearLR(o, 1.0, 0.1, N - W))
 *   warm(lambda o: CosineAnnealingLR(o, N - W, 0.03))
 *   warm(lambda o: StepLR(o, 2, 0.5))
 *   sched(lambda o: CosineAnnealingLR(o, 8, 0.03))
 */
/* clang-format on */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/tiles.h"
#include "src/optim/optimizer.h"
#include "src/optim/schedule.h"

enum { N = 4, UPDATES = 5, STEPS = 8 };

/* clang-format off */
static const struct {
    const char *name;
    ent_optimizer optimizer;
    double lr;
    bool decay;
    ent_real x[UPDATES][N]; /* after each update */
} runs[] = {
    {"sgd",
     {.kind = ENT_OPTIMIZER_SGD},
     0.1, true,
     {{0.469999999f, -1.17999995f, 1.995f, -0.199000001f},
      {0.424999982f, -1.07499993f, 1.98749995f, -0.499000013f},
      {0.484999985f, -1.21499991f, 1.99749994f, -0.0990000069f},
      {0.560000002f, -1.38999987f, 2.00999999f, 0.400999993f},
      {0.469999999f, -1.17999983f, 1.995f, -0.199000016f}}},
    {"sgd with momentum",
     {.kind = ENT_OPTIMIZER_SGD, .momentum = 0.9, .weight_decay = 0.05},
     0.1, true,
     {{0.467500001f, -1.17375004f, 1.98500001f, -0.199005008f},
      {0.390912503f, -0.994256318f, 1.95407498f, -0.678014517f},
      {0.380029202f, -0.967740655f, 1.92647207f, -0.705732942f},
      {0.443334073f, -1.11403787f, 1.90449715f, -0.227150887f},
      {0.408091784f, -1.03013515f, 1.86019719f, -0.395291358f}}},
    {"adam",
     {.kind = ENT_OPTIMIZER_ADAM, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-6, .weight_decay = 0.05},
     0.02, true,
     {{0.480000049f, -1.23000002f, 1.98000014f, -0.0189999901f},
      {0.46016404f, -1.21016335f, 1.95998454f, -0.038799379f},
      {0.45839566f, -1.2082932f, 1.94458938f, -0.0395507254f},
      {0.465040565f, -1.21485651f, 1.93344557f, -0.0321117118f},
      {0.462300718f, -1.21203578f, 1.91909742f, -0.0341212563f}}},
    {"adamw",
     {.kind = ENT_OPTIMIZER_ADAMW, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-6, .weight_decay = 0.05},
     0.02, true,
     {{0.479500085f, -1.22874999f, 1.9780004f, -0.0190009922f},
      {0.459221721f, -1.20772243f, 1.95622385f, -0.038780909f},
      {0.458004504f, -1.20575666f, 1.95350957f, -0.0395001322f},
      {0.464980543f, -1.21198499f, 1.9589901f, -0.0320265815f},
      {0.46249947f, -1.20875692f, 1.95501506f, -0.0340106525f}}},
    {"adamw without decay",
     {.kind = ENT_OPTIMIZER_ADAMW, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-6, .weight_decay = 0.05},
     0.02, false,
     {{0.480000079f, -1.23000002f, 1.98000038f, -0.0189999919f},
      {0.460201204f, -1.21020114f, 1.96020174f, -0.0387989096f},
      {0.459443212f, -1.20944309f, 1.95944369f, -0.0395569131f},
      {0.466877252f, -1.2168771f, 1.9668777f, -0.0321228653f},
      {0.464861155f, -1.21486104f, 1.96486163f, -0.0341389626f}}},
};

static const struct {
    const char *name;
    ent_schedule schedule;
    double lr[STEPS];
} schedules[] = {
    {"constant", {ENT_SCHEDULE_CONSTANT, .lr = 0.3, .min_lr = 0.03, .warmup = 3, .steps = STEPS, .step_size = 2, .gamma = 0.5},
     {0.1, 0.2, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3}},
    {"linear", {ENT_SCHEDULE_LINEAR, .lr = 0.3, .min_lr = 0.03, .warmup = 3, .steps = STEPS, .step_size = 2, .gamma = 0.5},
     {0.1, 0.2, 0.3, 0.3, 0.246, 0.192, 0.138, 0.084}},
    {"cosine", {ENT_SCHEDULE_COSINE, .lr = 0.3, .min_lr = 0.03, .warmup = 3, .steps = STEPS, .step_size = 2, .gamma = 0.5},
     {0.1, 0.2, 0.3, 0.3, 0.274217294241, 0.206717294241, 0.123282705759, 0.0557827057594}},
    {"step", {ENT_SCHEDULE_STEP, .lr = 0.3, .min_lr = 0.03, .warmup = 3, .steps = STEPS, .step_size = 2, .gamma = 0.5},
     {0.1, 0.2, 0.3, 0.3, 0.3, 0.15, 0.15, 0.075}},
    {"cosine without warm-up", {ENT_SCHEDULE_COSINE, .lr = 0.3, .min_lr = 0.03, .warmup = 0, .steps = STEPS, .step_size = 2, .gamma = 0.5},
     {0.3, 0.289723736889, 0.26045941546, 0.216662263369, 0.165, 0.113337736631, 0.0695405845398, 0.040276263111}},
};
/* clang-format on */

static void updates_are_those_of_pytorch(void **state)
{
    (void)state;
    static const ent_real start[N] = {0.5f, -1.25f, 2.0f, 1e-3f}, base[N] = {0.3f, -0.7f, 0.05f, 2.0f};
    for (size_t r = 0; r < sizeof runs / sizeof *runs; r++) {
        ent_real x[N], m[N] = {0}, v[N] = {0}, g[N];
        memcpy(x, start, sizeof x);
        for (int s = 0; s < UPDATES; s++) {
            for (size_t i = 0; i < N; i++)
                g[i] = base[i] * (1 + 0.5f * (ent_real)s) * (s / 2 % 2 ? -1 : 1);
            ent_optimizer_step(&runs[r].optimizer, x, m, v, g, N, s + 1, runs[r].lr, runs[r].decay);
            for (size_t i = 0; i < N; i++)
                if (!(fabs((double)(x[i] - runs[r].x[s][i])) <= 1e-6))
                    fail_msg("%s: update %d, element %zu: PyTorch has %.9g, found %.9g", runs[r].name, s, i,
                             (double)runs[r].x[s][i], (double)x[i]);
        }
    }
}

static void rates_are_those_of_pytorch(void **state)
{
    (void)state;
    for (size_t r = 0; r < sizeof schedules / sizeof *schedules; r++)
        for (int64_t s = 0; s < STEPS; s++) {
            const double lr = ent_schedule_lr(&schedules[r].schedule, s);
            if (!(fabs(lr - schedules[r].lr[s]) <= 1e-11))
                fail_msg("%s: step %d: PyTorch has %.12g, found %.12g", schedules[r].name, (int)s, schedules[r].lr[s],
                         lr);
        }
}

/* Past the end, a rate stays where it ended. */
static void rates_end_at_the_least(void **state)
{
    (void)state;
    ent_schedule s = {ENT_SCHEDULE_LINEAR, .lr = 0.3, .min_lr = 0.03, .warmup = 2, .steps = 10};
    assert_true(fabs(ent_schedule_lr(&s, 10) - 0.03) < 1e-12);
    assert_true(fabs(ent_schedule_lr(&s, 1000) - 0.03) < 1e-12);
    s.kind = ENT_SCHEDULE_COSINE;
    assert_true(fabs(ent_schedule_lr(&s, 1000) - 0.03) < 1e-12);
    s.warmup = s.steps = 3; /* all warm-up */
    assert_true(isfinite(ent_schedule_lr(&s, 3)));
}

static void clipping_is_that_of_pytorch(void **state)
{
    (void)state;
    static const ent_real g[] = {3.0f, -4.0f, 12.0f, 0.5f, -0.25f, 1.0f};
    static const double clipped[] = {0.5746957063674927,  -0.7662609219551086,  2.2987828254699707,
                                     0.09578261524438858, -0.04789130762219429, 0.19156523048877716};
    const double norm = ent_global_norm(g, 6), factor = ent_clip_factor(norm, 2.5);
    assert_true(fabs(norm - 13.0503836) < 1e-6);
    for (size_t i = 0; i < 6; i++)
        assert_true(fabs((double)g[i] * factor - clipped[i]) < 1e-6);
    assert_true(ent_clip_factor(2.0, 2.5) == 1);
    assert_true(ent_clip_factor(2.0, 0) == 1);
    assert_true(ent_clip_factor(0, 2.5) == 1);
}

/* Updates of many tiles have the same bits for any number of threads. */
static void threads_change_no_bit(void **state)
{
    (void)state;
    enum { MANY = 20011 };
    static ent_real x[3][MANY], m[3][MANY], v[3][MANY], g[MANY];
    for (int t = 0; t < 3; t++) {
        ent_set_threads(t + 1);
        for (size_t i = 0; i < MANY; i++) {
            x[t][i] = (ent_real)(i % 101) / 50;
            g[i] = (ent_real)(i % 77) / 30 - 1;
        }
        for (int64_t s = 1; s <= 3; s++)
            ent_optimizer_step(&runs[3].optimizer, x[t], m[t], v[t], g, MANY, s, 0.1, true);
        assert_memory_equal(x[t], x[0], sizeof x[0]);
        assert_memory_equal(m[t], m[0], sizeof m[0]);
        assert_memory_equal(v[t], v[0], sizeof v[0]);
    }
    ent_set_threads(1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(updates_are_those_of_pytorch), cmocka_unit_test(rates_are_those_of_pytorch),
        cmocka_unit_test(rates_end_at_the_least),       cmocka_unit_test(clipping_is_that_of_pytorch),
        cmocka_unit_test(threads_change_no_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
