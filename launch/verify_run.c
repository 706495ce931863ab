/* A run's folder: see launch/verify.h. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/config.h"
#include "io/lora_saved.h"
#include "io/metrics_read.h"
#include "io/path.h"
#include "io/peft.h"
#include "launch/pissa.h"
#include "launch/verify_parts.h"
#include "src/base/mem.h"
#include "src/quant/fake.h"

/* *config (caller frees) = that of the run; NULL: it doesn't load. */
static void check_config(ent_config **config, ent_verification *v, const char *folder)
{
    char *path;
    *config = NULL;
    if (!ent_verify_take(v, ent_format(&path, "%s/config.yaml", folder)))
        return;
    if (ent_verify_take(v, ent_config_load(config, path, NULL, 0)))
        ent_verify_good(v, "%s: loads", path);
    free(path);
}

/* The log says of the checkpoint's step what the checkpoint says of it, and goes at least up to it. */
static ent_status check_agreement(const ent_metrics_summary *log, const ent_verified *newest, const char *path)
{
    const struct {
        const char *key;
        double logged, stated;
    } pairs[] = {{"loss", log->loss_at, newest->loss},
                 {"lr", log->lr_at, newest->lr},
                 {"grad_norm", log->norm_at, newest->grad_norm}};
    if (log->at < 0)
        return ent_fail(ENT_EFORMAT, "%s: ends with step %" PRId64 ", there is a checkpoint of step %" PRId64, path,
                        log->last_step, newest->step);
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (pairs[i].logged != pairs[i].stated)
            return ent_fail(ENT_EFORMAT, "%s: step %" PRId64 ": %s is %.17g, the checkpoint's metadata says %.17g",
                            path, newest->step, pairs[i].key, pairs[i].logged, pairs[i].stated);
    return ENT_OK;
}

/* `newest` NULL: no checkpoint is good. */
static void check_log(ent_verification *v, const char *folder, const ent_verified *newest)
{
    ent_metrics_summary log;
    char *path;
    if (!ent_verify_take(v, ent_format(&path, "%s/metrics.jsonl", folder)))
        return;
    if (ent_verify_take(v, ent_metrics_read(&log, path, newest ? newest->step : -1)) &&
        (newest == NULL || ent_verify_take(v, check_agreement(&log, newest, path))))
        ent_verify_good(v, "%s: steps 1 to %" PRId64 " without a gap, %" PRId64 " evaluations", path, log.steps,
                        log.evals);
    free(path);
}

/* The codes of a weight in int8 are what the checkpoint's numbers `w` and their scales round to. */
static ent_status check_codes(ent_contents *model, const ent_contents_tensor *codes, ent_contents *checkpoint,
                              const ent_contents_tensor *w)
{
    char *name;
    float *scales = NULL;
    ent_status st;
    ENT_TRY(ent_format(&name, "%s_scale", codes->name));
    const ent_contents_tensor *s = ent_contents_find(checkpoint, name);
    const size_t rows = codes->shape[0], columns = codes->shape[1];
    if (codes->n_dims != 2 || codes->count != w->count || s == NULL || s->count != rows)
        ENT_GO(ent_fail(ENT_EFORMAT, "%s: %s: %s has no numbers and scales of its shape", codes->file, codes->name,
                        checkpoint->path));
    ENT_GO(ent_calloc(&scales, rows, sizeof *scales, "scales"));
    for (size_t first = 0; first < rows; first += ENT_STRETCH) {
        const size_t n = rows - first < ENT_STRETCH ? rows - first : ENT_STRETCH;
        const void *bytes;
        ENT_GO(ent_contents_bytes(&bytes, checkpoint, s, first, n));
        memcpy(scales + first, bytes, n * sizeof *scales);
    }
    for (size_t first = 0; first < w->count; first += ENT_STRETCH) {
        const size_t n = w->count - first < ENT_STRETCH ? w->count - first : ENT_STRETCH;
        const void *a, *b;
        ENT_GO(ent_contents_bytes(&a, model, codes, first, n));
        ENT_GO(ent_contents_bytes(&b, checkpoint, w, first, n));
        for (size_t i = 0; i < n; i++)
            if ((float)((const int8_t *)a)[i] != ent_fake_code(((const float *)b)[i], scales[(first + i) / columns]))
                ENT_GO(
                    ent_fail(ENT_EFORMAT, "%s: %s: is not what %s holds", codes->file, codes->name, checkpoint->path));
    }
done:
    free(scales);
    free(name);
    return st;
}

/* What a folder holds is what a checkpoint holds as /params/NAME, bit for bit, or rounded to int8. */
static ent_status check_same(ent_contents *model, ent_contents *checkpoint)
{
    for (size_t i = 0; i < model->count; i++) {
        const ent_contents_tensor *t = &model->tensors[i], *p = ent_contents_find(checkpoint, t->name);
        if (p == NULL)
            return ent_fail(ENT_EFORMAT, "%s: %s: %s has no such parameter", t->file, t->name, checkpoint->path);
        if (t->type == ENT_ST_I8) {
            ENT_TRY(check_codes(model, t, checkpoint, p));
            continue;
        }
        if (t->type != p->type || t->count != p->count)
            return ent_fail(ENT_EFORMAT, "%s: %s: expected %zu numbers of F32, as in %s, found %zu of %s", t->file,
                            t->name, p->count, p->file, t->count, ent_st_type_name(t->type));
        for (size_t first = 0; first < t->count; first += ENT_STRETCH) {
            const size_t n = t->count - first < ENT_STRETCH ? t->count - first : ENT_STRETCH;
            const void *a, *b;
            ENT_TRY(ent_contents_bytes(&a, model, t, first, n));
            ENT_TRY(ent_contents_bytes(&b, checkpoint, p, first, n));
            if (memcmp(a, b, n * sizeof(float)) != 0)
                return ent_fail(ENT_EFORMAT, "%s: %s: is not what %s holds", t->file, t->name, checkpoint->path);
        }
    }
    return ENT_OK;
}

static ent_status compare(const char *folder, const char *model, int64_t step)
{
    ent_contents *a = NULL, *b = NULL;
    char *h5 = NULL;
    ent_status st;
    ENT_GO(ent_format(&h5, "%s/checkpoints/step-%08" PRId64 ".h5", folder, step));
    ENT_GO(ent_contents_open(&a, model));
    ENT_GO(ent_contents_open(&b, h5));
    ENT_GO(check_same(a, b));
done:
    ent_contents_close(a);
    ent_contents_close(b);
    free(h5);
    return st;
}

static bool same_patterns(const ent_lora_patterns *a, const ent_lora_patterns *b, double times)
{
    bool same = a->count == b->count;
    for (size_t i = 0; same && i < a->count; i++)
        same = a->items[i].value == times * b->items[i].value && strcmp(a->items[i].key, b->items[i].key) == 0;
    return same;
}

/* The adapter is of the rank, alpha and targets that the config sets; an adapter that was gone on from has its own. */
static ent_status check_lora(const char *folder, const ent_config *config)
{
    ent_lora_config found;
    ent_status st = ENT_OK;
    if (config == NULL || !config->has_lora || config->lora.path)
        return ENT_OK;
    const bool pissa = config->lora.init == ENT_LORA_PISSA; /* what it began with stands beside it: launch/pissa.h */
    const size_t ranks = pissa ? 2 : 1;
    const double alphas = pissa ? ent_pissa_alphas(config->lora.use_rslora) : 1;
    ENT_TRY(ent_peft_read_config(&found, folder));
    if (found.r != ranks * (size_t)config->lora.rank || found.alpha != alphas * config->lora.alpha ||
        found.targets != config->lora.targets)
        st = ent_fail(ENT_EFORMAT,
                      "%s/adapter_config.json: expected rank %lld, alpha %g and the targets of config.yaml, found rank "
                      "%zu, alpha %g and %s targets",
                      folder, (long long)config->lora.rank * (long long)ranks, alphas * config->lora.alpha, found.r,
                      found.alpha, found.targets == config->lora.targets ? "the same" : "other");
    else if (found.use_rslora != config->lora.use_rslora || found.use_dora != config->lora.use_dora)
        st = ent_fail(ENT_EFORMAT, "%s/adapter_config.json: expected use_rslora and use_dora as config.yaml has them",
                      folder);
    else if (!same_patterns(&found.ranks, &config->lora.ranks, (double)ranks) ||
             !same_patterns(&found.alphas, &config->lora.alphas, alphas))
        st = ent_fail(ENT_EFORMAT, "%s/adapter_config.json: expected the %s of config.yaml, found another", folder,
                      same_patterns(&found.ranks, &config->lora.ranks, (double)ranks) ? "alpha_pattern"
                                                                                      : "rank_pattern");
    else if (!ent_lora_names_equal(&found.saved, &config->lora.saved))
        st = ent_fail(ENT_EFORMAT, "%s/adapter_config.json: expected the modules_to_save of config.yaml, found others",
                      folder);
    ent_lora_config_clear(&found);
    return st;
}

/* FOLDER/NAME, if it is there; if the run is at its end and the checkpoint of `step` good and still there, also that it
 * holds the same. */
static void check_result(ent_verification *v, const char *folder, const char *name, const ent_verified_list *list,
                         const ent_verified *newest, bool best, const ent_config *config)
{
    char *path;
    const size_t faults = v->faults;
    const int64_t step = newest ? (best ? newest->best_step : newest->step) : -1;
    bool kept = false;
    if (!ent_verify_take(v, ent_format(&path, "%s/%s", folder, name)))
        return;
    for (size_t i = 0; i < list->count; i++)
        kept = kept || (list->items[i].good && list->items[i].step == step);
    if (ent_path_is_folder(path)) {
        if (strncmp(name, "adapter", strlen("adapter")) != 0) {
            ent_verify_model(v, path);
        } else {
            ent_verify_adapter(v, path);
            ent_verify_take(v, check_lora(path, config));
        }
        if (v->faults == faults && config && config->has_lora && config->lora.init == ENT_LORA_PISSA)
            ent_verify_good(v, "%s: with what it began with, which no checkpoint has: not compared with one", path);
        else if (v->faults == faults && kept && newest->is_final && ent_verify_take(v, compare(folder, path, step)))
            ent_verify_good(v, "%s: the numbers of the checkpoint of step %" PRId64, path, step);
    }
    free(path);
}

void ent_verify_run(ent_verification *v, const char *folder)
{
    static const char *const results[] = {"adapter", "model", "adapter-best", "model-best"};
    ent_verified_list list = {0};
    const ent_verified *newest = NULL;
    ent_config *config;
    char *checkpoints;
    check_config(&config, v, folder);
    if (!ent_verify_take(v, ent_format(&checkpoints, "%s/checkpoints", folder)))
        goto done;
    if (ent_path_is_folder(checkpoints))
        ent_verify_checkpoints(&list, v, checkpoints);
    else
        ent_verify_good(v, "%s: has no checkpoint yet", folder);
    for (size_t i = list.count; i-- > 0;)
        newest = list.items[i].good ? &list.items[i] : newest;
    check_log(v, folder, newest);
    for (size_t i = 0; i < sizeof results / sizeof *results; i++)
        check_result(v, folder, results[i], &list, newest, i >= 2, config);
    free(list.items);
    free(checkpoints);
done:
    ent_config_free(config);
}
