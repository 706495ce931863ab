#include "launch/run_identity.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/digest.h"
#include "io/json_value.h"
#include "io/lora_modules.h"
#include "io/lora_saved.h"
#include "io/path.h"
#include "src/base/mem.h"

/* Keys and sections that don't bear on the numbers, or are replaced by digests of what they lead to. */
static const char *const left_out[] = {
    "model.path",         "data.train",      "data.val",           "data.chat_template",
    "lora.path",          "distill.teacher", "distill.teachers",   "compute.threads",
    "compute.recompute",  "training.epochs", "training.max_steps", "training.output_dir",
    "training.log_every", "eval.",           "checkpoint.",        "distributed."};

static bool is_left_out(const char *key)
{
    for (size_t i = 0; i < sizeof left_out / sizeof *left_out; i++) {
        const size_t n = strlen(left_out[i]);
        if (left_out[i][n - 1] == '.' ? strncmp(key, left_out[i], n) == 0 : strcmp(key, left_out[i]) == 0)
            return true;
    }
    return false;
}

static ent_status add_key(ent_json *to, const char *section, const ent_json *member)
{
    char *text = NULL, *key = NULL;
    ent_status st;
    ENT_GO(ent_format(&key, "%s.%s", section, ent_json_key(member)));
    if (is_left_out(key) || (strcmp(key, "lora.plus_ratio") == 0 && ent_json_number(member) == 1) ||
        (strcmp(key, "lora.init") == 0 && strcmp(ent_json_string(member), "default") == 0) ||
        (strcmp(key, "lora.use_dora") == 0 && ent_json_is_trivial(member)) ||
        (ent_json_is_null(member) && /* as before there were any */
         (ent_path_ends_with(key, "_pattern") || strcmp(key, "lora.modules_to_save") == 0 ||
          strcmp(key, "distill.hidden_layers") == 0)) ||
        (strcmp(key, "distill.hidden") == 0 && ent_json_number(member) == 0))
        goto done;
    if (ent_json_string(member) == NULL)
        ENT_GO(ent_json_print(&text, member, false));
    ent_json_add_string(to, key, text ? text : ent_json_string(member));
done:
    free(key);
    free(text);
    return st;
}

static ent_status add_config(ent_json *to, const ent_config *config)
{
    ent_json *tree = ent_json_new_object();
    ent_status st = ent_config_to_json(tree, config);
    if (config->quantize.qat == ENT_QAT_NONE) /* as before there was any */
        ent_json_remove(ent_json_member(tree, "quantize"), "qat");
    for (const ent_json *section = ent_json_first(tree); section; section = ent_json_next(section))
        for (const ent_json *member = ent_json_first(section); member && st == ENT_OK; member = ent_json_next(member))
            st = add_key(to, ent_json_key(section), member);
    ent_json_free(tree);
    return st;
}

/* A digest of the mapped weights: of all names, shapes and types, and of a sample of each tensor's bytes, so that it
 * costs no time. Another model, or another version of it, is told apart. */
static void hash_weights(char hex[ENT_SHA256_SIZE], const ent_model *m)
{
    enum { SAMPLE = 4096 };
    const ent_params *p = ent_decoder_params(m->decoder);
    char next[ENT_SHA256_SIZE + 256 + SAMPLE] = "";
    memset(hex, 0, ENT_SHA256_SIZE);
    for (size_t i = 0; i < p->count && m->weights; i++) {
        const ent_st_tensor *t = ent_safetensors_find(m->weights, p->items[i]->tensor.name);
        if (t == NULL)
            continue;
        size_t n = (size_t)snprintf(next, ENT_SHA256_SIZE + 256, "%s %.150s %s %zu", hex, t->name,
                                    ent_dtype_name(t->dtype), t->bytes);
        const size_t sample = t->bytes < SAMPLE ? t->bytes : SAMPLE;
        memcpy(next + n, (const char *)t->data + (t->bytes - sample) / 2, sample);
        ent_sha256(hex, next, n + sample);
    }
}

/* What config.json says that the shapes of the parameters don't. */
static void add_model(ent_json *to, const char *key, const ent_model *model)
{
    const ent_model_config *m = &model->config;
    char text[256], weights[ENT_SHA256_SIZE], name[64];
    hash_weights(weights, model);
    snprintf(name, sizeof name, "%s (weights)", key);
    ent_json_add_string(to, name, weights);
    snprintf(text, sizeof text, "%.60s, rope %d %.17g, eps %.17g, window %zu from %zu", m->model_type,
             (int)m->rope_scaling, m->rope_theta, m->rms_norm_eps, m->sliding_window, m->first_window_layer);
    snprintf(name, sizeof name, "%s (config)", key);
    ent_json_add_string(to, name, text);
}

/* One setting of an adapter, from a tree that holds it. The tree is freed. */
static ent_status add_setting(ent_json *to, ent_json *tree, const char *key)
{
    char *printed, name[64];
    const ent_status st = ent_json_print(&printed, ent_json_member(tree, key), false);
    ent_json_free(tree);
    ENT_TRY(st);
    snprintf(name, sizeof name, "lora.path (%s)", key);
    ent_json_add_string(to, name, printed);
    free(printed);
    return ENT_OK;
}

/* An adapter that is gone on from sets what the config doesn't. */
static ent_status add_adapter(ent_json *to, const ent_lora_config *l)
{
    const ent_lora_patterns *const patterns[] = {&l->ranks, &l->alphas};
    static const char *const keys[] = {"rank_pattern", "alpha_pattern"};
    char text[128];
    snprintf(text, sizeof text, "rank %zu, alpha %.17g, targets %x%s%s", l->r, l->alpha, l->targets,
             l->use_rslora ? ", rslora" : "", l->use_dora ? ", dora" : "");
    ent_json_add_string(to, "lora.path (adapter)", text);
    for (size_t i = 0; i < 2; i++) {
        if (patterns[i]->count == 0)
            continue;
        ent_json *tree = ent_json_new_object();
        ent_lora_patterns_put(tree, keys[i], patterns[i], false);
        ENT_TRY(add_setting(to, tree, keys[i]));
    }
    if (l->saved.count == 0)
        return ENT_OK;
    ent_json *tree = ent_json_new_object();
    ent_lora_names_put(tree, "modules_to_save", &l->saved);
    return add_setting(to, tree, "modules_to_save");
}

/* What was decided on the first units: which way each projection goes, and with which factors. */
static void add_calibration(ent_json *to, const ent_calibration *c)
{
    char text[128], hex[ENT_SHA256_SIZE];
    ent_sha256_sum sum;
    ent_sha256_begin(&sum);
    for (size_t i = 0; i < c->count; i++) {
        const ent_calibrated *item = &c->items[i];
        ent_sha256_add(&sum, &item->choice.way, sizeof item->choice.way);
        ent_sha256_add(&sum, item->factors, item->weight->shape[1] * sizeof *item->factors);
    }
    ent_sha256_end(hex, &sum);
    snprintf(text, sizeof text, "%zu plain, %zu smoothed, %zu in bf16, %.16s", c->ways[ENT_INT8_PLAIN],
             c->ways[ENT_INT8_SMOOTHED], c->ways[ENT_INT8_NOT], hex);
    ent_json_add_string(to, "compute.precision (calibration)", text);
}

ent_status ent_run_identity(ent_json **out, const ent_run *run)
{
    ent_json *to = *out = ent_json_new_object();
    ENT_TRY(add_config(to, run->config));
    add_model(to, "model.path", &run->model);
    for (size_t i = 0; i < run->teachers.teaching.count; i++) {
        char key[64];
        snprintf(key, sizeof key, "distill.teacher %zu", i + 1);
        add_model(to, key, &run->teachers.models[i]);
    }
    if (run->config->has_lora && run->config->lora.path)
        ENT_TRY(add_adapter(to, &run->model.lora));
    if (run->model.calibration)
        add_calibration(to, run->model.calibration);
    ent_json_add_string(to, "data.train (tokens)", ent_dataset_digest(run->train));
    return ENT_OK;
}
