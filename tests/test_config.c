/* Configuration: what loads, what is refused and with which line, and that the resolved print loads again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/config.h"

static char folder[] = "/tmp/entrenar-config-XXXXXX";

static int enter(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL || chdir(folder) != 0;
}

static int leave(void **state)
{
    (void)state;
    return unlink("config.yaml") | chdir("/") | rmdir(folder);
}

static void write_config(const char *text, size_t n)
{
    FILE *file = fopen("config.yaml", "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
}

/* Loads `text` with up to one assignment. */
static ent_status load(ent_config **out, const char *text, const char *set)
{
    write_config(text, strlen(text));
    return ent_config_load(out, "config.yaml", &set, set ? 1 : 0);
}

static void refused(const char *text, const char *set, const char *message)
{
    ent_config *c;
    const ent_status st = load(&c, text, set);
    assert_null(c);
    if (strcmp(ent_message(), message) != 0)
        fail_msg("%s %s\n  expected: %s\n  found:    %s", text, set ? set : "", message, st ? ent_message() : "taken");
    assert_int_equal(st, ENT_ECONFIG);
}

#define NEEDED "model: {path: m}\ndata: {train: t}\n"

static void defaults_are_as_documented(void **state)
{
    (void)state;
    ent_config *c;
    char expected[PATH_MAX];
    assert_int_equal(load(&c, NEEDED, NULL), ENT_OK);
    snprintf(expected, sizeof expected, "%s/m", folder);
    assert_string_equal(c->model.path, expected);
    snprintf(expected, sizeof expected, "%s/out", folder);
    assert_string_equal(c->training.output_dir, expected);
    assert_null(c->data.val);
    assert_false(c->has_lora);
    assert_true(c->data.seq_len == 512 && c->data.mask_prompt && c->data.packing && c->data.shuffle);
    assert_true(c->optimizer.name == ENT_NAME_ADAMW && c->optimizer.lr == 1e-4 && c->optimizer.eps == 1e-8);
    assert_true(c->optimizer.beta1 == 0.9 && c->optimizer.beta2 == 0.999 && c->optimizer.weight_decay == 0.01);
    assert_true(c->scheduler.name == ENT_NAME_COSINE && c->scheduler.warmup_steps == 0 && c->scheduler.min_lr == 0);
    assert_true(c->training.epochs == 1 && c->training.max_steps == 0 && c->training.batch_size == 8);
    assert_true(c->training.grad_clip == 1 && c->training.seed == 42 && c->training.log_every == 1);
    assert_true(c->checkpoint.every == 0 && c->checkpoint.keep == 3 && c->checkpoint.metadata == ENT_METADATA_JSON);
    assert_true(c->distributed.comm == ENT_COMM_AUTO && c->distributed.timeout == 600);
    assert_true(c->compute.threads == 0 && c->quantize.base == ENT_BASE_NONE);
    ent_config_free(c);
    ent_config_free(NULL);
    assert_int_equal(load(&c, NEEDED, "lora.dropout=0.1"), ENT_OK);
    assert_true(c->has_lora && c->lora.rank == 8 && c->lora.alpha == 16 && c->lora.dropout == 0.1);
    assert_int_equal(c->lora.targets, 1 << ENT_Q_PROJ | 1 << ENT_V_PROJ);
    assert_null(c->lora.layers);
    ent_config_free(c);
}

static const char *const good[] = {
    NEEDED,
    "model:      {path: ./model, init: pretrained}\n"
    "data:       {train: train.jsonl, val: val.jsonl, seq_len: 512, mask_prompt: true, packing: true, shuffle: true}\n"
    "lora:       {rank: 16, alpha: 32, dropout: 0.0, target_modules: [q_proj, v_proj]}   # absent: all weights train\n"
    "quantize:   {base: none}                                   # none | int8 | nf4\n"
    "compute:    {precision: fp32, threads: auto, recompute: none}\n"
    "optimizer:  {name: adamw, lr: 1.0e-4, beta1: 0.9, beta2: 0.999, eps: 1.0e-8, weight_decay: 0.01}\n"
    "scheduler:  {name: cosine, warmup_steps: 0, min_lr: 0.0}\n"
    "training:   {epochs: 1, max_steps: 0, batch_size: 8, grad_clip: 1.0, seed: 42, output_dir: ./out, log_every: 1}\n"
    "eval:       {every: 0, patience: 0}\n"
    "checkpoint: {every: 0, keep: 3, metadata: json}\n"
    "distributed: {comm: auto, timeout: 600, allow_mixed_cpus: false}\n",
    "model: {path: ../../models/stories260K}\n"
    "data: {train: train_ids.jsonl, val: val_ids.jsonl, seq_len: 256, packing: false, shuffle: false}\n"
    "lora: {path: adapter_init}\n"
    "optimizer: {name: adamw, lr: 0.003, beta1: 0.9, beta2: 0.999, eps: 1.0e-8, weight_decay: 0.01}\n"
    "scheduler: {name: cosine, warmup_steps: 5, min_lr: 0.0003}\n"
    "training: {max_steps: 60, batch_size: 8, grad_clip: 1.0, output_dir: out}\n",
    NEEDED "lora: {path: /a/adapter, dropout: 0.05}\neval: {every: 3, patience: 2}\n"
           "optimizer: {name: sgd, momentum: .9}\nscheduler: {name: step, step_size: 7, gamma: 1}\n",
    "model:\n  path: \"null\"\n  init: random\ndata:\n  train: \"a b: #c\\n\\\"\"\n  val: \"\\u2028\"\n"
    "lora:\n  layers:\n  - 9\n  - 0-3\n  - 2-4\n  target_modules: all-linear\n  use_rslora: true\n"
    "  rank_pattern: {\"layers.[0-9]{1,2}.mlp\\\\..*\": 4, q_proj: 7}\n  alpha_pattern: {'(q|k)_proj': 0.5}\n"
    "  modules_to_save: [lm_head, '0.input_layernorm', \"1\"]\n"
    "training: {seed: 9223372036854775807, grad_clip: 0}\ncompute: {threads: 1024}\nscheduler: {name: constant}\n"
    "optimizer: {lr: 0.30000000000000004, name: adam}\ncheckpoint: {metadata: yaml}\ndistributed: {comm: self}\n"
    "eval:\n",
    NEEDED "distill: {teacher: t, alpha: 1}\n",
    NEEDED "distill: {teachers: [a, \"b, c\"], weights: [1, 0.1], temperature: 0.5, hidden: 2, hidden_layers: {1: 0, "
           "0: 10}}\n",
};

/* Every config prints to a text that loads to a config that prints alike; from another folder, too. */
static void print_loads_again(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        ent_config *c, *again;
        char *first, *second;
        const char *val = strstr(good[i], "every: 3") ? "data.val=v" : NULL;
        if (load(&c, good[i], val) != ENT_OK)
            fail_msg("%zu: %s", i, ent_message());
        assert_int_equal(ent_config_print(&first, c), ENT_OK);
        write_config(first, strlen(first));
        char elsewhere[PATH_MAX];
        snprintf(elsewhere, sizeof elsewhere, "../%s/./config.yaml", strrchr(folder, '/') + 1);
        if (ent_config_load(&again, elsewhere, NULL, 0) != ENT_OK)
            fail_msg("%s\n%s", ent_message(), first);
        assert_int_equal(ent_config_print(&second, again), ENT_OK);
        assert_string_equal(first, second);
        assert_true(c->optimizer.lr == again->optimizer.lr && c->training.seed == again->training.seed);
        assert_true(c->lora.targets == again->lora.targets && c->lora.n_layers == again->lora.n_layers);
        assert_string_equal(c->data.train, again->data.train);
        ent_config_free(c);
        ent_config_free(again);
        free(first);
        free(second);
    }
}

static void lists_and_layers(void **state)
{
    (void)state;
    ent_config *c;
    assert_int_equal(load(&c, good[4], NULL), ENT_OK);
    static const size_t layers[] = {0, 1, 2, 3, 4, 9};
    assert_int_equal(c->lora.n_layers, 6);
    assert_memory_equal(c->lora.layers, layers, sizeof layers);
    assert_int_equal(c->lora.targets, 0x7f);
    char *text;
    assert_int_equal(ent_config_print(&text, c), ENT_OK);
    assert_non_null(strstr(text, "\n  layers: [0-4, 9]\n"));
    assert_non_null(strstr(text, "\n  seed: 9223372036854775807\n"));
    assert_non_null(strstr(text, "\n  lr: 0.30000000000000004\n"));
    assert_non_null(strstr(text, "\n  # min_lr: only with scheduler.name: linear or cosine\n"));
    free(text);
    ent_config_free(c);
    static const char *const sets[] = {"lora.target_modules=q_proj,o_proj", "lora.target_modules=[q_proj, o_proj]"};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(load(&c, NEEDED, sets[i]), ENT_OK);
        assert_int_equal(c->lora.targets, 1 << ENT_Q_PROJ | 1 << ENT_O_PROJ);
        ent_config_free(c);
    }
    assert_int_equal(load(&c, NEEDED, "lora.layers=5"), ENT_OK);
    assert_true(c->lora.n_layers == 1 && c->lora.layers[0] == 5);
    ent_config_free(c);
}

static void assignments_come_last(void **state)
{
    (void)state;
    ent_config *c;
    static const char *const sets[] = {"optimizer.lr=0.5", "optimizer.lr=0.25", "data.train=./x/y", "lora.path=",
                                       "lora.rank=4",      "model.path=/m",     "training.seed="};
    const char *text = NEEDED "lora: {path: a}\ntraining: {seed: 7}\n";
    char path[PATH_MAX], expected[PATH_MAX];
    write_config(text, strlen(text));
    snprintf(path, sizeof path, "%s/config.yaml", folder);
    assert_int_equal(chdir("/tmp"), 0);
    const ent_status st = ent_config_load(&c, path, sets, sizeof sets / sizeof *sets);
    assert_int_equal(chdir(folder), 0);
    if (st != ENT_OK)
        fail_msg("%s", ent_message());
    assert_true(c->optimizer.lr == 0.25 && c->lora.rank == 4 && c->lora.path == NULL && c->training.seed == 42);
    assert_string_equal(c->data.train, "/tmp/x/y");
    assert_string_equal(c->model.path, "/m");
    snprintf(expected, sizeof expected, "%s/out", folder);
    assert_string_equal(c->training.output_dir, expected);
    ent_config_free(c);
    assert_int_equal(load(&c, text, "lora="), ENT_OK);
    assert_false(c->has_lora);
    ent_config_free(c);
    assert_int_equal(load(&c, NEEDED "scheduler: {min_lr: 0.00001}\n", "scheduler="), ENT_OK);
    assert_true(c->scheduler.min_lr == 0);
    ent_config_free(c);
}

static void unknown_keys_are_named(void **state)
{
    (void)state;
    refused(NEEDED "optimizer:\n  lr: 1\n  learning_rate: 1\n", NULL,
            "config.yaml:5: optimizer.learning_rate: unknown key; did you mean optimizer.lr?");
    refused(NEEDED, "optimizer.learning_rate=1",
            "--set optimizer.learning_rate: unknown key; did you mean optimizer.lr?");
    refused(NEEDED, "training.bach_size=1", "--set training.bach_size: unknown key; did you mean training.batch_size?");
    refused(NEEDED, "training.lr=1", "--set training.lr: unknown key; did you mean optimizer.lr?");
    refused(NEEDED, "optimiser.beta1=1", "--set optimiser.beta1: unknown key; did you mean optimizer.beta1?");
    refused(NEEDED, "lora.r=1", "--set lora.r: unknown key; did you mean lora.rank?");
    refused(NEEDED, "eval.nonsense=1", "--set eval.nonsense: unknown key; there are every, patience");
    refused(NEEDED "optimiser: {lr: 1}\n", NULL, "config.yaml:3: optimiser: unknown key; did you mean optimizer?");
    refused(NEEDED "learning_rate: 1\n", NULL, "config.yaml:3: learning_rate: unknown key; did you mean optimizer.lr?");
    refused(NEEDED, "nonsense=1",
            "--set nonsense: unknown key; the sections are model, data, lora, distill, quantize, compute, optimizer, "
            "scheduler, "
            "training, eval, checkpoint, distributed");
    refused(NEEDED, "lora.rank", "--set lora.rank: expected section.key=value");
    refused(NEEDED, "=1", "--set =1: expected section.key=value");
    refused(NEEDED, "lora=1", "--set lora: a section; expected lora.key=value");
}

static void bad_values_are_refused(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"optimizer.lr=fast", "--set optimizer.lr: expected a number > 0, found \"fast\""},
        {"optimizer.lr=0", "--set optimizer.lr: expected a number > 0, found \"0\""},
        {"optimizer.lr=nan", "--set optimizer.lr: expected a number > 0, found \"nan\""},
        {"optimizer.lr=.inf", "--set optimizer.lr: expected a number > 0, found \".inf\""},
        {"optimizer.lr=1e999", "--set optimizer.lr: expected a number > 0, found \"1e999\""},
        {"optimizer.lr=0x1p-3", "--set optimizer.lr: expected a number > 0, found \"0x1p-3\""},
        {"optimizer.lr=1e-4x", "--set optimizer.lr: expected a number > 0, found \"1e-4x\""},
        {"optimizer.lr= 1", "--set optimizer.lr: expected a number > 0, found \" 1\""},
        {"optimizer.beta1=1", "--set optimizer.beta1: expected a number >= 0 and < 1, found \"1\""},
        {"optimizer.beta1=1.5", "--set optimizer.beta1: expected a number >= 0 and < 1, found \"1.5\""},
        {"optimizer.name=adagrad", "--set optimizer.name: expected sgd, adam or adamw, found \"adagrad\""},
        {"data.seq_len=1", "--set data.seq_len: expected an integer from 2 to 1048576, found \"1\""},
        {"data.seq_len=1e3", "--set data.seq_len: expected an integer from 2 to 1048576, found \"1e3\""},
        {"data.seq_len=0x10", "--set data.seq_len: expected an integer from 2 to 1048576, found \"0x10\""},
        {"data.seq_len=64.0", "--set data.seq_len: expected an integer from 2 to 1048576, found \"64.0\""},
        {"data.packing=yes", "--set data.packing: expected true or false, found \"yes\""},
        {"training.seed=9223372036854775808",
         "--set training.seed: expected an integer >= 0, found \"9223372036854775808\""},
        {"training.seed=-1", "--set training.seed: expected an integer >= 0, found \"-1\""},
        {"compute.threads=0", "--set compute.threads: expected auto or an integer from 1 to 1024, found \"0\""},
        {"lora.target_modules=[q_prj]", "--set lora.target_modules: expected all-linear or a list of q_proj, k_proj, "
                                        "v_proj, o_proj, gate_proj, up_proj, down_proj, found \"q_prj\""},
        {"lora.layers=3-1",
         "--set lora.layers: expected a list of layers and ranges such as [0, 2-5], each below 10000, found \"3-1\""},
        {"lora.modules_to_save=[]",
         "--set lora.modules_to_save: expected a list of names such as [lm_head, norm], found an empty list"},
        {"lora.modules_to_save=[a, ~]",
         "--set lora.modules_to_save: expected a list of names such as [lm_head, norm], found nothing"},
        {"lora.modules_to_save=a b", "--set lora.modules_to_save: \"a b\": expected letters, digits, '_' and '.'"},
        {"quantize.base=int4", "--set quantize.base: expected none, int8 or nf4, found \"int4\""},
        {"data.val=\xff", "--set data.val: not UTF-8"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refused(NEEDED, cases[i][0], cases[i][1]);
    static const char *const layers[] = {"lora.layers=-1", "lora.layers=1-", "lora.layers=1-2-3", "lora.layers=10000",
                                         "lora.layers=[]", "lora.layers=a",  "lora.layers=[[1]]", "lora.layers=[1"};
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++) {
        ent_config *c;
        if (load(&c, NEEDED, layers[i]) != ENT_ECONFIG)
            fail_msg("%s is taken", layers[i]);
    }
}

static void bad_files_are_refused(void **state)
{
    (void)state;
    ent_config *c;
    assert_int_equal(ent_config_load(&c, "nowhere.yaml", NULL, 0), ENT_ECONFIG);
    assert_string_equal(ent_message(), "nowhere.yaml: No such file or directory");
    assert_int_equal(ent_config_load(&c, "/", NULL, 0), ENT_ECONFIG);
    assert_string_equal(ent_message(), "/: Is a directory");
    refused("", NULL, "config.yaml: model.path: expected a path, found nothing");
    refused("model: {path: m}\n", NULL, "config.yaml: data.train: expected a path, found nothing");
    refused("model: {path: }\ndata: {train: t}\n", NULL, "config.yaml:1: model.path: expected a path, found nothing");
    refused(NEEDED, "model.path=", "config.yaml: model.path: expected a path, found nothing");
    refused("- model\n", NULL, "config.yaml:1: expected sections such as model: {path: ./model}");
    refused(NEEDED "optimizer: adamw\n", NULL, "config.yaml:3: optimizer: expected a mapping of keys");
    refused(NEEDED "lora:\n", NULL, "config.yaml:3: lora: expected at least one key, such as rank: 8; or no section");
    refused(NEEDED "optimizer:\n  lr: fast\n", NULL,
            "config.yaml:4: optimizer.lr: expected a number > 0, found \"fast\"");
    refused(NEEDED "optimizer: {lr: \"0.1\"}\n", NULL,
            "config.yaml:3: optimizer.lr: expected a number > 0, found \"0.1\"");
    refused(NEEDED "optimizer: {lr: [1]}\n", NULL, "config.yaml:3: optimizer.lr: expected a number > 0, found a list");
    refused(NEEDED "optimizer: {lr: {a: 1}}\n", NULL,
            "config.yaml:3: optimizer.lr: expected a number > 0, found a mapping");
    refused(NEEDED "optimizer: {lr: }\n", NULL, "config.yaml:3: optimizer.lr: expected a number > 0, found nothing");
    refused(NEEDED "quantize: {base: fp4}\n", NULL,
            "config.yaml:3: quantize.base: expected none, int8 or nf4, found \"fp4\"");
    refused(NEEDED "compute: {recompute: all}\n", NULL,
            "config.yaml:3: compute.recompute: expected none or layer, found \"all\"");
    refused(NEEDED "model: {path: x}\n", NULL,
            "config.yaml:3: key model stands here for the second time, first in line 1");
    refused(NEEDED "a: *b\n", NULL, "config.yaml:3: YAML aliases are not supported");
}

static void keys_that_do_nothing_are_refused(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"optimizer: {momentum: 0.9}",
         "config.yaml:3: optimizer.momentum: acts only with optimizer.name: sgd, found optimizer.name: adamw"},
        {"optimizer: {name: sgd, beta1: 0.9}",
         "config.yaml:3: optimizer.beta1: acts only with optimizer.name: adam or adamw, found optimizer.name: sgd"},
        {"optimizer: {name: sgd, beta2: 0.9}",
         "config.yaml:3: optimizer.beta2: acts only with optimizer.name: adam or adamw, found optimizer.name: sgd"},
        {"optimizer: {name: sgd, eps: 0.9}",
         "config.yaml:3: optimizer.eps: acts only with optimizer.name: adam or adamw, found optimizer.name: sgd"},
        {"scheduler: {gamma: 0.5}",
         "config.yaml:3: scheduler.gamma: acts only with scheduler.name: step, found scheduler.name: cosine"},
        {"scheduler: {step_size: 5}",
         "config.yaml:3: scheduler.step_size: acts only with scheduler.name: step, found scheduler.name: cosine"},
        {"scheduler: {name: constant, min_lr: 0}", "config.yaml:3: scheduler.min_lr: acts only with scheduler.name: "
                                                   "linear or cosine, found scheduler.name: constant"},
        {"scheduler: {name: step}", "config.yaml: scheduler.step_size: expected an integer >= 1 with scheduler.name: "
                                    "step, found nothing"},
        {"scheduler: {min_lr: 0.1}",
         "config.yaml:3: scheduler.min_lr: expected at most optimizer.lr, which is 0.0001, found 0.1"},
        {"lora: {path: a, rank: 8}",
         "config.yaml:3: lora.rank: expected to be absent beside lora.path, whose adapter sets it"},
        {"lora: {path: a, target_modules: all-linear}",
         "config.yaml:3: lora.target_modules: expected to be absent beside lora.path, whose adapter sets it"},
        {"distill:", "config.yaml:3: distill: expected at least teacher: FOLDER; or no section"},
        {"distill: {alpha: 1}", "config.yaml: distill.teacher: expected one of distill.teacher and distill.teachers, "
                                "found neither"},
        {"distill: {teacher: a, teachers: [b]}", "config.yaml:3: distill.teachers: expected one of distill.teacher and "
                                                 "distill.teachers, found both"},
        {"distill: {teacher: a, weights: 1}", "config.yaml:3: distill.weights: acts only with distill.teachers"},
        {"distill: {teachers: [a, b], weights: [1]}",
         "config.yaml:3: distill.weights: expected a weight for each of 2 teachers, found 1"},
        {"distill: {teachers: [a, b], weights: [1, 0]}", "config.yaml:3: distill.weights: expected a list of 1 to 3 "
                                                         "numbers > 0 and <= 1000000, found \"0\""},
        {"distill: {teachers: [a, b, c, d]}", "config.yaml:3: distill.teachers: expected at most 3, found more"},
        {"distill: {teachers: []}",
         "config.yaml:3: distill.teachers: expected a list of 1 to 3 paths, found an empty list"},
        {"distill: {teacher: a, alpha: 0}",
         "config.yaml:3: distill.alpha: expected a number > 0 and <= 1, found \"0\""},
        {"eval: {every: 1}", "config.yaml:3: eval.every: needs data.val, found nothing there"},
        {"eval: {patience: 1}", "config.yaml:3: eval.patience: acts only with eval.every > 0, found eval.every: 0"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[400];
        snprintf(text, sizeof text, NEEDED "%s\n", cases[i][0]);
        refused(text, NULL, cases[i][1]);
    }
    refused(NEEDED "lora: {alpha: 3}\n", "lora.path=a",
            "config.yaml:3: lora.alpha: expected to be absent beside lora.path, whose adapter sets it");
    refused(NEEDED "scheduler: {min_lr: 0.00001}\n", "scheduler.name=constant",
            "config.yaml:3: scheduler.min_lr: acts only with scheduler.name: linear or cosine, found scheduler.name: "
            "constant");
}

static void teachers_are_read(void **state)
{
    (void)state;
    ent_config *c;
    ent_json *json = ent_json_new_object();
    assert_int_equal(load(&c, NEEDED "distill: {teachers: [/a, b], weights: [3, 1]}\n", NULL), ENT_OK);
    assert_true(c->has_distill && c->distill.n_teachers == 2 && c->distill.n_weights == 2);
    assert_true(c->distill.weights[0] == 3 && c->distill.weights[1] == 1);
    assert_true(c->distill.temperature == 2 && c->distill.alpha == 0.5);
    assert_string_equal(c->distill.teachers[0], "/a");
    assert_true(c->distill.teachers[1][0] == '/');
    assert_null(c->distill.teacher);
    assert_int_equal(ent_config_to_json(json, c), ENT_OK);
    const ent_json *distill = ent_json_member(json, "distill");
    assert_int_equal(ent_json_count(ent_json_member(distill, "weights")), 2);
    assert_int_equal(ent_json_count(ent_json_member(distill, "teachers")), 2);
    assert_true(ent_json_is_null(ent_json_member(distill, "teacher")));
    ent_json_free(json);
    ent_config_free(c);
}

static void json_and_help_follow_the_table(void **state)
{
    (void)state;
    ent_config *c;
    char *help;
    double lr;
    ent_json *json = ent_json_new_object();
    assert_int_equal(load(&c, good[4], NULL), ENT_OK);
    assert_int_equal(ent_config_to_json(json, c), ENT_OK);
    assert_int_equal(ent_json_count(json), 11);
    assert_int_equal(ent_json_get_double(&lr, ent_json_member(json, "optimizer"), "lr", "t"), ENT_OK);
    assert_true(lr == 0.1 + 0.2);
    assert_null(ent_json_member(ent_json_member(json, "optimizer"), "momentum"));
    const ent_json *lora = ent_json_member(json, "lora");
    assert_int_equal(ent_json_count(ent_json_member(lora, "target_modules")), 7);
    assert_int_equal(ent_json_count(ent_json_member(lora, "layers")), 6);
    assert_true(ent_json_is_null(ent_json_member(lora, "path")));
    assert_string_equal(ent_json_string(ent_json_member(ent_json_member(json, "model"), "init")), "random");
    ent_json_free(json);
    ent_config_free(c);
    assert_int_equal(ent_config_help(&help), ENT_OK);
    assert_non_null(strstr(help, "optimizer.lr "));
    assert_non_null(strstr(help, "a number > 0; default 1.0e-4"));
    assert_non_null(strstr(help, "none, int8 or nf4; default none\n"));
    assert_null(strstr(help, "not in this version"));
    free(help);
}

/* Every byte of a good file changed, cut, or followed by others: loads or is refused, with one line. */
static void damage_is_harmless(void **state)
{
    (void)state;
    const char *text = NEEDED "lora: {layers: [1-3]}\noptimizer: {lr: 0.1}\n";
    static const char bytes[] = "\x01\t\n !\"#&'*,-09:?@[]a{|}\x7f\x80\xff";
    char bad[200];
    const size_t n = strlen(text);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < sizeof bytes; j++) { /* the last is the terminating zero: cut here */
            memcpy(bad, text, n + 1);
            bad[i] = bytes[j];
            write_config(bad, j + 1 == sizeof bytes ? i : n);
            ent_config *c;
            if (ent_config_load(&c, "config.yaml", NULL, 0) != ENT_OK)
                assert_memory_equal(ent_message(), "config.yaml:", 12);
            ent_config_free(c);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_as_documented), cmocka_unit_test(print_loads_again),
        cmocka_unit_test(lists_and_layers),           cmocka_unit_test(assignments_come_last),
        cmocka_unit_test(unknown_keys_are_named),     cmocka_unit_test(bad_values_are_refused),
        cmocka_unit_test(bad_files_are_refused),      cmocka_unit_test(keys_that_do_nothing_are_refused),
        cmocka_unit_test(teachers_are_read),          cmocka_unit_test(json_and_help_follow_the_table),
        cmocka_unit_test(damage_is_harmless),
    };
    return cmocka_run_group_tests(tests, enter, leave);
}
